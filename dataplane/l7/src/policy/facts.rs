//! What policies know of a request.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::HOST;
use http::{HeaderMap, Method, request::Parts};

use crate::origin::Origin;

/// A request as its policies see it.
#[derive(Debug)]
pub(crate) struct Facts<'r> {
    pub(crate) method: &'r Method,
    /// In lower case, without a port.
    pub(crate) host: Cow<'r, str>,
    /// With what can be written in several ways written in one.
    pub(crate) path: Cow<'r, str>,
    pub(crate) query: &'r str,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) source: IpAddr,
    pub(crate) sni: Option<&'r str>,
    /// Whom the certificate is for that the client has shown.
    pub(crate) subject: Option<&'r [u8]>,
}

impl<'r> Facts<'r> {
    pub(crate) fn of(parts: &'r Parts, origin: &'r Origin) -> Self {
        Self {
            method: &parts.method,
            host: lower(without_port(authority(parts))),
            path: plain_path(parts.uri.path()),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            source: origin.ends.client.ip().to_canonical(),
            sni: origin.sni.as_deref(),
            subject: origin.shown.as_ref().map(|shown| shown.subject.as_bytes()),
        }
    }
}

/// Whom the client asks for, as it wrote it; empty where it did not.
pub(crate) fn authority(parts: &Parts) -> &str {
    parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// An authority without its port; the brackets of an IPv6 address stay.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.is_empty() => host,
        _ => authority,
    }
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// The path as everybody would understand it, so that a rule cannot be passed by writing it in another way: what need not be
/// percent-encoded is not (RFC 3986, 6.2.2.2), dots are resolved (5.2.4), slashes that follow each other are one.
pub(crate) fn plain_path(path: &str) -> Cow<'_, str> {
    let bytes = path.as_bytes();
    let odd = bytes.contains(&b'%') || bytes.windows(2).any(|pair| pair == b"//" || pair == b"/.");
    if !odd || !path.starts_with('/') {
        return Cow::Borrowed(path);
    }
    let decoded = decoded(path);
    let mut plain = String::with_capacity(decoded.len());
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "" | "." if !last => {}
            "" | "." => plain.push('/'),
            ".." => {
                plain.truncate(plain.rfind('/').unwrap_or(0));
                if last {
                    plain.push('/');
                }
            }
            _ => {
                plain.push('/');
                plain.push_str(segment);
            }
        }
    }
    Cow::Owned(plain)
}

/// With letters, digits and `-._~` as they are, and other encodings in upper case.
fn decoded(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, encoded)) = rest.split_once('%') {
        decoded.push_str(before);
        let digits = encoded.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (digits, byte) {
            (_, Some(byte)) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                decoded.push(char::from(byte));
            }
            (Some(digits), _) => {
                decoded.push('%');
                decoded.push_str(&digits.to_ascii_uppercase());
            }
            (None, _) => decoded.push('%'),
        }
        rest = if digits.is_some() { encoded.get(2..).unwrap_or_default() } else { encoded };
    }
    decoded.push_str(rest);
    decoded
}

/// The values of a cookie (RFC 6265, 5.4).
pub(crate) fn cookies<'r>(headers: &'r HeaderMap, name: &str) -> impl Iterator<Item = &'r [u8]> {
    let lines = headers.get_all(http::header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| {
        let (key, value) = split_pair(pair.trim_ascii())?;
        (key == name.as_bytes()).then_some(value)
    })
}

/// The values of a query's parameter, decoded (WHATWG URL, 5.1).
pub(crate) fn parameters<'r>(query: &'r str, name: &str) -> impl Iterator<Item = Cow<'r, [u8]>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.filter_map(move |pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (*form(key) == *name.as_bytes()).then(|| form(value))
    })
}

fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', pair)?;
    Some((&pair[..at], &pair[at + 1..]))
}

/// What is percent-encoded in a form, with `+` for a blank.
fn form(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(bytes);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let hex = hex.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if let Some(byte) = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(if *byte == b'+' { b' ' } else { *byte });
            at += 1;
        }
    }
    Cow::Owned(decoded)
}
