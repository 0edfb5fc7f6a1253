//! Which version of a resource somebody has seen.

use aws_lc_rs::digest::{SHA256, digest};

use super::{Kind, Record};

/// A fingerprint of what can be written of a resource, and of nothing else: what is observed does not change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Revision(pub(crate) String);

impl Revision {
    /// The revision of `record`.
    pub(crate) fn of<K: Kind>(record: &Record<K>) -> Self {
        // Strings, numbers and lists always serialise; if they did not, all revisions of one resource would be equal.
        let document = serde_json::to_string(&record.spec).unwrap_or_default();
        Self(fingerprint(&[&record.id.to_string(), &document]))
    }
}

/// Which version a writer means to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Whatever is there.
    Any,
    /// One of these.
    OneOf(Vec<Revision>),
}

impl Expected {
    /// Whether `revision` is meant.
    pub(crate) fn admits(&self, revision: &Revision) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(revisions) => revisions.contains(revision),
        }
    }
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// A short text that differs where one of `parts` differs.
pub(crate) fn fingerprint(parts: &[&str]) -> String {
    let hash = digest(&SHA256, parts.join("\n").as_bytes());
    hex(&hash.as_ref()[..16])
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
