//! What is only ever added to: events, audit, revisions. Lists of it begin with the newest.

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder};
use utoipa::ToSchema;

use super::list::{Filter, FilterValue, push_filter};
use super::{Store, StoreError};

/// A line of a log.
pub(crate) trait Log:
    Serialize + ToSchema + for<'r> FromRow<'r, SqliteRow> + Send + Sync + Unpin + 'static
{
    /// The table.
    const TABLE: &'static str;
    /// The column that numbers its lines.
    const KEY: &'static str;
    /// What is selected.
    const SELECT: &'static str;
    /// What a list can be filtered by.
    const FILTERS: &'static [Filter];

    /// The number of this line.
    fn key(&self) -> i64;
}

/// Which part of a log is wanted.
#[derive(Clone, Debug)]
pub(crate) struct LogQuery {
    /// How many lines at most.
    pub(crate) limit: u32,
    /// Only lines with smaller numbers.
    pub(crate) before: Option<i64>,
    /// Only lines that pass all of these.
    pub(crate) filters: Vec<(Filter, FilterValue)>,
}

impl Store {
    /// The newest lines that are wanted, and whether there are more.
    pub(crate) async fn log<L: Log>(&self, query: &LogQuery) -> Result<(Vec<L>, bool), StoreError> {
        let LogQuery { limit, before, filters } = query;
        let mut sql = QueryBuilder::new(format!("SELECT {} FROM {} WHERE TRUE", L::SELECT, L::TABLE));
        if let Some(before) = before {
            sql.push(format_args!(" AND {} < ", L::KEY)).push_bind(*before);
        }
        for (filter, value) in filters {
            sql.push(" AND ");
            push_filter(filter.sql, value, &mut sql);
        }
        sql.push(format_args!(" ORDER BY {} DESC LIMIT {}", L::KEY, limit + 1));
        let mut lines: Vec<L> = sql.build_query_as().fetch_all(&self.readers).await?;
        let more = lines.len() > *limit as usize;
        lines.truncate(*limit as usize);
        Ok((lines, more))
    }

    /// The line with this number.
    pub(crate) async fn log_line<L: Log>(&self, key: i64) -> Result<Option<L>, StoreError> {
        let sql = format!("SELECT {} FROM {} WHERE {} = ", L::SELECT, L::TABLE, L::KEY);
        Ok(QueryBuilder::new(sql).push_bind(key).build_query_as().fetch_optional(&self.readers).await?)
    }
}
