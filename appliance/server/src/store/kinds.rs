//! Every kind of resource by its name, for what works on all of them alike: history, the whole configuration.

use std::marker::PhantomData;
use std::pin::Pin;

use serde_json::{Map, Value};
use sqlx::SqliteConnection;

use super::table::{record, select, within as belongs};
use super::{StoreError, Table};
use crate::domain::{Member, Monitor, Pool, Record, Token, User, VirtualIp, VirtualService};

/// What a function of a trait object answers later.
pub(super) type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// In the order in which they can be created: what is named comes before who names it.
static KINDS: &[&dyn AnyTable] = &[
    &Any::<VirtualIp>::alone(),
    &Any::<Monitor>::alone(),
    &Any::<Pool>::alone(),
    &Any::<Member>::within("pools"),
    &Any::<VirtualService>::alone(),
    &Any::<User>::alone(),
    &Any::<Token>::within("users"),
];

/// One resource, of whatever kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) id: String,
    /// All that can be written of it.
    pub(super) document: Map<String, Value>,
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
                Some(id) => belongs::<K>(parent_of::<K>(Some(id))?, &mut query),
                None => _ = query.push("TRUE"),
            }
            let rows = query.push(" ORDER BY t.id").build().fetch_all(connection).await?;
            rows.iter().map(|row| Ok(found(&record::<K>(row)?))).collect()
        })
    }
}

fn found<K: Table>(Record { id, spec, .. }: &Record<K>) -> Found {
    Found { id: id.to_string(), document: spec.document() }
}

/// The parent with this identifier; kinds that belong to nothing have the parent `()`, in JSON null.
fn parent_of<K: Table>(id: Option<&str>) -> Result<K::Parent, StoreError> {
    Ok(serde_json::from_value(id.into())?)
}
