//! Which member a client keeps. Nothing is remembered: what the client sends says it, so that a restart, a change and another
//! appliance with the same key find the same member.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{COOKIE, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use lb_model::asking::{PERSISTENCE_SEAL, Persistence, PersistenceKind};
use lb_model::{MemberId, PoolId};

use crate::origin::Origin;
use crate::policy::cookies;
use crate::service::Member;

/// What stands between a member's mark and the value that the application gave its cookie.
const MARK_END: u8 = b'~';
/// Bytes of a signature that are a mark: nobody guesses 128 bits.
const MARK: usize = 16;
/// A mark as it is written.
const MARK_TEXT: usize = 22;

/// The key by which members are marked.
#[derive(Debug)]
pub(crate) struct MarkKey(hmac::Key);

impl MarkKey {
    /// From the appliance's key.
    pub(crate) fn new(secret: &[u8]) -> Self {
        let own = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), PERSISTENCE_SEAL);
        Self(hmac::Key::new(hmac::HMAC_SHA256, own.as_ref()))
    }

    fn mark(&self, pool: PoolId, member: MemberId) -> Box<str> {
        let signature = hmac::sign(&self.0, &[pool.0.as_bytes().as_slice(), member.0.as_bytes()].concat());
        let mark = signature.as_ref().get(..MARK).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(mark).into()
    }
}

/// How the clients of one pool keep their members.
#[derive(Debug)]
pub(crate) struct Keeper {
    by: By,
    marks: Marks,
}

#[derive(Debug)]
enum By {
    Cookie { name: Box<str>, max_age: Option<u32> },
    AppCookie { name: Box<str> },
    Header(HeaderName),
    Source { prefix: u8, prefix_v6: u8 },
}

/// Each member's mark, made when the configuration changes: no request waits for a signature.
#[derive(Debug, Default)]
struct Marks {
    members: HashMap<Box<str>, Arc<Member>>,
    of: HashMap<u64, Box<str>>,
}

/// What a request says about who should get it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept<'p> {
    /// Nothing.
    Nobody,
    /// The member that its client keeps.
    Member(&'p Arc<Member>),
    /// The one that ranks highest for this.
    Key(u64),
}

impl Keeper {
    /// For a pool with these members. Without a key nobody is marked: cookies need one.
    pub(crate) fn new(
        of: &Persistence,
        pool: PoolId,
        members: &[(MemberId, Arc<Member>)],
        key: Option<&MarkKey>,
    ) -> Option<Self> {
        let name = || of.name.as_deref().map(Box::from);
        let by = match of.kind {
            PersistenceKind::Cookie => By::Cookie { name: name()?, max_age: of.timeout_s },
            PersistenceKind::AppCookie => By::AppCookie { name: name()? },
            PersistenceKind::Header => By::Header(of.name.as_deref()?.parse().ok()?),
            PersistenceKind::Source => By::Source { prefix: of.prefix, prefix_v6: of.prefix_v6 },
        };
        let mut marks = Marks::default();
        if let (By::Cookie { .. } | By::AppCookie { .. }, Some(key)) = (&by, key) {
            for (id, member) in members {
                let mark = key.mark(pool, *id);
                marks.members.insert(mark.clone(), Arc::clone(member));
                marks.of.insert(member.number(), mark);
            }
        }
        Some(Self { by, marks })
    }

    /// Who should get a request.
    pub(crate) fn find(&self, parts: &Parts, origin: &Origin) -> Kept<'_> {
        match &self.by {
            By::Cookie { name, .. } => self.marked(cookies(&parts.headers, name)),
            By::AppCookie { name } => {
                self.marked(cookies(&parts.headers, name).filter_map(|value| Some(split(value)?.0)))
            }
            By::Header(name) => match parts.headers.get(name) {
                Some(value) => Kept::Key(hash(value.as_bytes())),
                None => Kept::Nobody,
            },
            By::Source { prefix, prefix_v6 } => {
                Kept::Key(hash(&leading(origin.ends.client.ip(), *prefix, *prefix_v6)))
            }
        }
    }

    fn marked<'r>(&self, marks: impl Iterator<Item = &'r [u8]>) -> Kept<'_> {
        let mut members = marks.filter_map(|mark| self.marks.members.get(str::from_utf8(mark).ok()?));
        members.next().map_or(Kept::Nobody, Kept::Member)
    }

    /// Takes off what the member should not see.
    pub(crate) fn unmark_request(&self, headers: &mut HeaderMap) {
        let By::AppCookie { name } = &self.by else { return };
        if !cookies(headers, name).any(|value| split(value).is_some()) {
            return;
        }
        let lines: Vec<_> = headers.get_all(COOKIE).iter().map(|line| unmarked(line, name)).collect();
        headers.remove(COOKIE);
        headers.extend(lines.into_iter().map(|line| (COOKIE, line)));
    }

    /// Tells the client to keep the member that answered.
    pub(crate) fn mark_answer(&self, headers: &mut HeaderMap, member: &Member, kept: Kept<'_>, secure: bool) {
        let Some(mark) = self.marks.of.get(&member.number()) else { return };
        match &self.by {
            By::Cookie { .. } if matches!(kept, Kept::Member(same) if same.number() == member.number()) => {}
            By::Cookie { name, max_age } => {
                let age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
                let secure = if secure { "; Secure" } else { "" };
                let cookie = format!("{name}={mark}; Path=/; HttpOnly; SameSite=Lax{age}{secure}");
                if let Ok(cookie) = HeaderValue::try_from(cookie) {
                    headers.append(SET_COOKIE, cookie);
                }
            }
            By::AppCookie { name } => {
                let set: Vec<_> =
                    headers.get_all(SET_COOKIE).iter().map(|line| marked(line, name, mark)).collect();
                headers.remove(SET_COOKIE);
                headers.extend(set.into_iter().map(|line| (SET_COOKIE, line)));
            }
            By::Header(_) | By::Source { .. } => {}
        }
    }
}

