//! The table of API tokens.

use sqlx::{FromRow, SqliteConnection};
use uuid::Uuid;

use super::columns::Text;
use super::list::Filter;
use super::table::{Faults, Place, Table, Values};
use super::{Store, StoreError};
use crate::domain::{Kind, Permission, Role, Timestamp, Token, User};

#[derive(FromRow)]
pub(crate) struct TokenRow {
    #[sqlx(json)]
    permissions: Vec<Permission>,
    expires_at: Timestamp,
    secret_hash: String,
}

impl Table for Token {
    const TABLE: &'static str = "tokens";
    const PARENT: Option<&'static str> = Some("user_id");
    const CONFIGURATION: bool = false;
    const COLUMNS: &'static str = "permissions, expires_at, secret_hash";
    const SELECT: &'static str = "t.permissions, t.expires_at, t.secret_hash";
    const READINESS: &'static str = "CASE WHEN t.enabled THEN 'ready' ELSE 'disabled' END";
    const SORTS: &'static [&'static str] = &["expires_at"];
    const FILTERS: &'static [Filter] = &[];

    type Row = TokenRow;

    fn from_row(TokenRow { permissions, expires_at, secret_hash }: TokenRow) -> Self {
        Self { permissions, expires_at, secret_hash: Some(secret_hash) }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { permissions, expires_at, secret_hash } = self;
        values.push_bind(sqlx::types::Json(permissions.clone())).push_bind(*expires_at);
        values.push_bind(secret_hash.clone());
    }

    fn parent_id(user: Uuid) -> Option<String> {
        Some(user.to_string())
    }

    async fn check_parent(user: Uuid, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users WHERE id = ?")
            .bind(Text(user))
            .fetch_one(connection)
            .await?;
        if users == 0 {
            return Err(StoreError::NotFound { noun: User::NOUN, id: user.to_string() });
        }
        Ok(())
    }

    async fn check(
        &self,
        _place: &Place<Self>,
        _faults: &mut Faults,
        _connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Whose token it is, and what it is for.
#[derive(FromRow)]
pub(crate) struct TokenHolder {
    #[sqlx(try_from = "Text<Uuid>")]
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    #[sqlx(try_from = "super::columns::Word<Role>")]
    pub(crate) role: Role,
    #[sqlx(json)]
    pub(crate) permissions: Vec<Permission>,
    pub(crate) secret_hash: String,
    pub(crate) expires_at: Timestamp,
}

impl Store {
    /// The holder of the token with this identifier, if it works now.
    pub(crate) async fn token_holder(&self, id: Uuid) -> Result<Option<TokenHolder>, StoreError> {
        let holder = sqlx::query_as(
            "SELECT t.user_id, u.name AS username, u.role, t.permissions, t.secret_hash, t.expires_at
             FROM tokens t JOIN users u ON u.id = t.user_id
             WHERE t.id = ? AND t.enabled AND u.enabled AND t.expires_at > ?",
        )
        .bind(Text(id))
        .bind(Timestamp::now())
        .fetch_optional(&self.readers)
        .await?;
        Ok(holder)
    }
}
