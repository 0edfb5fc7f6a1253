//! The whole configuration as one document: read, and made so.
//!
//! Under the name of each table stands a list of what is in it; what belongs to something stands inside it. Each has its
//! `id`; a document without them is matched by the names, and can name by its name what it refers to.

use std::collections::{HashMap, HashSet};

use lb_model::Generation;
use serde_json::{Map, Value};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::batch::{self, Step};
use super::edit::Edit;
use super::kinds::{self, AnyTable, Found};
use super::{Store, StoreError, current_generation};
use crate::domain::{Author, Change, DEFAULT_PROJECT, Delta, FieldError};
use crate::vault;

/// What is made of an accepted document, or would be.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The number that the configuration has then.
    pub(crate) generation: Generation,
    /// What differs from what was there before.
    pub(crate) changes: Vec<Change>,
}

/// Whether to keep what was done, or only to say what it would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Apply,
    DryRun,
}

impl Store {
    /// The whole configuration and its number. Without `ids`, references are by name: to be read, and carried elsewhere.
    pub(crate) async fn document(&self, ids: bool) -> Result<(Generation, Map<String, Value>), StoreError> {
        self.document_with(ids, None).await
    }

    /// The same; with the `key` that secrets were sealed with, these too.
    pub(super) async fn document_with(
        &self,
        ids: bool,
        key: Option<&vault::Key>,
    ) -> Result<(Generation, Map<String, Value>), StoreError> {
        let mut transaction = self.readers.begin().await?;
        let generation = current_generation(&mut transaction).await?;
        let names = if ids { HashMap::new() } else { names(&mut transaction).await? };
        let mut document = Map::new();
        for kind in roots() {
            let mut items = Vec::new();
            let mut secrets = match key {
                Some(key) => kind.secrets(key, &mut transaction).await?,
                None => HashMap::new(),
            };
            for found in kind.all(None, &mut transaction).await? {
                let mut item = item(kind, &found, ids, &names);
                item.extend(secrets.remove(&found.id).unwrap_or_default());
                for child in kinds::within(kind.word()) {
                    let children = child.all(Some(&found.id), &mut transaction).await?;
                    let children = children.iter().map(|found| item_of(child, found, ids, &names));
                    item.insert(child.word().to_owned(), children.collect());
                }
                items.push(Value::Object(item));
            }
            document.insert(kind.word().to_owned(), Value::Array(items));
        }
        Ok((generation, document))
    }

    /// Makes the configuration what `document` says, whole, if it still has the number `expected`.
    pub(crate) async fn replace_document(
        &self,
        author: &Author,
        document: &Map<String, Value>,
        expected: Option<&[Generation]>,
        mode: Mode,
    ) -> Result<Applied, StoreError> {
        let mut edit = self.edit().await?;
        let current = current_generation(edit.connection()).await?;
        if expected.is_some_and(|expected| !expected.contains(&current)) {
            return Err(StoreError::Stale);
        }
        let steps = steps(document, edit.connection()).await?;
        batch::make(&mut edit, steps).await?;
        self.finish(edit, author, mode).await
    }

    /// Ends a batch: keeps it, or only says what it would be.
    pub(super) async fn finish(
        &self,
        edit: Edit,
        author: &Author,
        mode: Mode,
    ) -> Result<Applied, StoreError> {
        let changes: Vec<Change> = edit.deltas().iter().map(Delta::change).collect();
        let generation = edit.outcome();
        if mode == Mode::Apply {
            edit.commit(self, author).await?;
        }
        Ok(Applied { generation, changes })
    }
}

fn roots() -> impl DoubleEndedIterator<Item = &'static dyn AnyTable> {
    kinds::kinds().filter(|kind| kind.is_configuration() && kind.parent().is_none())
}

