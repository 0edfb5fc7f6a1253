//! Where a body ends, and what of it has come.

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use thiserror::Error;

use super::request::read_fields;

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    /// So many bytes, never none.
    Length(u64),
    /// Chunks with their lengths.
    Chunked,
    /// All until the connection is closed: answers only.
    UntilClose,
}

/// The line before a chunk: its length in hexadecimal, and extensions that nobody uses.
const MAX_CHUNK_LINE: usize = 256;
/// The fields after the last chunk.
const MAX_TRAILERS: usize = 8 << 10;
const MAX_TRAILER_FIELDS: usize = 32;

/// A body that is not framed as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the body is malformed")]
pub(crate) struct BadBody;

/// Takes a body out of what comes on a connection.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    ChunkLine,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

/// What was taken.
#[derive(Debug)]
pub(crate) enum Decoded {
    /// A piece of the body.
    Data(Bytes),
    /// The fields after it; the end follows.
    Trailers(HeaderMap),
    /// More must come first.
    Partial,
    /// That was all.
    End,
}

impl Decoder {
    pub(crate) fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkLine,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Whether the whole body was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many bytes are left, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(left) => Some(left),
            _ => None,
        }
    }

    /// The connection was closed: whether that is the end of the body.
    pub(crate) fn close(&mut self) -> bool {
        if self.state == State::UntilClose {
            self.state = State::Done;
        }
        self.is_done()
    }

    /// Takes what there is.
    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, BadBody> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::End),
                State::UntilClose if buffer.is_empty() => return Ok(Decoded::Partial),
                State::UntilClose => return Ok(Decoded::Data(buffer.split().freeze())),
                State::Length(left) => {
                    let (data, left) = take(buffer, left);
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(data.map_or(Decoded::Partial, Decoded::Data));
                }
                State::ChunkLine => match chunk_line(buffer)? {
                    None => return Ok(Decoded::Partial),
                    Some(0) => self.state = State::Trailers,
                    Some(length) => self.state = State::Chunk(length),
                },
                State::Chunk(left) => {
                    let (data, left) = take(buffer, left);
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    return Ok(data.map_or(Decoded::Partial, Decoded::Data));
                }
                State::ChunkEnd => {
                    if buffer.len() < 2 {
                        return Ok(Decoded::Partial);
                    }
                    if !buffer.starts_with(b"\r\n") {
                        return Err(BadBody);
                    }
                    buffer.advance(2);
                    self.state = State::ChunkLine;
                }
                State::Trailers => {
                    let Some(trailers) = read_trailers(buffer)? else { return Ok(Decoded::Partial) };
                    self.state = State::Done;
                    if !trailers.is_empty() {
                        return Ok(Decoded::Trailers(trailers));
                    }
                }
            }
        }
    }
}

fn take(buffer: &mut BytesMut, left: u64) -> (Option<Bytes>, u64) {
    if buffer.is_empty() {
        return (None, left);
    }
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    (Some(buffer.split_to(length).freeze()), left - length as u64)
}

/// The length of the next chunk, once its line is there.
fn chunk_line(buffer: &mut BytesMut) -> Result<Option<u64>, BadBody> {
    let Some(end) = memchr::memchr(b'\n', buffer) else {
        return if buffer.len() > MAX_CHUNK_LINE { Err(BadBody) } else { Ok(None) };
    };
    let line = buffer.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(BadBody)?;
    if line.len() > MAX_CHUNK_LINE {
        return Err(BadBody);
    }
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (length, extensions) = line.split_at(digits);
    // RFC 9112, 7.1.1: an extension begins with a semicolon, and blanks before it are long out of use.
    let plain = |byte: &u8| *byte == b'\t' || (0x20..0x7f).contains(byte);
    if digits == 0 || digits > 15 || !(extensions.is_empty() || extensions[0] == b';') {
        return Err(BadBody);
    }
    if !extensions.iter().all(plain) {
        return Err(BadBody);
    }
    let length = length.iter().fold(0, |sum, digit| sum * 16 + u64::from(hexadecimal(*digit)));
    buffer.advance(end + 1);
    Ok(Some(length))
}

fn hexadecimal(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

fn read_trailers(buffer: &mut BytesMut) -> Result<Option<HeaderMap>, BadBody> {
    let mut begin = 0;
    loop {
        let Some(at) = memchr::memchr(b'\n', &buffer[begin..]) else {
            return if buffer.len() > MAX_TRAILERS { Err(BadBody) } else { Ok(None) };
        };
        let line = buffer[begin..begin + at].strip_suffix(b"\r").ok_or(BadBody)?;
        let last = line.is_empty();
        begin += at + 1;
        if begin > MAX_TRAILERS {
            return Err(BadBody);
        }
        if last {
            break;
        }
    }
    let fields = buffer.split_to(begin).freeze();
    let mut parsed = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    match httparse::parse_headers(&fields, &mut parsed) {
        Ok(httparse::Status::Complete((_, parsed))) => read_fields(&fields, parsed).map(Some).ok_or(BadBody),
        _ => Err(BadBody),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(framing: Framing, text: &[u8]) -> Result<(Vec<u8>, Decoder, HeaderMap), BadBody> {
        let (mut decoder, mut buffer) = (Decoder::new(framing), BytesMut::new());
        let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
        // One byte after the other: every place where it could stop.
        for byte in text {
            buffer.extend_from_slice(&[*byte]);
            loop {
                match decoder.decode(&mut buffer)? {
                    Decoded::Data(data) => body.extend_from_slice(&data),
                    Decoded::Trailers(fields) => trailers = fields,
                    Decoded::Partial | Decoded::End => break,
                }
            }
        }
        Ok((body, decoder, trailers))
    }

    #[test]
    fn chunks_and_trailers_are_read() {
        let (body, decoder, trailers) =
            decode(Framing::Chunked, b"5\r\nhello\r\nA;x=y\r\n, world!!!\r\n0\r\nX-Sum: 7\r\n\r\n").unwrap();
        assert_eq!((body.as_slice(), decoder.is_done()), (&b"hello, world!!!"[..], true));
        assert_eq!(trailers["x-sum"], "7");
    }

    #[test]
    fn chunks_that_two_could_read_differently_are_refused() {
        for text in [
            &b"5\nhello\r\n"[..],
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5 \r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"0x5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"\r\n",
            b"5;a\rb\r\nhello\r\n",
            b"5;a\nb\r\nhello\r\n",
            b"FFFFFFFFFFFFFFFF\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\nno field\r\n\r\n",
        ] {
            assert!(decode(Framing::Chunked, text).is_err(), "{:?}", String::from_utf8_lossy(text));
        }
        assert!(decode(Framing::Chunked, &[b'0'; MAX_CHUNK_LINE + 2]).is_err());
    }

    #[test]
    fn a_length_is_exact_and_what_follows_stays() {
        let mut decoder = Decoder::new(Framing::Length(3));
        let mut buffer = BytesMut::from(&b"abcGET"[..]);
        assert!(matches!(decoder.decode(&mut buffer), Ok(Decoded::Data(data)) if data == "abc"));
        assert!(matches!(decoder.decode(&mut buffer), Ok(Decoded::End)));
        assert_eq!(&buffer[..], b"GET");
        assert!(!Decoder::new(Framing::Length(3)).close());
        assert!(Decoder::new(Framing::UntilClose).close());
    }
}
