//! What the appliance noticed, as it is kept and told.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// How much somebody should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    Info,
    Warning,
    Error,
}

/// Something that happened, before it has a number.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    /// What kind of thing, as `member.down`: subject, point, past participle.
    pub(crate) kind: &'static str,
    /// How much somebody should care.
    pub(crate) severity: Severity,
    /// A sentence for people.
    pub(crate) message: String,
    /// What it is about: the name of the resource's table, and its identifier.
    pub(crate) about: Option<(&'static str, String)>,
    /// The same for programs.
    pub(crate) data: Value,
}

impl NewEvent {
    /// Something worth knowing.
    pub(crate) fn info(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            severity: Severity::Info,
            message: message.into(),
            about: None,
            data: Value::Object(serde_json::Map::new()),
        }
    }

    /// Something to look at.
    pub(crate) fn warning(kind: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::info(kind, message) }
    }

    /// Something that does not work.
    pub(crate) fn error(kind: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, ..Self::info(kind, message) }
    }

    /// What programs may want to know of it.
    pub(crate) fn with(self, data: Value) -> Self {
        Self { data, ..self }
    }
}