type Names = HashMap<(&'static str, String), String>;

/// What each is called, by kind and identifier.
async fn names(connection: &mut SqliteConnection) -> Result<Names, StoreError> {
    let mut names = Names::new();
    for kind in roots() {
        for Found { id, document } in kind.all(None, connection).await? {
            names.insert((kind.word(), id), name(&document));
        }
    }
    Ok(names)
}

fn name(document: &Map<String, Value>) -> String {
    document.get("name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn item_of(kind: &dyn AnyTable, found: &Found, ids: bool, names: &Names) -> Value {
    Value::Object(item(kind, found, ids, names))
}

fn item(kind: &dyn AnyTable, found: &Found, ids: bool, names: &Names) -> Map<String, Value> {
    let mut document = found.document.clone();
    if ids {
        document.insert("id".to_owned(), Value::String(found.id.clone()));
        return document;
    }
    for (pattern, table) in kind.references() {
        each(&mut document, pattern, &mut |_, value| {
            let id = value.as_str().unwrap_or_default().to_owned();
            if let Some(name) = names.get(&(table, id)) {
                *value = Value::String(name.clone());
            }
        });
    }
    document
}

/// Visits what stands at `pattern`, a JSON pointer in which `*` is every item of a list; null is passed over.
pub(super) fn each(
    document: &mut Map<String, Value>,
    pattern: &str,
    visit: &mut impl FnMut(&str, &mut Value),
) {
    fn walk(value: &mut Value, path: &[&str], at: &str, visit: &mut impl FnMut(&str, &mut Value)) {
        match (path, value) {
            ([], Value::Null) => {}
            ([], value) => visit(at, value),
            (["*", rest @ ..], Value::Array(items)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    walk(item, rest, &format!("{at}/{index}"), visit);
                }
            }
            ([key, rest @ ..], Value::Object(object)) => {
                if let Some(value) = object.get_mut(*key) {
                    walk(value, rest, &format!("{at}/{key}"), visit);
                }
            }
            _ => {}
        }
    }
    let path: Vec<&str> = pattern.split('/').skip(1).collect();
    if let [key, rest @ ..] = &*path
        && let Some(value) = document.get_mut(*key)
    {
        walk(value, rest, &format!("/{key}"), visit);
    }
}

/// What stands in the document, before it is read as a resource.
struct Wanted {
    kind: &'static dyn AnyTable,
    parent: Option<String>,
    id: String,
    document: Map<String, Value>,
    at: String,
}

/// The edits that make the configuration what `document` says.
async fn steps(
    document: &Map<String, Value>,
    connection: &mut SqliteConnection,
) -> Result<Vec<Step>, StoreError> {
    let present = present(connection).await?;
    let mut faults = Vec::new();
    for key in document.keys().filter(|key| !roots().any(|kind| kind.word() == **key)) {
        let detail = format!("there is no field `{key}` here");
        faults.push(FieldError::new(format!("/{key}"), "unknown_field", detail));
    }
    let mut reading = Reading { present: &present, seen: HashSet::new(), wanted: Vec::new(), faults };
    for kind in roots() {
        reading.list(kind, None, document, "");
    }
    let Reading { mut wanted, mut faults, .. } = reading;
    resolve(&mut wanted, &present, &mut faults);
    if !faults.is_empty() {
        return Err(StoreError::Invalid(faults));
    }
    Ok(difference(&wanted, &present))
}

/// What is there now.
#[derive(Default)]
struct Present {
    by_kind: HashMap<&'static str, Vec<(Option<String>, Found)>>,
    by_name: HashMap<(&'static str, Option<String>, String), String>,
}

impl Present {
    fn add(&mut self, kind: &'static str, parent: Option<&str>, found: Found) {
        let parent = parent.map(str::to_owned);
        self.by_name.insert((kind, parent.clone(), name(&found.document)), found.id.clone());
        self.by_kind.entry(kind).or_default().push((parent, found));
    }
}

async fn present(connection: &mut SqliteConnection) -> Result<Present, StoreError> {
    let mut present = Present::default();
    for kind in roots() {
        for owner in kind.all(None, connection).await? {
            for child in kinds::within(kind.word()) {
                for found in child.all(Some(&owner.id), connection).await? {
                    present.add(child.word(), Some(&owner.id), found);
                }
            }
            present.add(kind.word(), None, owner);
        }
    }
    Ok(present)
}

/// A document that is being read.
struct Reading<'p> {
    present: &'p Present,
    seen: HashSet<String>,
    wanted: Vec<Wanted>,
    faults: Vec<FieldError>,
}

impl Reading<'_> {
    /// Finds for each item of one list which resource it is.
    fn list(
        &mut self,
        kind: &'static dyn AnyTable,
        parent: Option<&str>,
        document: &Map<String, Value>,
        at: &str,
    ) {
        let at = format!("{at}/{}", kind.word());
        match document.get(kind.word()) {
            None => {}
            Some(Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.item(kind, parent, item, format!("{at}/{index}"));
                }
            }
            Some(_) => self.faults.push(FieldError::new(at, "wrong_type", "want a list")),
        }
    }

    fn item(&mut self, kind: &'static dyn AnyTable, parent: Option<&str>, item: &Value, at: String) {
        let Value::Object(item) = item else {
            self.faults.push(FieldError::new(at, "wrong_type", "want an object"));
            return;
        };
        let mut document = item.clone();
        for child in kinds::within(kind.word()) {
            document.remove(child.word());
        }
        let id = match document.remove("id") {
            None => self.identify(kind, parent, &document),
            Some(Value::String(id)) if id.parse::<Uuid>().is_ok() => id.to_lowercase(),
            Some(_) => {
                self.faults.push(FieldError::new(format!("{at}/id"), "invalid", "this is not a UUID"));
                return;
            }
        };
        if !self.seen.insert(id.clone()) {
            let detail = "the same resource stands in the document twice";
            self.faults.push(FieldError::new(at, "duplicate", detail));
            return;
        }
        for child in kinds::within(kind.word()) {
            self.list(child, Some(&id), item, &at);
        }
        let parent = parent.map(str::to_owned);
        self.wanted.push(Wanted { kind, parent, id, document, at });
    }

    /// The one with this name, or a new one.
    fn identify(&self, kind: &dyn AnyTable, parent: Option<&str>, document: &Map<String, Value>) -> String {
        let key = |name| (kind.word(), parent.map(str::to_owned), name);
        let found = kind.name(document).and_then(|name| self.present.by_name.get(&key(name)));
        found.cloned().unwrap_or_else(|| kind.new_id())
    }
}

