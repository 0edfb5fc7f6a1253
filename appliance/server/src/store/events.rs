//! What the appliance noticed: numbered, kept for a while, and told to whoever listens.

use serde::Serialize;
use serde_json::Value;
use sqlx::{FromRow, SqliteConnection};
use utoipa::ToSchema;

use super::columns::Word;
use super::list::{Filter, FilterKind};
use super::log::Log;
use super::{Store, StoreError};
use crate::domain::{NewEvent, Severity, Timestamp};

/// So many are kept; the oldest make room.
const KEPT: i64 = 20_000;

/// Something that happened.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct Event {
    /// Its number: later ones have greater ones.
    #[schema(minimum = 1, example = 42)]
    pub(crate) id: i64,
    /// When it happened.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    pub(crate) at: Timestamp,
    /// What kind of thing, for programs.
    #[schema(max_length = 64, example = "configuration.changed")]
    pub(crate) kind: String,
    /// How much somebody should care.
    #[schema(value_type = Severity)]
    #[sqlx(try_from = "Word<Severity>")]
    severity: Severity,
    /// A sentence for people.
    #[schema(max_length = 4096, example = "admin changed pool `web`")]
    message: String,
    /// The kind of resource that it is about; null where it is about none.
    #[schema(max_length = 64, example = "pools", required)]
    resource: Option<String>,
    /// Which one.
    #[schema(max_length = 64, example = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f", required)]
    resource_id: Option<String>,
    /// The same for programs: what is in it depends on `kind`.
    #[sqlx(json)]
    data: Value,
}

impl From<Word<Severity>> for Severity {
    fn from(Word(severity): Word<Severity>) -> Self {
        severity
    }
}

impl Log for Event {
    const TABLE: &'static str = "events";
    const KEY: &'static str = "id";
    const SELECT: &'static str = "id, at, kind, severity, message, resource, resource_id, data";
    const FILTERS: &'static [Filter] = &[
        Filter { key: "kind", kind: FilterKind::Text, sql: "kind = ?" },
        Filter { key: "severity", kind: FilterKind::Text, sql: "severity = ?" },
        Filter { key: "resource", kind: FilterKind::Text, sql: "resource = ?" },
        Filter { key: "resource_id", kind: FilterKind::Text, sql: "resource_id = ?" },
    ];

    fn key(&self) -> i64 {
        self.id
    }
}

impl Store {
    /// Writes these down, and wakes who listens.
    pub(crate) async fn append_events(&self, events: &[NewEvent]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let mut last = 0;
        for event in events {
            last = insert(event, &mut transaction).await?;
        }
        transaction.commit().await?;
        self.events.send_replace(last);
        Ok(())
    }

    /// At most `limit` that came after the one with this number, oldest first.
    pub(crate) async fn events_after(&self, id: i64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let query = format!("SELECT {} FROM events WHERE id > ? ORDER BY id LIMIT ?", Event::SELECT);
        let query = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(id).bind(limit);
        Ok(query.fetch_all(&self.readers).await?)
    }

    /// The number of the last one, and a word whenever there is a later one.
    pub(crate) fn last_event(&self) -> tokio::sync::watch::Receiver<i64> {
        self.events.subscribe()
    }
}

/// The number of the last event that was written.
pub(super) async fn last(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM events").fetch_one(connection).await
}

/// Writes one down, and gives its number.
pub(super) async fn insert(event: &NewEvent, connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let NewEvent { kind, severity, message, about, data } = event;
    let (resource, resource_id) = about.as_ref().map(|(resource, id)| (*resource, id.as_str())).unzip();
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO events (at, kind, severity, message, resource, resource_id, data)
         VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
    )
    .bind(Timestamp::now())
    .bind(*kind)
    .bind(Word(severity))
    .bind(message)
    .bind(resource)
    .bind(resource_id)
    .bind(sqlx::types::Json(data))
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM events WHERE id <= ?").bind(id - KEPT).execute(connection).await?;
    Ok(id)
}
