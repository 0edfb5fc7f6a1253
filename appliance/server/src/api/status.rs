//! How the appliance is: what is wanted, what is done, who is connected, and what the planes counted.

use std::path::Path;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use lb_model::contract::{PlaneAnswer, PlaneRequest};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;

use super::describe::Description;
use super::error::Problem;
use super::stats::Stats;
use super::{Access, App, ROOT, Route};
use crate::domain::Permission;
use crate::observed::ProcessState;
use crate::peer::{Peer, Plane};

const TAG: &str = "status";

/// With less than this a change may not fit.
const ROOM: u64 = 256 << 10;
/// Numbers younger than this are shown again instead of asking for new ones.
pub(super) const FRESH: Duration = Duration::from_millis(200);

/// How the appliance is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// The version of penstockd.
    #[schema(max_length = 64, example = "0.1.0")]
    version: &'static str,
    /// The number of the last accepted change.
    #[schema(minimum = 1, example = 7)]
    generation: u64,
    /// The number of the configuration that is forwarded by now.
    #[schema(minimum = 0, example = 7)]
    observed_generation: u64,
    /// Why a newer one was tried and refused; null if none was.
    #[schema(max_length = 4096, required)]
    failure: Option<String>,
    /// Addresses that are held on a port whose network they do not belong to.
    #[schema(value_type = Vec<Address>, max_items = 65536)]
    off_link: Vec<std::net::IpAddr>,
    /// The other processes.
    processes: Processes,
    /// The disk that keeps the configuration.
    storage: Storage,
}

/// The disk that keeps the configuration.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Storage {
    state: StorageState,
    /// Bytes that are left on it.
    #[schema(minimum = 0, example = 1_000_000)]
    free_bytes: u64,
}

/// `ok`, or `full`: the API shows everything and takes no change until there is room; traffic goes on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "ok")]
pub(super) enum StorageState {
    Ok,
    Full,
}

impl Storage {
    /// Of what holds `folder`.
    fn of(folder: &Path) -> Result<Self, Problem> {
        let disk =
            rustix::fs::statvfs(folder).map_err(|error| Problem::internal(&std::io::Error::from(error)))?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        let state = if free_bytes < ROOM { StorageState::Full } else { StorageState::Ok };
        Ok(Self { state, free_bytes })
    }
}

/// An IP address.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 45, example = "192.0.2.10")]
pub(super) struct Address(#[expect(dead_code, reason = "a shape for the API's description")] String);

/// The other processes of the appliance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Processes {
    /// The layer-4 plane.
    l4: Process,
    /// The layer-7 plane.
    l7: Process,
    /// The one that holds addresses and steers packets.
    host: Process,
}

/// A process of the appliance.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Process {
    /// Whether it answers.
    connected: bool,
    /// Its version; null while it is not connected.
    #[schema(max_length = 64, required)]
    version: Option<String>,
    /// The number of the configuration that it works by.
    #[schema(minimum = 0, example = 7)]
    generation: u64,
    /// Why it is not connected, or refused what it was last asked; null where all is well.
    #[schema(max_length = 4096, required)]
    error: Option<String>,
}

impl From<&ProcessState> for Process {
    fn from(state: &ProcessState) -> Self {
        let connected = state.is_connected();
        let ProcessState { version, pid: _, acknowledged: _, generation, error } = state.clone();
        Self { connected, version, generation: generation.0, error }
    }
}

pub(super) async fn status(State(app): State<App>) -> Result<Json<Status>, Problem> {
    let generation = app.store.generation().await?;
    let storage = Storage::of(&app.state_dir)?;
    let observed = app.observed.borrow();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        generation: generation.0,
        observed_generation: observed.generation.0,
        failure: observed.failure.as_ref().map(|failure| failure.reason.clone()),
        off_link: observed.off_link.clone(),
        processes: Processes {
            l4: (&observed.l4.process).into(),
            l7: (&observed.l7.process).into(),
            host: (&observed.host).into(),
        },
        storage,
    }))
}

pub(super) async fn stats(State(app): State<App>) -> Result<Json<Stats>, Problem> {
    let (l4, l7) = {
        let observed = app.observed.borrow();
        (observed.l4.recent(FRESH), observed.l7.recent(FRESH))
    };
    let (l4, l7) = tokio::join!(numbers(&app.l4, l4), numbers(&app.l7, l7));
    // What the layer-7 plane counted is shown where there is one.
    Ok(Json(Stats::new(l4?, l7.ok())))
}

/// A plane's status, asked for unless there is a recent one.
pub(super) async fn numbers<P: Plane>(
    peer: &Peer<P>,
    recent: Option<P::Status>,
) -> Result<P::Status, Problem> {
    if let Some(status) = recent {
        return Ok(status);
    }
    match peer.ask(PlaneRequest::Status, None).await {
        Ok(PlaneAnswer::Status(status)) => Ok(status),
        Ok(_) => Err(unavailable(&format!("{} answered another question", P::PROCESS))),
        Err(error) => Err(unavailable(&error.to_string())),
    }
}

/// A plane does not answer.
pub(super) fn unavailable(detail: &str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "plane_unavailable", detail)
}

/// Whether the management answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    #[schema(max_length = 16, example = "ok")]
    status: &'static str,
}

pub(super) async fn healthy() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether the appliance can do its work: every process answers, and nothing that is wanted was refused.
async fn ready(State(app): State<App>) -> Result<Json<Health>, Problem> {
    let observed = app.observed.borrow();
    let processes = [&observed.l4.process, &observed.l7.process, &observed.host];
    let is_ready = processes.iter().all(|process| process.is_connected()) && observed.failure.is_none();
    if !is_ready {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            "a part of the appliance does not work",
        ));
    }
    Ok(Json(Health { status: "ok" }))
}

pub(super) fn routes() -> Vec<Route> {
    let readiness = Description::new("readReadiness", TAG, "Whether the appliance can do its work")
        .explain(
            "Every process answers, and nothing that is wanted was refused. Which does not, `/status` says.",
        )
        .answer(StatusCode::OK, "It can.", Some("Health"), &[])
        .fails(&[503]);
    let health = Description::new("readHealth", TAG, "Whether the management answers").answer(
        StatusCode::OK,
        "It does.",
        Some("Health"),
        &[],
    );
    let described = Description::new("readStatus", TAG, "How the appliance is")
        .explain("What is wanted and what is done, and which processes are connected.")
        .answer(StatusCode::OK, "This is how it is.", Some("Status"), &[]);
    let counted = Description::new("readStats", TAG, "What the planes counted")
        .explain(
            "Since it was started. Every frame is counted once on each side: `received + from_twin + originated = \
             sent + punted + consumed + held + the sum of drops`.",
        )
        .answer(StatusCode::OK, "These are the numbers.", Some("Stats"), &[])
        .fails(&[503]);
    vec![
        Route::new(HttpMethod::Get, "/healthz", Access::Open, healthy, health),
        Route::new(
            HttpMethod::Get,
            format!("{ROOT}/status"),
            Access::Permitted(Permission::BalancingRead),
            status,
            described,
        ),
        Route::new(
            HttpMethod::Get,
            format!("{ROOT}/stats"),
            Access::Permitted(Permission::BalancingRead),
            stats,
            counted,
        ),
        Route::new(HttpMethod::Get, "/readyz", Access::Open, ready, readiness),
    ]
}
