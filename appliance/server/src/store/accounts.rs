//! Who may sign in, and the code that claims the appliance before anybody may.

use uuid::Uuid;

use super::{Store, StoreError};
use crate::domain::Timestamp;

/// Somebody who may sign in.
#[derive(Clone, Debug)]
pub(crate) struct User {
    /// Who it is, whatever the name.
    pub(crate) id: Uuid,
    /// The hash of the password, with its parameters and salt (PHC string).
    pub(crate) password_hash: String,
}

impl Store {
    /// Whether the appliance has its administrator.
    pub(crate) async fn is_claimed(&self) -> Result<bool, StoreError> {
        let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&self.readers).await?;
        Ok(users > 0)
    }

    /// The hash of the code that claims the appliance.
    pub(crate) async fn claim_code_hash(&self) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT code_hash FROM claim").fetch_optional(&self.readers).await?)
    }

    /// Makes the code with this hash the only one that claims the appliance.
    pub(crate) async fn set_claim_code_hash(&self, hash: &str) -> Result<(), StoreError> {
        sqlx::query("INSERT OR REPLACE INTO claim (only_row, code_hash) VALUES (1, ?)")
            .bind(hash)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Creates the administrator and forgets the code; the first to come wins.
    pub(crate) async fn claim(&self, username: &str, password_hash: &str) -> Result<User, StoreError> {
        let mut transaction = self.write().await?;
        let used = sqlx::query("DELETE FROM claim").execute(&mut *transaction).await?;
        if used.rows_affected() == 0 {
            return Err(StoreError::AlreadyClaimed);
        }
        let id = Uuid::now_v7();
        sqlx::query("INSERT INTO users (id, username, password_hash, created_at) VALUES (?, ?, ?, ?)")
            .bind(id.to_string())
            .bind(username)
            .bind(password_hash)
            .bind(Timestamp::now())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(User { id, password_hash: password_hash.to_owned() })
    }

    /// The user of this name.
    pub(crate) async fn user(&self, username: &str) -> Result<Option<User>, StoreError> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT id, password_hash FROM users WHERE username = ?")
                .bind(username)
                .fetch_optional(&self.readers)
                .await?;
        row.map(|(id, password_hash)| {
            let id = Uuid::parse_str(&id).map_err(|error| sqlx::Error::Decode(error.into()))?;
            Ok(User { id, password_hash })
        })
        .transpose()
    }

    /// What the user with this identifier is called.
    pub(crate) async fn username(&self, id: Uuid) -> Result<Option<String>, StoreError> {
        let query = sqlx::query_scalar("SELECT username FROM users WHERE id = ?").bind(id.to_string());
        Ok(query.fetch_optional(&self.readers).await?)
    }
}
