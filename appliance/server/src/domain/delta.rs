//! What a change did to one resource, whole (to undo it) and field by field (to read it).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::fields::Pointer;

/// What was done to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Create,
    Update,
    Delete,
}

/// What a change did to one resource.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Delta {
    /// The kind of resource, by the name of its table.
    pub(crate) resource: &'static str,
    /// Which one.
    pub(crate) id: String,
    /// What it belongs to, if anything.
    pub(crate) parent_id: Option<String>,
    /// What was written of it before; none if it was created.
    pub(crate) before: Option<Map<String, Value>>,
    /// What is written of it now; none if it was deleted.
    pub(crate) after: Option<Map<String, Value>>,
}

/// A change of one resource, for readers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Change {
    /// What is done.
    pub(crate) action: Action,
    /// The kind of resource, as in the configuration document.
    #[schema(max_length = 64, example = "virtual_services")]
    pub(crate) resource: String,
    /// Which one.
    #[schema(value_type = super::schema::Identifier)]
    pub(crate) id: String,
    /// What it belongs to; null where it belongs to nothing.
    #[schema(value_type = Option<super::schema::Identifier>, required)]
    pub(crate) parent_id: Option<String>,
    /// What it is called, or was.
    #[schema(max_length = 255, example = "shop")]
    pub(crate) name: String,
    /// Each field that differs.
    #[schema(max_items = 10_000)]
    pub(crate) fields: Vec<FieldChange>,
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FieldChange {
    /// The field, as a JSON pointer (RFC 6901).
    #[schema(max_length = 1024, example = "/port")]
    pub(crate) pointer: String,
    /// What it was; null if it was not.
    pub(crate) before: Value,
    /// What it is; null if it is not.
    pub(crate) after: Value,
}

impl Delta {
    /// What was done.
    pub(crate) fn action(&self) -> Action {
        match (&self.before, &self.after) {
            (None, _) => Action::Create,
            (_, None) => Action::Delete,
            _ => Action::Update,
        }
    }

    /// What it is called, or was.
    pub(crate) fn name(&self) -> &str {
        let document = self.after.as_ref().or(self.before.as_ref());
        document.and_then(|document| document.get("name")?.as_str()).unwrap_or_default()
    }

    /// For readers.
    pub(crate) fn change(&self) -> Change {
        let mut fields = Vec::new();
        let none = Map::new();
        let (before, after) = (self.before.as_ref().unwrap_or(&none), self.after.as_ref().unwrap_or(&none));
        compare(&Pointer::root(), before, after, &mut fields);
        Change {
            action: self.action(),
            resource: self.resource.to_owned(),
            id: self.id.clone(),
            parent_id: self.parent_id.clone(),
            name: self.name().to_owned(),
            fields,
        }
    }
}

/// Objects are compared field by field; lists as a whole, since their items have no names.
fn compare(
    at: &Pointer,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    differ: &mut Vec<FieldChange>,
) {
    let added = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(added) {
        let at = at.field(key);
        match (before.get(key), after.get(key)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => compare(&at, before, after, differ),
            (before, after) if before == after => {}
            (before, after) => differ.push(FieldChange {
                pointer: at.into_text(),
                before: before.cloned().unwrap_or_default(),
                after: after.cloned().unwrap_or_default(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delta(before: &Value, after: &Value) -> Delta {
        let document = |value: &Value| value.as_object().cloned();
        let id = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f".to_owned();
        Delta { resource: "pools", id, parent_id: None, before: document(before), after: document(after) }
    }

    #[test]
    fn fields_are_compared_by_their_names_and_lists_as_a_whole() {
        let before =
            json!({ "name": "web", "port": 80, "timeouts": { "idle_s": 300, "a/b": 1 }, "tags": ["a"] });
        let after =
            json!({ "name": "web", "port": 81, "timeouts": { "idle_s": 60, "a/b": 2 }, "tags": ["a", "b"] });
        let change = delta(&before, &after).change();
        let pointers: Vec<_> = change.fields.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!((change.action, change.name.as_str()), (Action::Update, "web"));
        assert_eq!(pointers, ["/port", "/tags", "/timeouts/a~1b", "/timeouts/idle_s"]);
        assert_eq!(change.fields[1].after, json!(["a", "b"]));
    }

    #[test]
    fn what_is_created_or_deleted_has_one_side() {
        let document = json!({ "name": "web" });
        let created = delta(&Value::Null, &document).change();
        assert_eq!((created.action, created.fields[0].before.clone()), (Action::Create, Value::Null));
        let deleted = delta(&document, &Value::Null).change();
        assert_eq!((deleted.action, deleted.name.as_str()), (Action::Delete, "web"));
    }
}
