//! What an operator can write of every resource.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::{self, Fields};

/// The most tags that a resource can have.
const TAGS_MAX: usize = 64;

/// Name, words about it, and whether it takes part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Meta {
    /// What people call it: unique among resources of its kind (members: in their pool), without control characters.
    #[schema(min_length = 1, max_length = 255, example = "web")]
    pub(crate) name: String,
    /// Words for other people.
    #[schema(max_length = 1024, default = "", example = "The shop's front door")]
    pub(crate) description: String,
    /// Words to find it by.
    #[schema(max_items = 64, value_type = Vec<Tag>, default = json!([]), example = json!(["shop"]))]
    pub(crate) tags: Vec<String>,
    /// A disabled resource keeps its configuration and does nothing.
    #[schema(default = true, example = true)]
    pub(crate) enabled: bool,
}

/// A word to find a resource by.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 64, example = "shop")]
pub(crate) struct Tag(#[expect(dead_code, reason = "a shape for the API's description")] String);

impl Meta {
    /// Reads them; `default_name` is the name of a resource that was given none.
    pub(super) fn read(fields: &mut Fields<'_>, default_name: Option<String>) -> Option<Self> {
        let name = match default_name {
            Some(default) => fields.optional("name", default, fields::text(1..=255)),
            None => fields.required("name", fields::text(1..=255)),
        };
        let description = fields.optional("description", String::new(), fields::text(0..=1024));
        let tags = fields.optional_list("tags", TAGS_MAX, fields::text(1..=64));
        let enabled = fields.optional("enabled", true, fields::boolean);
        Some(Self { name: name?, description: description?, tags: tags?, enabled: enabled? })
    }
}