/// Puts identifiers where names are.
fn resolve(wanted: &mut [Wanted], present: &Present, faults: &mut Vec<FieldError>) {
    let stays = present.by_name.iter().filter(|(_, id)| **id == DEFAULT_PROJECT.to_string());
    let ids: HashMap<(&'static str, String), String> = stays
        .map(|((kind, _, name), id)| ((*kind, name.clone()), id.clone()))
        .chain(wanted.iter().map(|wanted| ((wanted.kind.word(), name(&wanted.document)), wanted.id.clone())))
        .collect();
    for Wanted { kind, document, at, .. } in wanted {
        for (pattern, table) in kind.references() {
            each(document, pattern, &mut |place, value| {
                let Some(text) = value.as_str().filter(|text| text.parse::<Uuid>().is_err()) else { return };
                match ids.get(&(table, text.to_owned())) {
                    Some(id) => *value = Value::String(id.clone()),
                    None => faults.push(FieldError::new(
                        format!("{at}{place}"),
                        "not_found",
                        format!("there is no {} `{text}` in this document", kinds::noun(table)),
                    )),
                }
            });
        }
    }
}

/// Only what differs is touched: a document that is applied twice changes nothing.
fn difference(wanted: &[Wanted], present: &Present) -> Vec<Step> {
    let kept: HashSet<&str> = wanted.iter().map(|wanted| wanted.id.as_str()).collect();
    let before: HashMap<&str, &Map<String, Value>> =
        present.by_kind.values().flatten().map(|(_, found)| (found.id.as_str(), &found.document)).collect();
    let mut steps = Vec::new();
    // In the order in which kinds can be created, what belongs to something after it.
    for kind in kinds::kinds() {
        for Wanted { parent, id, document, at, .. } in
            wanted.iter().filter(|wanted| wanted.kind.word() == kind.word())
        {
            if before.get(id.as_str()).is_some_and(|before| kind.is_same(before, document)) {
                continue;
            }
            let (parent, id, at) = (parent.clone(), id.clone(), at.clone());
            steps.push(Step { kind, parent, id, document: Some(document.clone()), at });
        }
    }
    for kind in kinds::kinds().rev() {
        for (parent, found) in present.by_kind.get(kind.word()).into_iter().flatten() {
            // It is on every appliance, whether a document says so or not.
            if found.id == DEFAULT_PROJECT.to_string() {
                continue;
            }
            // What belongs to something goes with it.
            let owner_goes = parent.as_ref().is_some_and(|parent| !kept.contains(parent.as_str()));
            if kept.contains(found.id.as_str()) || owner_goes {
                continue;
            }
            let at = format!("/{}", kind.word());
            steps.push(Step { kind, parent: parent.clone(), id: found.id.clone(), document: None, at });
        }
    }
    steps
}
