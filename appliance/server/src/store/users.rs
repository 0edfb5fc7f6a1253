//! The table of users.

use sqlx::{FromRow, SqliteConnection};
use uuid::Uuid;

use super::StoreError;
use super::columns::{Text, Word};
use super::list::{Filter, FilterKind};
use super::table::{Faults, Place, Table, Values};
use crate::domain::revision::sha256;
use crate::domain::{PasswordHash, Role, User};

#[derive(FromRow)]
pub(crate) struct UserRow {
    role: Word<Role>,
    password_hash: String,
}

impl Table for User {
    const TABLE: &'static str = "users";
    const CONFIGURATION: bool = false;
    const COLUMNS: &'static str = "role, password_hash";
    const SELECT: &'static str = "t.role, t.password_hash";
    const READINESS: &'static str = "CASE WHEN t.enabled THEN 'ready' ELSE 'disabled' END";
    const FILTERS: &'static [Filter] = &[Filter { key: "role", kind: FilterKind::Text, sql: "t.role = ?" }];

    type Row = UserRow;

    fn from_row(UserRow { role: Word(role), password_hash }: UserRow) -> Self {
        Self { role, password: Some(PasswordHash(password_hash)) }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { role, password } = self;
        let hash = password.as_ref().map(|PasswordHash(hash)| hash.clone());
        values.push_bind(Word(*role)).push_bind(hash);
    }

    async fn check(
        &self,
        _place: &Place<Self>,
        faults: &mut Faults,
        _connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if self.password.is_none() {
            faults.required("/password", "a user needs a password");
        }
        Ok(())
    }

    async fn relate(&self, id: Uuid, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        keep_an_admin(connection).await?;
        sqlx::query("DELETE FROM sessions WHERE user_id = ? AND password <> ?")
            .bind(Text(id))
            .bind(self.password.as_ref().map(|PasswordHash(hash)| sha256(hash.as_bytes())))
            .execute(connection)
            .await?;
        Ok(())
    }

    async fn check_unused(
        record: &crate::domain::Record<Self>,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE users SET enabled = 0 WHERE id = ?")
            .bind(Text(record.id))
            .execute(&mut *connection)
            .await?;
        keep_an_admin(connection).await
    }
}

/// Without one nobody could ever change who may do what.
async fn keep_an_admin(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let admins: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM users WHERE enabled AND role = 'admin' AND project_id IS NULL",
    )
    .fetch_one(connection)
    .await?;
    if admins > 0 { Ok(()) } else { Err(StoreError::InUse("this is the last administrator".to_owned())) }
}
