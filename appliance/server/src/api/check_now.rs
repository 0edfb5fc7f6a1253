//! A member is checked at once, and who asked hears how it goes.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{self, Sse};
use lb_model::MonitorId;
use lb_model::observed::Liveness;
use serde::Serialize;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use utoipa::openapi::path::HttpMethod;

use super::describe::Description;
use super::error::Problem;
use super::members::LastCheck;
use super::resource::{Item, Resource, path_parameter};
use super::{Access, App, Route};
use crate::domain::{Member, Permission};
use crate::probe::Told;

/// What has begun, and what came of it.
#[derive(Serialize)]
struct Step {
    monitor_id: MonitorId,
    /// What the results of this monitor come to now.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Liveness>,
    #[serde(flatten)]
    result: Option<LastCheck>,
}

async fn check_now(
    State(app): State<App>,
    Item(place): Item<Member>,
) -> Result<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>, Problem> {
    let member = app.store.get(place).await?;
    if app.health.member(member.id).is_none_or(|seen| seen.checks.is_empty()) {
        let detail = "nobody watches this member: its pool has no monitor, or one of them is disabled";
        return Err(Problem::new(StatusCode::CONFLICT, "not_watched", detail));
    }
    let told = UnboundedReceiverStream::new(app.health.check_now(member.id));
    let end = tokio_stream::once(sse::Event::default().event("done").data("{}"));
    Ok(Sse::new(told.map(event).chain(end).map(Ok)))
}

fn event(told: Told) -> sse::Event {
    let (name, step) = match told {
        Told::Begun(monitor_id) => ("begun", Step { monitor_id, state: None, result: None }),
        Told::Ended(monitor_id, result, state) => {
            ("result", Step { monitor_id, state: Some(state), result: Some((&result).into()) })
        }
    };
    let event = sse::Event::default().event(name);
    // Numbers and text are always JSON.
    event.json_data(&step).unwrap_or_default()
}

pub(super) fn route() -> Route {
    let description = Description::new("checkMember", Member::TAG, "Check a member now")
        .explain(
            "Every monitor of its pool checks it at once, whatever its turn; a check that runs already counts. Server-sent \
             events: `begun` with the `monitor_id`, then for each `result`, with what the check came to and the `state` that the \
             monitor's results come to with it, and `done` at the end. A single result changes nothing unless it is the one \
             that was missing: `rise` and `fall` hold as ever.",
        )
        .parameter(path_parameter("pool_id", "What it belongs to."))
        .parameter(path_parameter("id", "Which one."))
        .answer_text("text/event-stream", "What the checks come to, as they do.")
        .fails(&[404, 409]);
    let path = format!("{}/{{id}}/check", Member::COLLECTION);
    let write = Access::Permitted(Permission::BalancingWrite);
    Route::new(HttpMethod::Post, path, write, check_now, description).scoped()
}
