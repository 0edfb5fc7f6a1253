//! The resource `projects`.

use std::collections::BTreeMap;

use axum::extract::RawPathParams;
use serde::Serialize;
use utoipa::ToSchema;

use super::resource::Resource;
use super::view::Operating;
use crate::domain::{Project, Record};
use crate::probe::Board;

impl Resource for Project {
    const COLLECTION: &'static str = "/api/v1/projects";
    const NAME: &'static str = "Project";
    const NAMES: &'static str = "Projects";
    const TAG: &'static str = "projects";

    fn parent(_parameters: &RawPathParams) -> Option<()> {
        Some(())
    }

    fn collection((): ()) -> String {
        Self::COLLECTION.to_owned()
    }

    type Seen = ProjectSeen;

    fn seen(record: &Record<Self>, _health: &Board) -> (Operating, Option<String>, ProjectSeen) {
        (Operating::Unknown, None, ProjectSeen { used: record.spec.own.used.clone() })
    }
}

/// What is seen of a project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectSeen {
    /// How many of each kind it has.
    #[schema(example = json!({ "pools": 3, "members": 12 }))]
    used: BTreeMap<String, u32>,
}
