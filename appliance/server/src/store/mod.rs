//! The only SQL: rows in, domain out. Every accepted change is one transaction that also raises the generation and
//! wakes the reconciler once it is on disk.
//!
//! One connection writes, so what a transaction has checked still holds when it commits; others read. What all
//! resources share is in `table.rs`, written once over the trait `Table`; what is one's own is in its file.

mod accounts;
mod audit;
mod batch;
mod certificates;
mod changesets;
mod columns;
mod copy;
mod desired;
mod document;
mod edit;
mod events;
mod families;
mod health;
mod idempotency;
mod integrity;
mod kinds;
mod list;
mod log;
mod members;
mod monitors;
mod names;
mod policies;
mod pools;
mod projects;
mod revisions;
mod rollback;
mod second_factors;
mod sessions;
mod table;
mod tokens;
mod users;
mod virtual_ips;
mod virtual_services;
mod ways;
mod webhooks;

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use lb_model::Generation;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, SqliteConnection, Transaction};
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::domain::FieldError;
use crate::private_file;

pub(crate) use accounts::Account;
pub(crate) use audit::{AuditEntry, Outcome, Verification};
pub(crate) use document::{Applied, Mode};
pub(crate) use events::Event;
pub(crate) use health::{CheckState, PoolWatch, Watched};
pub(crate) use idempotency::Repeatable;
pub(crate) use list::{
    COMMON_FILTERS, COMMON_SORTS, Cursor, Filter, FilterKind, FilterValue, ListQuery, PROJECT_FILTER, Sort,
};
pub(crate) use log::{Log, LogQuery};
pub(crate) use names::Names;
pub(crate) use revisions::RevisionEntry;
pub(crate) use sessions::{NewSession, Refreshed, SessionRow};
pub(crate) use table::{Place, Table};

/// What brings the tables up to date.
static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// How many connections read at once.
const READERS: u32 = 4;

/// Why the store did not do what was asked.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// There is none, or not in this pool.
    #[error("there is no {noun} {id}")]
    NotFound {
        /// What was looked for.
        noun: &'static str,
        /// Its identifier.
        id: String,
    },
    /// Somebody else changed it first.
    #[error("it was changed by somebody else: read it again")]
    Stale,
    /// The document is wrong by itself, or names what does not exist.
    #[error("{} fields are wrong", .0.len())]
    Invalid(Vec<FieldError>),
    /// The document takes what another resource has.
    #[error("{} fields are taken", .0.len())]
    Taken(Vec<FieldError>),
    /// The project has as many as it may have.
    #[error("project `{project}` may have {most} of {table}, and has them")]
    Quota {
        /// What it is called.
        project: String,
        /// Of what.
        table: &'static str,
        /// How many.
        most: u32,
    },
    /// Others need it.
    #[error("{0}")]
    InUse(String),
    /// The same idempotency key came with another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The appliance has its administrator.
    #[error("the appliance is already claimed")]
    AlreadyClaimed,
    /// The disk does not do its part: nothing is kept of what was asked.
    #[error("{fault}")]
    Storage {
        /// What is the matter.
        fault: StorageFault,
        /// How it showed.
        source: sqlx::Error,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
    /// A row holds what this program never wrote.
    #[error("a row of the database makes no sense")]
    Row(#[from] serde_json::Error),
}

/// What can be the matter with the disk, or with what is on it. What was configured goes on, and can be read where it is legible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum StorageFault {
    /// There is no room.
    #[error("the appliance's disk is full: nothing can be changed until there is room; traffic goes on")]
    Full,
    /// It takes nothing.
    #[error("the appliance's disk takes nothing: nothing can be changed; traffic goes on")]
    Unwritable,
    /// What is on it is not what was written.
    #[error("the database is damaged where this stands: restore a backup; traffic goes on")]
    Damaged,
}

