//! Finding the end of a head, line by line, strictly.

use bytes::{Buf, BytesMut};

/// The largest head of an answer that is read: start line and fields together. How large that of a request may be is its service's.
pub(crate) const MAX_HEAD: usize = 32 << 10;

/// How far a head was looked at, so that no byte is looked at twice however slowly it comes.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Where the line begins that has not ended yet.
    line: usize,
    /// Up to where that line was searched for its end.
    searched: usize,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A whole head of so many bytes, the empty line included.
    Head(usize),
    /// More is needed.
    Partial,
    /// A line that does not end with CR and LF.
    BareLineFeed,
    /// More than it may be, without an end.
    TooLarge,
}

impl Scan {
    /// Goes on looking in what has come so far. Empty lines before the head are taken off (RFC 9112, 2.2).
    pub(crate) fn look(&mut self, buffer: &mut BytesMut, most: usize) -> Found {
        if self.line == 0 {
            while buffer.starts_with(b"\r\n") {
                buffer.advance(2);
                self.searched = 0;
            }
        }
        while let Some(at) = memchr::memchr(b'\n', buffer.get(self.searched..).unwrap_or_default()) {
            let end = self.searched + at;
            if end == 0 || buffer[end - 1] != b'\r' {
                return Found::BareLineFeed;
            }
            let empty = end - 1 == self.line;
            self.line = end + 1;
            self.searched = end + 1;
            if empty {
                *self = Self::default();
                return Found::Head(end + 1);
            }
            if end >= most {
                return Found::TooLarge;
            }
        }
        self.searched = buffer.len();
        if buffer.len() >= most { Found::TooLarge } else { Found::Partial }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &[u8]) -> Found {
        Scan::default().look(&mut BytesMut::from(text), MAX_HEAD)
    }

    #[test]
    fn the_end_is_found_however_the_bytes_come() {
        let text = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        assert_eq!(scan(text), Found::Head(text.len() - 6));
        let (mut scan, mut buffer, mut found) = (Scan::default(), BytesMut::new(), Found::Partial);
        for byte in text {
            buffer.extend_from_slice(&[*byte]);
            found = scan.look(&mut buffer, MAX_HEAD);
            if found != Found::Partial {
                break;
            }
        }
        assert_eq!(found, Found::Head(text.len() - 6));
    }

    #[test]
    fn lines_end_with_both_bytes() {
        assert_eq!(scan(b"GET / HTTP/1.1\nHost: a\r\n\r\n"), Found::BareLineFeed);
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: a\r\n\n"), Found::BareLineFeed);
        assert_eq!(scan(b"\nGET"), Found::BareLineFeed);
        assert_eq!(scan(b"GET / HTTP/1.1\r\nHost: a\r\n\r"), Found::Partial);
    }

    #[test]
    fn a_head_without_end_is_too_large() {
        assert_eq!(scan(&vec![b'a'; MAX_HEAD]), Found::TooLarge);
        assert_eq!(scan(&b"a: b\r\n".repeat(MAX_HEAD / 6 + 1)), Found::TooLarge);
    }
}
