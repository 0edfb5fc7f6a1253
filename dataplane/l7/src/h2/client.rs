//! A client's HTTP/2 connection from its first request to its last. Each request is answered by a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::h2::server::{Builder, Connection, SendResponse};
use ::h2::{Reason, RecvStream, SendStream};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response, StatusCode, Version};
use http_body::Body as _;
use lb_model::l7::{Ending, L7Timeouts};

use super::body::ClientBody;
use super::request::{About, read};
use super::wire::{Traffic, Wire};
use crate::body::{Body, BodyError};
use crate::client::seconds;
use crate::deadline::Deadline;
use crate::drain::Presence;
use crate::forward::{self, Answer};
use crate::h1::{Refusal, is_bodiless};
use crate::origin::Origin;
use crate::record::{Passed, Record};
use crate::refusal;
use crate::service::{Service, ServiceCell};
use crate::tunnel;

/// What such a connection begins with, up to where HTTP/1 sees the end of a head (RFC 9113, 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";

/// Requests of one connection at a time.
const STREAMS: u32 = 128;
/// What may be on its way to us unasked: for one request, and for all of a connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What waits in memory to be sent, for each request.
const SEND_BUFFER: usize = 128 << 10;
/// Requests that a client takes back as soon as it has made them, whether their answers had begun or not: so many are an
/// attack, if they are more than it let be (CVE-2023-44487).
const TAKEN_BACK: u32 = 100;
/// Who takes a request back later than this has seen what it gets, as who leaves a page or a film.
const TOO_SOON: Duration = Duration::from_secs(1);
/// How long requests may go on after their connection was told to end.
const LEAVE: Duration = Duration::from_mins(1);

/// What all requests of a connection share.
#[derive(Debug)]
struct Shared {
    origin: Origin,
    cell: Arc<ServiceCell>,
    traffic: Arc<Traffic>,
    open: AtomicU32,
    let_be: AtomicU32,
    taken_back: AtomicU32,
}

impl Shared {
    fn is_abused(&self) -> bool {
        let taken_back = self.taken_back.load(Ordering::Relaxed);
        taken_back > TAKEN_BACK && taken_back > self.let_be.load(Ordering::Relaxed)
    }

    /// A request that began then has ended, by its client's will or not.
    fn count(&self, by_client: bool, began: Instant) {
        let premature = by_client && began.elapsed() < TOO_SOON;
        let counter = if premature { &self.taken_back } else { &self.let_be };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(mut wire: Wire, origin: Origin, cell: Arc<ServiceCell>) {
    let shared = Arc::new(Shared {
        origin,
        traffic: wire.traffic(),
        open: AtomicU32::new(0),
        let_be: AtomicU32::new(0),
        taken_back: AtomicU32::new(0),
        cell,
    });
    let ended = run(&mut wire, &shared).await;
    let (received, sent) = shared.traffic.take();
    shared.cell.load().counters.passed(received, sent);
    match ended {
        Ok(()) => wire.close().await,
        // Nobody waits for who breaks the rules.
        Err(error) => tracing::debug!(%error, "an HTTP/2 connection broke"),
    }
}

async fn run(wire: &mut Wire, shared: &Arc<Shared>) -> Result<(), ::h2::Error> {
    let service = shared.cell.load_full();
    let handshake = Builder::new()
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        // Unpacked: as large as a head of HTTP/1 may be.
        .max_header_list_size(service.limits.head_bytes)
        .enable_connect_protocol()
        .handshake::<_, Bytes>(wire);
    let Ok(shaken) = tokio::time::timeout(seconds(service.timeouts.request_s), handshake).await else {
        service.counters.ended(Ending::ClientTimeout);
        return Ok(());
    };
    let mut visit = Visit {
        connection: shaken?,
        presence: Presence::enter(service.id),
        idle: Deadline::after(seconds(service.timeouts.idle_s)),
        leaving: None,
    };
    drop(service);
    while let Some((request, respond)) = std::future::poll_fn(|cx| visit.poll_request(shared, cx)).await? {
        if shared.is_abused() {
            shared.cell.load().counters.ended(Ending::TakenBack);
            visit.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            continue;
        }
        shared.open.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(shared);
        drop(tokio::spawn(async move {
            answer(&shared, request, respond).await;
            shared.open.fetch_sub(1, Ordering::Relaxed);
        }));
    }
    Ok(())
}

/// The connection itself.
struct Visit<'wire> {
    connection: Connection<&'wire mut Wire, Bytes>,
    presence: Presence,
    /// Without a request until then it ends.
    idle: Deadline,
    /// It was told to end, and does at the latest then.
    leaving: Option<Deadline>,
}

type Next = Option<(Request<RecvStream>, SendResponse<Bytes>)>;

impl Visit<'_> {
    fn poll_request(&mut self, shared: &Shared, cx: &mut Context<'_>) -> Poll<Result<Next, ::h2::Error>> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok(next))) => {
                    self.idle.set(seconds(shared.cell.load().timeouts.idle_s));
                    return Poll::Ready(Ok(Some(next)));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Pending => {}
            }
            if let Some(last) = &mut self.leaving {
                // Whoever still asks then, or does not even close, is left alone.
                return last.poll(cx).map(|()| Ok(None));
            }
            if self.presence.poll_leave(&shared.cell, cx).is_pending() {
                if self.idle.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if shared.open.load(Ordering::Relaxed) > 0 {
                    self.idle.set(seconds(shared.cell.load().timeouts.idle_s));
                    continue;
                }
            }
            self.leaving = Some(Deadline::after(LEAVE));
            self.connection.graceful_shutdown();
        }
    }
}

