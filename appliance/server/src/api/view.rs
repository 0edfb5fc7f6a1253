//! What a reader sees of a resource: what was written, and beside it what has become of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::resource::Resource;
use crate::domain::schema::Identifier;
use crate::domain::{Readiness, Record, Spec, Timestamp};
use crate::observed::{Observed, ProcessState};
use crate::peer::{Contract, Host, L4, L7};
use crate::probe::Board;
pub(super) use crate::probe::Operating;

/// A resource as it is shown.
#[derive(Debug, Serialize)]
#[serde(bound = "")]
pub(crate) struct View<'a, K: Resource> {
    id: K::Id,
    #[serde(flatten)]
    spec: &'a Spec<K>,
    #[serde(flatten)]
    state: State,
    #[serde(flatten)]
    seen: K::Seen,
}

/// What the server knows of every resource.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct State {
    /// Whether the last change is being forwarded by: `applied` once `observed_generation` has reached `generation`,
    /// `pending` before, `failed` where it was tried and refused (what was applied before goes on).
    provisioning_status: Provisioning,
    /// Whether it serves, as far as is known. What its configuration keeps from serving is `offline` or `draining`.
    /// Else its members decide: `online` if all are up, `degraded` if some are down, `offline` if all are; `unknown`
    /// while nobody watches them or nothing has been seen yet.
    operating_status: Operating,
    /// Why the two above are not what one wishes; null where there is nothing to say.
    #[schema(max_length = 4096, required)]
    status_reason: Option<String>,
    /// How far the last change has come, process by process.
    #[schema(max_items = 16)]
    conditions: Vec<Condition>,
    /// The number that the last change of this resource gave to the whole configuration.
    #[schema(minimum = 1, example = 7)]
    generation: u64,
    /// The number of the configuration that is forwarded by now.
    #[schema(minimum = 0, example = 7)]
    observed_generation: u64,
    /// When it was created.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    created_at: Timestamp,
    /// When it was last changed by somebody.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    updated_at: Timestamp,
}

/// The identifier, which the server gives.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) struct Identified {
    /// What identifies it.
    id: Identifier,
}

/// Whether the last change is being forwarded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Provisioning {
    Pending,
    Applied,
    Failed,
}

/// How far the last change has come at one process.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Condition {
    /// `forwarding`: the layer-4 plane works by it; `proxying`: the layer-7 plane does; `host_applied`: addresses are held
    /// and packets steered.
    #[serde(rename = "type")]
    #[schema(max_length = 64, example = "forwarding")]
    kind: &'static str,
    /// Whether it is so.
    #[schema(example = true)]
    status: bool,
    /// A word for programs: `applied`, `pending`, `refused`, `not_connected`.
    #[schema(max_length = 64, example = "applied")]
    reason: &'static str,
    /// A sentence for people; empty where there is nothing to say.
    #[schema(max_length = 4096, example = "")]
    message: String,
    /// The number of the configuration that this process works by.
    #[schema(minimum = 0, example = 7)]
    observed_generation: u64,
}

impl<'a, K: Resource> View<'a, K> {
    /// `record`, with what is `observed` of it and of its members' `health`.
    pub(crate) fn of(record: &'a Record<K>, observed: &Observed, health: &Board) -> Self {
        let Record { id, spec, generation, created_at, updated_at, readiness } = record;
        let (provisioning_status, undone) = provisioning(generation.0, observed);
        let (by_health, reason, seen) = K::seen(record, health);
        let (operating_status, idle) = by_readiness(*readiness).unwrap_or((by_health, reason));
        let state = State {
            provisioning_status,
            operating_status,
            status_reason: undone.or(idle),
            conditions: conditions(generation.0, observed),
            generation: generation.0,
            observed_generation: observed.generation.0,
            created_at: *created_at,
            updated_at: *updated_at,
        };
        Self { id: *id, spec, state, seen }
    }
}

fn provisioning(generation: u64, observed: &Observed) -> (Provisioning, Option<String>) {
    if observed.generation.0 >= generation {
        return (Provisioning::Applied, None);
    }
    match &observed.failure {
        Some(failure) if failure.generation.0 >= generation => {
            (Provisioning::Failed, Some(failure.reason.clone()))
        }
        _ => (Provisioning::Pending, absent(observed)),
    }
}

fn absent(observed: &Observed) -> Option<String> {
    let absent = |process: &'static str, state: &ProcessState| {
        (!state.is_connected()).then(|| format!("{process} is not connected"))
    };
    let l7 = || observed.l7.concerned.then(|| absent(L7::PROCESS, &observed.l7.process)).flatten();
    absent(L4::PROCESS, &observed.l4.process).or_else(l7).or_else(|| absent(Host::PROCESS, &observed.host))
}

/// How one is that does not serve by what is wanted; of all others, health decides.
fn by_readiness(readiness: Readiness) -> Option<(Operating, Option<String>)> {
    let (operating, reason) = match readiness {
        Readiness::Disabled => (Operating::Offline, "disabled"),
        Readiness::Draining => (Operating::Draining, "takes no new connections"),
        Readiness::NoPool => (Operating::Offline, "has no pool: new connections are dropped"),
        Readiness::NoMember => (Operating::Offline, "no member takes new connections: they are dropped"),
        Readiness::Ready => return None,
    };
    Some((operating, Some(reason.to_owned())))
}

/// What is shown of a kind that has nothing of its own to show.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NothingMore {}

/// How far the change has come at each process that it concerns.
fn conditions(generation: u64, observed: &Observed) -> Vec<Condition> {
    let mut conditions = vec![condition("forwarding", L4::PROCESS, generation, &observed.l4.process)];
    if observed.l7.concerned {
        conditions.push(condition("proxying", L7::PROCESS, generation, &observed.l7.process));
    }
    conditions.push(condition("host_applied", Host::PROCESS, generation, &observed.host));
    conditions
}

fn condition(kind: &'static str, process: &str, generation: u64, state: &ProcessState) -> Condition {
    let message = || state.error.clone().unwrap_or_default();
    let (status, reason, message) = match state {
        state if state.generation.0 >= generation => (true, "applied", String::new()),
        state if !state.is_connected() => (false, "not_connected", format!("{process} is not connected")),
        state if state.error.is_some() => (false, "refused", message()),
        _ => (false, "pending", String::new()),
    };
    Condition { kind, status, reason, message, observed_generation: state.generation.0 }
}
