//! What strangers send: the cases that others were broken by, and by chance.

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::{Decoded, Decoder, Found, Framing, RequestHead, Scan, read_request, write_request_head};

/// What becomes of these bytes: the request, and what is left for the next one; or why it is none.
fn read(bytes: &[u8]) -> Result<(RequestHead, BytesMut), String> {
    let mut buffer = BytesMut::from(bytes);
    let head = match Scan::default().look(&mut buffer, super::MAX_HEAD) {
        Found::Head(length) => buffer.split_to(length),
        other => return Err(format!("{other:?}")),
    };
    let head = read_request(head).map_err(|refusal| refusal.to_string())?;
    if head.framing == Framing::Empty {
        return Ok((head, buffer));
    }
    let mut decoder = Decoder::new(head.framing);
    loop {
        match decoder.decode(&mut buffer) {
            Ok(Decoded::End) => return Ok((head, buffer)),
            Ok(Decoded::Data(_) | Decoded::Trailers(_)) if decoder.is_done() => return Ok((head, buffer)),
            Ok(Decoded::Data(_) | Decoded::Trailers(_)) => {}
            Ok(Decoded::Partial) => return Err("more is awaited".into()),
            Err(error) => return Err(format!("{error:?}")),
        }
    }
}

fn bytes(written: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = written.bytes();
    while let Some(byte) = rest.next() {
        let escaped = if byte == b'\\' { rest.next() } else { None };
        bytes.push(match escaped {
            None => byte,
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'x') => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            Some(other) => panic!("\\{} stands for nothing", char::from(other)),
        });
    }
    bytes
}

#[test]
fn what_others_were_broken_by_is_refused_or_read_in_one_way() {
    let lines = include_str!("hostile.cases").lines();
    let cases = lines.enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let mut count = 0;
    for (number, line) in cases {
        let number = number + 1;
        let (wanted, rest) = line.split_once(' ').unwrap();
        let (left, written) = match wanted {
            "refused" => (None, rest),
            "whole" => (Some(0), rest),
            "next" => {
                let (left, written) = rest.split_once(' ').unwrap();
                (Some(left.parse::<usize>().unwrap()), written)
            }
            other => panic!("line {number}: `{other}`"),
        };
        let outcome = read(&bytes(written)).map(|(_, rest)| rest.len());
        assert_eq!(outcome.as_ref().ok().copied(), left, "line {number}: {outcome:?}");
        count += 1;
    }
    assert!(count > 70);
}

/// A request, or what was one before somebody meddled with it.
fn meddled() -> impl Strategy<Value = Vec<u8>> {
    let whole: Vec<Vec<u8>> = include_str!("hostile.cases")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| Some(bytes(line.split_once(' ')?.1)))
        .collect();
    let odd = prop::sample::select(b"\r\n\t :;,/\\\0\x0b\x7f\xffHTaA01".to_vec());
    let cut = (any::<prop::sample::Index>(), odd, 0..3u8);
    (prop::sample::select(whole), prop::collection::vec(cut, 0..4)).prop_map(|(mut bytes, cuts)| {
        for (at, byte, what) in cuts {
            let at = at.index(bytes.len() + 1);
            match what {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// What is let through is read by whoever comes next as it was read here: nothing hides in it.
    #[test]
    fn what_is_let_through_is_read_in_the_same_way_again(sent in meddled()) {
        let Ok((RequestHead { mut parts, framing, .. }, _)) = read(&sent) else { return Ok(()) };
        // Whoever speaks HTTP/1.0 need not say whom it asks.
        prop_assume!(parts.headers.contains_key(HOST));
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.remove(TRANSFER_ENCODING);
        let again = read_request(write_request_head(&parts, framing));
        let RequestHead { parts: mut read, framing: framed, .. } = again.map_err(|refusal| {
            TestCaseError::fail(format!("{refusal}: {}", String::from_utf8_lossy(&sent)))
        })?;
        read.headers.remove(CONTENT_LENGTH);
        read.headers.remove(TRANSFER_ENCODING);
        prop_assert_eq!((read.method, read.uri, read.headers, framed), (parts.method, parts.uri, parts.headers, framing));
    }
}