/// The client took its request back, or is gone.
#[derive(Debug)]
struct TakenBack;

async fn answer(shared: &Shared, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    // From here to the end of the answer it is one state of the service, whatever is published meanwhile.
    let service = shared.cell.load_full();
    let (mut parts, stream) = request.into_parts();
    let ended = stream.is_end_stream();
    let About { length, expects_continue, tunneled } = match read(&mut parts) {
        Ok(about) => about,
        Err(refusal) => return refuse(shared, &service, respond, refusal).await,
    };
    let method = parts.method.clone();
    if expects_continue && !ended {
        let (mut word, ()) = Response::new(()).into_parts();
        word.status = StatusCode::CONTINUE;
        let _ = respond.send_informational(Response::from_parts(word, ()));
    }
    let mut record = Record::begin(&service, &shared.origin, Version::HTTP_2, &parts, None);
    let began = record.began;
    let mut taken = None;
    let body = match length {
        _ if ended => Body::Empty,
        Some(0) => Body::Empty,
        length => {
            let L7Timeouts { idle_s, tunnel_s, .. } = service.timeouts;
            let idle = seconds(if tunneled { tunnel_s } else { idle_s });
            let taken = taken.insert(Arc::new(AtomicU64::new(0)));
            Body::H2Client(Box::new(ClientBody::new(stream, length, idle, Arc::clone(taken))))
        }
    };
    let answering = forward::answer(&service, &shared.origin, parts, body, &mut record);
    let answered = unless_taken_back(&mut respond, answering).await;
    let mut given = 0;
    let status = if let Ok(Answer { mut parts, body }) = answered {
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            tunnel::to_h2(&mut parts);
            record.tunneled();
        }
        let status = parts.status;
        let bodiless = is_bodiless(&method, status);
        let sent = send(&service, respond, parts, body, bodiless, &mut given).await;
        shared.count(matches!(sent, Err(Ending::ClientGone)), began);
        if let Err(ending) = sent {
            record.note(ending);
        }
        Some(status)
    } else {
        shared.count(true, began);
        record.note(Ending::ClientGone);
        None
    };
    let (received, sent) = shared.traffic.take();
    let taken = taken.map_or(0, |taken| taken.load(Ordering::Relaxed));
    let own = Passed { received: taken, sent: given };
    record.finish(&service, status, Passed { received, sent }, own);
}

/// Answers what is no request.
async fn refuse(shared: &Shared, service: &Service, respond: SendResponse<Bytes>, refusal: Refusal) {
    tracing::debug!(service = %service.id, "refused a request: {refusal}");
    let (status, ending) = refusal::answer_to(refusal);
    let mut record = Record::unread(shared.origin.ends.client, Version::HTTP_2);
    record.note_failure(ending, &refusal);
    let Answer { parts, body } = Answer::own(status);
    let mut given = 0;
    let _ = send(service, respond, parts, body, false, &mut given).await;
    let (received, sent) = shared.traffic.take();
    record.finish(service, Some(status), Passed { received, sent }, Passed { received: 0, sent: given });
}

