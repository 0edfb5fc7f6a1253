//! Backups: the whole database, with the key that its secrets are sealed with, in a file that a passphrase seals again
//! (`envelope.rs`). They lie in a folder beside the database; each says by itself what it is, so no table knows of them.

mod content;
mod envelope;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::Timestamp;
use crate::domain::schema::Identifier;
use crate::private_file;
use crate::store::{OpenError, Store, StoreError};
use crate::vault::{self, VaultError};

/// So many are kept on the appliance.
const KEPT: usize = 32;
const EXTENSION: &str = "backup";

/// Why there is no backup, or nothing comes out of it.
#[derive(Debug, Error)]
pub(crate) enum BackupError {
    /// It is something else.
    #[error("this is no backup of a Penstock appliance")]
    NotOne,
    /// A later release sealed it otherwise.
    #[error("a newer release made this backup: update this appliance first")]
    Newer,
    /// The passphrase is another, or the file was altered.
    #[error("this passphrase does not open the backup, or its file was altered")]
    Passphrase,
    /// Its database is not whole.
    #[error("the database in this backup cannot be used")]
    Content(#[source] OpenError),
    /// There are enough.
    #[error("the appliance keeps {KEPT} backups: delete one first")]
    Enough,
    /// Not all of it is there, or not as it was.
    #[error("the backup's file was altered, or is not whole")]
    Altered,
    /// A file cannot be read or written.
    #[error("cannot use a backup's file")]
    File(#[source] io::Error),
    /// The database fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key that secrets are sealed with is not there.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::Altered,
            _ => Self::File(error),
        }
    }
}

/// What a backup says of itself.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AboutBackup)]
pub(crate) struct About {
    /// When it was taken.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    pub(crate) created_at: Timestamp,
    /// The release that took it.
    #[schema(max_length = 64, example = "0.1.0")]
    version: String,
    /// The number that the configuration had.
    #[schema(minimum = 0, example = 7)]
    generation: u64,
    /// Why it was taken.
    #[schema(max_length = 1024, example = "before the sale")]
    comment: String,
}

/// A backup that the appliance keeps.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Backup {
    /// What identifies it on this appliance.
    #[schema(value_type = Identifier)]
    pub(crate) id: Uuid,
    #[serde(flatten)]
    pub(crate) about: About,
    /// How long its file is.
    #[schema(minimum = 0, example = 65536)]
    size_bytes: u64,
}

