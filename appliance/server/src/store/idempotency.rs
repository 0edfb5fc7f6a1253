//! Requests that may come twice: what the first one created is the answer to the second.

use sqlx::SqliteConnection;

use super::StoreError;
use crate::domain::{Kind, Record, Timestamp};

/// How long an answer is remembered.
const KEPT_HOURS: i64 = 24;

/// A request that carries an idempotency key.
#[derive(Clone, Debug)]
pub(crate) struct Repeatable {
    /// The key, apart for each user.
    pub(crate) key: String,
    /// Equal for equal requests.
    pub(crate) fingerprint: String,
}

/// What the first request with this key created.
pub(super) async fn recall<K: Kind>(
    request: &Repeatable,
    connection: &mut SqliteConnection,
) -> Result<Option<Record<K>>, StoreError> {
    let oldest = Timestamp::now().hours_before(KEPT_HOURS);
    sqlx::query("DELETE FROM idempotency_keys WHERE created_at < ?")
        .bind(oldest)
        .execute(&mut *connection)
        .await?;
    let first: Option<(String, String)> =
        sqlx::query_as("SELECT fingerprint, record FROM idempotency_keys WHERE key = ?")
            .bind(&request.key)
            .fetch_optional(connection)
            .await?;
    match first {
        None => Ok(None),
        Some((fingerprint, record)) if fingerprint == request.fingerprint => {
            Ok(Some(serde_json::from_str(&record)?))
        }
        Some(_) => Err(StoreError::KeyReused),
    }
}

/// Remembers what `request` created.
pub(super) async fn remember<K: Kind>(
    request: &Repeatable,
    record: &Record<K>,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let statement = "INSERT INTO idempotency_keys (key, fingerprint, record, created_at) VALUES (?, ?, ?, ?)";
    sqlx::query(statement)
        .bind(&request.key)
        .bind(&request.fingerprint)
        .bind(serde_json::to_string(record)?)
        .bind(Timestamp::now())
        .execute(connection)
        .await?;
    Ok(())
}
