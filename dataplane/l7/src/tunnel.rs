//! WebSocket (RFC 6455, and RFC 8441 over HTTP/2): a request after which both sides say what they like. To us these are the bodies of
//! the request and of its answer, both without a length, and both on their way at once.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONNECTION, HeaderName, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::h1::has_option;

/// The only protocol that is changed to.
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// Stands in the extensions of a request whose client wants a tunnel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted;

/// Whether this request of HTTP/1 asks for one; others are answered as if they did not name another protocol.
pub(crate) fn is_wanted(parts: &http::request::Parts) -> bool {
    let Some(named) = parts.headers.get(UPGRADE) else { return false };
    parts.method == Method::GET
        && named.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes())
        && has_option(&parts.headers, "upgrade")
}

/// Whether this request's client wants a tunnel.
pub(crate) fn is_asked(parts: &http::request::Parts) -> bool {
    parts.extensions.get::<Wanted>().is_some()
}

/// Whether a member agrees.
pub(crate) fn is_granted(parts: &http::response::Parts) -> bool {
    let named = parts.headers.get(UPGRADE).map(HeaderValue::as_bytes);
    named.is_some_and(|named| named.eq_ignore_ascii_case(WEBSOCKET.as_bytes()))
}

/// Names the protocol, in a request or an answer of HTTP/1.
pub(crate) fn name(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, WEBSOCKET);
}

/// Makes a request for a tunnel over HTTP/2 one of HTTP/1; `None` if the system has no random numbers.
pub(crate) fn from_h2(parts: &mut http::request::Parts) -> Option<()> {
    let mut nonce = [0; 16];
    rand::fill(&mut nonce).ok()?;
    parts.method = Method::GET;
    parts.headers.insert(KEY, HeaderValue::try_from(STANDARD.encode(nonce)).ok()?);
    parts.extensions.insert(Wanted);
    Some(())
}

/// Makes the answer to it one of HTTP/2.
pub(crate) fn to_h2(parts: &mut http::response::Parts) {
    parts.status = StatusCode::OK;
    parts.headers.remove(ACCEPT);
}