/// Where backups lie.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The one beside the database; what was left unfinished there is removed.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Self> {
        let folder = state_dir.join("backups");
        private_file::directory(&folder)?;
        for path in files(&folder)? {
            if path.extension().is_none_or(|extension| extension != EXTENSION) {
                private_file::remove(&path)?;
            }
        }
        Ok(Self { folder })
    }

    /// All, the newest first. A file that says nothing is passed over.
    pub(crate) fn list(&self) -> io::Result<Vec<Backup>> {
        let mut found = Vec::new();
        for path in files(&self.folder)? {
            let id = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let is_one = path.extension().is_some_and(|extension| extension == EXTENSION);
            let Some(id) = id.filter(|_| is_one) else { continue };
            match self.find(id) {
                Ok(backup) => found.extend(backup),
                Err(error) => tracing::warn!(%error, "{} cannot be read as a backup", path.display()),
            }
        }
        found.sort_by_key(|backup| std::cmp::Reverse((backup.about.created_at, backup.id)));
        Ok(found)
    }

    /// The one with this identifier.
    pub(crate) fn find(&self, id: Uuid) -> Result<Option<Backup>, BackupError> {
        let file = match File::open(self.path(id)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let size_bytes = file.metadata()?.len();
        Ok(Some(Backup { id, about: envelope::about(file)?, size_bytes }))
    }

    /// The file of the one with this identifier.
    pub(crate) fn path(&self, id: Uuid) -> PathBuf {
        self.folder.join(format!("{id}.{EXTENSION}"))
    }

    /// Forgets one; whether it was there.
    pub(crate) fn remove(&self, id: Uuid) -> io::Result<bool> {
        let there = self.path(id).try_exists()?;
        private_file::remove(&self.path(id))?;
        Ok(there)
    }

    /// A place for what is on its way; nobody takes it for a backup before it is kept.
    pub(crate) fn draft(&self) -> Result<Draft, BackupError> {
        if self.list()?.len() >= KEPT {
            return Err(BackupError::Enough);
        }
        let id = Uuid::now_v7();
        Ok(Draft { id, path: self.folder.join(format!("{id}.part")), shelf: self.clone() })
    }

    /// Takes one of how everything is now.
    pub(crate) async fn take(
        &self,
        store: &Store,
        comment: String,
        passphrase: String,
    ) -> Result<Backup, BackupError> {
        let draft = self.draft()?;
        let copy = Scratch(self.folder.join(format!("{}.db", draft.id)));
        let generation = store.copy_into(&copy.0).await?;
        let (created_at, version) = (Timestamp::now(), env!("CARGO_PKG_VERSION").to_owned());
        let about = About { created_at, version, generation: generation.0, comment };
        let key = vault::key()?;
        let sealing = move || {
            let mut sealer = envelope::Sealer::begin(File::create(&draft.path)?, &about, &passphrase)?;
            content::pack(key, &copy.0, &mut sealer)?;
            sealer.end()?.sync_all()?;
            draft.keep()
        };
        tokio::task::spawn_blocking(sealing).await.map_err(io::Error::other)?
    }

    /// The whole configuration in the one with this identifier, secrets included.
    pub(crate) async fn configuration(
        &self,
        id: Uuid,
        passphrase: String,
    ) -> Result<Map<String, Value>, BackupError> {
        let (key, copy) = self.unpack(id, passphrase).await?;
        // A backup of an earlier release is brought up to date, as a database of it is.
        let store = Store::open(&copy.0, std::sync::Arc::default()).await.map_err(not_usable)?;
        let document = store.secret_document(&key).await;
        store.close().await;
        Ok(document?)
    }

    /// Makes the database at `database`, which is damaged, and the key file what is in the backup with this identifier. What was
    /// there stays beside it.
    pub(crate) async fn replace(
        &self,
        id: Uuid,
        passphrase: String,
        database: &Path,
        key_file: &Path,
    ) -> Result<(), BackupError> {
        let (key, copy) = self.unpack(id, passphrase).await?;
        // Proves that it can be used, and brings it up to date.
        let store = Store::open(&copy.0, std::sync::Arc::default()).await.map_err(not_usable)?;
        store.close().await;
        content::exchange(&copy.0, database, &key, key_file)?;
        Ok(())
    }

    async fn unpack(&self, id: Uuid, passphrase: String) -> Result<(vault::Key, Scratch), BackupError> {
        let (file, copy) = (self.path(id), Scratch(self.folder.join(format!("{}.db", Uuid::now_v7()))));
        let opening = move || {
            let mut opener = envelope::Opener::begin(File::open(file)?, &passphrase)?;
            let key = content::unpack(&mut opener, &copy.0)?;
            Ok::<_, BackupError>((key, copy))
        };
        tokio::task::spawn_blocking(opening).await.map_err(io::Error::other)?
    }
}

fn not_usable(error: OpenError) -> BackupError {
    if error.is_newer() { BackupError::Newer } else { BackupError::Content(error) }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// A backup on its way. What is not kept is removed.
pub(crate) struct Draft {
    id: Uuid,
    pub(crate) path: PathBuf,
    shelf: Shelf,
}

impl Draft {
    /// It is whole, and a backup from now on; if it says that it is one.
    pub(crate) fn keep(self) -> Result<Backup, BackupError> {
        envelope::about(File::open(&self.path)?)?;
        private_file::settle(&self.path, &self.shelf.path(self.id))?;
        self.shelf.find(self.id)?.ok_or(BackupError::NotOne)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it is kept it has moved away. What cannot be removed is so at the next start.
        let _ = private_file::remove(&self.path);
    }
}

/// A copy of the database, for a moment.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        for suffix in content::PARTS {
            let _ = private_file::remove(&content::part(&self.0, suffix));
        }
    }
}