impl StorageFault {
    /// By SQLite's result codes, of which the lowest byte is the kind.
    fn of(error: &sqlx::Error) -> Option<Self> {
        let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
        match code & 0xff {
            13 => Some(Self::Full),
            // SQLITE_READONLY, SQLITE_IOERR, SQLITE_CANTOPEN.
            8 | 10 | 14 => Some(Self::Unwritable),
            // SQLITE_CORRUPT, SQLITE_NOTADB.
            11 | 26 => Some(Self::Damaged),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(source: sqlx::Error) -> Self {
        match StorageFault::of(&source) {
            Some(fault) => Self::Storage { fault, source },
            None => Self::Database(source),
        }
    }
}

/// Why the database cannot be used at all.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// It cannot be opened or created.
    #[error("cannot open the database")]
    Open(#[from] sqlx::Error),
    /// Its tables cannot be brought up to date.
    #[error("cannot bring the database up to date")]
    Migrate(#[from] MigrateError),
    /// It is damaged.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// Its file cannot be read or made.
    #[error("cannot use the database's file")]
    File(#[from] std::io::Error),
}

impl OpenError {
    /// Whether a later release wrote it.
    pub(crate) fn is_newer(&self) -> bool {
        matches!(self, Self::Migrate(MigrateError::VersionMissing(_)))
    }
}

/// The database.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    path: Arc<Path>,
    writer: SqlitePool,
    readers: SqlitePool,
    changed: Arc<Notify>,
    /// The number of the last event.
    events: Arc<watch::Sender<i64>>,
    /// The same for all others who want to know.
    commits: Arc<watch::Sender<()>>,
}

impl Store {
    /// Opens the database at `path`, made and brought up to date as needed; `changed` is notified after every change.
    pub(crate) async fn open(path: &Path, changed: Arc<Notify>) -> Result<Self, OpenError> {
        if path.try_exists()? {
            integrity::check(path).await?;
        } else {
            make(path).await?;
        }
        let options = options(path);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        migrate(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.pragma("query_only", "on"))
            .await?;
        let last = events::last(&mut *readers.acquire().await?).await?;
        let (events, commits) = (Arc::new(watch::Sender::new(last)), Arc::default());
        Ok(Self { path: path.into(), writer, readers, changed, events, commits })
    }

    /// Ends all connections; what was acknowledged is on disk already.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The number of the last accepted change.
    pub(crate) async fn generation(&self) -> Result<Generation, StoreError> {
        let mut connection = self.readers.acquire().await?;
        current_generation(&mut connection).await
    }

    async fn write(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        match self.writer.begin_with("BEGIN IMMEDIATE").await {
            // SQLite has undone a change for which there was no room, and the driver still counts it as open: with another connection
            // both agree again.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            begun => Ok(begun?),
        }
    }

    /// Changes with every accepted change of the configuration.
    pub(crate) fn commits(&self) -> watch::Receiver<()> {
        self.commits.subscribe()
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // What was acknowledged is on disk, also after a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
}

/// Boxed: the compiler cannot see otherwise that this may run on any thread.
fn migrate(pool: &SqlitePool) -> Pin<Box<dyn Future<Output = Result<(), MigrateError>> + Send + '_>> {
    Box::pin(MIGRATIONS.run(pool))
}

/// Makes an empty one beside its place and moves it there: one that is there and empty was not left so by us.
async fn make(path: &Path) -> Result<(), OpenError> {
    let fresh = path.with_extension("new");
    for left in ["new", "new-wal", "new-shm"] {
        private_file::remove(&path.with_extension(left))?;
    }
    let options = options(&fresh).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await?;
    migrate(&pool).await?;
    pool.close().await;
    Ok(private_file::settle(&fresh, path)?)
}

async fn current_generation(connection: &mut SqliteConnection) -> Result<Generation, StoreError> {
    let current: i64 = sqlx::query_scalar("SELECT current FROM generation").fetch_one(connection).await?;
    Ok(Generation(current.unsigned_abs()))
}
