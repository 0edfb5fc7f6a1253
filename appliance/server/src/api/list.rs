//! Lists as they are asked for: `limit`, `cursor`, `sort`, and filters that are joined by AND.

use axum::http::Uri;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::FieldError;
use crate::store::{
    COMMON_FILTERS, COMMON_SORTS, Cursor, Filter, FilterKind, FilterValue, ListQuery, PROJECT_FILTER, Sort,
    Table,
};

/// How many items come on a page where nobody says.
pub(crate) const LIMIT_DEFAULT: u32 = 50;
/// The longest text that a list can be filtered by.
pub(crate) const TEXT_MAX: usize = 1024;
/// The greatest number that a list can be filtered by.
pub(crate) const NUMBER_MAX: i64 = 65535;
/// How many come at most.
pub(crate) const LIMIT_MAX: u32 = 500;

/// A cursor with the order that it belongs to: in another order it would point nowhere.
#[derive(Serialize, Deserialize)]
struct Opaque {
    sort: String,
    after: Cursor,
}

/// What a list of `K` can be filtered by.
pub(crate) fn filters<K: Table>() -> impl Iterator<Item = Filter> {
    let project = if K::OWNER.is_said() { PROJECT_FILTER } else { &[] };
    COMMON_FILTERS.iter().chain(project).chain(K::FILTERS).copied()
}

/// What a list of `K` can be sorted by.
pub(crate) fn sorts<K: Table>() -> impl Iterator<Item = &'static str> {
    COMMON_SORTS.iter().chain(K::SORTS).copied()
}

/// Reads the query of `uri`, or says everything that is wrong with it.
pub(crate) fn parse<K: Table>(uri: &Uri) -> Result<ListQuery, Vec<FieldError>> {
    let mut query = ListQuery {
        limit: LIMIT_DEFAULT,
        sort: Sort { key: "created_at", descending: false },
        after: None,
        filters: Vec::new(),
    };
    let mut cursor = None;
    let mut faults = Vec::new();
    for (key, value) in pairs(uri) {
        let parsed = match key.as_str() {
            "limit" => limit(&value).map(|limit| query.limit = limit),
            "sort" => sort::<K>(&value).map(|sort| query.sort = sort),
            "cursor" => opaque(&value).map(|opaque| cursor = Some(opaque)),
            key => filter::<K>(key, value).map(|filter| query.filters.push(filter)),
        };
        if let Err((code, detail)) = parsed {
            faults.push(FieldError::new(format!("?{key}"), code, detail));
        }
    }
    if let Some(Opaque { sort, after }) = cursor {
        if sort == name(query.sort) {
            query.after = Some(after);
        } else {
            faults.push(FieldError::new("?cursor", "invalid", "this cursor belongs to another order"));
        }
    }
    if faults.is_empty() { Ok(query) } else { Err(faults) }
}

/// The address of the page that begins at `cursor`: `uri` with everything else unchanged.
pub(crate) fn next_link(uri: &Uri, query: &ListQuery, cursor: Cursor) -> Result<String, serde_json::Error> {
    let opaque = Opaque { sort: name(query.sort), after: cursor };
    Ok(link_with(uri, &URL_SAFE_NO_PAD.encode(serde_json::to_vec(&opaque)?)))
}

/// `uri` with this cursor and everything else unchanged.
pub(super) fn link_with(uri: &Uri, cursor: &str) -> String {
    let mut link = format!("{}?", uri.path());
    for part in uri.query().unwrap_or_default().split('&') {
        if !part.is_empty() && part.split('=').next() != Some("cursor") {
            link.push_str(part);
            link.push('&');
        }
    }
    link.push_str("cursor=");
    link.push_str(cursor);
    link
}

pub(super) type Fault = (&'static str, String);

/// Has `take` take each parameter of `uri`, and names those that it refuses.
pub(super) fn read<Q>(
    uri: &Uri,
    mut query: Q,
    take: impl Fn(&mut Q, &str, &str) -> Result<(), Fault>,
) -> Result<Q, Vec<FieldError>> {
    let mut faults = Vec::new();
    for (name, value) in pairs(uri) {
        if let Err((code, detail)) = take(&mut query, &name, &value) {
            faults.push(FieldError::new(format!("?{name}"), code, detail));
        }
    }
    if faults.is_empty() { Ok(query) } else { Err(faults) }
}

pub(super) fn limit(value: &str) -> Result<u32, Fault> {
    let limit = value.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| ("out_of_range", format!("want a whole number from 1 to {LIMIT_MAX}")))
}

fn sort<K: Table>(value: &str) -> Result<Sort, Fault> {
    let (key, direction) = value.split_once(':').unwrap_or((value, "asc"));
    let key = sorts::<K>().find(|known| *known == key);
    match (key, direction) {
        (Some(key), "asc") => Ok(Sort { key, descending: false }),
        (Some(key), "desc") => Ok(Sort { key, descending: true }),
        _ => {
            let keys = sorts::<K>().collect::<Vec<_>>().join(", ");
            Err(("invalid", format!("want one of {keys}, with :asc or :desc")))
        }
    }
}

fn name(Sort { key, descending }: Sort) -> String {
    format!("{key}:{}", if descending { "desc" } else { "asc" })
}

fn opaque(value: &str) -> Result<Opaque, Fault> {
    let bytes = URL_SAFE_NO_PAD.decode(value).ok();
    let opaque = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    opaque.ok_or_else(|| ("invalid", "this is no cursor of this list".to_owned()))
}

fn filter<K: Table>(key: &str, value: String) -> Result<(Filter, FilterValue), Fault> {
    let Some(filter) = filters::<K>().find(|filter| filter.key == key) else {
        let keys = filters::<K>().map(|filter| filter.key).collect::<Vec<_>>().join(", ");
        return Err(("unknown_parameter", format!("want limit, cursor, sort, or one of {keys}")));
    };
    let value = match filter.kind {
        FilterKind::Text => FilterValue::Text(short(value)?),
        FilterKind::Boolean => match value.as_str() {
            "true" => FilterValue::Number(1),
            "false" => FilterValue::Number(0),
            _ => return Err(("wrong_type", "want true or false".to_owned())),
        },
        FilterKind::Number => {
            let number: i64 = value.parse().map_err(|_| ("wrong_type", "want a whole number".to_owned()))?;
            if !(0..=NUMBER_MAX).contains(&number) {
                return Err(("out_of_range", format!("want a whole number from 0 to {NUMBER_MAX}")));
            }
            FilterValue::Number(number)
        }
    };
    Ok((filter, value))
}

/// A text that is not longer than the description says.
pub(super) fn short(value: String) -> Result<String, Fault> {
    if value.chars().count() <= TEXT_MAX {
        return Ok(value);
    }
    Err(("too_long", format!("want at most {TEXT_MAX} characters")))
}

pub(super) fn pairs(uri: &Uri) -> Vec<(String, String)> {
    // Every text is some list of pairs (WHATWG URL, application/x-www-form-urlencoded parsing).
    axum::extract::Query::try_from_uri(uri).map(|axum::extract::Query(pairs)| pairs).unwrap_or_default()
}
