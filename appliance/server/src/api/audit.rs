//! The audit log, and whether it is as it was written.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa::openapi::path::HttpMethod;

use super::describe::Description;
use super::error::Problem;
use super::log::{self, describe_list, number};
use super::{Access, App, ROOT, Route};
use crate::domain::Permission;
use crate::store::{AuditEntry, Verification};

const TAG: &str = "history";

async fn verify(State(app): State<App>) -> Result<Json<Verification>, Problem> {
    Ok(Json(app.store.verify_audit().await?))
}

pub(super) fn routes() -> Vec<Route> {
    let listing = describe_list::<AuditEntry>(
        Description::new("listAudit", TAG, "List the audit log")
            .explain("Who did what, from where, and whether it was let. Lines are only ever added."),
        "AuditEntryList",
    );
    let one = Description::new("readAudit", TAG, "Read a line of the audit log")
        .parameter(number("id", "Which one."))
        .answer(StatusCode::OK, "This is it.", Some("AuditEntry"), &[])
        .fails(&[404]);
    let verifying = Description::new("verifyAudit", TAG, "Verify the audit log")
        .explain("Reads every line and checks that its hash follows from it and from the line before.")
        .answer(StatusCode::OK, "This was found.", Some("Verification"), &[]);
    let list = format!("{ROOT}/audit");
    vec![
        Route::new(
            HttpMethod::Get,
            list.clone(),
            Access::Permitted(Permission::AuditRead),
            log::list::<AuditEntry>,
            listing,
        ),
        Route::new(
            HttpMethod::Get,
            format!("{list}/verification"),
            Access::Permitted(Permission::AuditRead),
            verify,
            verifying,
        ),
        Route::new(
            HttpMethod::Get,
            format!("{list}/{{id}}"),
            Access::Permitted(Permission::AuditRead),
            log::read::<AuditEntry>,
            one,
        ),
    ]
}
