//! Revisions: every accepted change of the configuration, with what it changed.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;

use super::describe::Description;
use super::error::Problem;
use super::log::{self, describe_list, number};
use super::{Access, App, ROOT, Route};
use crate::domain::{Change, Delta, Permission};
use crate::store::RevisionEntry;

const TAG: &str = "history";

/// A revision with what it changed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Revision)]
pub(super) struct RevisionView {
    #[serde(flatten)]
    #[schema(inline)]
    entry: RevisionEntry,
    /// What it changed.
    #[schema(max_items = 1_000_000)]
    changes: Vec<Change>,
}

async fn read(
    State(app): State<App>,
    path: Result<Path<i64>, PathRejection>,
) -> Result<Json<RevisionView>, Problem> {
    let Path(generation) = path.map_err(|_| Problem::no_route())?;
    let entry = app.store.log_line(generation).await?.ok_or_else(Problem::no_route)?;
    let changes = app.store.revision_deltas(generation).await?.iter().map(Delta::change).collect();
    Ok(Json(RevisionView { entry, changes }))
}

pub(super) fn routes() -> Vec<Route> {
    let listing = describe_list::<RevisionEntry>(
        Description::new("listRevisions", TAG, "List revisions")
            .explain("Every accepted change of the configuration. The last 10,000 are kept."),
        "RevisionEntryList",
    );
    let one = Description::new("readRevision", TAG, "Read a revision")
        .explain("With what it changed, field by field.")
        .parameter(number("generation", "The number that it gave to the configuration."))
        .answer(StatusCode::OK, "This is it.", Some("Revision"), &[])
        .fails(&[404]);
    let list = format!("{ROOT}/revisions");
    vec![
        Route::new(
            HttpMethod::Get,
            list.clone(),
            Access::Permitted(Permission::BalancingRead),
            log::list::<RevisionEntry>,
            listing,
        ),
        Route::new(
            HttpMethod::Get,
            format!("{list}/{{generation}}"),
            Access::Permitted(Permission::BalancingRead),
            read,
            one,
        ),
    ]
}
