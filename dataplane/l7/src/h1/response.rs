//! The head of a member's answer.

use std::mem::MaybeUninit;

use bytes::BytesMut;
use http::{Method, Response, StatusCode, Version};
use thiserror::Error;

use super::Framing;
use super::request::{MAX_FIELDS, is_chunked, keeps_alive, read_fields, read_length};

/// An answer without its body.
#[derive(Debug)]
pub(crate) struct ResponseHead {
    /// Status and fields.
    pub(crate) parts: http::response::Parts,
    /// How its body ends.
    pub(crate) framing: Framing,
    /// Whether the member keeps the connection for another request.
    pub(crate) keep_alive: bool,
}

/// The member's answer is no HTTP, or could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the member's answer is malformed")]
pub(crate) struct BadAnswer;

/// Reads the head that `head` holds whole, the answer to a request of this method.
pub(crate) fn read_response(head: BytesMut, method: &Method) -> Result<ResponseHead, BadAnswer> {
    let head = head.freeze();
    let mut fields = [MaybeUninit::uninit(); MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let status =
        config.parse_response_with_uninit_headers(&mut parsed, &head, &mut fields).map_err(|_| BadAnswer)?;
    let (httparse::Status::Complete(_), Some(code), Some(minor)) = (status, parsed.code, parsed.version)
    else {
        return Err(BadAnswer);
    };
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = StatusCode::from_u16(code).map_err(|_| BadAnswer)?;
    parts.version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    parts.headers = read_fields(&head, parsed.headers).ok_or(BadAnswer)?;
    let framing = read_framing(&parts, method)?;
    let keep_alive = framing != Framing::UntilClose && keeps_alive(&parts.headers, parts.version);
    Ok(ResponseHead { parts, framing, keep_alive })
}

/// Where the body ends (RFC 9112, 6.3).
fn read_framing(parts: &http::response::Parts, method: &Method) -> Result<Framing, BadAnswer> {
    let length = read_length(&parts.headers).map_err(|()| BadAnswer)?;
    let coded = parts.headers.contains_key(http::header::TRANSFER_ENCODING);
    let bodiless = *method == Method::HEAD
        || parts.status.is_informational()
        || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match (coded, length) {
        _ if bodiless => Ok(Framing::Empty),
        (true, None) if is_chunked(&parts.headers) => Ok(Framing::Chunked),
        (true, _) => Err(BadAnswer),
        (false, Some(0)) => Ok(Framing::Empty),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (false, None) => Ok(Framing::UntilClose),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(method: &Method, head: &str) -> Result<Framing, BadAnswer> {
        read_response(BytesMut::from(format!("{head}\r\n\r\n").as_str()), method).map(|head| head.framing)
    }

    #[test]
    fn the_end_of_a_body_is_known() {
        let get = |head: &str| framing(&Method::GET, head);
        assert_eq!(get("HTTP/1.1 200 OK\r\nContent-Length: 3"), Ok(Framing::Length(3)));
        assert_eq!(get("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"), Ok(Framing::Chunked));
        assert_eq!(get("HTTP/1.1 200 OK"), Ok(Framing::UntilClose));
        assert_eq!(get("HTTP/1.1 204 No\r\nContent-Length: 3"), Ok(Framing::Empty));
        assert_eq!(get("HTTP/1.1 304 No\r\nContent-Length: 3"), Ok(Framing::Empty));
        assert_eq!(framing(&Method::HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 3"), Ok(Framing::Empty));
        assert_eq!(get("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked"), Err(BadAnswer));
        assert_eq!(get("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4"), Err(BadAnswer));
        assert_eq!(get("SSH-2.0-OpenSSH"), Err(BadAnswer));
    }
}
