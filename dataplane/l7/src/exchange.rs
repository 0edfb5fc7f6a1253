//! One request and its answer on a connection to a member. The request's body is still sent while the answer comes, by
//! whoever asks for the answer: no task of its own, and no queue between.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body::Frame;
use thiserror::Error;
use tokio::io::AsyncWrite as _;

use crate::body::{Body, BodyError};
use crate::deadline::Deadline;
use crate::h1::{
    Decoded, Decoder, Found, Framing, MAX_HEAD, ResponseHead, Scan, SendError, Sender, read_response,
};
use crate::pool;
use crate::service::{Member, OpenRequest};
use crate::stream::Stream;
use crate::tunnel;

/// A connection to a member.
#[derive(Debug)]
pub(crate) struct MemberConnection {
    pub(crate) stream: Stream,
    buffer: BytesMut,
    scan: Scan,
}

impl MemberConnection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buffer: BytesMut::new(), scan: Scan::default() }
    }
}

/// Why a member gave no answer.
#[derive(Debug, Error)]
pub(crate) enum NoAnswer {
    #[error("no connection could be made")]
    Connect(#[source] io::Error),
    #[error("no connection was made in time")]
    ConnectTimeout,
    /// The member could not show who it is, or speaks no TLS that we do.
    #[error("no TLS came about")]
    Tls(#[source] io::Error),
    /// Before the first byte of an answer.
    #[error("the member closed the connection before it answered")]
    Closed,
    #[error("the member did not answer in time")]
    Timeout,
    #[error("the member's answer is malformed")]
    Malformed,
    /// The client's fault.
    #[error("the request broke off")]
    Request(#[source] BodyError),
}

/// A request on its way to a member.
#[derive(Debug)]
pub(crate) struct Exchange {
    connection: MemberConnection,
    /// Until the request is sent whole.
    sender: Option<Sender>,
    /// The member takes no more, but may have answered before.
    refuses: bool,
    method: Method,
    deadline: Deadline,
    member: Arc<Member>,
    patience: Patience,
    /// What is sent once the member has agreed to a tunnel.
    tunnel: Option<Body>,
}

/// How long each phase may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Until the answer begins.
    pub(crate) response: Duration,
    /// Between two pieces of it.
    pub(crate) idle: Duration,
    /// The same in a tunnel, whichever side sends it.
    pub(crate) tunnel: Duration,
}

impl Exchange {
    pub(crate) fn new(
        connection: MemberConnection,
        sender: Sender,
        method: Method,
        patience: Patience,
        member: Arc<Member>,
    ) -> Self {
        member.counters().began();
        Self {
            connection,
            sender: Some(sender),
            refuses: false,
            method,
            deadline: Deadline::after(patience.response),
            member,
            patience,
            tunnel: None,
        }
    }

    /// Sends this too, if the member agrees to a tunnel.
    pub(crate) fn with_tunnel(self, body: Body) -> Self {
        Self { tunnel: Some(body), ..self }
    }

    /// Sends the request and waits for the head of the answer.
    pub(crate) async fn answer(mut self) -> Result<(http::response::Parts, Body), NoAnswer> {
        let head = {
            let mut wait = pin!(std::future::poll_fn(|cx| self.poll_answer(cx)));
            wait.as_mut().await?
        };
        // It was set when the member had taken the last of the request.
        self.member.pace.answered(head.parts.status, || self.deadline.age());
        let ResponseHead { parts, framing, keep_alive } = head;
        let tunneled = parts.status == StatusCode::SWITCHING_PROTOCOLS;
        let mut body = MemberBody {
            connection: Some(self.connection),
            sender: self.sender,
            decoder: Decoder::new(framing),
            keep_alive: keep_alive && !self.refuses,
            deadline: self.deadline,
            idle: if tunneled { self.patience.tunnel } else { self.patience.idle },
            member: self.member,
            open: None,
            tunneled,
            half_closed: self.patience.idle,
            closing: false,
        };
        if framing == Framing::Empty && body.sender.is_none() {
            body.finish();
            return Ok((parts, Body::Empty));
        }
        body.deadline.set(body.idle);
        Ok((parts, Body::Member(Box::new(body))))
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, NoAnswer>> {
        if let Some(sender) = &mut self.sender {
            let before = sender.written();
            match poll_send(sender, &mut self.connection.stream, cx) {
                Poll::Ready(Ok(())) => {
                    self.sender = None;
                    self.deadline.set(self.patience.response);
                }
                Poll::Ready(Err(SendError::Body(error))) => {
                    return Poll::Ready(Err(NoAnswer::Request(error)));
                }
                // It may have answered before it closed: what it said counts.
                Poll::Ready(Err(SendError::Receiver(_) | SendError::Parted)) => {
                    self.sender = None;
                    self.refuses = true;
                }
                Poll::Pending if sender.written() != before => self.deadline.set(self.patience.response),
                Poll::Pending => {}
            }
        }
        loop {
            if let Some(head) = self.look()? {
                return Poll::Ready(Ok(head));
            }
            let connection = &mut self.connection;
            match connection.stream.poll_fill(&mut connection.buffer, false, cx) {
                Poll::Ready(Ok(0) | Err(_)) => {
                    let silent = connection.buffer.is_empty();
                    return Poll::Ready(Err(if silent { NoAnswer::Closed } else { NoAnswer::Malformed }));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    ready!(self.deadline.poll(cx));
                    return Poll::Ready(Err(NoAnswer::Timeout));
                }
            }
        }
    }

    /// The head of the final answer, once it is there.
    fn look(&mut self) -> Result<Option<ResponseHead>, NoAnswer> {
        loop {
            let MemberConnection { buffer, scan, .. } = &mut self.connection;
            if buffer.is_empty() {
                return Ok(None);
            }
            let length = match scan.look(buffer, MAX_HEAD) {
                Found::Head(length) => length,
                Found::Partial => return Ok(None),
                Found::BareLineFeed | Found::TooLarge => return Err(NoAnswer::Malformed),
            };
            let mut head =
                read_response(buffer.split_to(length), &self.method).map_err(|_| NoAnswer::Malformed)?;
            if !head.parts.status.is_informational() {
                return Ok(Some(head));
            }
            // Other interim answers are for the hop before.
            if head.parts.status == StatusCode::SWITCHING_PROTOCOLS {
                let Some(body) = self.tunnel.take().filter(|_| tunnel::is_granted(&head.parts)) else {
                    return Err(NoAnswer::Malformed);
                };
                self.sender = Some(Sender::new(BytesMut::new(), body, Framing::UntilClose));
                (head.framing, head.keep_alive) = (Framing::UntilClose, false);
                return Ok(Some(head));
            }
        }
    }
}

fn poll_send(sender: &mut Sender, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
    loop {
        ready!(sender.poll_fill(cx))?;
        if ready!(sender.poll_flush(stream, cx))? {
            return Poll::Ready(Ok(()));
        }
    }
}

/// The body of a member's answer. The connection goes back to the pool at its end.
#[derive(Debug)]
pub(crate) struct MemberBody {
    connection: Option<MemberConnection>,
    sender: Option<Sender>,
    decoder: Decoder,
    keep_alive: bool,
    deadline: Deadline,
    idle: Duration,
    member: Arc<Member>,
    open: Option<OpenRequest>,
    /// Both sides say what they like.
    tunneled: bool,
    /// How long a tunnel may stay half closed without a byte.
    half_closed: Duration,
    /// The client has said all, which the member is still to be told.
    closing: bool,
}

impl MemberBody {
    /// Until it has come whole it counts as one of its member's.
    pub(crate) fn hold(&mut self, open: OpenRequest) {
        self.open = Some(open);
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.decoder.left()
    }

    /// Sends what is left of the request, or of what the client says in a tunnel.
    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>) {
        let Some(connection) = &mut self.connection else { return };
        if let Some(sender) = &mut self.sender {
            let before = sender.written();
            match poll_send(sender, &mut connection.stream, cx) {
                Poll::Ready(sent) => {
                    self.sender = None;
                    self.keep_alive &= sent.is_ok();
                    if self.tunneled {
                        // Whoever is told that nothing more comes has as long to end as without a tunnel.
                        (self.closing, self.idle) = (true, self.half_closed);
                        self.deadline.set(self.idle);
                    }
                }
                Poll::Pending if self.tunneled && sender.written() != before => self.deadline.set(self.idle),
                Poll::Pending => {}
            }
        }
        if self.closing {
            self.closing = std::pin::Pin::new(&mut connection.stream).poll_shutdown(cx).is_pending();
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_upload(cx);
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        loop {
            let frame = match self.decoder.decode(&mut connection.buffer) {
                Ok(Decoded::Data(data)) => Some(Frame::data(data)),
                Ok(Decoded::Trailers(fields)) => Some(Frame::trailers(fields)),
                Ok(Decoded::End) => None,
                Ok(Decoded::Partial) => match connection.stream.poll_fill(&mut connection.buffer, true, cx) {
                    Poll::Ready(Ok(0) | Err(_)) if self.decoder.close() => continue,
                    Poll::Ready(Ok(0) | Err(_)) => return self.broken(BodyError::Cut),
                    Poll::Ready(Ok(_)) => {
                        self.deadline.set(self.idle);
                        continue;
                    }
                    Poll::Pending => {
                        ready!(self.deadline.poll(cx));
                        return self.broken(BodyError::Silent);
                    }
                },
                Err(_) => return self.broken(BodyError::Malformed),
            };
            // Whoever takes the last piece does not ask again.
            if self.decoder.is_done() {
                self.finish();
            }
            return Poll::Ready(frame.map(Ok));
        }
    }

    /// The answer came whole.
    fn finish(&mut self) {
        self.open.take();
        if let Some(connection) = self.connection.take()
            && self.keep_alive
            && self.sender.is_none()
            && connection.buffer.is_empty()
        {
            pool::keep(&self.member, connection);
        }
    }

    fn broken(&mut self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.connection = None;
        if let Some(open) = self.open.take() {
            open.fail();
        }
        Poll::Ready(Some(Err(error)))
    }
}
