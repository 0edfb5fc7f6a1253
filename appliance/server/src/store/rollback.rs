//! Going back: to how everything was at a revision, or by undoing one revision alone.

use std::collections::BTreeMap;

use serde_json::json;

use super::batch::{self, Step};
use super::document::{Applied, Mode};
use super::revisions::{deltas_of, is_kept};
use super::{Outcome, Store, StoreError, audit, current_generation, kinds};
use crate::domain::{Author, Delta, NewEvent, Timestamp};

/// What undoing a revision came to.
#[derive(Debug)]
pub(crate) struct Undone {
    pub(crate) applied: Applied,
    /// What others have changed since, and was therefore left as it is: in words.
    pub(crate) kept: Vec<String>,
}

impl Store {
    /// Makes everything as it was when the configuration had this number.
    pub(crate) async fn roll_back(
        &self,
        author: &Author,
        generation: i64,
        mode: Mode,
    ) -> Result<Applied, StoreError> {
        let mut edit = self.edit().await?;
        let current = current_generation(edit.connection()).await?.0.cast_signed();
        if generation >= current || !is_kept(generation, current, edit.connection()).await? {
            return Err(StoreError::NotFound { noun: "earlier revision", id: generation.to_string() });
        }
        // The oldest change after it tells how each was.
        let mut then: BTreeMap<String, Delta> = BTreeMap::new();
        for later in (generation + 1)..=current {
            for delta in deltas_of(later, edit.connection()).await? {
                then.entry(delta.id.clone()).or_insert(delta);
            }
        }
        let mut steps = Vec::new();
        for delta in then.into_values() {
            let Some(kind) = kinds::find(delta.resource) else { continue };
            let now = kind.one(&delta.id, edit.connection()).await?;
            if now != delta.before {
                steps.push(step(delta));
            }
        }
        batch::make(&mut edit, steps.into_iter().flatten().collect()).await?;
        self.finish(edit, author, mode).await
    }

    /// Undoes what one revision changed. What others have changed since is left as it is.
    pub(crate) async fn revert(
        &self,
        author: &Author,
        generation: i64,
        mode: Mode,
    ) -> Result<Undone, StoreError> {
        let mut edit = self.edit().await?;
        let deltas = deltas_of(generation, edit.connection()).await?;
        if deltas.is_empty() {
            return Err(StoreError::NotFound { noun: "revision", id: generation.to_string() });
        }
        let (mut steps, mut kept) = (Vec::new(), Vec::new());
        for delta in deltas.into_iter().rev() {
            let Some(kind) = kinds::find(delta.resource) else { continue };
            if kind.one(&delta.id, edit.connection()).await? == delta.after {
                steps.extend(step(delta));
            } else {
                kept.push(format!("{} `{}`", kind.noun(), delta.name()));
            }
        }
        batch::make(&mut edit, steps).await?;
        let applied = self.finish(edit, author, mode).await?;
        Ok(Undone { applied, kept })
    }

    /// Keeps a change that would have reverted by itself. Says whether there was one.
    pub(crate) async fn confirm(&self, author: &Author, generation: i64) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        if deltas_of(generation, &mut transaction).await?.is_empty() {
            return Err(StoreError::NotFound { noun: "revision", id: generation.to_string() });
        }
        let done = sqlx::query("DELETE FROM confirmations WHERE generation = ?").bind(generation);
        let was_waiting = done.execute(&mut *transaction).await?.rows_affected() > 0;
        if was_waiting {
            let details = json!({ "generation": generation, "comment": author.comment });
            audit::append(author, "configuration.confirm", Outcome::Succeeded, details, &mut transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(was_waiting)
    }

    /// When the next change reverts by itself unless it is confirmed.
    pub(crate) async fn next_deadline(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(sqlx::query_scalar("SELECT min(deadline) FROM confirmations").fetch_one(&self.readers).await?)
    }

    /// Reverts what nobody confirmed in time, the newest first.
    pub(crate) async fn revert_unconfirmed(&self) -> Result<(), StoreError> {
        let due: Vec<i64> = sqlx::query_scalar(
            "SELECT generation FROM confirmations WHERE deadline <= ? ORDER BY generation DESC",
        )
        .bind(Timestamp::now())
        .fetch_all(&self.readers)
        .await?;
        for generation in due {
            let author = Author::appliance(format!("nobody confirmed revision {generation} in time"));
            let event = match self.revert(&author, generation, Mode::Apply).await {
                Ok(Undone { kept, .. }) if kept.is_empty() => NewEvent::warning(
                    "configuration.reverted",
                    format!("revision {generation} was not confirmed in time and is reverted"),
                ),
                Ok(Undone { kept, .. }) => NewEvent::error(
                    "configuration.reverted",
                    format!(
                        "revision {generation} was not confirmed in time and is reverted, but others have changed {} since: kept as it is",
                        kept.join(", ")
                    ),
                ),
                Err(error @ (StoreError::Database(_) | StoreError::Storage { .. } | StoreError::Row(_))) => {
                    return Err(error);
                }
                Err(error) => NewEvent::error(
                    "configuration.not_reverted",
                    format!(
                        "revision {generation} was not confirmed in time and cannot be reverted: {error}"
                    ),
                ),
            };
            sqlx::query("DELETE FROM confirmations WHERE generation = ?")
                .bind(generation)
                .execute(&self.writer)
                .await?;
            self.append_events(&[event]).await?;
        }
        Ok(())
    }
}

/// The edit that brings back how it was.
fn step(Delta { resource, id, parent_id: parent, before, after: _ }: Delta) -> Option<Step> {
    let kind = kinds::find(resource)?;
    let at = format!("/{resource}/{id}");
    Some(Step { kind, parent, id, document: before, at })
}
