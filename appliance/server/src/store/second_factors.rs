//! The tables of second factors and recovery codes.

use sqlx::FromRow;
use uuid::Uuid;

use super::columns::Text;
use super::{Store, StoreError};
use crate::vault::Sealed;

/// What is known of a user's second factor.
#[derive(Clone, Debug)]
pub(crate) struct SecondFactor {
    pub(crate) sealed_secret: Sealed,
    /// Whether it is asked for.
    pub(crate) confirmed: bool,
    /// How many recovery codes are left.
    pub(crate) recovery_codes: u32,
}

#[derive(FromRow)]
struct Row {
    sealed_secret: String,
    confirmed: bool,
    recovery_codes: u32,
}

impl Store {
    /// The second factor of a user.
    pub(crate) async fn second_factor(&self, user: Uuid) -> Result<Option<SecondFactor>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT sealed_secret, confirmed,
                    (SELECT count(*) FROM recovery_codes r WHERE r.user_id = f.user_id) AS recovery_codes
             FROM second_factors f WHERE user_id = ?",
        )
        .bind(Text(user))
        .fetch_optional(&self.readers)
        .await?;
        Ok(row.map(|Row { sealed_secret, confirmed, recovery_codes }| SecondFactor {
            sealed_secret: Sealed(sealed_secret),
            confirmed,
            recovery_codes,
        }))
    }

    /// Keeps a secret that is to be confirmed, in the place of one that was not. Says whether it does: not if one is asked for.
    pub(crate) async fn offer_second_factor(&self, user: Uuid, sealed: &Sealed) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "INSERT INTO second_factors (user_id, sealed_secret) VALUES (?, ?)
             ON CONFLICT (user_id) DO UPDATE SET sealed_secret = excluded.sealed_secret WHERE NOT confirmed",
        )
        .bind(Text(user))
        .bind(&sealed.0)
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// From now on it is asked for; the code of this step was used.
    pub(crate) async fn confirm_second_factor(
        &self,
        user: Uuid,
        step: i64,
        recovery_hashes: &[String],
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE second_factors SET confirmed = 1, last_step = ? WHERE user_id = ?")
            .bind(step)
            .bind(Text(user))
            .execute(&mut *transaction)
            .await?;
        for hash in recovery_hashes {
            sqlx::query("INSERT INTO recovery_codes (user_id, code_hash) VALUES (?, ?)")
                .bind(Text(user))
                .bind(hash)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Uses the code of a step. Says whether it is good: neither it nor a later one was used before.
    pub(crate) async fn use_step(&self, user: Uuid, step: i64) -> Result<bool, StoreError> {
        let done =
            sqlx::query("UPDATE second_factors SET last_step = ?1 WHERE user_id = ?2 AND last_step < ?1")
                .bind(step)
                .bind(Text(user))
                .execute(&self.writer)
                .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Uses a recovery code up. Says whether there was one.
    pub(crate) async fn use_recovery_code(&self, user: Uuid, hash: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM recovery_codes WHERE user_id = ? AND code_hash = ?")
            .bind(Text(user))
            .bind(hash)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Forgets a user's second factor. Says whether there was one.
    pub(crate) async fn remove_second_factor(&self, user: Uuid) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM second_factors WHERE user_id = ?")
            .bind(Text(user))
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
