//! One accepted change, of one resource or of many: a transaction that raises the generation once and leaves behind a
//! revision, a line in the audit log and an event, or nothing at all.

use lb_model::Generation;
use sqlx::query_builder::QueryBuilder;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::columns::Text;
use super::table::{check, expect, find, insert, update};
use super::{Place, Store, StoreError, Table, audit, current_generation, events, kinds, projects, revisions};
use crate::domain::{Action, Author, Delta, Expected, FieldError, NewEvent, Record, Spec};

/// How far a change had come.
pub(super) struct Mark(usize);

/// A change that is being made. Dropped without `commit`, nothing of it remains.
pub(crate) struct Edit {
    transaction: Transaction<'static, Sqlite>,
    /// What the configuration's number will be.
    next: Generation,
    deltas: Vec<Delta>,
}

impl Store {
    /// Begins a change.
    pub(crate) async fn edit(&self) -> Result<Edit, StoreError> {
        let mut transaction = self.write().await?;
        let next = Generation(current_generation(&mut transaction).await?.0 + 1);
        Ok(Edit { transaction, next, deltas: Vec::new() })
    }
}

impl Edit {
    /// Where the change is written, for what is no resource.
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// What was done so far.
    pub(super) fn deltas(&self) -> &[Delta] {
        &self.deltas
    }

    /// Whether this one was deleted, and not created again.
    pub(super) fn has_deleted(&self, id: &str) -> bool {
        self.deltas.iter().rev().find(|delta| delta.id == id).is_some_and(|delta| delta.after.is_none())
    }

    /// The number that the configuration has if this is accepted.
    pub(super) fn outcome(&self) -> Generation {
        let configured = self.deltas.iter().any(|delta| kinds::is_configuration(delta.resource));
        if configured { self.next } else { Generation(self.next.0 - 1) }
    }

    /// Remembers how everything is now.
    pub(super) async fn mark(&mut self) -> Result<Mark, StoreError> {
        sqlx::query("SAVEPOINT step").execute(&mut *self.transaction).await?;
        Ok(Mark(self.deltas.len()))
    }

