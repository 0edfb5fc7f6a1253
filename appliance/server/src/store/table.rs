//! What all resources have in common: one code reads, creates, changes and deletes each of them.

use std::future::Future;

use lb_model::Generation;
use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, QueryBuilder, Sqlite, SqliteConnection};
use uuid::Uuid;

use super::columns::{Text, Word};
use super::idempotency::{self, Repeatable};
use super::list::Filter;
use super::{Store, StoreError, projects};
use crate::domain::{
    Author, Expected, FieldError, Home, Kind, Meta, Owner, Readiness, Record, Revision, Scope, Spec,
    Timestamp,
};

/// Values on their way into a statement, in the order of the columns.
pub(crate) type Values<'q> = Separated<'q, Sqlite, &'static str>;

/// A kind of resource that has a table. In its SQL the table is called `t`.
pub(crate) trait Table: Kind {
    /// The table.
    const TABLE: &'static str;
    /// The column that names what one belongs to, if anything.
    const PARENT: Option<&'static str> = None;
    /// Whether the planes work by it: a change raises the generation, and is kept as a revision.
    const CONFIGURATION: bool = true;
    /// The columns that only this kind has, in the order of `bind`.
    const COLUMNS: &'static str;
    /// What is selected for `Self::Row`.
    const SELECT: &'static str;
    /// An SQL expression for the word of `Readiness`.
    const READINESS: &'static str;
    /// What a list can be sorted by, beside what all have.
    const SORTS: &'static [&'static str] = &[];
    /// What a search looks at beside name, description and tags: an SQL expression.
    const SEARCHED: &'static str = "''";
    /// What a list can be filtered by, beside what all have.
    const FILTERS: &'static [Filter];

    /// The columns that only this kind has.
    type Row: for<'r> FromRow<'r, SqliteRow> + Send + Unpin;

    /// The domain's view of a row.
    fn from_row(row: Self::Row) -> Self;

    /// Binds the own columns.
    fn bind(&self, values: &mut Values<'_>);

    /// The identifier of what one belongs to.
    fn parent_id(_parent: Self::Parent) -> Option<String> {
        None
    }

    /// Refuses a parent that does not exist, or not in this scope.
    fn check_parent(
        _scope: Scope,
        _parent: Self::Parent,
        _connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Looks for what does not exist or is taken. The name is checked for all.
    fn check(
        &self,
        place: &Place<Self>,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes what does not stand in the table itself.
    fn relate(
        &self,
        _id: Self::Id,
        _connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }

    /// Refuses to delete what others need.
    fn check_unused(
        _record: &Record<Self>,
        _connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        async { Ok(()) }
    }
}

/// Where a resource is.
#[derive(Debug)]
pub(crate) struct Place<K: Kind> {
    /// Whose resources are seen from here.
    pub(crate) scope: Scope,
    /// What it belongs to.
    pub(crate) parent: K::Parent,
    /// Which it is.
    pub(crate) id: K::Id,
}

#[expect(clippy::expl_impl_clone_on_copy, reason = "a derived one would want `K` itself to be so")]
impl<K: Kind> Clone for Place<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: Kind> Copy for Place<K> {}

/// What was found wrong with a document in the light of all others.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    missing: Vec<FieldError>,
    taken: Vec<FieldError>,
}

impl Faults {
    /// The field names what does not exist.
    pub(super) fn missing(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.missing.push(FieldError::new(pointer, "not_found", detail));
    }

    /// The field must be written, at least the first time.
    pub(super) fn required(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.missing.push(FieldError::new(pointer, "required", detail));
    }

    /// The field names what does not fit here.
    pub(super) fn unfit(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.missing.push(FieldError::new(pointer, "invalid", detail));
    }

    /// The field takes what another has.
    pub(super) fn taken(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.taken.push(FieldError::new(pointer, "taken", detail));
    }

    fn into_result(self) -> Result<(), StoreError> {
        match self {
            Self { missing, taken } if missing.is_empty() && taken.is_empty() => Ok(()),
            Self { missing, taken } if missing.is_empty() => Err(StoreError::Taken(taken)),
            Self { mut missing, taken } => {
                missing.extend(taken);
                Err(StoreError::Invalid(missing))
            }
        }
    }
}

/// The columns that every resource has.
#[derive(FromRow)]
struct CommonRow {
    id: String,
    name: String,
    description: String,
    #[sqlx(json)]
    tags: Vec<String>,
    enabled: bool,
    generation: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    project_id: Option<Text<Uuid>>,
    readiness: Word<Readiness>,
}

const COMMON: &str = "id, name, description, tags, enabled, generation, created_at, updated_at";

impl Store {
    /// The one at `place`.
    pub(crate) async fn get<K: Table>(&self, place: Place<K>) -> Result<Record<K>, StoreError> {
        let mut connection = self.readers.acquire().await?;
        find(&place, &mut connection).await
    }

    /// Creates one. A repeated request gets what the first one created.
    pub(crate) async fn create<K: Table>(
        &self,
        author: &Author,
        (scope, parent): (Scope, K::Parent),
        spec: Spec<K>,
        repeatable: Option<Repeatable>,
    ) -> Result<Record<K>, StoreError> {
        let mut edit = self.edit().await?;
        if let Some(repeatable) = &repeatable
            && let Some(first) = idempotency::recall(repeatable, edit.connection()).await?
        {
            return Ok(first);
        }
        let record = edit.create(Place { scope, parent, id: K::new_id() }, &spec).await?;
        if let Some(repeatable) = &repeatable {
            idempotency::remember(repeatable, &record, edit.connection()).await?;
        }
        edit.commit(self, author).await?;
        Ok(record)
    }

    /// Creates one at `place`.
    pub(crate) async fn create_at<K: Table>(
        &self,
        author: &Author,
        place: Place<K>,
        spec: Spec<K>,
    ) -> Result<(), StoreError> {
        let mut edit = self.edit().await?;
        edit.create(place, &spec).await?;
        edit.commit(self, author).await
    }

    /// Replaces what is written of the one at `place` by what `change` makes of it.
    pub(crate) async fn change<K: Table>(
        &self,
        author: &Author,
        place: Place<K>,
        expected: &Expected,
        change: impl FnOnce(&Spec<K>) -> Result<Spec<K>, Vec<FieldError>> + Send,
    ) -> Result<Record<K>, StoreError> {
        let mut edit = self.edit().await?;
        let record = edit.change(place, expected, change).await?;
        edit.commit(self, author).await?;
        Ok(record)
    }

    /// Deletes the one at `place`.
    pub(crate) async fn delete<K: Table>(
        &self,
        author: &Author,
        place: Place<K>,
        expected: &Expected,
    ) -> Result<(), StoreError> {
        let mut edit = self.edit().await?;
        edit.delete(place, expected).await?;
        edit.commit(self, author).await
    }
}

/// `SELECT` of everything that `record` reads.
pub(super) fn select<K: Table>() -> QueryBuilder<Sqlite> {
    let common = COMMON.split(", ").map(|column| format!("t.{column}")).collect::<Vec<_>>().join(", ");
    QueryBuilder::new(format!(
        "SELECT {common}, {project} AS project_id, {readiness} AS readiness, {own} FROM {table} t WHERE ",
        project = if K::OWNER.is_said() { "t.project_id" } else { "NULL" },
        readiness = K::READINESS,
        own = K::SELECT,
        table = K::TABLE,
    ))
}

/// Restricts a selection to what belongs to `parent` and is seen in this scope: the one place where that is decided.
pub(super) fn within<K: Table>(scope: Scope, parent: K::Parent, query: &mut QueryBuilder<Sqlite>) {
    match (K::PARENT, K::parent_id(parent)) {
        (Some(column), Some(id)) => query.push(format_args!("t.{column} = ")).push_bind(id),
        _ => query.push("TRUE"),
    };
    if let Scope::Project(project) = scope {
        query.push(" AND ");
        of_project::<K>(project, query);
    }
}

/// Restricts a selection to what is this project's.
pub(super) fn of_project<K: Table>(project: Uuid, query: &mut QueryBuilder<Sqlite>) {
    match (K::OWNER, K::PARENT) {
        (Owner::Project | Owner::Either, _) => query.push("t.project_id = ").push_bind(Text(project)),
        (Owner::Itself, _) => query.push("t.id = ").push_bind(Text(project)),
        (Owner::Parent(table), Some(column)) => query
            .push(format_args!("t.{column} IN (SELECT id FROM {table} WHERE project_id = "))
            .push_bind(Text(project))
            .push(")"),
        (Owner::Appliance | Owner::Parent(_), _) => query.push("FALSE"),
    };
}

/// The domain's view of a row of `select`.
pub(super) fn record<K: Table>(row: &SqliteRow) -> Result<Record<K>, StoreError> {
    let CommonRow {
        id,
        name,
        description,
        tags,
        enabled,
        generation,
        created_at,
        updated_at,
        project_id,
        readiness: Word(readiness),
    } = CommonRow::from_row(row)?;
    let project = project_id.map(|Text(project)| project);
    let home = if K::OWNER.is_said() { Home::known(project) } else { Home::default() };
    let id = id.parse().map_err(|_| sqlx::Error::Decode(format!("`{id}` is not an identifier").into()))?;
    let own = K::from_row(K::Row::from_row(row)?);
    let meta = Meta { name, description, tags, enabled };
    let generation = Generation(generation.unsigned_abs());
    Ok(Record { id, spec: Spec { home, meta, own }, generation, created_at, updated_at, readiness })
}

pub(super) async fn find<K: Table>(
    place: &Place<K>,
    connection: &mut SqliteConnection,
) -> Result<Record<K>, StoreError> {
    let mut query = select::<K>();
    within::<K>(place.scope, place.parent, &mut query);
    query.push(" AND t.id = ").push_bind(Text(place.id));
    match query.build().fetch_optional(connection).await? {
        Some(row) => record(&row),
        None => Err(StoreError::NotFound { noun: K::NOUN, id: place.id.to_string() }),
    }
}

/// Refuses a place where there is nothing.
pub(super) async fn check_there<K: Table>(
    place: &Place<K>,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let mut query = QueryBuilder::new(format!("SELECT count(*) FROM {} t WHERE ", K::TABLE));
    within::<K>(place.scope, place.parent, &mut query);
    query.push(" AND t.id = ").push_bind(Text(place.id));
    let there: i64 = query.build_query_scalar().fetch_one(connection).await?;
    if there > 0 { Ok(()) } else { Err(StoreError::NotFound { noun: K::NOUN, id: place.id.to_string() }) }
}

pub(super) async fn expect<K: Table>(
    place: &Place<K>,
    expected: &Expected,
    connection: &mut SqliteConnection,
) -> Result<Record<K>, StoreError> {
    let record = find(place, connection).await?;
    if expected.admits(&Revision::of(&record)) { Ok(record) } else { Err(StoreError::Stale) }
}

pub(super) async fn check<K: Table>(
    place: &Place<K>,
    spec: &Spec<K>,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let mut faults = Faults::default();
    // Names are unique in all projects together.
    let mut query = QueryBuilder::new(format!("SELECT count(*) FROM {} t WHERE ", K::TABLE));
    within::<K>(Scope::Appliance, place.parent, &mut query);
    query.push(" AND t.name = ").push_bind(&spec.meta.name).push(" AND t.id <> ").push_bind(Text(place.id));
    if query.build_query_scalar::<i64>().fetch_one(&mut *connection).await? > 0 {
        faults.taken("/name", format!("another {} is called `{}`", K::NOUN, spec.meta.name));
    }
    if projects::check_references(spec, &mut faults, connection).await? {
        spec.own.check(place, &mut faults, connection).await?;
    }
    faults.into_result()
}

pub(super) async fn insert<K: Table>(
    place: &Place<K>,
    spec: &Spec<K>,
    generation: Generation,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let now = Timestamp::now();
    let parent = K::PARENT.map_or(String::new(), |column| format!("{column}, "));
    let project = if K::OWNER.is_said() { "project_id, " } else { "" };
    let mut query = QueryBuilder::new(format!(
        "INSERT INTO {table} ({parent}{project}id, created_at, {written}, {own}) VALUES (",
        table = K::TABLE,
        written = WRITTEN,
        own = K::COLUMNS,
    ));
    let mut values = query.separated(", ");
    if let Some(parent) = K::parent_id(place.parent) {
        values.push_bind(parent);
    }
    if K::OWNER.is_said() {
        values.push_bind(spec.home.project().map(Text));
    }
    values.push_bind(Text(place.id)).push_bind(now);
    bind_written(spec, generation, now, &mut values);
    query.push(")").build().execute(connection).await?;
    Ok(())
}

pub(super) async fn update<K: Table>(
    place: &Place<K>,
    spec: &Spec<K>,
    generation: Generation,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let (table, own) = (K::TABLE, K::COLUMNS);
    let mut query = QueryBuilder::new(format!("UPDATE {table} SET ({WRITTEN}, {own}) = ("));
    bind_written(spec, generation, Timestamp::now(), &mut query.separated(", "));
    query.push(") WHERE id = ").push_bind(Text(place.id)).build().execute(connection).await?;
    Ok(())
}

/// What both creating and changing write, in the order of `bind_written`.
const WRITTEN: &str = "name, description, tags, enabled, generation, updated_at";

fn bind_written<K: Table>(spec: &Spec<K>, generation: Generation, now: Timestamp, values: &mut Values<'_>) {
    let Spec { home: _, meta: Meta { name, description, tags, enabled }, own } = spec;
    values.push_bind(name).push_bind(description).push_bind(sqlx::types::Json(tags)).push_bind(*enabled);
    values.push_bind(generation.0.cast_signed()).push_bind(now);
    own.bind(values);
}
