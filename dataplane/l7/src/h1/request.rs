//! The head of a request, read strictly: whatever two parsers could read in two ways is refused (RFC 9112, sections 2
//! to 6, and 11.2 on smuggling).

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use thiserror::Error;

use super::Framing;

/// How many fields a head may have.
pub(super) const MAX_FIELDS: usize = 128;
/// How long the target of a request may be.
const MAX_TARGET: usize = 16 << 10;

/// A request without its body.
#[derive(Debug)]
pub(crate) struct RequestHead {
    /// Method, target, fields.
    pub(crate) parts: http::request::Parts,
    /// How its body ends.
    pub(crate) framing: Framing,
    /// Whether the client keeps the connection for another request.
    pub(crate) keep_alive: bool,
    /// Whether the client waits for a word before it sends the body.
    pub(crate) expects_continue: bool,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    #[error("a line does not end with CR LF")]
    LineEnd,
    #[error("the request line or a field is malformed")]
    Syntax,
    #[error("too many fields")]
    TooManyFields,
    #[error("the head is too large")]
    HeadTooLarge,
    #[error("the target is too long")]
    TargetTooLong,
    #[error("the target is malformed")]
    Target,
    #[error("the method is not supported")]
    Method,
    #[error("there is not exactly one Host field, or it is malformed")]
    Host,
    #[error("the target names another host than the Host field")]
    HostDiffers,
    #[error("Content-Length is malformed or repeated")]
    ContentLength,
    #[error("Transfer-Encoding is not exactly `chunked`")]
    TransferEncoding,
    #[error("both Content-Length and Transfer-Encoding")]
    TwoFramings,
    #[error("an expectation other than 100-continue")]
    Expectation,
}

/// Reads the head that `head` holds whole.
pub(crate) fn read_request(head: BytesMut) -> Result<RequestHead, Refusal> {
    let head = head.freeze();
    let mut fields = [MaybeUninit::uninit(); MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let status = parsed.parse_with_uninit_headers(&head, &mut fields).map_err(|error| match error {
        httparse::Error::TooManyHeaders => Refusal::TooManyFields,
        _ => Refusal::Syntax,
    })?;
    let (httparse::Status::Complete(_), Some(method), Some(target), Some(minor)) =
        (status, parsed.method, parsed.path, parsed.version)
    else {
        return Err(Refusal::Syntax);
    };
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::Syntax)?;
    let headers = read_fields(&head, parsed.headers).ok_or(Refusal::Syntax)?;
    let uri = read_target(&head, target, &method)?;
    check_host(&headers, &uri, version)?;
    let uri = path_of(uri);
    let framing = read_framing(&headers, version)?;
    let expects_continue = read_expectation(&headers)?;
    let keep_alive = keeps_alive(&headers, version);
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.method = method;
    parts.uri = uri;
    parts.version = version;
    parts.headers = headers;
    Ok(RequestHead { parts, framing, keep_alive, expects_continue })
}

/// The fields, as slices of the head they stand in.
pub(super) fn read_fields(head: &Bytes, parsed: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    // A few of our own will come to them.
    let mut headers = HeaderMap::with_capacity(parsed.len() + 6);
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value)).ok()?;
        headers.append(name, value);
    }
    Some(headers)
}

/// Whether anybody may be asked for this.
pub(crate) fn check_target(target: &str, method: &Method) -> Result<(), Refusal> {
    if target.len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    // A tunnel through a reverse proxy leads nowhere, and TRACE shows its client what others added.
    if matches!(*method, Method::CONNECT | Method::TRACE) {
        return Err(Refusal::Method);
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(Refusal::Target);
    }
    Ok(())
}

fn read_target(head: &Bytes, target: &str, method: &Method) -> Result<Uri, Refusal> {
    check_target(target, method)?;
    let asterisk = target == "*";
    if asterisk && *method != Method::OPTIONS {
        return Err(Refusal::Target);
    }
    let uri = Uri::from_maybe_shared(head.slice_ref(target.as_bytes())).map_err(|_| Refusal::Target)?;
    match uri.scheme_str() {
        None if target.starts_with('/') || asterisk => Ok(uri),
        Some("http" | "https") => Ok(uri),
        _ => Err(Refusal::Target),
    }
}

