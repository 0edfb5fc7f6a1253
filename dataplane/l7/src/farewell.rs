//! How a connection ends so that the other side reads the last of what was sent. Bytes that nobody reads, or that come
//! after the end, are answered by a reset, and a reset destroys what its receiver has not read yet: windows that open for
//! an answer over HTTP/2, the rest of a body that nobody wanted.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWrite;

use crate::deadline::Deadline;
use crate::stream::Stream;

/// How much is read before the connection is closed.
pub(crate) const LINGER_BYTES: usize = 1 << 20;
/// Who is silent for so long has heard, or does not listen.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
/// A slow reader may take this long, as long as it gives signs of life.
const LONGEST: Duration = Duration::from_secs(30);

/// What is left of a connection on which everything was said.
#[derive(Debug)]
pub(crate) struct Farewell {
    buffer: BytesMut,
    left: usize,
    told: bool,
    silence: Deadline,
    end: Deadline,
}

impl Farewell {
    /// It begins now.
    pub(crate) fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            left: LINGER_BYTES,
            told: false,
            silence: Deadline::after(LINGER),
            end: Deadline::after(LONGEST),
        }
    }

    /// Ready once the connection may be dropped.
    pub(crate) fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(more) = self.poll_hear(stream, cx) {
            if !more {
                return Poll::Ready(());
            }
            self.silence.set(LINGER);
        }
        if self.silence.poll(cx).is_pending() { self.end.poll(cx) } else { Poll::Ready(()) }
    }

    /// Says that it was all, and hears whether there is more from the other side.
    fn poll_hear(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<bool> {
        if !self.told {
            if ready!(Pin::new(&mut *stream).poll_shutdown(cx)).is_err() {
                return Poll::Ready(false);
            }
            self.told = true;
        }
        self.buffer.clear();
        // Not as in a body: whoever is silent costs no buffer.
        let read = ready!(stream.poll_fill(&mut self.buffer, false, cx)).unwrap_or(0);
        let left = self.left.checked_sub(read).filter(|_| read > 0);
        self.left = left.unwrap_or(0);
        Poll::Ready(left.is_some())
    }
}
