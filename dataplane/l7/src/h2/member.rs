//! A request on its way to a member over HTTP/2, and its answer.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::h2::client::ResponseFuture;
use ::h2::{Reason, RecvStream};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body::Frame;

use super::pool::Connection;
use super::upload::{Stopped, Upload};
use crate::body::{Body, BodyError};
use crate::deadline::Deadline;
use crate::exchange::{NoAnswer, Patience};
use crate::h1::read_length;
use crate::service::{Member, OpenRequest};

/// A request that a member has.
#[derive(Debug)]
pub(crate) struct Exchange {
    answer: ResponseFuture,
    upload: Option<Upload>,
    method: Method,
    patience: Patience,
    deadline: Deadline,
    member: Arc<Member>,
    connection: Connection,
}

impl Exchange {
    /// Gives a request to a member.
    pub(crate) fn begin(
        mut connection: Connection,
        parts: &http::request::Parts,
        body: Body,
        patience: Patience,
        member: &Arc<Member>,
    ) -> Result<Self, NoAnswer> {
        let ended = body.length() == Some(0);
        let request = request(parts, &body, member.tls.is_some()).ok_or(NoAnswer::Malformed)?;
        let (answer, stream) = connection.send.send_request(request, ended).map_err(|_| NoAnswer::Closed)?;
        let upload = (!ended).then(|| Upload::new(stream, body));
        let (method, deadline) = (parts.method.clone(), Deadline::after(patience.response));
        member.counters().began();
        let member = Arc::clone(member);
        Ok(Self { answer, upload, method, patience, deadline, member, connection })
    }

    /// Waits for the head of the answer.
    pub(crate) async fn answer(mut self) -> Result<(http::response::Parts, Body), NoAnswer> {
        let (parts, stream) = std::future::poll_fn(|cx| self.poll_answer(cx)).await?.into_parts();
        self.member.pace.answered(parts.status, || self.deadline.age());
        if self.upload.is_none() && stream.is_end_stream() {
            return Ok((parts, Body::Empty));
        }
        let length = read_length(&parts.headers).map_err(|()| NoAnswer::Malformed)?;
        let bodiless = self.method == Method::HEAD || stream.is_end_stream();
        let body = MemberBody {
            stream: Some(stream),
            upload: self.upload,
            _connection: self.connection,
            left: if bodiless { Some(0) } else { length },
            deadline: Deadline::after(self.patience.idle),
            idle: self.patience.idle,
            open: None,
        };
        Ok((parts, Body::H2Member(Box::new(body))))
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<RecvStream>, NoAnswer>> {
        if let Some(upload) = &mut self.upload {
            let before = upload.sent();
            match upload.poll(cx) {
                Poll::Ready(Ok(())) => {
                    self.upload = None;
                    self.deadline.set(self.patience.response);
                }
                Poll::Ready(Err(Stopped::Body(error))) => {
                    return Poll::Ready(Err(NoAnswer::Request(error)));
                }
                Poll::Ready(Err(Stopped::Member)) => self.upload = None,
                Poll::Pending if upload.sent() != before => self.deadline.set(self.patience.response),
                Poll::Pending => {}
            }
        }
        match std::pin::Pin::new(&mut self.answer).poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer.map_err(|error| no_answer(&error))),
            Poll::Pending => {
                ready!(self.deadline.poll(cx));
                // Perhaps the member hears nothing at all there.
                self.connection.forget(&self.member);
                Poll::Ready(Err(NoAnswer::Timeout))
            }
        }
    }
}

fn no_answer(error: &::h2::Error) -> NoAnswer {
    let refused = error.reason() == Some(Reason::REFUSED_STREAM) || error.reason() == Some(Reason::NO_ERROR);
    if error.is_io() || error.is_go_away() || refused { NoAnswer::Closed } else { NoAnswer::Malformed }
}

/// The request as HTTP/2 has it: `Host` is in the target, and trailers are welcome.
fn request(parts: &http::request::Parts, body: &Body, secure: bool) -> Option<Request<()>> {
    let mut target = http::uri::Parts::default();
    target.scheme = Some(if secure { Scheme::HTTPS } else { Scheme::HTTP });
    let host = parts.headers.get(HOST)?;
    target.authority =
        Some(http::uri::Authority::from_maybe_shared(Bytes::copy_from_slice(host.as_bytes())).ok()?);
    let root = || PathAndQuery::from_static("/");
    target.path_and_query = Some(parts.uri.path_and_query().cloned().unwrap_or_else(root));
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = Uri::from_parts(target).ok()?;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    *headers = parts.headers.clone();
    headers.remove(HOST);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(length @ 1..) = body.length() {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    Some(request)
}

/// The body of a member's answer.
#[derive(Debug)]
pub(crate) struct MemberBody {
    /// Until it is dropped.
    stream: Option<RecvStream>,
    upload: Option<Upload>,
    /// Held for as long as it carries this.
    _connection: Connection,
    /// Bytes that are still to come, if it tells.
    left: Option<u64>,
    deadline: Deadline,
    idle: Duration,
    open: Option<OpenRequest>,
}

impl MemberBody {
    /// Until it has come whole it counts as one of its member's.
    pub(crate) fn hold(&mut self, open: OpenRequest) {
        self.open = Some(open);
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.left
    }

    /// Whether nothing more will come.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    /// Sends what is left of the request.
    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>) {
        if let Some(upload) = &mut self.upload
            && upload.poll(cx).is_ready()
        {
            self.upload = None;
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_upload(cx);
        let next = match self.poll_next(cx) {
            Poll::Pending => {
                ready!(self.deadline.poll(cx));
                Some(Err(BodyError::Silent))
            }
            Poll::Ready(next) => next,
        };
        self.deadline.set(self.idle);
        match &next {
            Some(Err(_)) => {
                if let Some(open) = self.open.take() {
                    open.fail();
                }
            }
            None => drop(self.open.take()),
            Some(Ok(_)) if self.is_end_stream() => drop(self.open.take()),
            Some(Ok(_)) => {}
        }
        Poll::Ready(next)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        if let Some(data) = ready!(stream.poll_data(cx)) {
            let data = data.map_err(|_| BodyError::Cut)?;
            stream.flow_control().release_capacity(data.len()).map_err(|_| BodyError::Cut)?;
            let left = self.left.map(|left| left.checked_sub(data.len() as u64));
            self.left = match left {
                Some(None) => return Poll::Ready(Some(Err(BodyError::Length))),
                Some(left) => left,
                None => None,
            };
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = ready!(stream.poll_trailers(cx)).map_err(|_| BodyError::Cut)?;
        if let Some(trailers) = trailers {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        // RFC 9113, 8.1: a body that ends before its length is malformed.
        Poll::Ready(if self.left.unwrap_or(0) > 0 { Some(Err(BodyError::Cut)) } else { None })
    }
}

impl Drop for MemberBody {
    /// All of it came, but not yet the word that this was all: who does not wait for that takes its request back.
    fn drop(&mut self) {
        if let Some(mut stream) = self.stream.take()
            && self.left == Some(0)
            && !stream.is_end_stream()
        {
            drop(tokio::spawn(tokio::time::timeout(self.idle, async move { stream.data().await })));
        }
    }
}
