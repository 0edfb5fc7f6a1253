//! Every kind of resource by its name, for what works on all of them alike: history, the whole configuration.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::pin::Pin;

use serde_json::{Map, Value};
use sqlx::{QueryBuilder, SqliteConnection};

use super::edit::Edit;
use super::table::{record, select, within as belongs};
use super::{Place, StoreError, Table};
use crate::domain::{
    Certificate, Changeset, Expected, FieldError, Member, Monitor, Owner, Policy, Pool, Project, Record,
    Scope, Spec, Token, User, VirtualIp, VirtualService, Webhook,
};
use crate::vault;

/// What a function of a trait object answers later.
pub(super) type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// All that can be written of a resource.
pub(super) type Document = Map<String, Value>;

/// In the order in which they can be created: what is named comes before who names it.
static KINDS: &[&dyn AnyTable] = &[
    &Any::<Project>::alone(),
    &Any::<VirtualIp>::alone(),
    &Any::<Monitor>::alone(),
    &Any::<Pool>::alone(),
    &Any::<Member>::within("pools"),
    &Any::<Certificate>::alone(),
    &Any::<VirtualService>::alone(),
    &Any::<Policy>::alone(),
    &Any::<Webhook>::alone(),
    &Any::<User>::alone(),
    &Any::<Token>::within("users"),
    &Any::<Changeset>::alone(),
];

/// One resource, of whatever kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) id: String,
    /// All that can be written of it.
    pub(super) document: Document,
}

/// A kind of resource whose type is not known where it is used.
pub(super) trait AnyTable: Send + Sync {
    /// Its table, by which it is called in documents too.
    fn word(&self) -> &'static str;
    /// What one is called in a sentence.
    fn noun(&self) -> &'static str;
    /// The table of what it belongs to.
    fn parent(&self) -> Option<&'static str>;
    /// Whether the planes work by it.
    fn is_configuration(&self) -> bool;
    /// All, or all that belong to this one, oldest first.
    fn all<'c>(&self, parent: Option<&'c str>, connection: &'c mut SqliteConnection)
    -> Later<'c, Vec<Found>>;
    /// What is written of this one, if it is there.
    fn one<'c>(&self, id: &'c str, connection: &'c mut SqliteConnection) -> Later<'c, Option<Document>>;
    /// What is never shown of each, which was sealed with `key`, by its identifier.
    fn secrets<'c>(
        &self,
        key: &'c vault::Key,
        connection: &'c mut SqliteConnection,
    ) -> Later<'c, HashMap<String, Document>>;
    /// What this one belongs to.
    fn owner<'c>(&self, id: &'c str, connection: &'c mut SqliteConnection) -> Later<'c, Option<String>>;
    /// Creates the one with this identifier, or replaces what is written of it.
    fn put<'e>(
        &self,
        edit: &'e mut Edit,
        parent: Option<&'e str>,
        id: &'e str,
        document: &'e Document,
    ) -> Later<'e, ()>;
    /// Deletes it.
    fn remove<'e>(&self, edit: &'e mut Edit, parent: Option<&'e str>, id: &'e str) -> Later<'e, ()>;
    /// A new identifier.
    fn new_id(&self) -> String;
    /// What one with this document is called.
    fn name(&self, document: &Document) -> Option<String>;
    /// Whether `document` says the same as `before`, which has every field.
    fn is_same(&self, before: &Document, document: &Document) -> bool;
    /// The document `before` with `patch` merged in.
    fn patched(&self, before: &Document, patch: &Document) -> Result<Document, Vec<FieldError>>;
    /// Which fields name others, and of what kind.
    fn references(&self) -> Vec<(&'static str, &'static str)>;
    /// Which fields are written and never shown.
    #[cfg(test)]
    fn write_only(&self) -> &'static [&'static str];
}

/// All kinds, in the order in which they can be created.
pub(super) fn kinds() -> impl DoubleEndedIterator<Item = &'static dyn AnyTable> {
    KINDS.iter().copied()
}

/// What belongs to one of `table`.
pub(super) fn within(table: &str) -> impl Iterator<Item = &'static dyn AnyTable> {
    kinds().filter(move |kind| kind.parent() == Some(table))
}

/// Whether the planes work by what stands in `table`.
pub(super) fn is_configuration(table: &str) -> bool {
    find(table).is_some_and(AnyTable::is_configuration)
}

/// What one of `table` is called in a sentence.
pub(super) fn noun(table: &str) -> &'static str {
    find(table).map_or("resource", AnyTable::noun)
}

/// The kind that stands in `table`.
pub(super) fn find(table: &str) -> Option<&'static dyn AnyTable> {
    kinds().find(|kind| kind.word() == table)
}

struct Any<K> {
    parent: Option<&'static str>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Table> Any<K> {
    const fn alone() -> Self {
        Self { parent: None, kind: PhantomData }
    }

    const fn within(parent: &'static str) -> Self {
        Self { parent: Some(parent), kind: PhantomData }
    }
}