/// The mark in front of a cookie's value, and the value.
fn split(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mark, rest) = value.split_at_checked(MARK_TEXT)?;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let (end, rest) = rest.split_first()?;
    (*end == MARK_END && mark.iter().all(plain)).then_some((mark, rest))
}

/// A line of `Set-Cookie`, marked if it sets this cookie to something.
fn marked(line: &HeaderValue, name: &str, mark: &str) -> HeaderValue {
    let bytes = line.as_bytes();
    let value = bytes.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
    match value {
        Some(value) if !matches!(value.first(), None | Some(b';')) => {
            let parts = [name.as_bytes(), b"=", mark.as_bytes(), &[MARK_END], value];
            HeaderValue::from_bytes(&parts.concat()).unwrap_or_else(|_| line.clone())
        }
        _ => line.clone(),
    }
}

/// A line of `Cookie` without marks in front of this cookie's value.
fn unmarked(line: &HeaderValue, name: &str) -> HeaderValue {
    let pairs = line.as_bytes().split(|byte| *byte == b';').map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        match value.and_then(split) {
            Some((_, value)) => {
                let blank: &[u8] = if pair.starts_with(b" ") { b" " } else { b"" };
                [blank, name.as_bytes(), b"=", value].concat()
            }
            None => pair.to_vec(),
        }
    });
    let line_without = pairs.collect::<Vec<_>>().join(&b';');
    HeaderValue::from_bytes(&line_without).unwrap_or_else(|_| line.clone())
}

fn hash(bytes: &[u8]) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes)
}

/// The leading bits of an address, so many of each family.
fn leading(address: IpAddr, prefix: u8, prefix_v6: u8) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            (address.to_bits() & mask).to_be_bytes().to_vec()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix_v6)).unwrap_or(0);
            (address.to_bits() & mask).to_be_bytes().to_vec()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    #[test]
    fn a_mark_tells_nothing_and_depends_on_the_key() {
        let (pool, member) = (PoolId::generate(), MemberId::generate());
        let mark = MarkKey::new(b"one").mark(pool, member);
        assert_eq!(mark.len(), MARK_TEXT);
        assert_eq!(MarkKey::new(b"one").mark(pool, member), mark);
        assert_ne!(MarkKey::new(b"other").mark(pool, member), mark);
        assert_ne!(MarkKey::new(b"one").mark(PoolId::generate(), member), mark);
    }

    #[test]
    fn an_application_s_cookie_is_marked_for_the_client_alone() {
        let mark = "0123456789abcdefghij-_";
        let set = marked(&line("sid=abc=; Path=/"), "sid", mark);
        assert_eq!(set, "sid=0123456789abcdefghij-_~abc=; Path=/");
        assert_eq!(marked(&line("sid2=a"), "sid", mark), "sid2=a");
        assert_eq!(marked(&line("sid=; Max-Age=0"), "sid", mark), "sid=; Max-Age=0", "it is taken back");
        let cookie = line("a=b; sid=0123456789abcdefghij-_~abc=; sid=plain; c=d");
        assert_eq!(unmarked(&cookie, "sid"), "a=b; sid=abc=; sid=plain; c=d");
    }

    #[test]
    fn neighbours_count_as_one_if_they_should() {
        let of = |last: u8, prefix| leading([192, 0, 2, last].into(), prefix, 128);
        assert_eq!(of(1, 24), of(2, 24));
        assert_ne!(of(1, 32), of(2, 32));
        assert_eq!(leading("::ffff:192.0.2.1".parse().unwrap(), 32, 64), of(1, 32));
        let of_v6 = |text: &str, prefix| leading(text.parse().unwrap(), 32, prefix);
        assert_eq!(of_v6("2001:db8::1", 64), of_v6("2001:db8::2", 64));
        assert_ne!(of_v6("2001:db8::1", 128), of_v6("2001:db8::2", 128));
    }
}
