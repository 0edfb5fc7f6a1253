//! A copy of the whole database as of one moment, for backups; and what is in such a copy.

use std::path::Path;

use lb_model::Generation;
use serde_json::{Map, Value};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::{Store, StoreError, current_generation, options};
use crate::vault;

impl Store {
    /// Writes a copy to `path`, while others read and write, and says as of which change.
    pub(crate) async fn copy_into(&self, path: &Path) -> Result<Generation, StoreError> {
        let mut original = options(&self.path).connect().await?;
        let text = path.to_string_lossy();
        let copied = sqlx::query("VACUUM INTO ?").bind(&*text).execute(&mut original).await;
        original.close().await?;
        copied?;
        let mut copy = SqliteConnectOptions::new().filename(path).read_only(true).connect().await?;
        let generation = current_generation(&mut copy).await;
        copy.close().await?;
        generation
    }

    /// The whole configuration with all that is never shown, which was sealed with `key`.
    pub(crate) async fn secret_document(&self, key: &vault::Key) -> Result<Map<String, Value>, StoreError> {
        Ok(self.document_with(true, Some(key)).await?.1)
    }
}
