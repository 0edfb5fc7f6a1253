//! Operations: what takes a while goes on by itself where the client prefers it so (RFC 7240, `Prefer: respond-async`), and shows
//! how it went. What was done is in the history like all else; an operation is only the answer that nobody waited for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::Value;
use tracing::Instrument as _;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, ParameterIn};
use uuid::Uuid;

use super::describe::{Description, parameter, string};
use super::error::{Problem, ProblemBody};
use super::resource::path_parameter;
use super::{Access, App, ROOT, Route};
use crate::domain::Timestamp;
use crate::domain::schema::Identifier;
use crate::signin::Caller;

const TAG: &str = "operations";

/// How a client says that it does not wait.
pub(super) const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const RESPOND_ASYNC: &str = "respond-async";

/// So many are remembered; the oldest that have ended make room.
const KEPT: usize = 1000;
/// So many go on at once.
const RUNNING_MAX: usize = 16;
/// Larger than any body of what can be an operation.
const BODY_MAX: usize = 96 << 20;
/// A longer answer is not kept.
const RESULT_MAX: usize = 16 << 20;

/// The operations since the start of the process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations(Arc<Mutex<VecDeque<(Uuid, LongOperation)>>>);

/// Something that goes on, or went on, without its client.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct LongOperation {
    /// Which it is.
    #[schema(value_type = Identifier)]
    id: Uuid,
    /// What is done, by the name that this description gives it.
    #[schema(max_length = 64, example = "takeBackup")]
    operation: String,
    /// How far it is.
    state: OperationState,
    /// When it began.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    created_at: Timestamp,
    /// When it ended; null as long as it runs.
    #[schema(value_type = Option<String>, format = DateTime, max_length = 35, required)]
    ended_at: Option<Timestamp>,
    /// The status of its answer; null as long as it runs.
    #[schema(minimum = 200, maximum = 599, required, example = 201)]
    status: Option<u16>,
    /// The address of what it made; null if it made nothing.
    #[schema(max_length = 1024, required, example = "/api/v1/backups/01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f")]
    location: Option<String>,
    /// Its answer, as who had waited for it had got it; null as long as it runs, and if it failed.
    result: Value,
    /// Why it failed; null if it did not.
    #[schema(required)]
    problem: Option<ProblemBody>,
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OperationState {
    Running,
    Succeeded,
    Failed,
}

/// The operations that one began.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OperationList {
    /// The newest first.
    #[schema(max_items = 1000)]
    items: Vec<LongOperation>,
}

