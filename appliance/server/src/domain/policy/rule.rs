//! What a request must fit.

use http::{HeaderName, Method};
use lb_model::policy::{Compare, PATTERN_SIZE, Rule, Subject};
use regex::bytes::RegexBuilder;
use serde_json::Value;

use super::fields::{self, Fault, Fields};
use super::read::TEXT_MAX;

/// The most values that a rule compares with.
const VALUES_MAX: usize = 256;

const SUBJECTS: &[(&str, Subject)] = &[
    ("host", Subject::Host),
    ("path", Subject::Path),
    ("header", Subject::Header),
    ("cookie", Subject::Cookie),
    ("query", Subject::Query),
    ("method", Subject::Method),
    ("source", Subject::Source),
    ("sni", Subject::Sni),
    ("client_subject", Subject::ClientSubject),
];

const TEXTS: &[(&str, Compare)] = &[
    ("exact", Compare::Exact),
    ("prefix", Compare::Prefix),
    ("suffix", Compare::Suffix),
    ("contains", Compare::Contains),
    ("regex", Compare::Regex),
];
const NAMED: &[(&str, Compare)] = &[
    ("exact", Compare::Exact),
    ("prefix", Compare::Prefix),
    ("suffix", Compare::Suffix),
    ("contains", Compare::Contains),
    ("regex", Compare::Regex),
    ("present", Compare::Present),
];
const EXACT: &[(&str, Compare)] = &[("exact", Compare::Exact)];
const NETWORK: &[(&str, Compare)] = &[("network", Compare::Network)];

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Rule> {
    let kind = fields.required("kind", fields::word(SUBJECTS));
    let key = fields.nullable("key", |value| key(kind, value));
    let words = match kind {
        Some(Subject::Method) => EXACT,
        Some(Subject::Source) => NETWORK,
        Some(Subject::Header | Subject::Cookie | Subject::Query) => NAMED,
        _ => TEXTS,
    };
    let default = words.first().map(|(_, default)| *default)?;
    let compare = fields.optional("compare", default, fields::word(words));
    let values = fields.optional_list("values", VALUES_MAX, |given| value(kind, compare, given));
    let invert = fields.optional("invert", false, fields::boolean);
    let (kind, compare) = (kind?, compare?);
    if matches!(kind, Subject::Header | Subject::Cookie | Subject::Query) && matches!(key, Some(None)) {
        fields.fault("key", Fault::new("required", "which one? `key` is missing"));
        return None;
    }
    match (compare, values.as_ref()?.is_empty()) {
        (Compare::Present, false) => {
            fields.fault("values", Fault::new("invalid", "`present` compares with nothing"));
            return None;
        }
        (Compare::Present, true) | (_, false) => {}
        (_, true) => {
            fields.fault("values", Fault::new("required", "want something to compare with"));
            return None;
        }
    }
    Some(Rule { kind, key: key?, compare, values: values?, invert: invert? })
}

fn key(kind: Option<Subject>, value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=256)(value)?;
    match kind {
        Some(Subject::Header) => header_name(&text),
        // RFC 6265, 4.1.1: a token.
        Some(Subject::Cookie) => {
            let well = HeaderName::from_bytes(text.as_bytes()).is_ok();
            if well { Ok(text) } else { Err(Fault::new("invalid", "want the name of a cookie")) }
        }
        Some(Subject::Query) | None => Ok(text),
        Some(_) => Err(Fault::new("invalid", "only for header, cookie and query")),
    }
}

/// The name of a field, in lower case.
pub(super) fn header_name(text: &str) -> Result<String, Fault> {
    let name = HeaderName::from_bytes(text.as_bytes());
    name.map(|name| name.as_str().to_owned())
        .map_err(|_| Fault::new("invalid", "want the name of a header field"))
}

fn value(kind: Option<Subject>, compare: Option<Compare>, value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=TEXT_MAX)(value)?;
    match (kind, compare) {
        (_, Some(Compare::Regex)) => pattern(&text).map(|()| text),
        (Some(Subject::Source), _) => fields::network(value).map(|network| network.to_string()),
        (Some(Subject::Method), _) => {
            let method = Method::from_bytes(text.as_bytes());
            method.map(|_| text).map_err(|_| Fault::new("invalid", "want a method, as GET"))
        }
        (Some(Subject::Host | Subject::Sni), _) => Ok(text.to_ascii_lowercase()),
        (Some(Subject::Path), Some(Compare::Exact | Compare::Prefix)) if !text.starts_with('/') => {
            Err(Fault::new("invalid", "a path begins with `/`"))
        }
        _ => Ok(text),
    }
}

/// Refuses what is no pattern, or becomes too large: the plane makes it in the same way.
pub(super) fn pattern(text: &str) -> Result<(), Fault> {
    match RegexBuilder::new(text).size_limit(PATTERN_SIZE).build() {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => {
            Err(Fault::new("out_of_range", "the pattern is too large: it repeats too much"))
        }
        Err(error) => {
            let words = error.to_string();
            let last = words.lines().last().unwrap_or_default().trim_start_matches("error: ");
            Err(Fault::new("invalid", format!("this is not a regular expression: {last}")))
        }
    }
}
