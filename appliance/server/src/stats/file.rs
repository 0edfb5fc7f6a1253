//! The file of the history: a SQLite database of its own, so that measuring never waits for the configuration nor the
//! configuration for measuring. It is bounded by age and by size, and a loss of it is a loss of charts alone: a file that
//! cannot be read is replaced by an empty one.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row, SqliteConnection};

use super::metric::{Key, Subject};
use super::recorder::{Tier, Written};

/// What the rows mean. Another number, and the file begins anew.
const LAYOUT: i64 = 1;
/// The file does not grow beyond this: the oldest samples make room.
const MOST_BYTES: i64 = 512 << 20;
/// A chunk is at most so many steps long.
const CHUNK_STEPS: u64 = super::chunk::SAMPLES as u64;

/// The file.
#[derive(Clone, Debug)]
pub(super) struct File {
    pool: SqlitePool,
}

impl File {
    /// Opens the file at `path`, or begins it.
    pub(super) async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        match Self::open_as_it_is(path).await {
            Ok(file) => Ok(file),
            Err(error) => {
                tracing::warn!(%error, "the history of the statistics is of no use and begins anew");
                for end in ["", "-wal", "-shm"] {
                    // What is not there need not go.
                    let _ = std::fs::remove_file(path.with_extension(format!("db{end}")));
                }
                Self::open_as_it_is(path).await
            }
        }
    }

    async fn open_as_it_is(path: &Path) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A power cut may cost the last seconds, never the file.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(options).await?;
        let mut connection = pool.acquire().await?;
        let layout: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
        if layout != LAYOUT {
            begin(&mut connection).await?;
        }
        drop(connection);
        Ok(Self { pool })
    }

    /// Writes these, in place of what was written of the same chunks before, and lets go of what is too old by `now`.
    pub(super) async fn write(&self, written: &[Written], now: u64) -> Result<(), sqlx::Error> {
        let mut transaction = self.pool.begin().await?;
        let mut known: HashMap<&Key, i64> = HashMap::new();
        for Written { key, tier, start, bytes } in written {
            let series = match known.get(key) {
                Some(series) => *series,
                None => series(key, &mut transaction).await?,
            };
            known.insert(key, series);
            sqlx::query("INSERT OR REPLACE INTO chunks (series, step, start, bytes) VALUES (?, ?, ?, ?)")
                .bind(series)
                .bind(tier.step().cast_signed())
                .bind(start.cast_signed())
                .bind(bytes)
                .execute(&mut *transaction)
                .await?;
        }
        for tier in Tier::ALL {
            let oldest = now.saturating_sub(tier.kept() + CHUNK_STEPS * tier.step());
            forget(tier, oldest, &mut transaction).await?;
        }
        shrink(&mut transaction).await?;
        transaction.commit().await
    }

    /// The chunks of a series that have samples after `from` and none after `to`, the oldest first.
    pub(super) async fn read(
        &self,
        key: &Key,
        tier: Tier,
        from: u64,
        to: u64,
    ) -> Result<Vec<(u64, Vec<u8>)>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT start, bytes FROM chunks WHERE series = (SELECT id FROM series WHERE subject = ? AND name = ?)
             AND step = ? AND start > ? AND start <= ? ORDER BY start",
        )
        .bind(key.subject.word())
        .bind(&*key.id)
        .bind(tier.step().cast_signed())
        .bind(from.saturating_sub(CHUNK_STEPS * tier.step()).cast_signed())
        .bind(to.cast_signed())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok((row.try_get::<i64, _>(0)?.unsigned_abs(), row.try_get(1)?))).collect()
    }

    /// All of a subject that the file knows.
    pub(super) async fn keys(&self, subject: Subject) -> Result<Vec<Key>, sqlx::Error> {
        let names: Vec<String> = sqlx::query_scalar("SELECT name FROM series WHERE subject = ?")
            .bind(subject.word())
            .fetch_all(&self.pool)
            .await?;
        Ok(names.into_iter().map(|name| Key::new(subject, &name)).collect())
    }

    /// Lets go of it.
    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

async fn begin(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    for statement in [
        "DROP TABLE IF EXISTS chunks",
        "DROP TABLE IF EXISTS series",
        "CREATE TABLE series (id INTEGER PRIMARY KEY, subject TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (subject, name)) STRICT",
        // `step` and `start` are seconds.
        "CREATE TABLE chunks (
            series INTEGER NOT NULL REFERENCES series (id),
            step   INTEGER NOT NULL,
            start  INTEGER NOT NULL,
            bytes  BLOB NOT NULL,
            PRIMARY KEY (series, step, start)
        ) STRICT, WITHOUT ROWID",
        "CREATE INDEX chunks_by_age ON chunks (step, start)",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA user_version = {LAYOUT}"))).execute(connection).await?;
    Ok(())
}

async fn series(key: &Key, connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO series (subject, name) VALUES (?, ?)
         ON CONFLICT (subject, name) DO UPDATE SET name = name RETURNING id",
    )
    .bind(key.subject.word())
    .bind(&*key.id)
    .fetch_one(connection)
    .await
}

async fn forget(tier: Tier, oldest: u64, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let gone = sqlx::query("DELETE FROM chunks WHERE step = ? AND start < ?")
        .bind(tier.step().cast_signed())
        .bind(oldest.cast_signed())
        .execute(&mut *connection)
        .await?;
    if gone.rows_affected() > 0 && tier == Tier::Coarse {
        sqlx::query("DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM chunks WHERE series = id)")
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Makes room where the file has reached its size: a tenth of what is oldest in each tier.
async fn shrink(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let used: i64 = sqlx::query_scalar(
        "SELECT (page_count - freelist_count) * page_size
         FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
    )
    .fetch_one(&mut *connection)
    .await?;
    if used < MOST_BYTES {
        return Ok(());
    }
    for tier in Tier::ALL {
        sqlx::query(
            "DELETE FROM chunks WHERE step = ?1 AND start < (SELECT start FROM chunks WHERE step = ?1 ORDER BY start
             LIMIT 1 OFFSET (SELECT count(*) / 10 FROM chunks WHERE step = ?1))",
        )
        .bind(tier.step().cast_signed())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