/// The target without what the Host field says too.
fn path_of(uri: Uri) -> Uri {
    if uri.scheme().is_none() {
        return uri;
    }
    let path = uri.into_parts().path_and_query;
    path.map_or_else(|| Uri::from_static("/"), Uri::from)
}

fn check_host(headers: &HeaderMap, uri: &Uri, version: Version) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        (None, None) if version == Version::HTTP_10 => return Ok(()),
        _ => return Err(Refusal::Host),
    };
    let host = host.to_str().map_err(|_| Refusal::Host)?;
    if !is_host(host) {
        return Err(Refusal::Host);
    }
    match uri.authority() {
        Some(authority) if !authority.as_str().eq_ignore_ascii_case(host) => Err(Refusal::HostDiffers),
        _ => Ok(()),
    }
}

/// A name or address, and a port: no user, no blank.
pub(crate) fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+;=".contains(&byte))
        && host.parse::<Authority>().is_ok()
}

fn read_framing(headers: &HeaderMap, version: Version) -> Result<Framing, Refusal> {
    let coded = headers.contains_key(TRANSFER_ENCODING);
    let length = read_length(headers).map_err(|()| Refusal::ContentLength)?;
    match (coded, length) {
        (false, None | Some(0)) => Ok(Framing::Empty),
        (false, Some(length)) => Ok(Framing::Length(length)),
        (true, Some(_)) => Err(Refusal::TwoFramings),
        (true, None) if version == Version::HTTP_11 && is_chunked(headers) => Ok(Framing::Chunked),
        (true, None) => Err(Refusal::TransferEncoding),
    }
}

/// The length that the fields give; `Err` if they give two, or none that is a number.
pub(crate) fn read_length(headers: &HeaderMap) -> Result<Option<u64>, ()> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(None) };
    if lengths.next().is_some() || length.is_empty() || !length.as_bytes().iter().all(u8::is_ascii_digit) {
        return Err(());
    }
    let text = length.to_str().map_err(drop)?;
    text.parse().map(Some).map_err(drop)
}

/// Exactly one field that is exactly `chunked`: all else is a coding that we would have to undo.
pub(super) fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let one = codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    one && codings.next().is_none()
}

pub(crate) fn read_expectation(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(EXPECT) {
        None => Ok(false),
        Some(expected) if expected.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Refusal::Expectation),
    }
}

/// Whether the connection stays after this message (RFC 9112, 9.3).
pub(super) fn keeps_alive(headers: &HeaderMap, version: Version) -> bool {
    match headers.get(CONNECTION) {
        None => version == Version::HTTP_11,
        Some(_) if has_option(headers, "close") => false,
        Some(_) => version == Version::HTTP_11 || has_option(headers, "keep-alive"),
    }
}

