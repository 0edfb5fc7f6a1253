//! A request of HTTP/2 as one of HTTP/1 would be, and as strict: what a member that speaks HTTP/1 could read in two ways is refused.

use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::h1::{Refusal, check_target, is_host, read_expectation, read_length};
use crate::tunnel;

/// How many fields a request may have, as in HTTP/1.
const MAX_FIELDS: usize = 128;

/// What a request says beside its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct About {
    /// The length of its body, if it tells.
    pub(super) length: Option<u64>,
    /// Whether the client waits for a word before it sends the body.
    pub(super) expects_continue: bool,
    /// Whether both sides say what they like after it.
    pub(super) tunneled: bool,
}

/// Makes the target a path, and the `Host` field say whose.
pub(super) fn read(parts: &mut http::request::Parts) -> Result<About, Refusal> {
    if parts.headers.len() > MAX_FIELDS {
        return Err(Refusal::TooManyFields);
    }
    if !parts.headers.values().all(is_trimmed) {
        return Err(Refusal::Syntax);
    }
    let path = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    // Only for a tunnel of this kind; CONNECT itself leads nowhere.
    let tunneled = parts.method == Method::CONNECT && is_websocket(&parts.extensions);
    check_target(path, if tunneled { &Method::GET } else { &parts.method })?;
    if !(path.starts_with('/') || (path == "*" && parts.method == Method::OPTIONS)) {
        return Err(Refusal::Target);
    }
    let host = read_host(&parts.headers, &parts.uri)?;
    let length = read_length(&parts.headers).map_err(|()| Refusal::ContentLength)?;
    let expects_continue = read_expectation(&parts.headers)?;
    parts.headers.insert(HOST, host);
    join_cookies(&mut parts.headers);
    let path = std::mem::take(&mut parts.uri).into_parts().path_and_query;
    parts.uri = path.map(Uri::from).unwrap_or_default();
    if tunneled {
        tunnel::from_h2(parts).ok_or(Refusal::Method)?;
    }
    Ok(About { length, expects_continue, tunneled })
}

/// RFC 8441, 5.
fn is_websocket(extensions: &http::Extensions) -> bool {
    extensions.get::<::h2::ext::Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// RFC 9113, 8.2.1: a value that begins or ends with a blank is malformed. In HTTP/1 the blank would be gone.
fn is_trimmed(value: &HeaderValue) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    !blank(bytes.first()) && !blank(bytes.last())
}

fn read_host(headers: &HeaderMap, uri: &Uri) -> Result<HeaderValue, Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return Err(Refusal::Host);
    }
    let name = match (uri.authority(), host) {
        (Some(authority), Some(host))
            if !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) =>
        {
            return Err(Refusal::HostDiffers);
        }
        (Some(authority), _) => HeaderValue::from_str(authority.as_str()).map_err(|_| Refusal::Host)?,
        (None, Some(host)) => host.clone(),
        (None, None) => return Err(Refusal::Host),
    };
    if name.to_str().is_ok_and(is_host) { Ok(name) } else { Err(Refusal::Host) }
}

/// RFC 9113, 8.2.3: cookies may come one by one; whoever speaks HTTP/1 wants one field.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (cookies.next(), cookies.next()) {
        let all: Vec<&[u8]> = [first, second].into_iter().chain(cookies).map(HeaderValue::as_bytes).collect();
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(target: &str, fields: &[(&str, &str)]) -> http::request::Parts {
        let mut request = Request::builder().uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn refused(target: &str, fields: &[(&str, &str)]) -> Option<Refusal> {
        read(&mut parts(target, fields)).err()
    }

    #[test]
    fn a_request_becomes_one_of_http_1() {
        let mut parts = parts("https://shop.example/a?b", &[("cookie", "a=1"), ("cookie", "b=2")]);
        assert_eq!(read(&mut parts), Ok(About { length: None, expects_continue: false, tunneled: false }));
        assert_eq!(parts.uri, "/a?b");
        assert_eq!(
            (&parts.headers["host"], &parts.headers["cookie"]),
            (&"shop.example".parse().unwrap(), &"a=1; b=2".parse().unwrap())
        );
        assert_eq!(parts.headers.len(), 2);
    }

    #[test]
    fn what_two_could_read_differently_is_refused() {
        assert_eq!(refused("/", &[]), Some(Refusal::Host));
        assert_eq!(refused("http://a/", &[("host", "b")]), Some(Refusal::HostDiffers));
        assert_eq!(refused("http://a/", &[("host", "A")]), None);
        assert_eq!(refused("http://user@a/", &[]), Some(Refusal::Host));
        assert_eq!(refused("/", &[("host", "a"), ("host", "a")]), Some(Refusal::Host));
        assert_eq!(refused("http://a/", &[("x", " b")]), Some(Refusal::Syntax));
        assert_eq!(refused("http://a/", &[("x", "b\t")]), Some(Refusal::Syntax));
        assert_eq!(refused("http://a/", &[("content-length", "5, 5")]), Some(Refusal::ContentLength));
        let many = vec![("x", "y"); MAX_FIELDS + 1];
        assert_eq!(refused("http://a/", &many), Some(Refusal::TooManyFields));
    }
}
