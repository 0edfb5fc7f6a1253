//! The appliance as a machine: its two slots, updates, and its power. penstock-host does it; here it is asked.

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use lb_model::contract::{HostAnswer, HostRequest, Installation, MachineRequest, MachineStatus, SlotStatus};
use serde::Serialize;
use serde_json::json;
use tokio::fs;
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;

use super::body::{self, BYTES};
use super::describe::Description;
use super::error::Problem;
use super::{Access, App, ROOT, Route};
use crate::domain::{Author, Permission};
use crate::peer::{Machine, Peer};
use crate::store::Outcome;

const TAG: &str = "system";
const READ: Access = Access::Permitted(Permission::SystemRead);
const WRITE: Access = Access::Permitted(Permission::SystemWrite);
/// Larger than a slot.
const UPDATE_MAX: usize = 1 << 30;

/// The machine's slots, and what becomes of an update.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct System {
    /// The two places for a release; none if the appliance was not started from its image.
    #[schema(max_items = 2)]
    slots: Vec<Slot>,
    /// The last update since the appliance was started.
    update: Update,
}

/// A place for a release. It has a configuration of its own, which a new release takes over from the one that runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Slot {
    /// `a` or `b`.
    #[schema(max_length = 1, example = "a")]
    name: String,
    /// Whether it runs now.
    running: bool,
    /// Whether it is started next.
    next: bool,
    /// Whether it holds a release that can be started.
    startable: bool,
    /// The release in it; null if it has none.
    #[schema(max_length = 128, required, example = "v1.2.0")]
    version: Option<String>,
}

/// What becomes of an update.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Update {
    state: UpdateState,
    /// Why it failed; null if it did not.
    #[schema(max_length = 4096, required)]
    error: Option<String>,
}

/// How far an update is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum UpdateState {
    /// There was none.
    None,
    /// It is being verified and written.
    Installing,
    /// It is in its slot, which is started next.
    Installed,
    /// It was refused, or could not be written; the slot that runs is not touched.
    Failed,
}

impl From<MachineStatus> for System {
    fn from(status: MachineStatus) -> Self {
        let MachineStatus { slots, installation } = status;
        Self { slots: slots.into_iter().map(Slot::from).collect(), update: installation.into() }
    }
}

impl From<SlotStatus> for Slot {
    fn from(status: SlotStatus) -> Self {
        let SlotStatus { name, running, next, startable, version } = status;
        Self { name, running, next, startable, version }
    }
}

impl From<Installation> for Update {
    fn from(installation: Installation) -> Self {
        let (state, error) = match installation {
            Installation::None => (UpdateState::None, None),
            Installation::Running => (UpdateState::Installing, None),
            Installation::Done => (UpdateState::Installed, None),
            Installation::Failed { reason } => (UpdateState::Failed, Some(reason)),
        };
        Self { state, error }
    }
}

async fn ask(machine: &Peer<Machine>, request: MachineRequest) -> Result<MachineStatus, Problem> {
    match machine.ask(HostRequest::Machine(request), None).await {
        Ok(HostAnswer::Machine(status)) => Ok(status),
        Ok(HostAnswer::Unable { reason }) => {
            Err(Problem::new(StatusCode::CONFLICT, "not_possible_now", reason))
        }
        Ok(_) => Err(unavailable("penstock-host answered another question")),
        Err(error) => Err(unavailable(&error.to_string())),
    }
}

/// penstock-host does not answer.
pub(super) fn unavailable(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "host_unavailable", detail)
}

pub(super) async fn show(State(app): State<App>) -> Result<Json<System>, Problem> {
    Ok(Json(ask(&app.machine, MachineRequest::Describe).await?.into()))
}

/// Who ordered it is written down first: afterwards there may be nobody to do it.
async fn order(
    app: &App,
    author: &Author,
    request: MachineRequest,
) -> Result<(StatusCode, Json<System>), Problem> {
    let action = match request {
        MachineRequest::Describe => "system.read",
        MachineRequest::Install => "system.update",
        MachineRequest::RollBack => "system.rollback",
        MachineRequest::Restart => "system.restart",
        MachineRequest::ShutDown => "system.shutdown",
        MachineRequest::FactoryReset => "system.factory_reset",
    };
    app.store.audit(author, action, Outcome::Succeeded, json!({})).await?;
    Ok((StatusCode::ACCEPTED, Json(ask(&app.machine, request).await?.into())))
}

async fn roll_back(State(app): State<App>, author: Author) -> Result<(StatusCode, Json<System>), Problem> {
    order(&app, &author, MachineRequest::RollBack).await
}

