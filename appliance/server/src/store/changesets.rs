//! The table of changesets, and what it means to apply one.

use lb_model::Generation;
use sqlx::{FromRow, SqliteConnection};
use uuid::Uuid;

use super::batch::{self, Step};
use super::document::{Applied, Mode};
use super::list::Filter;
use super::table::{Faults, Place, Table, Values, find};
use super::{Store, StoreError, kinds};
use crate::domain::{Action, Author, Changeset, Expected, FieldError, Operation, Record, Scope, Secrets};

#[derive(FromRow)]
pub(crate) struct ChangesetRow {
    #[sqlx(json)]
    operations: Vec<Operation>,
    /// Of each operation.
    #[sqlx(json)]
    secrets: Vec<Secrets>,
}

impl Table for Changeset {
    const TABLE: &'static str = "changesets";
    const CONFIGURATION: bool = false;
    const COLUMNS: &'static str = "operations, secrets";
    const SELECT: &'static str = "t.operations, t.secrets";
    const READINESS: &'static str = "'ready'";
    const FILTERS: &'static [Filter] = &[];

    type Row = ChangesetRow;

    fn from_row(ChangesetRow { mut operations, secrets }: ChangesetRow) -> Self {
        for (operation, secrets) in operations.iter_mut().zip(secrets) {
            operation.secrets = secrets;
        }
        Self { operations }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let secrets: Vec<Secrets> =
            self.operations.iter().map(|operation| operation.secrets.clone()).collect();
        values.push_bind(sqlx::types::Json(self.operations.clone())).push_bind(sqlx::types::Json(secrets));
    }

    async fn check(
        &self,
        _place: &Place<Self>,
        faults: &mut Faults,
        _connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        for (index, operation) in self.operations.iter().enumerate() {
            if !kinds::is_configuration(&operation.resource) {
                faults.missing(format!("/operations/{index}/resource"), "there is no such kind of resource");
            }
        }
        Ok(())
    }
}

impl Store {
    /// Makes all edits of a changeset at once, and forgets it; or only says what they would be.
    pub(crate) async fn apply_changeset(
        &self,
        author: &Author,
        id: Uuid,
        expected: &Expected,
        mode: Mode,
    ) -> Result<Applied, StoreError> {
        let mut edit = self.edit().await?;
        let place = Place::<Changeset> { scope: Scope::Appliance, parent: (), id };
        let record = find(&place, edit.connection()).await?;
        let mut steps = Vec::new();
        let mut conflicts = Vec::new();
        for (index, operation) in record.spec.own.operations.iter().enumerate() {
            let at = format!("/operations/{index}");
            if moved(&record, operation, edit.connection()).await? {
                let detail = "somebody else changed it since the changeset was written";
                conflicts.push(FieldError::new(at, "conflict", detail));
                continue;
            }
            steps.push(step(operation, at, edit.connection()).await?);
        }
        if !conflicts.is_empty() {
            return Err(StoreError::Taken(conflicts));
        }
        batch::make(&mut edit, steps).await?;
        if mode == Mode::Apply {
            edit.delete(place, expected).await?;
        }
        self.finish(edit, author, mode).await
    }
}

/// Whether what the operation is about has changed since the changeset was written.
async fn moved(
    record: &Record<Changeset>,
    operation: &Operation,
    connection: &mut SqliteConnection,
) -> Result<bool, StoreError> {
    let Generation(base) = record.generation;
    let later: i64 =
        sqlx::query_scalar("SELECT count(*) FROM revision_changes WHERE resource_id = ? AND generation > ?")
            .bind(operation.id.map(|id| id.to_string()))
            .bind(base.cast_signed())
            .fetch_one(connection)
            .await?;
    Ok(later > 0)
}

async fn step(
    operation: &Operation,
    at: String,
    connection: &mut SqliteConnection,
) -> Result<Step, StoreError> {
    let Operation { action, resource, id, parent_id, document, secrets } = operation;
    let unreadable = || {
        let detail = "what this never shows was written on another appliance: write it again";
        StoreError::Invalid(vec![FieldError::new(format!("{at}/document"), "unreadable", detail)])
    };
    let document = &secrets.put_back(document.clone()).ok_or_else(unreadable)?;
    let missing = || StoreError::NotFound { noun: "kind of resource", id: resource.clone() };
    let kind = kinds::find(resource).ok_or_else(missing)?;
    let parent = parent_id.map(|id| id.to_string());
    let id = id.map_or_else(|| kind.new_id(), |id| id.to_string());
    let document = match action {
        Action::Create => Some(document.clone()),
        Action::Delete => None,
        Action::Update => {
            let before = kind.one(&id, connection).await?;
            let missing = || StoreError::NotFound { noun: kind.noun(), id: id.clone() };
            Some(kind.patched(&before.ok_or_else(missing)?, document).map_err(|faults| below(&at, faults))?)
        }
    };
    let parent = match parent {
        Some(parent) => Some(parent),
        None => kind.owner(&id, connection).await?,
    };
    Ok(Step { kind, parent, id, document, at })
}

fn below(at: &str, faults: Vec<FieldError>) -> StoreError {
    let below =
        |fault: FieldError| FieldError { pointer: format!("{at}/document{}", fault.pointer), ..fault };
    StoreError::Invalid(faults.into_iter().map(below).collect())
}
