//! The table of webhooks, and how far telling each has come.

use sqlx::{FromRow, SqliteConnection};
use uuid::Uuid;

use super::columns::Text;
use super::list::Filter;
use super::table::{Faults, Place, Table, Values, record, select};
use super::{Store, StoreError};
use crate::domain::{Delivery, Record, Timestamp, Webhook};
use crate::vault::Sealed;

#[derive(FromRow)]
pub(crate) struct WebhookRow {
    url: String,
    #[sqlx(json)]
    events: Vec<String>,
    ca: Option<String>,
    sealed_secret: String,
    done_with: Option<i64>,
    failures: u32,
    failing_since: Option<Timestamp>,
    next_attempt_at: Option<Timestamp>,
    last_attempt_at: Option<Timestamp>,
    last_success_at: Option<Timestamp>,
    last_error: Option<String>,
    given_up: u32,
}

impl Table for Webhook {
    const TABLE: &'static str = "webhooks";
    const COLUMNS: &'static str = "url, events, ca, sealed_secret";
    const SELECT: &'static str = "t.url, t.events, t.ca, t.sealed_secret, t.done_with, t.failures, t.failing_since, \
        t.next_attempt_at, t.last_attempt_at, t.last_success_at, t.last_error, t.given_up";
    const READINESS: &'static str = "iif(t.enabled, 'ready', 'disabled')";
    const SEARCHED: &'static str = "t.url";
    const FILTERS: &'static [Filter] = &[];

    type Row = WebhookRow;

    fn from_row(row: WebhookRow) -> Self {
        let WebhookRow { url, events, ca, sealed_secret, done_with, failures, failing_since, .. } = row;
        let WebhookRow { next_attempt_at, last_attempt_at, last_success_at, last_error, given_up, .. } = row;
        let delivery = Delivery {
            done_with,
            failures,
            failing_since,
            next_attempt_at,
            last_attempt_at,
            last_success_at,
            last_error,
            given_up,
        };
        Self { url, events, ca, secret: Some(Sealed(sealed_secret)), delivery }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { url, events, ca, secret, delivery: _ } = self;
        values.push_bind(url.clone()).push_bind(sqlx::types::Json(events.clone())).push_bind(ca.clone());
        values.push_bind(secret.as_ref().map(|secret| secret.0.clone()));
    }

    async fn check(
        &self,
        _place: &Place<Self>,
        faults: &mut Faults,
        _connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if self.secret.is_none() {
            faults.required("/secret", "what is not signed can be sent by anybody");
        }
        Ok(())
    }

    /// A new one is told of what comes after it; one that was changed is tried at once.
    async fn relate(&self, id: Uuid, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE webhooks SET next_attempt_at = NULL,
                 done_with = coalesce(done_with, (SELECT coalesce(max(id), 0) FROM events))
             WHERE id = ?",
        )
        .bind(Text(id))
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Store {
    /// Those that are to be told.
    pub(crate) async fn enabled_webhooks(&self) -> Result<Vec<Record<Webhook>>, StoreError> {
        let mut query = select::<Webhook>();
        let rows = query.push("t.enabled").build().fetch_all(&self.readers).await?;
        rows.iter().map(record).collect()
    }

    /// Notes how far telling this one has come.
    pub(crate) async fn note_delivery(&self, id: Uuid, delivery: &Delivery) -> Result<(), StoreError> {
        let Delivery { done_with, failures, failing_since, next_attempt_at, .. } = delivery;
        let Delivery { last_attempt_at, last_success_at, last_error, given_up, .. } = delivery;
        let mut transaction = self.write().await?;
        sqlx::query(
            "UPDATE webhooks SET (done_with, failures, failing_since, next_attempt_at, last_attempt_at, last_success_at,
                 last_error, given_up) = (?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?",
        )
        .bind(done_with)
        .bind(failures)
        .bind(failing_since)
        .bind(next_attempt_at)
        .bind(last_attempt_at)
        .bind(last_success_at)
        .bind(last_error)
        .bind(given_up)
        .bind(Text(id))
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }
}
