//! Every accepted change of the configuration: who, why, and what it did.

use lb_model::Generation;
use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{FromRow, SqliteConnection};
use utoipa::ToSchema;

use super::list::{Filter, FilterKind};
use super::log::Log;
use super::{Store, StoreError, kinds};
use crate::domain::{Author, Delta, Timestamp};

/// So many are kept; the oldest make room.
const KEPT: u64 = 10_000;

/// An accepted change of the configuration.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct RevisionEntry {
    /// The number that it gave to the whole configuration.
    #[schema(minimum = 1, example = 7)]
    pub(crate) generation: i64,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    at: Timestamp,
    /// Whose it is; null if the appliance itself made it.
    #[schema(max_length = 36, example = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f", required)]
    author_id: Option<String>,
    /// What they were called then.
    #[schema(max_length = 64, example = "admin")]
    author: String,
    /// Why, in their words.
    #[schema(max_length = 1024, example = "more room for the sale")]
    comment: String,
    /// When it is reverted unless somebody confirms it; null where it stays.
    #[schema(value_type = Option<String>, format = DateTime, max_length = 35, required)]
    confirm_by: Option<Timestamp>,
    /// How many resources it changed.
    #[schema(minimum = 1, example = 1)]
    size: i64,
}

impl Log for RevisionEntry {
    const TABLE: &'static str = "revisions t";
    const KEY: &'static str = "generation";
    const SELECT: &'static str = "generation, at, author_id, author, comment,
        (SELECT deadline FROM confirmations c WHERE c.generation = t.generation) AS confirm_by,
        (SELECT count(*) FROM revision_changes c WHERE c.generation = t.generation) AS size";
    const FILTERS: &'static [Filter] = &[
        Filter { key: "author", kind: FilterKind::Text, sql: "author = ?" },
        Filter {
            key: "resource_id",
            kind: FilterKind::Text,
            sql: "generation IN (SELECT generation FROM revision_changes WHERE resource_id = ?)",
        },
    ];

    fn key(&self) -> i64 {
        self.generation
    }
}

/// A row of what a revision changed.
#[derive(FromRow)]
struct DeltaRow {
    resource: String,
    resource_id: String,
    parent_id: Option<String>,
    before: Option<sqlx::types::Json<Map<String, Value>>>,
    after: Option<sqlx::types::Json<Map<String, Value>>>,
}

impl Store {
    /// What the revision that gave this number changed, in its order.
    pub(crate) async fn revision_deltas(&self, generation: i64) -> Result<Vec<Delta>, StoreError> {
        deltas_of(generation, &mut *self.readers.acquire().await?).await
    }
}

/// What the revision that gave this number changed, in its order.
pub(super) async fn deltas_of(
    generation: i64,
    connection: &mut SqliteConnection,
) -> Result<Vec<Delta>, StoreError> {
    let rows: Vec<DeltaRow> = sqlx::query_as(
        "SELECT resource, resource_id, parent_id, before, after FROM revision_changes
         WHERE generation = ? ORDER BY position",
    )
    .bind(generation)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(delta).collect())
}

/// A kind that this version does not know any more cannot be shown, nor brought back.
fn delta(DeltaRow { resource, resource_id, parent_id, before, after }: DeltaRow) -> Option<Delta> {
    let document = |json: Option<sqlx::types::Json<_>>| json.map(|sqlx::types::Json(document)| document);
    Some(Delta {
        resource: kinds::find(&resource)?.word(),
        id: resource_id,
        parent_id,
        before: document(before),
        after: document(after),
    })
}

/// Whether everything that came after the configuration had this number is still known.
pub(super) async fn is_kept(
    generation: i64,
    current: i64,
    connection: &mut SqliteConnection,
) -> Result<bool, StoreError> {
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM revisions WHERE generation > ?")
        .bind(generation)
        .fetch_one(connection)
        .await?;
    Ok(kept == current - generation)
}

/// The revision is reverted after so many seconds unless somebody confirms it.
pub(super) async fn to_be_confirmed(
    generation: Generation,
    seconds: u32,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO confirmations (generation, deadline) VALUES (?, ?)")
        .bind(generation.0.cast_signed())
        .bind(Timestamp::now().plus_seconds(seconds))
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes down the revision that gives this number.
pub(super) async fn append(
    generation: Generation,
    author: &Author,
    deltas: &[Delta],
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let number = generation.0.cast_signed();
    sqlx::query("INSERT INTO revisions (generation, at, author_id, author, comment) VALUES (?, ?, ?, ?, ?)")
        .bind(number)
        .bind(Timestamp::now())
        .bind(author.id.map(|id| id.to_string()))
        .bind(&author.name)
        .bind(&author.comment)
        .execute(&mut *connection)
        .await?;
    let configured = deltas.iter().filter(|delta| kinds::is_configuration(delta.resource));
    for (position, Delta { resource, id, parent_id, before, after }) in (0i64..).zip(configured) {
        sqlx::query(
            "INSERT INTO revision_changes (generation, position, resource, resource_id, parent_id, before, after)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(number)
        .bind(position)
        .bind(*resource)
        .bind(id)
        .bind(parent_id)
        .bind(before.as_ref().map(sqlx::types::Json))
        .bind(after.as_ref().map(sqlx::types::Json))
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query("DELETE FROM revisions WHERE generation <= ?")
        .bind(generation.0.saturating_sub(KEPT).cast_signed())
        .execute(connection)
        .await?;
    Ok(())
}
