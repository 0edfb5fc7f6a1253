//! Copies of requests for a pool whose answers nobody sees: what would it do with what clients ask now? Nobody waits for it: a copy is asked by a
//! task of its own once the request has come whole, and where there would be too many, or one too large, there is none (ADR 0053).

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use lb_model::l7::L7Timeouts;

use crate::balance::{Ends, random};
use crate::body::{Body, BodyError};
use crate::client::seconds;
use crate::forward::{Answer, Request};
use crate::persistence::Kept;
use crate::policy::Copies;
use crate::record::Record;
use crate::service::{Pool, Service};

/// The largest body of which a copy is made.
const LARGEST: usize = 128 << 10;
/// How many copies a worker has at a time, those that are still coming among them.
const MOST: usize = 256;
/// How much of an answer is read, so that its connection can serve again.
const READ: usize = 1 << 20;

thread_local! {
    static COPIES: Cell<usize> = const { Cell::new(0) };
}

/// One of the copies that a worker may have. It stays with its worker, as all tasks do.
#[derive(Debug)]
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let taken = COPIES.get();
        (taken < MOST).then(|| {
            COPIES.set(taken + 1);
            Self
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        COPIES.set(COPIES.get().saturating_sub(1));
    }
}

/// A copy that is not complete yet.
#[derive(Debug)]
struct Shadow {
    pool: Arc<Pool>,
    timeouts: L7Timeouts,
    ends: Ends,
    parts: http::request::Parts,
    place: Place,
}

/// The body of a request of which a copy is made on its way.
#[derive(Debug)]
pub(crate) struct Copied {
    body: Body,
    /// How long it is, if that is known.
    length: Option<u64>,
    so_far: BytesMut,
    /// Until it is on its way, or the body turns out to be too large.
    copy: Option<Shadow>,
}

/// Sends a copy of this request to where it should go. Its body, which has to be taken on in its place.
pub(crate) fn copy(
    copies: Copies,
    service: &Service,
    ends: Ends,
    parts: &http::request::Parts,
    body: Body,
) -> Body {
    let length = body.length();
    let falls = random() % 100 < u64::from(copies.percent);
    let fits = length.is_none_or(|length| length <= LARGEST as u64);
    if !falls || !fits || crate::tunnel::is_asked(parts) {
        return body;
    }
    let (Some(pool), Some(place)) = (service.routed.get(copies.place), Place::take()) else { return body };
    let mut parts = parts.clone();
    parts.extensions.clear();
    let copy = Shadow { pool: Arc::clone(pool), timeouts: service.timeouts, ends, parts, place };
    if length == Some(0) {
        copy.send(Body::Empty);
        return body;
    }
    Body::Copied(Box::new(Copied { body, length, so_far: BytesMut::new(), copy: Some(copy) }))
}

impl Shadow {
    fn send(self, body: Body) {
        drop(tokio::spawn(self.ask(body)));
    }

    async fn ask(self, body: Body) {
        let Self { pool, timeouts, ends, parts, place: _place } = self;
        if pool.is_cut() {
            return;
        }
        let open = pool.balancer.claim(ends, Kept::Nobody, &[]).filter(|_| pool.admits());
        let Some(open) = open else { return };
        let member = Arc::clone(open.member());
        let mut record = Record::unread(ends.client, parts.version);
        let asked = Request::new(timeouts, ends, parts, body, &mut record).ask(&member).await;
        pool.judge(&member, asked.as_ref().ok().map(|answer| answer.parts.status));
        if let Ok(Answer { mut body, .. }) = asked {
            body.hold(open);
            // One that goes on for ever ends here.
            let _ = tokio::time::timeout(seconds(timeouts.response_s), read(body)).await;
        }
    }
}

/// Reads an answer that nobody wants.
async fn read(mut body: Body) {
    let mut left = READ;
    let next = |body: &mut Body, cx: &mut Context<'_>| http_body::Body::poll_frame(Pin::new(body), cx);
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| next(&mut body, cx)).await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}

impl Copied {
    pub(crate) fn length(&self) -> Option<u64> {
        self.body.length()
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), cx));
        match &next {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.take(data);
                }
            }
            Some(Err(_)) => self.copy = None,
            None => self.finish(),
        }
        Poll::Ready(next)
    }

    fn take(&mut self, data: &Bytes) {
        if self.copy.is_none() {
            return;
        }
        if self.so_far.len() + data.len() > LARGEST {
            (self.copy, self.so_far) = (None, BytesMut::new());
            return;
        }
        self.so_far.extend_from_slice(data);
        // Whoever knows how long it is does not ask for the end.
        if self.length == Some(self.so_far.len() as u64) {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(copy) = self.copy.take() {
            copy.send(Body::Whole(self.so_far.split().freeze()));
        }
    }
}
