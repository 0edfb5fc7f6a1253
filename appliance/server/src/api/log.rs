//! Lists of what is only ever added to, the newest first.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::App;
use super::describe::{Description, parameter, string};
use super::error::Problem;
use super::list::{Fault, LIMIT_DEFAULT, LIMIT_MAX, limit, link_with, pairs, short};
use crate::domain::FieldError;
use crate::store::{Filter, FilterValue, Log, LogQuery};

/// A part of a log.
#[derive(Debug, Serialize)]
pub(super) struct Lines<L> {
    items: Vec<L>,
    next: Option<String>,
}

/// A page of the log.
pub(super) async fn list<L: Log>(State(app): State<App>, uri: Uri) -> Result<Json<Lines<L>>, Problem> {
    let query = parse::<L>(&uri).map_err(Problem::invalid)?;
    let (items, more) = app.store.log::<L>(&query).await?;
    let last = items.last().filter(|_| more).map(L::key);
    let next = last.map(|key| link_with(&uri, &key.to_string()));
    Ok(Json(Lines { items, next }))
}

/// One line of the log.
pub(super) async fn read<L: Log>(
    State(app): State<App>,
    path: Result<Path<i64>, axum::extract::rejection::PathRejection>,
) -> Result<Json<L>, Problem> {
    let Path(key) = path.map_err(|_| Problem::no_route())?;
    let line = app.store.log_line::<L>(key).await?;
    line.map(Json).ok_or_else(Problem::no_route)
}

fn parse<L: Log>(uri: &Uri) -> Result<LogQuery, Vec<FieldError>> {
    let mut query = LogQuery { limit: LIMIT_DEFAULT, before: None, filters: Vec::new() };
    let mut faults = Vec::new();
    for (key, value) in pairs(uri) {
        let parsed = match key.as_str() {
            "limit" => limit(&value).map(|limit| query.limit = limit),
            "cursor" => match value.parse() {
                Ok(before) => {
                    query.before = Some(before);
                    Ok(())
                }
                Err(_) => Err(("invalid", "this is no cursor of this list".to_owned())),
            },
            key => filter::<L>(key, value).map(|filter| query.filters.push(filter)),
        };
        if let Err((code, detail)) = parsed {
            faults.push(FieldError::new(format!("?{key}"), code, detail));
        }
    }
    if faults.is_empty() { Ok(query) } else { Err(faults) }
}

fn filter<L: Log>(key: &str, value: String) -> Result<(Filter, FilterValue), Fault> {
    let Some(filter) = L::FILTERS.iter().find(|filter| filter.key == key) else {
        let keys = L::FILTERS.iter().map(|filter| filter.key).collect::<Vec<_>>().join(", ");
        return Err(("unknown_parameter", format!("want limit, cursor, or one of {keys}")));
    };
    Ok((*filter, FilterValue::Text(short(value)?)))
}

/// The description of the list of a log.
pub(super) fn describe_list<L: Log>(described: Description, schema: &str) -> Description {
    let count = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(LIMIT_MAX))
        .default(Some(LIMIT_DEFAULT.into()));
    let cursor = "Where the page begins: taken from `next` of the page before.";
    let described = described
        .parameter(parameter("limit", ParameterIn::Query, count.build(), "How many items to return at most."))
        .parameter(parameter("cursor", ParameterIn::Query, string(32), cursor));
    L::FILTERS
        .iter()
        .fold(described, |described, filter| {
            let text = format!("Those with this `{}`.", filter.key);
            described.parameter(parameter(filter.key, ParameterIn::Query, string(1024), &text))
        })
        .answer(StatusCode::OK, "A page of the list, the newest first.", Some(schema), &[])
        .fails(&[422])
}

/// The number of a line, in the address.
pub(super) fn number(name: &str, text: &str) -> utoipa::openapi::path::Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(isize::MAX));
    parameter(name, ParameterIn::Path, schema.build(), text).build()
}
