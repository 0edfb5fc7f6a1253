//! The bodies of HTTP/2: as much may be on its way as whoever takes them has room for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::h2::RecvStream;
use bytes::Bytes;
use http_body::Frame;

use crate::body::BodyError;
use crate::deadline::Deadline;
use crate::farewell::{LINGER, LINGER_BYTES};

/// The body of a client's request.
#[derive(Debug)]
pub(crate) struct ClientBody {
    /// Until it is dropped.
    stream: Option<RecvStream>,
    /// What it says of its length; the frames are held to it.
    length: Option<u64>,
    deadline: Deadline,
    idle: Duration,
    /// How much of it was taken.
    taken: Arc<AtomicU64>,
}

impl ClientBody {
    pub(crate) fn new(
        stream: RecvStream,
        length: Option<u64>,
        idle: Duration,
        taken: Arc<AtomicU64>,
    ) -> Self {
        Self { stream: Some(stream), length, deadline: Deadline::after(idle), idle, taken }
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.poll_next(cx) {
            Poll::Pending => {
                ready!(self.deadline.poll(cx));
                Poll::Ready(Some(Err(BodyError::Silent)))
            }
            next @ Poll::Ready(_) => {
                self.deadline.set(self.idle);
                next
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        if let Some(data) = ready!(stream.poll_data(cx)) {
            let data = data.map_err(|_| BodyError::Cut)?;
            // It is taken when there is room for it: the client may send as much again.
            stream.flow_control().release_capacity(data.len()).map_err(|_| BodyError::Cut)?;
            self.taken.fetch_add(data.len() as u64, Ordering::Relaxed);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let trailers = ready!(stream.poll_trailers(cx)).map_err(|_| BodyError::Cut)?;
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

impl Drop for ClientBody {
    /// Nobody wants the rest. Some clients do not hear an answer before they have sent all: they may, if it is little.
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take().filter(|stream| !stream.is_end_stream()) {
            drop(tokio::spawn(tokio::time::timeout(LINGER, discard(stream))));
        }
    }
}

async fn discard(mut stream: RecvStream) {
    let mut left = LINGER_BYTES;
    while let Some(Ok(data)) = stream.data().await {
        let Some(after) = left.checked_sub(data.len()) else { break };
        left = after;
        if stream.flow_control().release_capacity(data.len()).is_err() {
            break;
        }
    }
}
