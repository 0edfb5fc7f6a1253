//! The machine's own settings: its name, time and network. New ones are on trial until they are confirmed, so that nobody
//! locks themselves out. penstock-host keeps them and puts them in force; here they are asked for.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lb_model::contract::{HostAnswer, HostRequest, SettingsRequest, SettingsStatus};
use lb_model::settings::Settings;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::author::comment_parameter;
use super::body::JsonBody;
use super::describe::{Description, parameter};
use super::error::Problem;
use super::etag::{self, IfMatch};
use super::resource::if_match;
use super::system::unavailable;
use super::{Access, App, ROOT, Route};
use crate::domain::revision::fingerprint;
use crate::domain::schema::SettingsDocument;
use crate::domain::settings::patched;
use crate::domain::{Author, Permission, Revision};
use crate::store::{Outcome, StoreError};

const TAG: &str = "system";
const READ: Access = Access::Permitted(Permission::SystemRead);
const WRITE: Access = Access::Permitted(Permission::SystemWrite);
/// Enough to sign in at another address; after it whoever cannot has lost two minutes.
const CONFIRM_WITHIN: u32 = 120;

/// The settings, and whether they stay.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SettingsView {
    /// Those in force.
    #[schema(value_type = SettingsDocument)]
    settings: Settings,
    /// After so many seconds those before are in force again, unless these are confirmed; null: they stay.
    #[schema(required, example = 118)]
    reverts_in_s: Option<u32>,
}

fn shown(status: StatusCode, SettingsStatus { settings, trial }: SettingsStatus) -> Response {
    let tag = etag::header(&revision(&settings));
    (status, [tag], Json(SettingsView { settings, reverts_in_s: trial })).into_response()
}

fn revision(settings: &Settings) -> Revision {
    Revision(fingerprint(&["settings", &settings.to_lines()]))
}

async fn ask(app: &App, request: SettingsRequest) -> Result<SettingsStatus, Problem> {
    match app.machine.ask(HostRequest::Settings(request), None).await {
        Ok(HostAnswer::Settings(status)) => Ok(status),
        Ok(HostAnswer::Unable { reason }) => {
            Err(Problem::new(StatusCode::CONFLICT, "not_possible_now", reason))
        }
        Ok(_) => Err(unavailable("penstock-host answered another question")),
        Err(error) => Err(unavailable(&error.to_string())),
    }
}

async fn read(State(app): State<App>) -> Result<Response, Problem> {
    Ok(shown(StatusCode::OK, ask(&app, SettingsRequest::Describe).await?))
}

async fn change(
    State(app): State<App>,
    author: Author,
    IfMatch(expected): IfMatch,
    JsonBody(patch): JsonBody,
) -> Result<Response, Problem> {
    let before = ask(&app, SettingsRequest::Describe).await?.settings;
    if !expected.admits(&revision(&before)) {
        return Err(StoreError::Stale.into());
    }
    let settings = patched(&before, &patch).map_err(Problem::invalid)?;
    if settings == before {
        return read(State(app)).await;
    }
    let seconds = author.confirm_within.unwrap_or(CONFIRM_WITHIN);
    let said = json!({ "before": before, "after": settings, "confirm_within": seconds });
    app.store.audit(&author, "system.settings.try", Outcome::Succeeded, said).await?;
    Ok(shown(StatusCode::ACCEPTED, ask(&app, SettingsRequest::Try { settings, seconds }).await?))
}

async fn confirm(State(app): State<App>, author: Author) -> Result<Response, Problem> {
    app.store.audit(&author, "system.settings.confirm", Outcome::Succeeded, json!({})).await?;
    Ok(shown(StatusCode::OK, ask(&app, SettingsRequest::Confirm).await?))
}

/// What is written: no field must be there.
pub(super) fn example() -> serde_json::Value {
    let management = json!({ "address": "192.0.2.10/24", "gateway": "192.0.2.1", "routes": [] });
    json!({ "hostname": "lb-1", "interfaces": { "management": management }, "ntp_servers": ["ntp.example.net"] })
}

pub(super) fn routes() -> Vec<Route> {
    let tag = &[("ETag", "Of the settings.")];
    let shown = |id: &str, summary: &str| Description::new(id, TAG, summary);
    let read_description = shown("readMachineSettings", "The machine's name, time and network").answer(
        StatusCode::OK,
        "These are in force.",
        Some("SettingsView"),
        tag,
    );
    let seconds = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(86_400))
        .default(Some(CONFIRM_WITHIN.into()));
    let within = "Seconds after which the settings before are in force again, unless these are confirmed; a restart ends \
                  the trial too.";
    let changed = shown("patchMachineSettings", "Change them, on trial")
        .explain(
            "A merge patch (RFC 7396). It is in force a moment later, and undone by itself unless \
             `POST /api/v1/system/settings/confirm` comes in time: at the new address, if that is changed. So nobody \
             is locked out.",
        )
        .parameter(if_match())
        .parameter(comment_parameter())
        .parameter(parameter("confirm_within", ParameterIn::Query, seconds.build(), within))
        .body(&["application/merge-patch+json", "application/json"], "SettingsPatch", example())
        .answer(StatusCode::ACCEPTED, "They are being tried.", Some("SettingsView"), tag)
        .answer(StatusCode::OK, "Nothing was changed.", Some("SettingsView"), tag)
        .fails(&[409, 412, 428, 503]);
    let confirmed = shown("confirmMachineSettings", "Keep the settings that are on trial")
        .answer(StatusCode::OK, "They stay.", Some("SettingsView"), tag)
        .fails(&[409, 503]);
    let path = |name: &str| format!("{ROOT}/system/settings{name}");
    vec![
        Route::new(HttpMethod::Get, path(""), READ, read, read_description.fails(&[409, 503])),
        Route::new(HttpMethod::Patch, path(""), WRITE, change, changed),
        Route::new(HttpMethod::Post, path("/confirm"), WRITE, confirm, confirmed),
    ]
}
