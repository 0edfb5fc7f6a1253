//! Whose resources are: the appliance's, or a project's. Who belongs to a project sees what is its own, and nothing else.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields::{self, Fields};
use super::schema::Identifier;

/// Whose a kind of resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The appliance's.
    Appliance,
    /// A project's: where nobody says which, that of who creates it, or the default one.
    Project,
    /// A project's, or where nobody says which the appliance's.
    Either,
    /// That of what it belongs to, which stands in this table.
    Parent(&'static str),
    /// It is a project.
    Itself,
}

impl Owner {
    /// Whether a document says which project.
    pub(crate) fn is_said(self) -> bool {
        matches!(self, Self::Project | Self::Either)
    }
}

/// Whose resources somebody sees and changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All there are.
    Appliance,
    /// Those of one project.
    Project(Uuid),
}

impl Scope {
    /// The scope of who belongs to this project, or to none.
    pub(crate) fn of(project: Option<Uuid>) -> Self {
        project.map_or(Self::Appliance, Self::Project)
    }

    /// The project.
    pub(crate) fn project(self) -> Option<Uuid> {
        match self {
            Self::Appliance => None,
            Self::Project(project) => Some(project),
        }
    }
}

/// The project that a resource belongs to: not said, none, or this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Home {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "said")]
    #[expect(clippy::option_option, reason = "outside: whether it is said; inside: whether there is one")]
    project_id: Option<Option<Uuid>>,
}

impl Home {
    /// The project with this identifier, or none.
    pub(crate) fn known(project: Option<Uuid>) -> Self {
        Self { project_id: Some(project) }
    }

    /// The project, if one is said.
    pub(crate) fn project(self) -> Option<Uuid> {
        self.project_id.flatten()
    }

    pub(super) fn read(owner: Owner, fields: &mut Fields<'_>) -> Option<Self> {
        if !owner.is_said() {
            return Some(Self::default());
        }
        let project = fields.nullable("project_id", fields::id)?;
        Some(Self { project_id: project.map(Some) })
    }
}

/// What stands there was said, null too.
#[expect(clippy::option_option, reason = "as in `Home`")]
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Uuid>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The project as it is written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) struct HomeWritten {
    /// The project that it belongs to, for good. Where it is not given: yours; if you belong to none the default one, and none for a user.
    project_id: Option<Identifier>,
}

/// The project as it is shown of what always has one.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) struct HomeShown {
    /// The project that it belongs to.
    project_id: Identifier,
}

/// The same of what may be the appliance's.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) struct PerhapsHome {
    /// The project that they belong to, for good: they see and change what is its own, as far as their role lets them. Null: the whole
    /// appliance's.
    #[schema(required)]
    project_id: Option<Identifier>,
}
