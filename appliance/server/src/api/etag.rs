//! Entity tags: strong, over what can be written, so that observed fields never make a writer's copy stale.

use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::App;
use super::error::Problem;
use crate::domain::{Expected, FieldError, Revision};

/// The longest list of tags.
const TAGS_MAX: usize = 1024;

/// The `ETag` header of `revision`.
pub(crate) fn header(revision: &Revision) -> (HeaderName, HeaderValue) {
    let Revision(fingerprint) = revision;
    let value = HeaderValue::from_str(&format!("\"{fingerprint}\""));
    // A fingerprint is hexadecimal, which every header can hold.
    (ETAG, value.unwrap_or_else(|_| HeaderValue::from_static("\"\"")))
}

/// What a writer says it has read. A write that says nothing is refused (RFC 6585).
#[derive(Debug)]
pub(crate) struct IfMatch(pub(crate) Expected);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        check(&parts.headers, &IF_MATCH, "If-Match")?;
        let expected = tags(&parts.headers, &IF_MATCH).ok_or_else(|| {
            let detail = "send If-Match with the ETag that you have read, so that nobody's change is lost";
            Problem::new(StatusCode::PRECONDITION_REQUIRED, "precondition_required", detail)
        })?;
        Ok(Self(expected))
    }
}

/// Whether the reader says that it has this revision already.
pub(crate) fn is_known(headers: &HeaderMap, revision: &Revision) -> Result<bool, Problem> {
    check(headers, &IF_NONE_MATCH, "If-None-Match")?;
    Ok(tags(headers, &IF_NONE_MATCH).is_some_and(|known| known.admits(revision)))
}

/// Refuses more tags than the description says.
fn check(headers: &HeaderMap, header: &HeaderName, called: &str) -> Result<(), Problem> {
    if headers.get_all(header).iter().map(HeaderValue::len).sum::<usize>() <= TAGS_MAX {
        return Ok(());
    }
    let detail = format!("want at most {TAGS_MAX} characters");
    Err(Problem::invalid(vec![FieldError::new(called, "too_long", detail)]))
}

/// Weak tags match nothing: RFC 9110 wants the strong comparison here.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Expected> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let mut revisions = Vec::new();
    for tag in values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        match tag.trim() {
            "*" => return Some(Expected::Any),
            tag => {
                let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                revisions.extend(inner.map(|fingerprint| Revision(fingerprint.to_owned())));
            }
        }
    }
    Some(Expected::OneOf(revisions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &'static str) -> Option<Expected> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, HeaderValue::from_static(value));
        tags(&headers, &IF_MATCH)
    }

    #[test]
    fn only_strong_tags_match() {
        let revision = |text: &str| Revision(text.to_owned());
        assert_eq!(parsed("\"a\""), Some(Expected::OneOf(vec![revision("a")])));
        assert_eq!(parsed("\"a\", \"b\""), Some(Expected::OneOf(vec![revision("a"), revision("b")])));
        assert_eq!(parsed("*"), Some(Expected::Any));
        assert_eq!(parsed("W/\"a\""), Some(Expected::OneOf(vec![])));
        assert_eq!(parsed("a"), Some(Expected::OneOf(vec![])));
        assert_eq!(tags(&HeaderMap::new(), &IF_MATCH), None);
    }
}