impl Operations {
    fn with<T>(&self, act: impl FnOnce(&mut VecDeque<(Uuid, LongOperation)>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins one, unless too many go on already.
    fn begin(&self, user: Uuid, operation: &str) -> Result<Uuid, Problem> {
        let begun = LongOperation {
            id: Uuid::now_v7(),
            operation: operation.to_owned(),
            state: OperationState::Running,
            created_at: Timestamp::now(),
            ended_at: None,
            status: None,
            location: None,
            result: Value::Null,
            problem: None,
        };
        self.with(|known| {
            let runs = |(_, operation): &&(Uuid, LongOperation)| operation.state == OperationState::Running;
            if known.iter().filter(runs).count() >= RUNNING_MAX {
                let detail = format!("{RUNNING_MAX} operations go on already: wait until one has ended");
                return Err(Problem::new(StatusCode::CONFLICT, "enough", detail));
            }
            if known.len() >= KEPT
                && let Some(oldest) = known.iter().position(|entry| !runs(&entry))
            {
                known.remove(oldest);
            }
            let id = begun.id;
            known.push_back((user, begun));
            Ok(id)
        })
    }

    fn end(&self, id: Uuid, end: impl FnOnce(&mut LongOperation)) {
        self.with(|known| {
            if let Some((_, operation)) = known.iter_mut().find(|(_, operation)| operation.id == id) {
                operation.ended_at = Some(Timestamp::now());
                end(operation);
            }
        });
    }

    fn of(&self, user: Uuid) -> Vec<LongOperation> {
        self.with(|known| {
            let own = known.iter().rev().filter(|(whose, _)| *whose == user);
            own.map(|(_, operation)| operation.clone()).collect()
        })
    }
}

/// Before a route that can take a while: where the client prefers so, it is answered at once and the rest goes on.
pub(super) async fn perhaps_later(
    State((app, operation)): State<(App, String)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(user) = request.extensions().get::<Caller>().map(|caller| caller.user) else {
        return Ok(next.run(request).await);
    };
    if !prefers_later(request.headers()) {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let too_large = |_| {
        let detail = format!("the body was not sent whole, or is larger than {BODY_MAX} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    };
    let body = to_bytes(body, BODY_MAX).await.map_err(too_large)?;
    let id = app.operations.begin(user, &operation)?;
    let work = next.run(Request::from_parts(parts, Body::from(body)));
    let span = tracing::info_span!("operation", %id, operation);
    tokio::spawn(async move {
        let answer = tokio::spawn(work.instrument(span)).await;
        let answer = answer.unwrap_or_else(|error| Problem::internal(&error).into_response());
        ended(&app.operations, id, answer).await;
    });
    let headers =
        [(LOCATION, format!("{ROOT}/operations/{id}")), (PREFERENCE_APPLIED, RESPOND_ASYNC.to_owned())];
    Ok((StatusCode::ACCEPTED, headers).into_response())
}

fn prefers_later(headers: &HeaderMap) -> bool {
    let values = headers.get_all(PREFER).into_iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case(RESPOND_ASYNC))
}

async fn ended(operations: &Operations, id: Uuid, mut answer: Response) {
    if let Some(problem) = answer.extensions_mut().remove::<Problem>() {
        let body = problem.body(id.to_string());
        operations.end(id, |operation| {
            operation.state = OperationState::Failed;
            operation.status = Some(body.status());
            operation.problem = Some(body);
        });
        return;
    }
    let status = answer.status().as_u16();
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let bytes = to_bytes(answer.into_body(), RESULT_MAX).await.unwrap_or_default();
    operations.end(id, |operation| {
        operation.state = OperationState::Succeeded;
        operation.status = Some(status);
        operation.location = location;
        operation.result = serde_json::from_slice(&bytes).unwrap_or_default();
    });
}

async fn list(State(app): State<App>, Extension(caller): Extension<Caller>) -> Json<OperationList> {
    Json(OperationList { items: app.operations.of(caller.user) })
}

async fn read(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<LongOperation>, Problem> {
    let Path(id) = id.map_err(|_| Problem::no_route())?;
    let found = app.operations.of(caller.user).into_iter().find(|operation| operation.id == id);
    found.map(Json).ok_or_else(Problem::no_route)
}

/// Says that what is described can be an operation.
pub(super) fn lengthy(described: Description) -> Description {
    let text = "`respond-async`: the answer is 202 at once, with an operation to look at; it goes on whether you do or not.";
    let prefer =
        parameter("Prefer", ParameterIn::Header, string(256), text).example(Some(RESPOND_ASYNC.into()));
    described
        .parameter(prefer)
        .answer(
            StatusCode::ACCEPTED,
            "It goes on by itself, as a `LongOperation`.",
            None,
            &[("Location", "The address of the operation.")],
        )
        .fails(&[409])
}

pub(super) fn routes() -> Vec<Route> {
    let listing = Description::new("listOperations", TAG, "List your operations")
        .explain("Those that you began since the appliance's management did: what they did stays, what is told of them here does not.")
        .answer(StatusCode::OK, "These go on, or went on.", Some("OperationList"), &[]);
    let reading = Description::new("readOperation", TAG, "See how an operation is")
        .parameter(path_parameter("id", "Which one."))
        .answer(StatusCode::OK, "This is how it is.", Some("LongOperation"), &[])
        .fails(&[404]);
    let path = format!("{ROOT}/operations");
    vec![
        Route::new(HttpMethod::Get, path.clone(), Access::SignedIn, list, listing),
        Route::new(HttpMethod::Get, format!("{path}/{{id}}"), Access::SignedIn, read, reading),
    ]
}
