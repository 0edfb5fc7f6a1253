//! Who did what, from where, and whether it was let. Lines are only ever added, and each line's hash covers the line
//! before it: whoever alters one must alter all that follow, and the last hash is known elsewhere.

use lb_model::Generation;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{FromRow, SqliteConnection};
use utoipa::ToSchema;

use super::columns::Word;
use super::list::{Filter, FilterKind};
use super::log::Log;
use super::{Store, StoreError};
use crate::domain::revision::sha256;
use crate::domain::{Author, Change, Delta, Timestamp};

/// Whether something was let.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Succeeded,
    Denied,
}

/// A line of the audit log.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub(crate) struct AuditEntry {
    /// Its number: one more than that of the line before.
    #[schema(minimum = 1, example = 42)]
    id: i64,
    /// When it happened.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    at: Timestamp,
    /// The user; null if it was the appliance itself, or somebody who is not signed in.
    #[schema(max_length = 36, example = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f", required)]
    actor_id: Option<String>,
    /// What they were called then.
    #[schema(max_length = 64, example = "admin")]
    actor: String,
    /// The address that it came from.
    #[schema(max_length = 45, example = "192.0.2.7", required)]
    source: Option<String>,
    /// What was done or tried.
    #[schema(max_length = 64, example = "configuration.change")]
    action: String,
    /// Whether it was let.
    #[schema(value_type = Outcome)]
    #[sqlx(try_from = "Word<Outcome>")]
    outcome: Outcome,
    /// What exactly: for a change the `generation`, the `comment` and the `changes`, without secrets.
    #[sqlx(json)]
    details: Value,
    /// SHA-256 over this line and the hash of the line before.
    #[schema(
        min_length = 64,
        max_length = 64,
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    )]
    hash: String,
}

impl From<Word<Outcome>> for Outcome {
    fn from(Word(outcome): Word<Outcome>) -> Self {
        outcome
    }
}

impl Log for AuditEntry {
    const TABLE: &'static str = "audit";
    const KEY: &'static str = "id";
    const SELECT: &'static str = "id, at, actor_id, actor, source, action, outcome, details, hash";
    const FILTERS: &'static [Filter] = &[
        Filter { key: "actor", kind: FilterKind::Text, sql: "actor = ?" },
        Filter { key: "actor_id", kind: FilterKind::Text, sql: "actor_id = ?" },
        Filter { key: "source", kind: FilterKind::Text, sql: "source = ?" },
        Filter { key: "action", kind: FilterKind::Text, sql: "action = ?" },
        Filter { key: "outcome", kind: FilterKind::Text, sql: "outcome = ?" },
    ];

    fn key(&self) -> i64 {
        self.id
    }
}

impl AuditEntry {
    /// What the hash should be, given that of the line before.
    fn expected_hash(&self, before: &str) -> Result<String, serde_json::Error> {
        let Self { id, at, actor_id, actor, source, action, outcome, details, hash: _ } = self;
        let line = json!([before, id, at, actor_id, actor, source, action, outcome, details]);
        Ok(sha256(serde_json::to_string(&line)?.as_bytes()))
    }
}

/// What checking the chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Verification {
    /// Whether every line is as it was written.
    intact: bool,
    /// How many lines were read.
    #[schema(minimum = 0, example = 1200)]
    entries: i64,
    /// The hash of the last good line. Keep it elsewhere: it shows later whether lines are missing at the end.
    #[schema(max_length = 64, example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    head: String,
    /// The number of the first line that is missing or not as it was written; null if all are.
    #[schema(minimum = 1, required)]
    broken_at: Option<i64>,
}

impl Verification {
    /// Whether every line is as it was written.
    pub(crate) fn is_intact(&self) -> bool {
        self.intact
    }
}

impl Store {
    /// Adds a line.
    pub(crate) async fn audit(
        &self,
        author: &Author,
        action: &str,
        outcome: Outcome,
        details: Value,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        append(author, action, outcome, details, &mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Reads the whole log and checks that each line follows from the one before.
    pub(crate) async fn verify_audit(&self) -> Result<Verification, StoreError> {
        const AT_ONCE: i64 = 500;
        let mut connection = self.readers.begin().await?;
        let (mut entries, mut head) = (0, String::new());
        loop {
            let sql = format!("SELECT {} FROM audit WHERE id > ? ORDER BY id LIMIT ?", AuditEntry::SELECT);
            let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(entries).bind(AT_ONCE);
            let lines: Vec<AuditEntry> = query.fetch_all(&mut *connection).await?;
            for line in &lines {
                if line.id != entries + 1 || line.hash != line.expected_hash(&head)? {
                    return Ok(Verification { intact: false, entries, head, broken_at: Some(entries + 1) });
                }
                entries += 1;
                head.clone_from(&line.hash);
            }
            if lines.is_empty() {
                return Ok(Verification { intact: true, entries, head, broken_at: None });
            }
        }
    }
}

/// The line of an accepted change.
pub(super) async fn changed(
    author: &Author,
    generation: Option<Generation>,
    deltas: &[Delta],
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let changes: Vec<Change> = deltas.iter().map(Delta::change).collect();
    let action = if generation.is_some() { "configuration.change" } else { "accounts.change" };
    let details = json!({ "generation": generation, "comment": author.comment, "changes": changes });
    append(author, action, Outcome::Succeeded, details, connection).await
}

/// Adds a line.
pub(super) async fn append(
    author: &Author,
    action: &str,
    outcome: Outcome,
    details: Value,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let last: Option<(i64, String)> = sqlx::query_as("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    let (last, before) = last.unwrap_or_default();
    let mut line = AuditEntry {
        id: last + 1,
        at: Timestamp::now(),
        actor_id: author.id.map(|id| id.to_string()),
        actor: author.name.clone(),
        source: author.source.map(|source| source.to_string()),
        action: action.to_owned(),
        outcome,
        details,
        hash: String::new(),
    };
    line.hash = line.expected_hash(&before)?;
    let AuditEntry { id, at, actor_id, actor, source, action, outcome, details, hash } = line;
    let sql = format!("INSERT INTO audit ({}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", AuditEntry::SELECT);
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(at)
        .bind(actor_id)
        .bind(actor)
        .bind(source)
        .bind(action)
        .bind(Word(outcome))
        .bind(sqlx::types::Json(details))
        .bind(hash)
        .execute(connection)
        .await?;
    Ok(())
}