/// Whether `Connection` names this option.
pub(crate) fn has_option(headers: &HeaderMap, option: &str) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    let mut options = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    options.any(|named| named.trim().eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(head: &str) -> Result<RequestHead, Refusal> {
        read_request(BytesMut::from(head))
    }

    fn with(fields: &str) -> Result<Framing, Refusal> {
        read(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")).map(|head| head.framing)
    }

    #[test]
    fn a_plain_request_is_read() {
        let head = read("GET /a?b=c HTTP/1.1\r\nHost: shop.example:80\r\nX-Y: z\r\n\r\n").unwrap();
        assert_eq!((head.parts.method.as_str(), head.parts.uri.path()), ("GET", "/a"));
        assert_eq!((head.framing, head.keep_alive, head.expects_continue), (Framing::Empty, true, false));
        assert_eq!(head.parts.headers["x-y"], "z");
    }

    #[test]
    fn framing_that_two_could_read_differently_is_refused() {
        assert_eq!(with("Content-Length: 5"), Ok(Framing::Length(5)));
        assert_eq!(with("Transfer-Encoding: Chunked"), Ok(Framing::Chunked));
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
        ] {
            assert_eq!(with(fields), Err(Refusal::TwoFramings));
        }
        for length in ["+5", "-5", "5, 5", "0x5", "", "5 5", "99999999999999999999", "5\r\nContent-Length: 5"]
        {
            assert_eq!(with(&format!("Content-Length: {length}")), Err(Refusal::ContentLength), "{length}");
        }
        for coding in ["gzip, chunked", "chunked, chunked", "identity", "xchunked", "chunked;q=1", "gzip"] {
            assert_eq!(
                with(&format!("Transfer-Encoding: {coding}")),
                Err(Refusal::TransferEncoding),
                "{coding}"
            );
        }
        assert_eq!(
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            Err(Refusal::TransferEncoding)
        );
        let old = read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_eq!(old.unwrap_err(), Refusal::TransferEncoding);
    }

    #[test]
    fn fields_are_what_they_seem() {
        for field in
            ["Content-Length : 5", " Content-Length: 5", "X\x00: a", "X: a\x00b", "X: a\rb", "X y: a", ": a"]
        {
            assert_eq!(with(field), Err(Refusal::Syntax), "{field:?}");
        }
        assert_eq!(with("X: a\r\n folded"), Err(Refusal::Syntax));
        assert_eq!(with(&"a: b\r\n".repeat(MAX_FIELDS)), Err(Refusal::TooManyFields));
        assert_eq!(with("Expect: miracles"), Err(Refusal::Expectation));
    }

    #[test]
    fn a_request_has_one_host() {
        let hosted = |line: &str, fields: &str| read(&format!("{line} HTTP/1.1\r\n{fields}\r\n")).map(drop);
        assert_eq!(hosted("GET /", ""), Err(Refusal::Host));
        assert_eq!(hosted("GET /", "Host: a\r\nHost: a\r\n"), Err(Refusal::Host));
        for host in ["", "user@a", "a b", "a,b", "a/b", "a\\b", "a:b:c", "\u{fc}"] {
            assert_eq!(hosted("GET /", &format!("Host: {host}\r\n")), Err(Refusal::Host), "{host}");
        }
        assert_eq!(hosted("GET http://a/", "Host: a\r\n"), Ok(()));
        let whole =
            |target: &str| read(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap().parts.uri;
        assert_eq!(
            (whole("http://a/b?c").to_string(), whole("http://a").to_string()),
            ("/b?c".into(), "/".into())
        );
        assert_eq!(hosted("GET http://b/", "Host: a\r\n"), Err(Refusal::HostDiffers));
        assert_eq!(hosted("GET http://user@a/", "Host: a\r\n"), Err(Refusal::HostDiffers));
        assert!(read("GET / HTTP/1.0\r\n\r\n").is_ok());
    }

    #[test]
    fn targets_are_paths_or_whole_addresses() {
        let asked = |line: &str| read(&format!("{line}\r\nHost: a\r\n\r\n")).map(drop);
        for line in [
            "GET a HTTP/1.1",
            "GET * HTTP/1.1",
            "GET ftp://a/ HTTP/1.1",
            "GET /a#b HTTP/1.1",
            "GET /\u{fc} HTTP/1.1",
        ] {
            assert!(matches!(asked(line), Err(Refusal::Target | Refusal::Syntax)), "{line}");
        }
        for line in [
            "GET  / HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/2.0",
            "GET /",
            "G(T / HTTP/1.1",
            "GET / a HTTP/1.1",
        ] {
            assert_eq!(asked(line), Err(Refusal::Syntax), "{line}");
        }
        assert_eq!(asked("CONNECT a:1 HTTP/1.1"), Err(Refusal::Method));
        assert_eq!(asked("TRACE / HTTP/1.1"), Err(Refusal::Method));
        assert_eq!(asked("OPTIONS * HTTP/1.1"), Ok(()));
        assert_eq!(asked(&format!("GET /{} HTTP/1.1", "a".repeat(MAX_TARGET))), Err(Refusal::TargetTooLong));
    }

    #[test]
    fn a_connection_stays_as_its_version_says() {
        let stays = |version: &str, connection: &str| {
            read(&format!("GET / {version}\r\nHost: a\r\nConnection: {connection}\r\n\r\n"))
                .unwrap()
                .keep_alive
        };
        assert!(stays("HTTP/1.1", "x"));
        assert!(!stays("HTTP/1.1", "x, Close"));
        assert!(!stays("HTTP/1.0", "x"));
        assert!(stays("HTTP/1.0", "keep-alive"));
    }
}
