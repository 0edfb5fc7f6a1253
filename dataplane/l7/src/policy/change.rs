//! What policies change about requests and answers.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue};
use lb_model::policy::{Compare, HeaderChange, HeaderVerb, PathRewrite, Rewrite};
use regex::bytes::Regex;

use super::PartError;
use super::facts::plain_path;
use super::rule::{is_within, pattern};

/// The changes of one policy.
#[derive(Debug)]
pub(crate) struct Changes {
    path: Option<PathChange>,
    host: Option<HeaderValue>,
    request: Box<[FieldChange]>,
    response: Box<[FieldChange]>,
}

/// A path that would not be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoPath;

#[derive(Debug)]
enum PathChange {
    /// Whole segments, without a slash at the end.
    Prefix(Box<str>, Box<str>),
    Pattern(Regex, Box<[u8]>),
}

#[derive(Debug)]
enum FieldChange {
    Set(HeaderName, HeaderValue),
    Add(HeaderName, HeaderValue),
    Remove(HeaderName),
}

impl Changes {
    pub(super) fn new(of: &Rewrite) -> Result<Self, PartError> {
        let fields =
            |changes: &[HeaderChange]| changes.iter().map(FieldChange::new).collect::<Result<_, _>>();
        let host = of.host.as_ref().map(HeaderValue::try_from).transpose().map_err(http::Error::from)?;
        Ok(Self {
            path: of.path.as_ref().map(PathChange::new).transpose()?,
            host,
            request: fields(&of.request_headers)?,
            response: fields(&of.response_headers)?,
        })
    }

    /// Changes the request.
    pub(crate) fn change_request(&self, parts: &mut Parts) -> Result<(), NoPath> {
        if let Some(path) = &self.path {
            path.change(&mut parts.uri)?;
        }
        if let Some(host) = &self.host {
            parts.headers.insert(HOST, host.clone());
        }
        self.request.iter().for_each(|change| change.make(&mut parts.headers));
        Ok(())
    }

    /// Changes the answer.
    pub(crate) fn change_response(&self, headers: &mut HeaderMap) {
        self.response.iter().for_each(|change| change.make(headers));
    }
}

impl PathChange {
    fn new(of: &PathRewrite) -> Result<Self, PartError> {
        let PathRewrite { compare, from, to } = of;
        let bare = |path: &str| path.strip_suffix('/').unwrap_or(path).into();
        Ok(match compare {
            Compare::Regex => Self::Pattern(pattern(from)?, to.as_bytes().into()),
            _ => Self::Prefix(bare(from), bare(to)),
        })
    }

    fn change(&self, uri: &mut Uri) -> Result<(), NoPath> {
        let path = plain_path(uri.path());
        let changed: Vec<u8> = match self {
            Self::Prefix(from, _) if !is_within(path.as_bytes(), from.as_bytes()) => return Ok(()),
            Self::Prefix(from, to) => {
                [to.as_bytes(), path.as_bytes().get(from.len()..).unwrap_or_default()].concat()
            }
            Self::Pattern(from, to) => match from.replace(path.as_bytes(), &**to) {
                Cow::Borrowed(_) => return Ok(()),
                Cow::Owned(changed) => changed,
            },
        };
        let slash: &[u8] = if changed.starts_with(b"/") { b"" } else { b"/" };
        let query = uri.query().map_or(Cow::Borrowed(""), |query| Cow::Owned(format!("?{query}")));
        let whole = Bytes::from([slash, &changed, query.as_bytes()].concat());
        let changed = PathAndQuery::from_maybe_shared(whole).map_err(|_| NoPath)?;
        *uri = Uri::from(changed);
        Ok(())
    }
}

impl FieldChange {
    fn new(of: &HeaderChange) -> Result<Self, PartError> {
        let name = HeaderName::from_bytes(of.name.as_bytes()).map_err(http::Error::from)?;
        let value = of.value.as_deref().unwrap_or_default();
        let value = HeaderValue::from_str(value).map_err(http::Error::from)?;
        Ok(match of.change {
            HeaderVerb::Set => Self::Set(name, value),
            HeaderVerb::Add => Self::Add(name, value),
            HeaderVerb::Remove => Self::Remove(name),
        })
    }

    fn make(&self, headers: &mut HeaderMap) {
        match self {
            Self::Set(name, value) => drop(headers.insert(name, value.clone())),
            Self::Add(name, value) => drop(headers.append(name, value.clone())),
            Self::Remove(name) => drop(headers.remove(name)),
        }
    }
}
