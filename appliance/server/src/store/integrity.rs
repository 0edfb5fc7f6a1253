//! Whether the database is as it was written. Asked before anything else is done with it, and without writing: what is damaged stays as
//! it is, for whoever can read more out of it.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::{OpenError, StorageFault};

/// Reads every page of the database at `path`, and refuses one that is damaged.
pub(super) async fn check(path: &Path) -> Result<(), OpenError> {
    // Who may not read it at all has another problem.
    if std::fs::File::open(path)?.metadata()?.len() == 0 {
        return Err(OpenError::Damaged("its file is empty".to_owned()));
    }
    let verdict = verdict(path).await.map_err(|error| match StorageFault::of(&error) {
        // Also a file that the disk does not give back.
        Some(StorageFault::Damaged | StorageFault::Unwritable) => OpenError::Damaged(words(&error)),
        _ => OpenError::Open(error),
    })?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(OpenError::Damaged(verdict)),
    }
}

/// What SQLite finds first. A connection that only reads does not tidy up the journal at its end either.
async fn verdict(path: &Path) -> Result<String, sqlx::Error> {
    let mut connection = SqliteConnectOptions::new().filename(path).read_only(true).connect().await?;
    let found = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(found)
}

fn words(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}
