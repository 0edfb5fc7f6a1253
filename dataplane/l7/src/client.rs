//! A client's connection: where requests come from, head by head and body by body. It is shared by the task that answers
//! and the body that a member, or its task, draws on; both hold it only while they are polled.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use lb_model::l7::L7Timeouts;

use crate::body::{Body, BodyError};
use crate::deadline::Deadline;
use crate::drain::{Leave, Presence};
use crate::farewell::Farewell;
use crate::h1::{Decoded, Decoder, Found, Framing, Refusal, Scan, SendError, Sender};
use crate::service::ServiceCell;
use crate::spare;
use crate::stream::Stream;

/// What a client hears that waits for a word before it sends the body (RFC 9110, 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// How long a client that is to meet another process has to ask once more.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Stream,
    buffer: BytesMut,
    scan: Scan,
    /// Of the current request's body.
    decoder: Decoder,
    /// What is owed to a client that waits for a word.
    owed: &'static [u8],
    deadline: Deadline,
    /// When a head began that did not come in one piece.
    head_began: Option<Instant>,
    idle: Duration,
    presence: Presence,
    cell: Arc<ServiceCell>,
    /// Another process has taken over, and it is not waited for long any more.
    called: bool,
    /// In a tunnel, which no request ends.
    parting: Option<Parting>,
    /// Bytes that came since they were last taken account of.
    received: u64,
}

/// How a tunnel ends whose service is offered no more: not at once.
#[derive(Debug, Default)]
struct Parting(Option<Deadline>);

/// Why no further head came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHead {
    /// The client closed between two requests, or was silent there.
    Finished,
    /// It broke off in the middle of one.
    Gone,
    /// It took too long for one.
    Slow,
    /// It sent what is no head.
    Refused(Refusal),
}

/// The connection, as both hold it.
#[derive(Clone, Debug)]
pub(crate) struct SharedClient(Arc<Mutex<Client>>);

impl SharedClient {
    pub(crate) fn new(stream: Stream, cell: Arc<ServiceCell>) -> Self {
        let service = cell.load();
        let (idle, presence) = (seconds(service.timeouts.idle_s), Presence::enter(service.id));
        drop(service);
        Self(Arc::new(Mutex::new(Client {
            stream,
            buffer: BytesMut::new(),
            scan: Scan::default(),
            decoder: Decoder::new(Framing::Empty),
            owed: b"",
            deadline: Deadline::after(idle),
            head_began: None,
            idle,
            presence,
            cell,
            called: false,
            parting: None,
            received: 0,
        })))
    }

    /// The connection for another protocol, with what was read of it; only while no body is with anybody.
    pub(crate) fn into_stream(self) -> Option<(Stream, BytesMut)> {
        let client = Arc::into_inner(self.0)?.into_inner().unwrap_or_else(PoisonError::into_inner);
        Some((client.stream, client.buffer))
    }

    fn lock(&self) -> MutexGuard<'_, Client> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next head, whole.
    pub(crate) async fn next_head(&self, timeouts: &L7Timeouts, most: u32) -> Result<BytesMut, NoHead> {
        let request = seconds(timeouts.request_s);
        self.lock().begin_head(seconds(timeouts.idle_s), request);
        std::future::poll_fn(|cx| self.lock().poll_head(request, most as usize, cx)).await
    }

    /// How long the last head took to come.
    pub(crate) fn head_time(&self) -> Duration {
        self.lock().head_began.map(|began| began.elapsed()).unwrap_or_default()
    }

    /// The body that follows the head.
    pub(crate) fn body(&self, framing: Framing, expects_continue: bool) -> Body {
        if framing == Framing::Empty {
            return Body::Empty;
        }
        let mut client = self.lock();
        client.decoder = Decoder::new(framing);
        client.owed = if expects_continue { CONTINUE } else { b"" };
        Body::Client(ClientBody { client: self.clone(), length: client.decoder.left() })
    }

    /// What follows the head where both sides say what they like from then on.
    pub(crate) fn tunnel(&self) -> Body {
        let mut client = self.lock();
        client.decoder = Decoder::new(Framing::UntilClose);
        client.parting = Some(Parting::default());
        Body::Client(ClientBody { client: self.clone(), length: None })
    }

    /// Whether there may be another request: the current one has come whole, and no other process has taken over.
    pub(crate) fn may_go_on(&self) -> bool {
        let client = self.lock();
        client.decoder.is_done() && !client.presence.is_called()
    }

    /// Writes an answer to its end; how many bytes that were is added to `sent`.
    pub(crate) async fn send(&self, mut sender: Sender, sent: &mut u64) -> Result<(), SendError> {
        let done = std::future::poll_fn(|cx| {
            loop {
                let filled = sender.poll_fill(cx);
                // Not before the body was asked: it may draw on this client itself.
                let mut client = self.lock();
                match filled {
                    Poll::Ready(filled) => filled?,
                    Poll::Pending => return client.poll_parting(cx).map(Err),
                }
                let flushed = client.poll_flush(&mut sender, cx);
                drop(client);
                match flushed {
                    Poll::Ready(Ok(false)) => {}
                    Poll::Ready(done) => return Poll::Ready(done.map(drop).map_err(SendError::Receiver)),
                    Poll::Pending => {
                        sender.poll_upload(cx);
                        return self.lock().poll_parting(cx).map(Err);
                    }
                }
            }
        })
        .await;
        *sent += sender.written();
        done
    }

