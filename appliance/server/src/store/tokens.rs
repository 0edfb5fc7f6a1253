//! The table of API tokens.

use sqlx::{FromRow, SqliteConnection};
use uuid::Uuid;

use super::columns::Text;
use super::list::Filter;
use super::table::{Faults, Place, Table, Values, check_there};
use super::{Store, StoreError};
use crate::domain::{Permission, Role, Scope, Timestamp, Token, User};

#[derive(FromRow)]
pub(crate) struct TokenRow {
    #[sqlx(json)]
    permissions: Vec<Permission>,
    expires_at: Timestamp,
    bound_to: Option<Text<Uuid>>,
    secret_hash: String,
}

impl Table for Token {
    const TABLE: &'static str = "tokens";
    const PARENT: Option<&'static str> = Some("user_id");
    const CONFIGURATION: bool = false;
    const COLUMNS: &'static str = "permissions, expires_at, project_id, secret_hash";
    const SELECT: &'static str = "t.permissions, t.expires_at, t.project_id AS bound_to, t.secret_hash";
    const READINESS: &'static str = "CASE WHEN t.enabled THEN 'ready' ELSE 'disabled' END";
    const SORTS: &'static [&'static str] = &["expires_at"];
    const FILTERS: &'static [Filter] = &[];

    type Row = TokenRow;

    fn from_row(TokenRow { permissions, expires_at, bound_to, secret_hash }: TokenRow) -> Self {
        let project_id = bound_to.map(|Text(project)| project);
        Self { permissions, expires_at, project_id, secret_hash: Some(secret_hash) }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { permissions, expires_at, project_id, secret_hash } = self;
        values.push_bind(sqlx::types::Json(permissions.clone())).push_bind(*expires_at);
        values.push_bind(project_id.map(Text)).push_bind(secret_hash.clone());
    }

    fn parent_id(user: Uuid) -> Option<String> {
        Some(user.to_string())
    }

    async fn check_parent(
        scope: Scope,
        user: Uuid,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        check_there::<User>(&Place { scope, parent: (), id: user }, connection).await
    }

    async fn check(
        &self,
        place: &Place<Self>,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let Some(project) = self.project_id else { return Ok(()) };
        let seen: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM projects p JOIN users u ON u.id = ? WHERE p.id = ? AND coalesce(u.project_id, p.id) = p.id",
        )
        .bind(Text(place.parent))
        .bind(Text(project))
        .fetch_one(connection)
        .await?;
        if seen == 0 {
            faults.missing("/project_id", format!("there is no project {project}"));
        }
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
    project_id: Option<Text<Uuid>>,
}

impl TokenHolder {
    /// The one project that it is good for.
    pub(crate) fn project(&self) -> Option<Uuid> {
        self.project_id.map(|Text(project)| project)
    }
}

impl Store {
    /// The holder of the token with this identifier, if it works now.
    pub(crate) async fn token_holder(&self, id: Uuid) -> Result<Option<TokenHolder>, StoreError> {
        let holder = sqlx::query_as(
            "SELECT t.user_id, u.name AS username, u.role, t.permissions, t.secret_hash, t.expires_at,
                 coalesce(t.project_id, u.project_id) AS project_id
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