    /// What was done since the mark stays.
    pub(super) async fn release(&mut self) -> Result<(), StoreError> {
        sqlx::query("RELEASE step").execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// What was done since the mark is undone.
    pub(super) async fn back_to(&mut self, Mark(deltas): Mark) -> Result<(), StoreError> {
        self.deltas.truncate(deltas);
        sqlx::query("ROLLBACK TO step").execute(&mut *self.transaction).await?;
        self.release().await
    }

    /// Creates one at `place`.
    pub(super) async fn create<K: Table>(
        &mut self,
        place: Place<K>,
        spec: &Spec<K>,
    ) -> Result<Record<K>, StoreError> {
        K::check_parent(place.scope, place.parent, &mut self.transaction).await?;
        let spec = &projects::settled(&place, spec, &mut self.transaction).await?;
        check(&place, spec, &mut self.transaction).await?;
        projects::check_quota(&place, spec, &mut self.transaction).await?;
        insert(&place, spec, self.generation::<K>(), &mut self.transaction).await?;
        spec.own.relate(place.id, &mut self.transaction).await?;
        let record = find(&place, &mut self.transaction).await?;
        self.note(&place, None, Some(&record.spec));
        Ok(record)
    }

    /// Replaces what is written of the one at `place` by what `change` makes of it.
    pub(super) async fn change<K: Table>(
        &mut self,
        place: Place<K>,
        expected: &Expected,
        change: impl FnOnce(&Spec<K>) -> Result<Spec<K>, Vec<FieldError>> + Send,
    ) -> Result<Record<K>, StoreError> {
        let before = expect(&place, expected, &mut self.transaction).await?;
        let mut spec = change(&before.spec).map_err(StoreError::Invalid)?;
        spec.own.inherit(&before.spec.own);
        spec.home = projects::kept(before.spec.home, spec.home)?;
        // Nothing to do for the planes, and no reason for others to read again.
        if spec == before.spec {
            return Ok(before);
        }
        check(&place, &spec, &mut self.transaction).await?;
        update(&place, &spec, self.generation::<K>(), &mut self.transaction).await?;
        spec.own.relate(place.id, &mut self.transaction).await?;
        let record = find(&place, &mut self.transaction).await?;
        self.note(&place, Some(&before.spec), Some(&record.spec));
        Ok(record)
    }

    /// Deletes the one at `place`, with what belongs to it.
    pub(super) async fn delete<K: Table>(
        &mut self,
        place: Place<K>,
        expected: &Expected,
    ) -> Result<(), StoreError> {
        let record = expect(&place, expected, &mut self.transaction).await?;
        K::check_unused(&record, &mut self.transaction).await?;
        for kind in kinds::within(K::TABLE) {
            let id = place.id.to_string();
            for found in kind.all(Some(&id), &mut self.transaction).await? {
                self.deltas.push(Delta {
                    resource: kind.word(),
                    id: found.id,
                    parent_id: Some(id.clone()),
                    before: Some(found.document),
                    after: None,
                });
            }
        }
        let mut delete = QueryBuilder::<Sqlite>::new(format!("DELETE FROM {} WHERE id = ", K::TABLE));
        delete.push_bind(Text(place.id)).build().execute(&mut *self.transaction).await?;
        self.note(&place, Some(&record.spec), None);
        Ok(())
    }

    /// Accepts it. Nothing is left behind where nothing was changed.
    pub(crate) async fn commit(mut self, store: &Store, author: &Author) -> Result<(), StoreError> {
        if self.deltas.is_empty() {
            self.transaction.commit().await?;
            return Ok(());
        }
        let configured = self.deltas.iter().any(|delta| kinds::is_configuration(delta.resource));
        if configured {
            sqlx::query("UPDATE generation SET current = ?")
                .bind(self.next.0.cast_signed())
                .execute(&mut *self.transaction)
                .await?;
            revisions::append(self.next, author, &self.deltas, &mut self.transaction).await?;
            if let Some(seconds) = author.confirm_within {
                revisions::to_be_confirmed(self.next, seconds, &mut self.transaction).await?;
            }
        }
        let generation = configured.then_some(self.next);
        audit::changed(author, generation, &self.deltas, &mut self.transaction).await?;
        let last = events::insert(&event(author, generation, &self.deltas), &mut self.transaction).await?;
        self.transaction.commit().await?;
        store.events.send_replace(last);
        if configured {
            store.changed.notify_one();
            store.commits.send_replace(());
        }
        Ok(())
    }

    /// The number that a changed resource shows: accounts are not part of what is forwarded by.
    fn generation<K: Table>(&self) -> Generation {
        if K::CONFIGURATION { self.next } else { Generation(self.next.0 - 1) }
    }

    fn note<K: Table>(&mut self, place: &Place<K>, before: Option<&Spec<K>>, after: Option<&Spec<K>>) {
        self.deltas.push(Delta {
            resource: K::TABLE,
            id: place.id.to_string(),
            parent_id: K::parent_id(place.parent),
            before: before.map(Spec::document),
            after: after.map(Spec::document),
        });
    }
}

/// The change as an event, in one sentence.
fn event(author: &Author, generation: Option<Generation>, deltas: &[Delta]) -> NewEvent {
    let kind = if generation.is_some() { "configuration.changed" } else { "accounts.changed" };
    let done = match deltas {
        [only] => sentence(only),
        many => format!("changed {} resources", many.len()),
    };
    let data =
        serde_json::json!({ "author": author.name, "generation": generation, "comment": author.comment });
    let event = NewEvent::info(kind, format!("{} {done}", author.name)).with(data);
    match deltas {
        [only] => NewEvent { about: Some((only.resource, only.id.clone())), ..event },
        _ => event,
    }
}

fn sentence(delta: &Delta) -> String {
    let verb = match delta.action() {
        Action::Create => "created",
        Action::Update => "changed",
        Action::Delete => "deleted",
    };
    format!("{verb} {} `{}`", kinds::noun(delta.resource), delta.name())
}
