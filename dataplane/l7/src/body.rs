//! The bodies that pass through: each is taken piece by piece from where it comes, when its receiver has room.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use thiserror::Error;

use crate::client::ClientBody;
use crate::exchange::MemberBody;
use crate::service::OpenRequest;

/// Why a body broke off.
#[derive(Debug, Error)]
pub(crate) enum BodyError {
    /// Its sender closed the connection, or it broke.
    #[error("the sender broke off")]
    Cut,
    /// Its sender was silent for too long.
    #[error("the sender was silent for too long")]
    Silent,
    /// It is not framed as it says.
    #[error("the body is malformed")]
    Malformed,
    /// It is longer or shorter than its length.
    #[error("the body has another length than it said")]
    Length,
    /// It is longer than the service takes.
    #[error("the body is larger than the service takes")]
    TooLarge,
}

/// A body on its way.
#[derive(Debug, Default)]
pub(crate) enum Body {
    /// None.
    #[default]
    Empty,
    /// One that is there already.
    Whole(Bytes),
    /// From a client.
    Client(ClientBody),
    /// From a client that speaks HTTP/2.
    H2Client(Box<crate::h2::ClientBody>),
    /// From a member.
    Member(Box<MemberBody>),
    /// From a member that speaks HTTP/2.
    H2Member(Box<crate::h2::MemberBody>),
    /// One whose length is not known, and may be so much.
    Limited(Box<Limited>),
    /// One of which a copy is made.
    Copied(Box<crate::mirror::Copied>),
    /// One that becomes smaller on its way.
    Coded(Box<crate::compress::Coded>),
}

/// A body that breaks off once it is longer than it may be.
#[derive(Debug)]
pub(crate) struct Limited {
    body: Body,
    left: u64,
}

impl Body {
    /// The same, if it is no longer than this; where that is not known it breaks off if it is.
    pub(crate) fn limited(self, most: u64) -> Option<Self> {
        match self.length() {
            Some(length) if length > most => None,
            Some(_) => Some(self),
            None => Some(Self::Limited(Box::new(Limited { body: self, left: most }))),
        }
    }

    /// How long it will be, where that is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Whole(data) => Some(data.len() as u64),
            Self::Client(body) => body.length(),
            Self::H2Client(body) => body.length(),
            Self::Member(body) => body.length(),
            Self::H2Member(body) => body.length(),
            Self::Copied(body) => body.length(),
            Self::Limited(_) | Self::Coded(_) => None,
        }
    }

    /// Of an answer: until it has come whole it counts as one of its member's.
    pub(crate) fn hold(&mut self, open: OpenRequest) {
        match self {
            Self::Member(body) => body.hold(open),
            Self::H2Member(body) => body.hold(open),
            // It has come whole: it does not count any more.
            _ => drop(open),
        }
    }

    /// Of an answer: goes on with the request that it answers, when nobody has room for the answer itself.
    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>) {
        match self {
            Self::Member(body) => body.poll_upload(cx),
            Self::H2Member(body) => body.poll_upload(cx),
            Self::Coded(body) => body.poll_upload(cx),
            Self::Empty
            | Self::Whole(_)
            | Self::Client(_)
            | Self::H2Client(_)
            | Self::Limited(_)
            | Self::Copied(_) => {}
        }
    }
}

impl Limited {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = std::task::ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), cx));
        if let Some(data) = next.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(BodyError::TooLarge))),
            }
        }
        Poll::Ready(next)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let body = self.get_mut();
        match body {
            Self::Empty => Poll::Ready(None),
            Self::Whole(data) => {
                let data = std::mem::take(data);
                *body = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Self::Client(body) => body.poll_frame(cx),
            Self::H2Client(body) => body.poll_frame(cx),
            Self::Member(body) => body.poll_frame(cx),
            Self::H2Member(body) => body.poll_frame(cx),
            Self::Limited(body) => body.poll_frame(cx),
            Self::Copied(body) => body.poll_frame(cx),
            Self::Coded(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            // Fields may follow, or the word that this was all.
            Self::H2Member(body) => body.is_end_stream(),
            _ => self.length() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
