//! Lists: filtered, sorted, and cut into pages that stay whole while others write.
//!
//! A page ends with a cursor: the sort key and identifier of its last row. The next page begins after these, wherever
//! they are by then, so that nothing is shown twice or skipped because of an insertion or deletion elsewhere.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::table::{record, select, within};
use super::{Store, StoreError, Table};
use crate::domain::{Record, Scope};

/// Something that a list can be filtered by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filter {
    /// What it is called in the query.
    pub(crate) key: &'static str,
    /// What a value must look like.
    pub(crate) kind: FilterKind,
    /// SQL that is true for rows to keep; the value takes the place of `?`, and what a kind is searched by that of `{}`.
    pub(crate) sql: &'static str,
}

/// What the value of a filter must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilterKind {
    /// Any text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Number,
}

/// What every list can be filtered by.
pub(crate) const COMMON_FILTERS: &[Filter] = &[
    Filter { key: "name", kind: FilterKind::Text, sql: "t.name = ?" },
    Filter { key: "enabled", kind: FilterKind::Boolean, sql: "t.enabled = ?" },
    Filter {
        key: "tags",
        kind: FilterKind::Text,
        sql: "EXISTS (SELECT 1 FROM json_each(t.tags) WHERE value = ?)",
    },
    Filter {
        key: "not_tags",
        kind: FilterKind::Text,
        sql: "NOT EXISTS (SELECT 1 FROM json_each(t.tags) WHERE value = ?)",
    },
    Filter {
        key: "q",
        kind: FilterKind::Text,
        sql: "instr(lower(concat_ws(char(10), t.name, t.description, t.tags, {})), lower(?)) > 0",
    },
];

/// What every list can be filtered by of which each belongs to a project.
pub(crate) const PROJECT_FILTER: &[Filter] =
    &[Filter { key: "project_id", kind: FilterKind::Text, sql: "t.project_id = ?" }];

/// What every list can be sorted by.
pub(crate) const COMMON_SORTS: &[&str] = &["name", "created_at", "updated_at"];

/// The value of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FilterValue {
    /// Compared as text.
    Text(String),
    /// Compared as a number; true is 1.
    Number(i64),
}

/// By what, and in which direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sort {
    /// A column.
    pub(crate) key: &'static str,
    /// The greatest first.
    pub(crate) descending: bool,
}

/// Where a page begins: after this row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// The value of the sort key.
    pub(crate) value: Value,
    /// The identifier.
    pub(crate) id: String,
}

/// Which part of a list is wanted.
#[derive(Clone, Debug)]
pub(crate) struct ListQuery {
    /// How many at most.
    pub(crate) limit: u32,
    /// In which order.
    pub(crate) sort: Sort,
    /// From where on.
    pub(crate) after: Option<Cursor>,
    /// Those that pass all of these.
    pub(crate) filters: Vec<(Filter, FilterValue)>,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub(crate) struct Page<R> {
    /// What is on it.
    pub(crate) records: Vec<R>,
    /// Where the next one begins, if there is one.
    pub(crate) next: Option<Cursor>,
}

impl Store {
    /// A page of what belongs to `parent` and is seen in this scope.
    pub(crate) async fn list<K: Table>(
        &self,
        (scope, parent): (Scope, K::Parent),
        query: &ListQuery,
    ) -> Result<Page<Record<K>>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        K::check_parent(scope, parent, &mut connection).await?;
        let mut rows = page_query::<K>(scope, parent, query).build().fetch_all(&mut *connection).await?;
        let limit = query.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = match rows.last() {
            Some(last) if more => Some(Cursor {
                value: serde_json::from_str(last.try_get("sort_value")?)?,
                id: last.try_get("id")?,
            }),
            _ => None,
        };
        Ok(Page { records: rows.iter().map(record).collect::<Result<_, _>>()?, next })
    }
}

fn page_query<K: Table>(scope: Scope, parent: K::Parent, query: &ListQuery) -> QueryBuilder<Sqlite> {
    let ListQuery { limit, sort: Sort { key, descending }, after, filters } = query;
    let mut sql = QueryBuilder::new(format!("SELECT json_quote({key}) AS sort_value, * FROM ("));
    sql.push(select::<K>().sql().as_str());
    within::<K>(scope, parent, &mut sql);
    for (filter, value) in filters {
        sql.push(" AND ");
        push_filter(filter.sql.replace("{}", K::SEARCHED).as_str(), value, &mut sql);
    }
    sql.push(") WHERE TRUE");
    if let Some(after) = after {
        let beyond = if *descending { '<' } else { '>' };
        sql.push(format_args!(" AND ({key}, id) {beyond} ("));
        match &after.value {
            Value::Number(number) => sql.push_bind(number.as_i64()),
            other => sql.push_bind(other.as_str().map(str::to_owned)),
        };
        sql.push(", ").push_bind(after.id.clone()).push(")");
    }
    let direction = if *descending { "DESC" } else { "ASC" };
    sql.push(format_args!(" ORDER BY {key} {direction}, id {direction} LIMIT {}", limit + 1));
    sql
}

pub(super) fn push_filter(filter: &str, value: &FilterValue, sql: &mut QueryBuilder<Sqlite>) {
    let (before, after) = filter.split_once('?').unwrap_or((filter, ""));
    sql.push(before);
    match value {
        FilterValue::Text(text) => sql.push_bind(text.clone()),
        FilterValue::Number(number) => sql.push_bind(*number),
    };
    sql.push(after);
}
