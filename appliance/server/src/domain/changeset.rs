//! A changeset: several edits that are made as one, or not at all.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields::{Fault, Fields};
use super::schema::Identifier;
use super::{Action, Kind, Secrets};

const OPERATIONS_MAX: usize = 1000;

/// Several edits that are made as one, or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Changeset {
    /// The edits, in any order: what is created by one can be named by another if it was given its `id`.
    #[schema(max_items = 1000, default = json!([]))]
    pub(crate) operations: Vec<Operation>,
}

/// One edit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Operation {
    /// What is done.
    pub(crate) action: Action,
    /// The kind of resource, as in the configuration document.
    #[schema(max_length = 64, example = "pools")]
    pub(crate) resource: String,
    /// Which one; for one that is created it may be left out, and is then given.
    #[schema(value_type = Option<Identifier>)]
    pub(crate) id: Option<Uuid>,
    /// What one that is created belongs to, where its kind belongs to something.
    #[schema(value_type = Option<Identifier>)]
    pub(crate) parent_id: Option<Uuid>,
    /// What is written: all of one that is created, a merge patch (RFC 7396) of one that is changed.
    ///
    /// What is never shown of a resource, as a private key, is not shown here either; it stays as it is until the operation is written with another one.
    #[schema(value_type = Object, default = json!({}))]
    #[serde(default)]
    pub(crate) document: Map<String, Value>,
    /// What was in it that is never shown.
    #[serde(skip)]
    pub(crate) secrets: Secrets,
}

impl Operation {
    fn read(value: &Value) -> Result<Self, Fault> {
        let mut operation: Self = serde_json::from_value(value.clone())
            .map_err(|error| Fault::new("invalid", error.to_string()))?;
        operation.secrets = Secrets::take_from(&mut operation.document)?;
        if operation.action != Action::Create && operation.id.is_none() {
            return Err(Fault::new("required", "`id` is missing"));
        }
        Ok(operation)
    }

    /// Whether it is the edit that `before` was, written again.
    fn is_again(&self, before: &Self) -> bool {
        let known = self.id.is_some() || self.document.get("name") == before.document.get("name");
        (self.action, &self.resource, self.id, self.parent_id)
            == (before.action, &before.resource, before.id, before.parent_id)
            && known
    }
}

impl Kind for Changeset {
    type Id = Uuid;
    type Parent = ();

    const NOUN: &'static str = "changeset";
    const EXAMPLE: &'static str = r#"{ "name": "autumn sale", "operations": [
        { "action": "create", "resource": "pools", "document": { "name": "sale" } }
    ] }"#;

    fn new_id() -> Uuid {
        Uuid::now_v7()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let operations = fields.optional_list("operations", OPERATIONS_MAX, Operation::read)?;
        Some(Self { operations })
    }

    fn inherit(&mut self, before: &Self) {
        for operation in self.operations.iter_mut().filter(|operation| operation.secrets.is_empty()) {
            let again = before.operations.iter().find(|before| operation.is_again(before));
            operation.secrets = again.map(|before| before.secrets.clone()).unwrap_or_default();
        }
    }
}