    /// How many bytes came since this was last asked.
    pub(crate) fn take_received(&self) -> u64 {
        std::mem::take(&mut self.lock().received)
    }

    /// Closes so that the client reads the last answer.
    pub(crate) async fn close(&self) {
        let mut farewell = Farewell::new();
        std::future::poll_fn(|cx| farewell.poll(&mut self.lock().stream, cx)).await;
    }
}

impl Client {
    fn begin_head(&mut self, idle: Duration, request: Duration) {
        self.idle = idle;
        self.deadline.set(if self.buffer.is_empty() { idle } else { request });
        self.head_began = None;
    }

    fn poll_head(
        &mut self,
        request: Duration,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BytesMut, NoHead>> {
        loop {
            match self.scan.look(&mut self.buffer, most) {
                Found::Head(length) => return Poll::Ready(Ok(self.buffer.split_to(length))),
                Found::BareLineFeed => return Poll::Ready(Err(NoHead::Refused(Refusal::LineEnd))),
                Found::TooLarge => return Poll::Ready(Err(NoHead::Refused(Refusal::HeadTooLarge))),
                Found::Partial => {}
            }
            let begun = !self.buffer.is_empty();
            if begun {
                self.head_began.get_or_insert_with(Instant::now);
            }
            match self.poll_fill(false, cx) {
                Poll::Ready(Ok(0) | Err(_)) if begun => return Poll::Ready(Err(NoHead::Gone)),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(NoHead::Finished)),
                // From its first byte on the whole head has so long, however it trickles.
                Poll::Ready(Ok(_)) if !begun => self.deadline.set(request),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    if !begun {
                        spare::give(&mut self.buffer);
                    }
                    if !begun && let Poll::Ready(why) = self.presence.poll_leave(&self.cell, cx) {
                        match why {
                            // Nobody is kept waiting at a service that is gone.
                            Leave::Gone => return Poll::Ready(Err(NoHead::Finished)),
                            // A request may be on its way: rather it is told to be the last than that it is lost.
                            Leave::Handed if !self.called => {
                                self.called = true;
                                self.deadline.set(LAST_REQUEST);
                            }
                            Leave::Handed => {}
                        }
                    }
                    ready!(self.deadline.poll(cx));
                    return Poll::Ready(Err(if begun { NoHead::Slow } else { NoHead::Finished }));
                }
            }
        }
    }

    fn poll_fill(&mut self, in_body: bool, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = ready!(self.stream.poll_fill(&mut self.buffer, in_body, cx))?;
        self.received += read as u64;
        Poll::Ready(Ok(read))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.owed.is_empty() {
            ready!(self.poll_continue(cx)).map_err(|_| BodyError::Cut)?;
        }
        loop {
            match self.decoder.decode(&mut self.buffer).map_err(|_| BodyError::Malformed)? {
                Decoded::Data(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Decoded::Trailers(fields) => return Poll::Ready(Some(Ok(Frame::trailers(fields)))),
                Decoded::End => return Poll::Ready(None),
                Decoded::Partial => {}
            }
            let idle = self.idle;
            match self.poll_fill(true, cx) {
                Poll::Ready(Ok(0)) if self.decoder.close() => {}
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Some(Err(BodyError::Cut))),
                Poll::Ready(Ok(_)) => self.deadline.set(idle),
                // Whether anybody says anything is the member's side's to see, which sees both.
                Poll::Pending if self.parting.is_some() => return Poll::Pending,
                Poll::Pending => {
                    ready!(self.deadline.poll(cx));
                    return Poll::Ready(Some(Err(BodyError::Silent)));
                }
            }
        }
    }

    fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.owed.is_empty() {
            let stream = std::pin::Pin::new(&mut self.stream);
            let written = ready!(tokio::io::AsyncWrite::poll_write(stream, cx, self.owed))?;
            self.owed = &self.owed[written..];
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush(&mut self, sender: &mut Sender, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let before = sender.written();
        // An answer in place of the word that was waited for.
        self.owed = b"";
        match sender.poll_flush(&mut self.stream, cx) {
            Poll::Pending => {
                if sender.written() != before {
                    self.deadline.set(self.idle);
                }
                ready!(self.deadline.poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            done @ Poll::Ready(_) => done,
        }
    }

    /// Ready once a tunnel has to end.
    fn poll_parting(&mut self, cx: &mut Context<'_>) -> Poll<SendError> {
        let Some(Parting(deadline)) = &mut self.parting else { return Poll::Pending };
        if deadline.is_none() {
            ready!(self.presence.poll_leave(&self.cell, cx));
        }
        let patience = seconds(self.cell.load().timeouts.drain_s);
        ready!(deadline.get_or_insert_with(|| Deadline::after(patience)).poll(cx));
        Poll::Ready(SendError::Parted)
    }
}

/// The body of a client's request.
#[derive(Debug)]
pub(crate) struct ClientBody {
    client: SharedClient,
    length: Option<u64>,
}

impl ClientBody {
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.client.lock().poll_body(cx)
    }
}

pub(crate) fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}
