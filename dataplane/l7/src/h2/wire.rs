//! What frames are read from and written to: the connection, with what was read of it before.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::farewell::Farewell;
use crate::stream::Stream;

/// A connection that counts its bytes.
#[derive(Debug)]
pub(crate) struct Wire {
    /// What was read already.
    before: BytesMut,
    stream: Stream,
    traffic: Arc<Traffic>,
}

/// Bytes that passed since they were last taken account of.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// How many were received and sent since this was last asked.
    pub(crate) fn take(&self) -> (u64, u64) {
        (self.received.swap(0, Ordering::Relaxed), self.sent.swap(0, Ordering::Relaxed))
    }
}

impl Wire {
    /// A connection, and what was read of it.
    pub(crate) fn new(stream: Stream, before: BytesMut) -> Self {
        Self { before, stream, traffic: Arc::default() }
    }

    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }

    /// Closes so that the client reads the last answer.
    pub(crate) async fn close(mut self) {
        let mut farewell = Farewell::new();
        std::future::poll_fn(|cx| farewell.poll(&mut self.stream, cx)).await;
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let filled = buffer.filled().len();
        if wire.before.is_empty() {
            ready!(Pin::new(&mut wire.stream).poll_read(cx, buffer))?;
        } else {
            let length = wire.before.len().min(buffer.remaining());
            buffer.put_slice(&wire.before[..length]);
            wire.before.advance(length);
            if wire.before.is_empty() {
                wire.before = BytesMut::new();
            }
        }
        wire.traffic.received.fetch_add((buffer.filled().len() - filled) as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        let written = ready!(Pin::new(&mut wire.stream).poll_write_vectored(cx, pieces))?;
        wire.traffic.sent.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