async fn restart(State(app): State<App>, author: Author) -> Result<(StatusCode, Json<System>), Problem> {
    order(&app, &author, MachineRequest::Restart).await
}

async fn shut_down(State(app): State<App>, author: Author) -> Result<(StatusCode, Json<System>), Problem> {
    order(&app, &author, MachineRequest::ShutDown).await
}

/// The same where nobody can be asked who it is.
pub(super) async fn reset(machine: &Peer<Machine>) -> Result<(StatusCode, Json<System>), Problem> {
    Ok((StatusCode::ACCEPTED, Json(ask(machine, MachineRequest::FactoryReset).await?.into())))
}

async fn factory_reset(
    State(app): State<App>,
    author: Author,
) -> Result<(StatusCode, Json<System>), Problem> {
    order(&app, &author, MachineRequest::FactoryReset).await
}

async fn update(
    State(app): State<App>,
    author: Author,
    request: Request,
) -> Result<(StatusCode, Json<System>), Problem> {
    let is_file = body::check_is_file(request.headers());
    let mut sent = request.into_body();
    let done = match is_file {
        Ok(()) => take(&app, &author, &mut sent).await,
        Err(problem) => Err(problem),
    };
    if done.is_err() {
        body::discard(&mut sent).await;
    }
    done
}

/// Receives the update, unless there is a reason not to, and has it installed.
async fn take(app: &App, author: &Author, sent: &mut Body) -> Result<(StatusCode, Json<System>), Problem> {
    let Ok(_alone) = app.updating.try_lock() else {
        return Err(busy("another update is being received"));
    };
    let machine = ask(&app.machine, MachineRequest::Describe).await?;
    if machine.slots.is_empty() {
        return Err(busy("this appliance was not started from its image: it has no slots"));
    }
    if machine.installation == Installation::Running {
        return Err(busy("another update is being installed"));
    }
    if let Err(problem) = body::into_file(sent, &app.update_file, UPDATE_MAX).await {
        // What came is of no use; what is left of it is overwritten by the next.
        let _ = fs::remove_file(&*app.update_file).await;
        return Err(problem);
    }
    order(app, author, MachineRequest::Install).await
}

fn busy(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "not_possible_now", detail)
}

pub(super) fn routes() -> Vec<Route> {
    let described = Description::new("readSystem", TAG, "The slots, and the last update").answer(
        StatusCode::OK,
        "This is how they are.",
        Some("System"),
        &[],
    );
    let updated = Description::new("putUpdate", TAG, "Install an update")
        .explain(
            "The body is an update (`.raucb`) as it was built. It is verified and written into the slot that does not \
             run; `GET /system` shows when that is done. The next start is of the new release, with the \
             configuration of then. If it does not work, the appliance goes back by itself.",
        )
        .body_bytes(BYTES, UPDATE_MAX)
        .answer(StatusCode::ACCEPTED, "It is being installed.", Some("System"), &[])
        .fails(&[409, 503]);
    let order = |id: &str, summary: &str, explanation: &str| {
        Description::new(id, TAG, summary)
            .explain(explanation)
            .answer(StatusCode::ACCEPTED, "It is being done.", Some("System"), &[])
            .fails(&[409, 503])
    };
    let rolled_back = order(
        "rollBackSystem",
        "Start the other slot next",
        "With the configuration that it had when it ran last. Nothing happens before the appliance is restarted.",
    );
    let restarted = order("restartSystem", "Restart the appliance", "Of the slot that is `next`.");
    let shut =
        order("shutDownSystem", "Switch the appliance off", "Somebody else has to switch it on again.");
    let reset = order(
        "resetSystem",
        "Forget everything and restart",
        "Configuration, accounts, keys and certificates are gone, in both slots. The appliance then wants to be claimed.",
    );
    let path = |name: &str| format!("{ROOT}/system{name}");
    vec![
        Route::new(HttpMethod::Get, path(""), READ, show, described.fails(&[409, 503])),
        Route::new(HttpMethod::Put, path("/update"), WRITE, update, updated),
        Route::new(HttpMethod::Post, path("/rollback"), WRITE, roll_back, rolled_back),
        Route::new(HttpMethod::Post, path("/restart"), WRITE, restart, restarted),
        Route::new(HttpMethod::Post, path("/shutdown"), WRITE, shut_down, shut),
        Route::new(HttpMethod::Post, path("/factory-reset"), WRITE, factory_reset, reset),
    ]
}
