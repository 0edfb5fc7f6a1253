//! A connection's bytes, whatever is between them and the wire.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use crate::spare;

/// How much is read at once into an empty buffer; a body that fills it gets more.
pub(crate) const READ: usize = 8 << 10;
/// The same while a body is on its way.
const READ_BODY: usize = 64 << 10;

/// A connection to a client or member.
#[derive(Debug)]
pub(crate) enum Stream {
    /// As it is.
    Plain(TcpStream),
    /// Inside of TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The name that the client asked for when TLS began.
    pub(crate) fn server_name(&self) -> Option<&str> {
        match self {
            Self::Tls(stream) => match &**stream {
                TlsStream::Server(stream) => stream.get_ref().1.server_name(),
                TlsStream::Client(_) => None,
            },
            Self::Plain(_) => None,
        }
    }

    /// The certificate that the client has shown.
    pub(crate) fn client_certificate(&self) -> Option<&[u8]> {
        match self {
            Self::Tls(stream) => stream.get_ref().1.peer_certificates()?.first().map(|shown| &**shown),
            Self::Plain(_) => None,
        }
    }

    /// Whether both sides settled for HTTP/2 (ALPN).
    pub(crate) fn chose_h2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Reads what has come into `buffer`: how many bytes, or 0 at the end.
    pub(crate) fn poll_fill(
        &mut self,
        buffer: &mut BytesMut,
        in_body: bool,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // Whoever waits for a head has no buffer until it comes.
        if buffer.is_empty()
            && let Self::Plain(stream) = self
            && !in_body
        {
            std::task::ready!(stream.poll_read_ready(cx))?;
        }
        if buffer.capacity() == 0 && !in_body {
            *buffer = spare::take();
        }
        buffer.reserve(if in_body { READ_BODY } else { READ });
        tokio_util::io::poll_read_buf(Pin::new(self), cx, buffer)
    }

    /// Whether the other side has closed, or sent something that nobody asked for.
    pub(crate) fn is_stale(&mut self) -> bool {
        match self {
            // Asks the system only if it has told of something.
            Self::Plain(stream) => {
                let mut byte = [0];
                !matches!(stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Self::Tls(_) => false,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
