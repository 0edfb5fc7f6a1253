//! Writing messages: heads as few bytes as they need, bodies framed anew, each piece in one call where it fits.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode, Uri};
use http_body::{Body as _, Frame};
use thiserror::Error;
use tokio::io::AsyncWrite;

use super::Framing;
use crate::body::{Body, BodyError};

/// Why a message was not sent to its end.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    /// The receiver does not take it.
    #[error("the connection broke")]
    Receiver(#[from] io::Error),
    /// Its body broke off.
    #[error("the body broke off")]
    Body(#[source] BodyError),
    /// A tunnel whose service is offered no more, and which did not end in time.
    #[error("the service is offered no more")]
    Parted,
}

/// A message on its way: what of it waits to be written, and where the rest comes from.
#[derive(Debug)]
pub(crate) struct Sender {
    /// The head, later what stands between pieces of the body.
    head: BytesMut,
    data: Bytes,
    tail: &'static [u8],
    body: Body,
    framing: Framing,
    /// How many bytes of a body of known length are still to come.
    owed: u64,
    ended: bool,
    written: u64,
}

impl Sender {
    /// A message with this head, and this body framed so.
    pub(crate) fn new(head: BytesMut, body: Body, framing: Framing) -> Self {
        let owed = if let Framing::Length(length) = framing { length } else { 0 };
        let ended = framing == Framing::Empty;
        Self { head, data: Bytes::new(), tail: b"", body, framing, owed, ended, written: 0 }
    }

    /// How many bytes were written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Asks the body for its next piece, unless one waits to be written. Ready when there is something to write, or
    /// nothing more will come.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        while !self.ended && self.data.is_empty() && self.tail.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => self.take(frame)?,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(SendError::Body(error))),
                Poll::Ready(None) => self.end()?,
                // What there is goes out meanwhile.
                Poll::Pending if self.head.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The receiver has no room: what else there is to do goes on.
    pub(crate) fn poll_upload(&mut self, cx: &mut Context<'_>) {
        self.body.poll_upload(cx);
    }

    /// Writes what waits. Ready when nothing waits any more: with whether the message has ended.
    pub(crate) fn poll_flush(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        while !(self.head.is_empty() && self.data.is_empty() && self.tail.is_empty()) {
            let pieces = [IoSlice::new(&self.head), IoSlice::new(&self.data), IoSlice::new(self.tail)];
            let written = ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &pieces))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written as u64;
            self.advance(written);
        }
        if self.ended {
            ready!(Pin::new(stream).poll_flush(cx))?;
        }
        Poll::Ready(Ok(self.ended))
    }

    fn advance(&mut self, mut written: usize) {
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        written -= of_head;
        let of_data = written.min(self.data.len());
        self.data.advance(of_data);
        written -= of_data;
        self.tail = &self.tail[written..];
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), SendError> {
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => self.take_data(data)?,
            Err(frame) => {
                // Only chunks leave room for fields after the body.
                if let (Ok(trailers), Framing::Chunked) = (frame.into_trailers(), self.framing) {
                    self.head.extend_from_slice(b"0\r\n");
                    write_fields(&mut self.head, &trailers);
                    self.head.extend_from_slice(b"\r\n");
                    self.ended = true;
                }
            }
        }
        Ok(())
    }

    fn take_data(&mut self, data: Bytes) -> Result<(), SendError> {
        match self.framing {
            Framing::Chunked => {
                write_hexadecimal(&mut self.head, data.len());
                self.tail = b"\r\n";
            }
            Framing::Length(_) => {
                // A body that is longer than its length would become the next message.
                let length = data.len() as u64;
                self.owed = self.owed.checked_sub(length).ok_or(SendError::Body(BodyError::Length))?;
                self.ended = self.owed == 0;
            }
            Framing::UntilClose | Framing::Empty => {}
        }
        self.data = data;
        Ok(())
    }

    fn end(&mut self) -> Result<(), SendError> {
        if self.owed > 0 {
            return Err(SendError::Body(BodyError::Length));
        }
        if self.framing == Framing::Chunked {
            self.tail = b"0\r\n\r\n";
        }
        self.ended = true;
        Ok(())
    }
}

fn write_hexadecimal(out: &mut BytesMut, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.put_u8(b"0123456789abcdef"[(number >> (4 * digit)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_decimal(out: &mut BytesMut, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn write_fields(out: &mut BytesMut, headers: &HeaderMap) {
    for (name, value) in headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn write_framing(out: &mut BytesMut, framing: Framing) {
    match framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            write_decimal(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Empty | Framing::UntilClose => {}
    }
}

/// Writes the head of a request to a member. The framing is ours; the fields say nothing of it.
pub(crate) fn write_request_head(parts: &http::request::Parts, framing: Framing) -> BytesMut {
    let mut out = BytesMut::with_capacity(512);
    out.extend_from_slice(parts.method.as_str().as_bytes());
    out.put_u8(b' ');
    out.extend_from_slice(target(&parts.uri).as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_fields(&mut out, &parts.headers);
    let bodiless = matches!(parts.method.as_str(), "GET" | "HEAD" | "DELETE" | "OPTIONS");
    match framing {
        // RFC 9110, 8.6: a method that could have a body says that it has none.
        Framing::Empty if !bodiless => write_framing(&mut out, Framing::Length(0)),
        other => write_framing(&mut out, other),
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
}

/// Writes the head of an answer to a client. Where it has no body by its kind, the fields may tell of the length that
/// one would have.
pub(crate) fn write_response_head(
    parts: &http::response::Parts,
    framing: Framing,
    bodiless: bool,
    connection: Option<&str>,
) -> BytesMut {
    let mut out = BytesMut::with_capacity(512);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.put_u8(b' ');
    out.extend_from_slice(parts.status.canonical_reason().unwrap_or("Unknown").as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in &parts.headers {
        if *name == TRANSFER_ENCODING || (*name == CONTENT_LENGTH && !bodiless) {
            continue;
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !bodiless {
        match framing {
            Framing::Empty => write_framing(&mut out, Framing::Length(0)),
            other => write_framing(&mut out, other),
        }
    }
    if let Some(option) = connection {
        out.extend_from_slice(b"connection: ");
        out.extend_from_slice(option.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Whether an answer has no body whatever its fields say.
pub(crate) fn is_bodiless(method: &http::Method, status: StatusCode) -> bool {
    *method == http::Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written() {
        let mut out = BytesMut::new();
        write_hexadecimal(&mut out, 0x1af0);
        write_hexadecimal(&mut out, 0xf);
        write_decimal(&mut out, 0);
        write_decimal(&mut out, u64::MAX);
        assert_eq!(&out[..], b"1af0\r\nf\r\n018446744073709551615");
    }
}