/// Waits for an answer for as long as the client does.
async fn unless_taken_back(
    respond: &mut SendResponse<Bytes>,
    answering: impl Future<Output = Answer>,
) -> Result<Answer, TakenBack> {
    let mut answering = Box::pin(answering);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(answer) = answering.as_mut().poll(cx) {
            return Poll::Ready(Ok(answer));
        }
        respond.poll_reset(cx).map(|_| Err(TakenBack))
    })
    .await
}

/// Sends an answer to its end; how much of a body that was is added to `given`.
async fn send(
    service: &Service,
    mut respond: SendResponse<Bytes>,
    mut parts: http::response::Parts,
    body: Body,
    bodiless: bool,
    given: &mut u64,
) -> Result<(), Ending> {
    let ends = bodiless || body.length() == Some(0);
    if let (Some(length), false) = (body.length(), bodiless) {
        parts.headers.insert(CONTENT_LENGTH, length.into());
    }
    parts.version = Version::HTTP_2;
    let stream = respond.send_response(Response::from_parts(parts, ()), ends);
    let stream = stream.map_err(|_| Ending::ClientGone)?;
    if ends {
        return Ok(());
    }
    let idle = seconds(service.timeouts.idle_s);
    let mut sender = Sender { stream, body, idle, given: 0 };
    let done = sender.send().await;
    *given += sender.given;
    if done.is_err() {
        sender.stream.send_reset(Reason::INTERNAL_ERROR);
    }
    done
}

/// A body on its way to a client.
struct Sender {
    stream: SendStream<Bytes>,
    body: Body,
    idle: Duration,
    given: u64,
}

impl Sender {
    async fn send(&mut self) -> Result<(), Ending> {
        loop {
            let Some(frame) = self.next_frame().await? else {
                return self.stream.send_data(Bytes::new(), true).map_err(|_| Ending::ClientGone);
            };
            match frame.into_data() {
                Ok(data) => {
                    let last = self.body.is_end_stream();
                    self.send_data(data, last).await?;
                    if last {
                        return Ok(());
                    }
                }
                Err(frame) => {
                    let Ok(trailers) = frame.into_trailers() else { continue };
                    return self.stream.send_trailers(trailers).map_err(|_| Ending::ClientGone);
                }
            }
        }
    }

    async fn next_frame(&mut self) -> Result<Option<http_body::Frame<Bytes>>, Ending> {
        let next = std::future::poll_fn(|cx| {
            if let Poll::Ready(frame) = std::pin::Pin::new(&mut self.body).poll_frame(cx) {
                return Poll::Ready(frame.transpose().map_err(|error| broken_by(&error)));
            }
            self.stream.poll_reset(cx).map(|_| Err(Ending::ClientGone))
        });
        next.await
    }

    /// Sends a piece as the client makes room for it.
    async fn send_data(&mut self, mut data: Bytes, last: bool) -> Result<(), Ending> {
        while !data.is_empty() {
            self.stream.reserve_capacity(data.len());
            let room = std::future::poll_fn(|cx| {
                let room = self.stream.poll_capacity(cx);
                if room.is_pending() {
                    self.body.poll_upload(cx);
                }
                room
            });
            let room = match tokio::time::timeout(self.idle, room).await {
                Ok(Some(Ok(room))) => room,
                Ok(_) => return Err(Ending::ClientGone),
                Err(_) => return Err(Ending::ClientTimeout),
            };
            let piece = data.split_to(room.min(data.len()));
            let ends = last && data.is_empty();
            self.given += piece.len() as u64;
            self.stream.send_data(piece, ends).map_err(|_| Ending::ClientGone)?;
        }
        Ok(())
    }
}

fn broken_by(error: &BodyError) -> Ending {
    match error {
        BodyError::Silent => Ending::MemberTimeout,
        _ => Ending::MemberCut,
    }
}
