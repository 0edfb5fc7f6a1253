//! The code that claims the appliance, and what is known of who signs in.

use uuid::Uuid;

use super::{Place, Store, StoreError};
use crate::domain::{Author, PasswordHash, Scope, Spec, User};

/// What signing in needs to know of a user.
#[derive(Clone, Debug)]
pub(crate) struct Account {
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
    pub(crate) async fn claim(&self, spec: Spec<User>, mut author: Author) -> Result<Account, StoreError> {
        let mut edit = self.edit().await?;
        let used = sqlx::query("DELETE FROM claim").execute(edit.connection()).await?;
        if used.rows_affected() == 0 {
            return Err(StoreError::AlreadyClaimed);
        }
        let id = Uuid::now_v7();
        edit.create(Place { scope: Scope::Appliance, parent: (), id }, &spec).await?;
        author.id = Some(id);
        edit.commit(self, &author).await?;
        Ok(Account { id, password_hash: hash(spec.own) })
    }

    /// The user of this name who may sign in.
    pub(crate) async fn account(&self, username: &str) -> Result<Option<Account>, StoreError> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT id, password_hash FROM users WHERE name = ? AND enabled")
                .bind(username)
                .fetch_optional(&self.readers)
                .await?;
        row.map(|(id, password_hash)| {
            let id = Uuid::parse_str(&id).map_err(|error| sqlx::Error::Decode(error.into()))?;
            Ok(Account { id, password_hash })
        })
        .transpose()
    }
}

fn hash(User { role: _, password }: User) -> String {
    password.map(|PasswordHash(hash)| hash).unwrap_or_default()
}
