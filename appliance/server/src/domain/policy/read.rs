//! Where a request ends up: pools, elsewhere, an answer that stands here, or nowhere.

use http::HeaderValue;
use http::uri::{Authority, PathAndQuery};
use lb_model::policy::{LimitKey, Mirror, RateLimit, Redirect, Reject, Respond, UriScheme, WeightedPool};
use lb_model::snapshot::Weight;
use serde_json::Value;

use super::fields::{self, Fault, Fields};
use super::rule::header_name;

/// The most characters of a host, a path, a header's value.
pub(super) const TEXT_MAX: usize = 1024;
/// The longest body that stands in the configuration.
const BODY_MAX: usize = 64 << 10;

const KEYS: &[(&str, LimitKey)] =
    &[("service", LimitKey::Service), ("source", LimitKey::Source), ("header", LimitKey::Header)];
const SCHEMES: &[(&str, UriScheme)] = &[("http", UriScheme::Http), ("https", UriScheme::Https)];

pub(super) fn pool(fields: &mut Fields<'_>) -> Option<WeightedPool> {
    let pool_id = fields.required("pool_id", fields::id);
    let weight = fields.optional("weight", Weight::default(), fields::weight);
    Some(WeightedPool { pool_id: pool_id?, weight: weight? })
}

pub(super) fn mirror(fields: &mut Fields<'_>) -> Option<Mirror> {
    let pool_id = fields.required("pool_id", fields::id);
    let percent = fields.optional("percent", 100, fields::number(1, 100));
    Some(Mirror { pool_id: pool_id?, percent: percent? })
}

pub(super) fn redirect(fields: &mut Fields<'_>) -> Option<Redirect> {
    let scheme = fields.nullable("scheme", fields::word(SCHEMES));
    let host = fields.nullable("host", host);
    let port = fields.nullable("port", fields::port);
    let path = fields.nullable("path", path);
    let keep_query = fields.optional("keep_query", true, fields::boolean);
    let code = fields.optional("code", 302, code(&[301..=303, 307..=308]));
    Some(Redirect {
        scheme: scheme?,
        host: host?,
        port: port?,
        path: path?,
        keep_query: keep_query?,
        code: code?,
    })
}

pub(super) fn respond(fields: &mut Fields<'_>) -> Option<Respond> {
    let code = fields.optional("code", 200, code(&[200..=599]));
    let content_type = fields.optional("content_type", "text/plain".to_owned(), header_value);
    let body = fields.optional("body", String::new(), body);
    Some(Respond { code: code?, content_type: content_type?, body: body? })
}

pub(super) fn reject(fields: &mut Fields<'_>) -> Option<Reject> {
    Some(Reject { code: fields.optional("code", 403, code(&[400..=599]))? })
}

pub(super) fn rate_limit(fields: &mut Fields<'_>) -> Option<RateLimit> {
    let requests = fields.required("requests", fields::number(1, 1_000_000));
    let per_s = fields.optional("per_s", 1, fields::number(1, 86_400));
    let burst = fields.nullable("burst", fields::number(1, 1_000_000));
    let key = fields.optional("key", LimitKey::Source, fields::word(KEYS));
    let header = fields.nullable("header", |value| match key {
        None | Some(LimitKey::Header) => header_name(&fields::text(1..=256)(value)?),
        Some(_) => Err(Fault::new("invalid", "only for the key `header`")),
    });
    if key == Some(LimitKey::Header) && header == Some(None) {
        fields.fault("header", Fault::new("required", "which one? `header` is missing"));
        return None;
    }
    Some(RateLimit { requests: requests?, per_s: per_s?, burst: burst?, key: key?, header: header? })
}

fn code(ranges: &'static [std::ops::RangeInclusive<u16>]) -> impl Fn(&Value) -> Result<u16, Fault> {
    move |value| {
        let number = fields::number(100, 599)(value)?;
        let code = u16::try_from(number).ok().filter(|code| ranges.iter().any(|range| range.contains(code)));
        code.ok_or_else(|| {
            let words: Vec<_> =
                ranges.iter().map(|range| format!("{} to {}", range.start(), range.end())).collect();
            Fault::new("out_of_range", format!("want {}", words.join(" or ")))
        })
    }
}

/// A name or address, without a port.
pub(super) fn host(value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=253)(value)?.to_ascii_lowercase();
    let authority = text.parse::<Authority>().ok();
    let plain = authority.is_some_and(|authority| authority.host() == text);
    if plain {
        Ok(text)
    } else {
        Err(Fault::new("invalid", "want a host name or an address, without a port"))
    }
}

/// A path as it stands in a request, without a query.
pub(super) fn path(value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=TEXT_MAX)(value)?;
    let well = text.starts_with('/') && !text.contains(['?', '#']) && text.parse::<PathAndQuery>().is_ok();
    if well {
        Ok(text)
    } else {
        Err(Fault::new("invalid", "want a path, as /shop/cart, percent-encoded where needed"))
    }
}

/// What may stand in a header field.
pub(super) fn header_value(value: &Value) -> Result<String, Fault> {
    let text = fields::text(0..=TEXT_MAX)(value)?;
    let well = text.trim() == text && text.is_ascii() && HeaderValue::from_str(&text).is_ok();
    if well { Ok(text) } else { Err(Fault::new("invalid", "want ASCII, without a blank at its ends")) }
}

/// Any text, lines included.
fn body(value: &Value) -> Result<String, Fault> {
    let text = value.as_str().ok_or_else(|| Fault::new("wrong_type", "want a text"))?;
    if text.len() > BODY_MAX {
        return Err(Fault::new("out_of_range", format!("want {BODY_MAX} bytes at most")));
    }
    Ok(text.to_owned())
}
