//! A body on its way to a member over HTTP/2, by whoever waits for the answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::h2::{Reason, SendStream};
use bytes::Bytes;
use http_body::Body as _;

use crate::body::{Body, BodyError};

/// The rest of a body, and where it goes.
#[derive(Debug)]
pub(super) struct Upload {
    stream: SendStream<Bytes>,
    body: Body,
    /// A piece for which there is no room yet.
    data: Bytes,
    /// How much was handed on, to see that it goes on.
    sent: u64,
}

/// Why it was not sent whole.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It broke off.
    Body(BodyError),
    /// The member takes no more. It may have answered before.
    Member,
}

impl Upload {
    pub(super) fn new(stream: SendStream<Bytes>, body: Body) -> Self {
        Self { stream, body, data: Bytes::new(), sent: 0 }
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends what there is room for. Ready when all was sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Stopped>> {
        loop {
            while !self.data.is_empty() {
                self.stream.reserve_capacity(self.data.len());
                let Some(Ok(room)) = ready!(self.stream.poll_capacity(cx)) else {
                    return Poll::Ready(Err(Stopped::Member));
                };
                let piece = self.data.split_to(room.min(self.data.len()));
                self.sent += piece.len() as u64;
                let last = self.data.is_empty() && self.body.is_end_stream();
                self.stream.send_data(piece, last).map_err(|_| Stopped::Member)?;
                if last {
                    return Poll::Ready(Ok(()));
                }
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(self.end()),
                Some(Err(error)) => {
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(Err(Stopped::Body(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.data = data,
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            return Poll::Ready(
                                self.stream.send_trailers(trailers).map_err(|_| Stopped::Member),
                            );
                        }
                    }
                },
            }
        }
    }

    fn end(&mut self) -> Result<(), Stopped> {
        self.stream.send_data(Bytes::new(), true).map_err(|_| Stopped::Member)
    }
}
