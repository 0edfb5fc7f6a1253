//! The table of sessions: who signed in, until when, and which refresh token is the last one.

use std::net::IpAddr;

use sqlx::FromRow;
use uuid::Uuid;

use super::columns::{Text, Word};
use super::{Store, StoreError};
use crate::domain::revision::sha256;
use crate::domain::{Role, Timestamp};

/// A session that begins.
#[derive(Clone, Debug)]
pub(crate) struct NewSession {
    pub(crate) id: Uuid,
    pub(crate) user: Uuid,
    pub(crate) carrier: &'static str,
    pub(crate) source: Option<IpAddr>,
    pub(crate) password_hash: String,
    pub(crate) refresh_hash: Option<String>,
    pub(crate) ends_at: Timestamp,
}

/// A session as it is listed.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct SessionRow {
    pub(crate) id: String,
    pub(crate) user_id: String,
    pub(crate) username: String,
    pub(crate) carrier: String,
    pub(crate) source: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) used_at: Timestamp,
    pub(crate) ends_at: Timestamp,
}

/// Whose session it is.
#[derive(Clone, Debug, FromRow)]
pub(crate) struct SessionHolder {
    pub(crate) username: String,
    #[sqlx(try_from = "Word<Role>")]
    pub(crate) role: Role,
    project_id: Option<Text<Uuid>>,
}

impl SessionHolder {
    /// The project that they belong to.
    pub(crate) fn project(&self) -> Option<Uuid> {
        self.project_id.map(|Text(project)| project)
    }
}

impl From<Word<Role>> for Role {
    fn from(Word(role): Word<Role>) -> Self {
        role
    }
}

impl From<Text<Uuid>> for Uuid {
    fn from(Text(id): Text<Uuid>) -> Self {
        id
    }
}

/// What came of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// It was the last one; now another is. The session is this user's, and ends then.
    Rotated { user: Uuid, since: Timestamp },
    /// It was used before: somebody has a copy, and the session is ended.
    Reused { user: Uuid },
    /// There is no such session.
    Unknown,
}

const SELECT: &str =
    "SELECT s.id, s.user_id, u.name AS username, s.carrier, s.source, s.created_at, s.used_at, s.ends_at
    FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.ends_at > ";

impl Store {
    /// Begins a session, and forgets those that ended.
    pub(crate) async fn begin_session(&self, session: NewSession) -> Result<(), StoreError> {
        let NewSession { id, user, carrier, source, password_hash, refresh_hash, ends_at } = session;
        let now = Timestamp::now();
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM sessions WHERE ends_at <= ?").bind(now).execute(&mut *transaction).await?;
        sqlx::query(
            "INSERT INTO sessions (id, user_id, carrier, source, password, refresh_hash, created_at, used_at, ends_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(Text(id))
        .bind(Text(user))
        .bind(carrier)
        .bind(source.map(Text))
        .bind(sha256(password_hash.as_bytes()))
        .bind(refresh_hash)
        .bind(now)
        .bind(now)
        .bind(ends_at)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    /// Whose session this is, if it goes on.
    pub(crate) async fn session_holder(&self, id: Uuid) -> Result<Option<SessionHolder>, StoreError> {
        let holder = sqlx::query_as(
            "SELECT u.name AS username, u.role, u.project_id FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.id = ? AND u.enabled AND s.ends_at > ?",
        )
        .bind(Text(id))
        .bind(Timestamp::now())
        .fetch_optional(&self.readers)
        .await?;
        Ok(holder)
    }

    /// Exchanges the refresh token with the hash `presented` for the one with the hash `next`.
    pub(crate) async fn refresh_session(
        &self,
        id: Uuid,
        presented: &str,
        next: &str,
    ) -> Result<Refreshed, StoreError> {
        let mut transaction = self.write().await?;
        let session: Option<(String, Option<String>, Timestamp)> = sqlx::query_as(
            "SELECT s.user_id, s.refresh_hash, s.created_at FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.id = ? AND u.enabled AND s.ends_at > ?",
        )
        .bind(Text(id))
        .bind(Timestamp::now())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((holder, Some(last), since)) = session else { return Ok(Refreshed::Unknown) };
        let user = Uuid::parse_str(&holder).map_err(|error| sqlx::Error::Decode(error.into()))?;
        if last != presented {
            sqlx::query("DELETE FROM sessions WHERE id = ?")
                .bind(Text(id))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            return Ok(Refreshed::Reused { user });
        }
        sqlx::query("UPDATE sessions SET refresh_hash = ?, used_at = ? WHERE id = ?")
            .bind(next)
            .bind(Timestamp::now())
            .bind(Text(id))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Refreshed::Rotated { user, since })
    }

    /// The sessions that go on: of this user, or of all.
    pub(crate) async fn sessions(&self, user: Option<Uuid>) -> Result<Vec<SessionRow>, StoreError> {
        let mut query = sqlx::QueryBuilder::new(SELECT);
        query.push_bind(Timestamp::now());
        if let Some(user) = user {
            query.push(" AND s.user_id = ").push_bind(Text(user));
        }
        query.push(" ORDER BY s.created_at DESC LIMIT 500");
        Ok(query.build_query_as().fetch_all(&self.readers).await?)
    }

    /// Ends a session: of this user, or of anybody. Says whether there was one.
    pub(crate) async fn end_session(&self, id: Uuid, user: Option<Uuid>) -> Result<bool, StoreError> {
        let mut query = sqlx::QueryBuilder::new("DELETE FROM sessions WHERE id = ");
        query.push_bind(Text(id));
        if let Some(user) = user {
            query.push(" AND user_id = ").push_bind(Text(user));
        }
        Ok(query.build().execute(&self.writer).await?.rows_affected() > 0)
    }
}
