//! What is changed about a request and its answer.

use http::header;
use lb_model::policy::{Compare, HeaderChange, HeaderVerb, PathRewrite, Rewrite};
use serde_json::Value;

use super::fields::{self, Fault, Fields};
use super::read::{self, TEXT_MAX};
use super::rule::{header_name, pattern};

/// The most fields that are changed.
const CHANGES_MAX: usize = 32;

const VERBS: &[(&str, HeaderVerb)] =
    &[("set", HeaderVerb::Set), ("add", HeaderVerb::Add), ("remove", HeaderVerb::Remove)];
const COMPARES: &[(&str, Compare)] = &[("prefix", Compare::Prefix), ("regex", Compare::Regex)];

/// By these fields a message is framed and passed on: they are the proxy's own.
const OWN: &[header::HeaderName] = &[
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Rewrite> {
    let path = fields.nullable_object("path", path);
    let host = fields.nullable("host", read::host);
    let request_headers = fields.objects("request_headers", CHANGES_MAX, change);
    let response_headers = fields.objects("response_headers", CHANGES_MAX, change);
    let rewrite = Rewrite {
        path: path?,
        host: host?,
        request_headers: request_headers?,
        response_headers: response_headers?,
    };
    if rewrite == Rewrite::default() {
        fields.fault("path", Fault::new("required", "want something to change, or null for the whole"));
        return None;
    }
    Some(rewrite)
}

fn path(fields: &mut Fields<'_>) -> Option<PathRewrite> {
    let compare = fields.optional("compare", Compare::Prefix, fields::word(COMPARES));
    let by_prefix = compare == Some(Compare::Prefix);
    let from = fields.required("from", |value| {
        if by_prefix {
            return read::path(value);
        }
        let text = fields::text(1..=TEXT_MAX)(value)?;
        pattern(&text).map(|()| text)
    });
    let to = fields.required("to", |value| if by_prefix { read::path(value) } else { replacement(value) });
    Some(PathRewrite { compare: compare?, from: from?, to: to? })
}

/// What takes a pattern's place: what the client wrote comes in by its groups, already fit for a path.
fn replacement(value: &Value) -> Result<String, Fault> {
    let text = fields::text(0..=TEXT_MAX)(value)?;
    let well = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\"<>".contains(&byte));
    if well {
        Ok(text)
    } else {
        Err(Fault::new("invalid", "want a path, percent-encoded where needed; `$1` is the first group"))
    }
}

fn change(fields: &mut Fields<'_>) -> Option<HeaderChange> {
    let verb = fields.required("change", fields::word(VERBS));
    let name = fields.required("name", |value| {
        let name = header_name(&fields::text(1..=256)(value)?)?;
        if OWN.iter().any(|own| own.as_str() == name) {
            return Err(Fault::new(
                "invalid",
                "this field is the proxy's own; for `host` there is `rewrite.host`",
            ));
        }
        Ok(name)
    });
    let value = fields.nullable("value", read::header_value);
    let (verb, value) = (verb?, value?);
    match (verb, &value) {
        (HeaderVerb::Remove, Some(_)) => {
            fields.fault("value", Fault::new("invalid", "what is removed has no value"));
            None
        }
        (HeaderVerb::Set | HeaderVerb::Add, None) => {
            fields.fault("value", Fault::new("required", "want a value"));
            None
        }
        _ => Some(HeaderChange { change: verb, name: name?, value }),
    }
}
