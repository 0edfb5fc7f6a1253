//! The table of projects; and what it means for others to belong to one: which it is, that they keep to it, and how many it may have.

use std::collections::BTreeMap;

use sqlx::types::Json;
use sqlx::{FromRow, QueryBuilder, SqliteConnection};
use uuid::Uuid;

use super::columns::Text;
use super::document::each;
use super::list::Filter;
use super::table::{Faults, Place, Table, Values, of_project};
use super::{StoreError, kinds};
use crate::domain::{DEFAULT_PROJECT, FieldError, Home, Owner, Project, Quotas, Record, Scope, Spec};

#[derive(FromRow)]
pub(crate) struct ProjectRow {
    #[sqlx(json)]
    quotas: Quotas,
    #[sqlx(json)]
    used: BTreeMap<String, u32>,
}

impl Table for Project {
    const TABLE: &'static str = "projects";
    const COLUMNS: &'static str = "quotas";
    const SELECT: &'static str = "t.quotas, json_object(
        'virtual_ips', (SELECT count(*) FROM virtual_ips o WHERE o.project_id = t.id),
        'virtual_services', (SELECT count(*) FROM virtual_services o WHERE o.project_id = t.id),
        'policies', (SELECT count(*) FROM policies o WHERE o.project_id = t.id),
        'certificates', (SELECT count(*) FROM certificates o WHERE o.project_id = t.id),
        'pools', (SELECT count(*) FROM pools o WHERE o.project_id = t.id),
        'members', (SELECT count(*) FROM members m JOIN pools o ON o.id = m.pool_id WHERE o.project_id = t.id),
        'monitors', (SELECT count(*) FROM monitors o WHERE o.project_id = t.id),
        'users', (SELECT count(*) FROM users o WHERE o.project_id = t.id)) AS used";
    const READINESS: &'static str = "'ready'";
    const FILTERS: &'static [Filter] = &[];

    type Row = ProjectRow;

    fn from_row(ProjectRow { quotas, used }: ProjectRow) -> Self {
        Self { quotas, used }
    }

    fn bind(&self, values: &mut Values<'_>) {
        values.push_bind(Json(self.quotas));
    }

    async fn check(
        &self,
        _place: &Place<Self>,
        _faults: &mut Faults,
        _connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn check_unused(
        record: &Record<Self>,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let name = &record.spec.meta.name;
        if record.id == DEFAULT_PROJECT {
            return Err(StoreError::InUse(format!(
                "`{name}` is the project of whatever has no other: it stays"
            )));
        }
        if let Some((table, count)) = record.spec.own.used.iter().find(|(_, count)| **count > 0) {
            let what = table.replace('_', " ");
            return Err(StoreError::InUse(format!("project `{name}` still has {count} {what}")));
        }
        let tokens: i64 = sqlx::query_scalar("SELECT count(*) FROM tokens WHERE project_id = ?")
            .bind(Text(record.id))
            .fetch_one(connection)
            .await?;
        if tokens > 0 {
            return Err(StoreError::InUse(format!("project `{name}` still has {tokens} tokens")));
        }
        Ok(())
    }
}

/// A new document with the project that it is to belong to.
pub(super) async fn settled<K: Table>(
    place: &Place<K>,
    spec: &Spec<K>,
    connection: &mut SqliteConnection,
) -> Result<Spec<K>, StoreError> {
    let said = spec.home.project();
    let home = match (K::OWNER, place.scope) {
        (Owner::Appliance | Owner::Parent(_) | Owner::Itself, _) => Home::default(),
        (Owner::Project | Owner::Either, Scope::Project(own)) => match said {
            Some(other) if other != own => return Err(missing(other)),
            _ => Home::known(Some(own)),
        },
        (Owner::Project, Scope::Appliance) => Home::known(Some(said.unwrap_or(DEFAULT_PROJECT))),
        (Owner::Either, Scope::Appliance) => Home::known(said),
    };
    if let Some(project) = home.project() {
        let found: i64 = sqlx::query_scalar("SELECT count(*) FROM projects WHERE id = ?")
            .bind(Text(project))
            .fetch_one(connection)
            .await?;
        if found == 0 {
            return Err(missing(project));
        }
    }
    Ok(Spec { home, ..spec.clone() })
}

fn missing(project: Uuid) -> StoreError {
    let detail = format!("there is no project {project}");
    StoreError::Invalid(vec![FieldError::new("/project_id", "not_found", detail)])
}

/// The project that a changed document belongs to: that of the one before.
pub(super) fn kept(before: Home, said: Home) -> Result<Home, StoreError> {
    if said.project().is_none() || said == before {
        return Ok(before);
    }
    let detail = "what belongs to a project stays there: create it anew in the other";
    Err(StoreError::Invalid(vec![FieldError::new("/project_id", "unsupported", detail)]))
}

/// What a document names must be in its own project: what is in others is not there. Says whether it is so.
pub(super) async fn check_references<K: Table>(
    spec: &Spec<K>,
    faults: &mut Faults,
    connection: &mut SqliteConnection,
) -> Result<bool, StoreError> {
    let Some(project) = spec.home.project() else { return Ok(true) };
    let mut document = spec.document();
    let mut named = Vec::new();
    for (pattern, table) in K::REFERENCES {
        each(&mut document, pattern, &mut |at, value| {
            named.push((*table, at.to_owned(), value.as_str().unwrap_or_default().to_owned()));
        });
    }
    let mut kept = true;
    for (table, pointer, id) in named {
        let mut query = QueryBuilder::new(format!("SELECT count(*) FROM {table} WHERE id = "));
        query.push_bind(id.clone()).push(" AND project_id <> ").push_bind(Text(project));
        if query.build_query_scalar::<i64>().fetch_one(&mut *connection).await? > 0 {
            faults.missing(pointer, format!("there is no {} {id} in its project", kinds::noun(table)));
            kept = false;
        }
    }
    Ok(kept)
}

/// Refuses one more than the project may have.
pub(super) async fn check_quota<K: Table>(
    place: &Place<K>,
    spec: &Spec<K>,
    connection: &mut SqliteConnection,
) -> Result<(), StoreError> {
    let project = match (K::OWNER, K::parent_id(place.parent)) {
        (Owner::Parent(table), Some(parent)) => {
            let mut query = QueryBuilder::new(format!("SELECT project_id FROM {table} WHERE id = "));
            let found: Option<Option<Text<Uuid>>> =
                query.push_bind(parent).build_query_scalar().fetch_optional(&mut *connection).await?;
            found.flatten().map(|Text(project)| project)
        }
        _ => spec.home.project(),
    };
    let Some(id) = project else { return Ok(()) };
    let most: Option<(String, Option<u32>)> =
        sqlx::query_as("SELECT name, quotas ->> ? FROM projects WHERE id = ?")
            .bind(format!("$.{}", K::TABLE))
            .bind(Text(id))
            .fetch_optional(&mut *connection)
            .await?;
    let Some((project, Some(most))) = most else { return Ok(()) };
    let mut query = QueryBuilder::new(format!("SELECT count(*) FROM {} t WHERE ", K::TABLE));
    of_project::<K>(id, &mut query);
    let there: u32 = query.build_query_scalar().fetch_one(connection).await?;
    if there < most { Ok(()) } else { Err(StoreError::Quota { project, table: K::TABLE, most }) }
}

/// What a resource of this project is called for who sees this scope.
pub(super) fn named(scope: Scope, project: Uuid, noun: &str, name: &str) -> String {
    match scope.project() {
        Some(own) if own != project => format!("a {noun} of another project"),
        _ => format!("{noun} `{name}`"),
    }
}