impl<K: Table> AnyTable for Any<K> {
    fn word(&self) -> &'static str {
        K::TABLE
    }

    fn noun(&self) -> &'static str {
        K::NOUN
    }

    fn parent(&self) -> Option<&'static str> {
        self.parent
    }

    fn is_configuration(&self) -> bool {
        K::CONFIGURATION
    }

    fn all<'c>(
        &self,
        parent: Option<&'c str>,
        connection: &'c mut SqliteConnection,
    ) -> Later<'c, Vec<Found>> {
        Box::pin(async move {
            let mut query = select::<K>();
            match parent {
                Some(id) => belongs::<K>(Scope::Appliance, parent_of::<K>(Some(id))?, &mut query),
                None => _ = query.push("TRUE"),
            }
            let rows = query.push(" ORDER BY t.id").build().fetch_all(connection).await?;
            rows.iter().map(|row| Ok(found(&record::<K>(row)?))).collect()
        })
    }

    fn one<'c>(&self, id: &'c str, connection: &'c mut SqliteConnection) -> Later<'c, Option<Document>> {
        Box::pin(async move {
            let record = record_of::<K>(id, connection).await?;
            Ok(record.map(|record| record.spec.document()))
        })
    }

    fn secrets<'c>(
        &self,
        key: &'c vault::Key,
        connection: &'c mut SqliteConnection,
    ) -> Later<'c, HashMap<String, Document>> {
        Box::pin(async move {
            let mut secrets = HashMap::new();
            if K::WRITE_ONLY.is_empty() {
                return Ok(secrets);
            }
            for row in select::<K>().push("TRUE").build().fetch_all(connection).await? {
                let Record { id, spec, .. } = record::<K>(&row)?;
                secrets.insert(id.to_string(), spec.own.reveal(key));
            }
            Ok(secrets)
        })
    }

    fn owner<'c>(&self, id: &'c str, connection: &'c mut SqliteConnection) -> Later<'c, Option<String>> {
        Box::pin(async move {
            let Some(column) = K::PARENT else { return Ok(None) };
            let sql = format!("SELECT {column} FROM {} WHERE id = ", K::TABLE);
            let mut query = QueryBuilder::new(sql);
            Ok(query.push_bind(id.to_owned()).build_query_scalar().fetch_optional(connection).await?)
        })
    }

    fn put<'e>(
        &self,
        edit: &'e mut Edit,
        parent: Option<&'e str>,
        id: &'e str,
        document: &'e Document,
    ) -> Later<'e, ()> {
        Box::pin(async move {
            let spec = Spec::<K>::read(document).map_err(StoreError::Invalid)?;
            let place = place::<K>(parent, id)?;
            if record_of::<K>(id, edit.connection()).await?.is_some() {
                edit.change(place, &Expected::Any, |_| Ok(spec)).await?;
            } else {
                edit.create(place, &spec).await?;
            }
            Ok(())
        })
    }

    fn remove<'e>(&self, edit: &'e mut Edit, parent: Option<&'e str>, id: &'e str) -> Later<'e, ()> {
        Box::pin(async move { edit.delete(place::<K>(parent, id)?, &Expected::Any).await })
    }

    fn new_id(&self) -> String {
        K::new_id().to_string()
    }

    fn name(&self, document: &Document) -> Option<String> {
        match document.get("name") {
            Some(name) => name.as_str().map(str::to_owned),
            None => Spec::<K>::read(document).ok().map(|spec| spec.meta.name),
        }
    }

    fn is_same(&self, before: &Document, document: &Document) -> bool {
        // What is never shown does not stand in `before`: whoever has it compares it.
        let has_secret = K::WRITE_ONLY.iter().any(|key| document.get(*key).is_some_and(|it| !it.is_null()));
        !has_secret && Spec::<K>::read(document).is_ok_and(|spec| spec.document() == *before)
    }

    fn patched(&self, before: &Document, patch: &Document) -> Result<Document, Vec<FieldError>> {
        let mut document = Spec::<K>::read(before)?.patched(patch)?.document();
        // Of what is never shown there is only what is written now.
        document.extend(
            K::WRITE_ONLY.iter().filter_map(|key| Some(((*key).to_owned(), patch.get(*key)?.clone()))),
        );
        Ok(document)
    }

    fn references(&self) -> Vec<(&'static str, &'static str)> {
        let project = (K::OWNER == Owner::Project).then_some(("/project_id", Project::TABLE));
        K::REFERENCES.iter().copied().chain(project).collect()
    }

    #[cfg(test)]
    fn write_only(&self) -> &'static [&'static str] {
        K::WRITE_ONLY
    }
}

/// The one with this identifier, wherever it belongs.
async fn record_of<K: Table>(
    id: &str,
    connection: &mut SqliteConnection,
) -> Result<Option<Record<K>>, StoreError> {
    let mut query = select::<K>();
    query.push("t.id = ").push_bind(id.to_owned());
    query.build().fetch_optional(connection).await?.as_ref().map(record).transpose()
}

/// The place of the one with this identifier.
fn place<K: Table>(parent: Option<&str>, id: &str) -> Result<Place<K>, StoreError> {
    let missing = || StoreError::NotFound { noun: K::NOUN, id: id.to_owned() };
    let parent = parent_of::<K>(parent).map_err(|_| {
        StoreError::Invalid(vec![FieldError::new("/parent_id", "required", "this belongs to something")])
    })?;
    Ok(Place { scope: Scope::Appliance, parent, id: id.parse().map_err(|_| missing())? })
}

fn found<K: Table>(Record { id, spec, .. }: &Record<K>) -> Found {
    Found { id: id.to_string(), document: spec.document() }
}

/// The parent with this identifier; kinds that belong to nothing have the parent `()`, in JSON null.
fn parent_of<K: Table>(id: Option<&str>) -> Result<K::Parent, StoreError> {
    Ok(serde_json::from_value(id.into())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SECRETS;

    #[test]
    fn changesets_seal_whatever_a_kind_never_shows() {
        for kind in kinds() {
            for field in kind.write_only() {
                assert!(
                    SECRETS.contains(field),
                    "{}: say in domain/secrets.rs that `{field}` is one",
                    kind.word()
                );
            }
        }
    }
}
