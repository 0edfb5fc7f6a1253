//! What the planes counted, as it is shown.

use std::collections::BTreeMap;

use lb_model::asking::{Ejection, EjectionReason};
use lb_model::contract::{
    BackendStatus, L4Status, L7MemberStatus, L7QueueStatus, L7ServiceStatus, L7Status, PortStatus,
    WorkerStatus,
};
use lb_model::counters::{Accounting, BackendCounters, SynCookies};
use lb_model::l7::{L7MemberCounters, L7ServiceCounters, LATENCY_BOUNDS_US, Latencies};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::schema::Identifier;

/// What the planes counted since they were started: the layer-4 plane's numbers, and beside them the layer-7 plane's.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stats {
    /// The number of the configuration that it works by.
    #[schema(minimum = 0, example = 7)]
    generation: u64,
    /// Its network ports.
    #[schema(max_items = 256)]
    ports: Vec<PortStats>,
    accounting: FrameStats,
    syn_cookies: SynCookieStats,
    /// What each of its workers counted.
    #[schema(max_items = 1024)]
    workers: Vec<WorkerStats>,
    /// Connections that are held now.
    #[schema(minimum = 0)]
    flows: u64,
    /// Connections that it found when it was started: they survived its predecessor.
    #[schema(minimum = 0)]
    flows_attached: u64,
    /// What each member was given, service by service.
    #[schema(max_items = 1_000_000)]
    backends: Vec<MemberStats>,
    /// The layer-7 plane's; null while it does not answer.
    #[schema(required)]
    l7: Option<ProxyStats>,
}

/// What the layer-7 plane counted since it was started.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProxyStats {
    /// The number of the configuration that it works by.
    #[schema(minimum = 0, example = 7)]
    generation: u64,
    /// What each service did.
    #[schema(max_items = 65536)]
    services: Vec<ProxyServiceStats>,
    /// What each member was given.
    #[schema(max_items = 1_000_000)]
    members: Vec<ProxyMemberStats>,
    /// What waits for members to have room; only pools with a `queue`.
    #[schema(max_items = 65536)]
    queues: Vec<QueueStats>,
}

/// What waits for the members of a pool.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct QueueStats {
    /// The pool.
    #[schema(value_type = Identifier)]
    pool_id: String,
    /// Requests that wait.
    #[schema(minimum = 0)]
    requests_waiting: u32,
}

impl From<L7QueueStatus> for QueueStats {
    fn from(L7QueueStatus { pool, waiting }: L7QueueStatus) -> Self {
        Self { pool_id: pool.to_string(), requests_waiting: waiting }
    }
}

/// What a service of the layer-7 plane did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProxyServiceStats {
    /// The virtual service.
    #[schema(value_type = Identifier)]
    virtual_service_id: String,
    /// Connections that were accepted.
    #[schema(minimum = 0)]
    connections: u64,
    /// Of these, those that are open now.
    #[schema(minimum = 0)]
    connections_open: u64,
    /// Requests.
    #[schema(minimum = 0)]
    requests: u64,
    /// Answers by the class of their code, as `2xx`; only classes that occurred.
    answers: BTreeMap<String, u64>,
    /// Bytes from clients, inside of TLS.
    #[schema(minimum = 0)]
    bytes_in: u64,
    /// Bytes to clients, inside of TLS.
    #[schema(minimum = 0)]
    bytes_out: u64,
    /// How requests and connections ended that did not end well, by reason; only reasons that occurred.
    endings: BTreeMap<String, u64>,
    /// How long members took, from the end of a request's head to the end of their answer's.
    answer_times: LatencyStats,
    /// How long requests took, from the end of their head to the end of the answer; `WebSockets` are left out.
    request_times: LatencyStats,
}

/// How often something took how long.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LatencyStats {
    /// How many took so long; only where there are any.
    #[schema(max_items = 64)]
    buckets: Vec<LatencyBucket>,
    /// All of them together, in microseconds.
    #[schema(minimum = 0)]
    sum_us: u64,
}

/// Those that took no longer than this, but longer than the next lower bound.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LatencyBucket {
    /// The bound, in microseconds; null for all that took longer than the highest.
    #[schema(minimum = 0, required, example = 250)]
    up_to_us: Option<u64>,
    /// How many.
    #[schema(minimum = 0)]
    count: u64,
}

impl From<Latencies> for LatencyStats {
    fn from(Latencies { counts, sum_us }: Latencies) -> Self {
        let bounds = LATENCY_BOUNDS_US.into_iter().map(Some).chain([None]);
        let there = bounds.zip(counts).filter(|(_, count)| *count > 0);
        Self { buckets: there.map(|(up_to_us, count)| LatencyBucket { up_to_us, count }).collect(), sum_us }
    }
}

/// What a member was given by the layer-7 plane.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProxyMemberStats {
    /// The pool it belongs to.
    #[schema(value_type = Identifier)]
    pool_id: String,
    /// The member.
    #[schema(value_type = Identifier)]
    member_id: String,
    /// Connections that were opened to it.
    #[schema(minimum = 0)]
    connections: u64,
    /// Requests that it was given.
    #[schema(minimum = 0)]
    requests: u64,
    /// Of these, those that it has not answered yet.
    #[schema(minimum = 0)]
    requests_open: u64,
    /// Requests that it did not answer: it could not be reached, was too slow or broke off.
    #[schema(minimum = 0)]
    failures: u64,
    /// Whether it is left out for a while, as its pool's `outlier` says; null if it is not.
    #[schema(required)]
    ejection: Option<EjectionStats>,
}

/// A member that is left out although no check found it down.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct EjectionStats {
    /// For how many seconds it still is.
    #[schema(minimum = 0, example = 30)]
    seconds_left: u32,
    /// The how manyeth time in a row it is.
    #[schema(minimum = 1, example = 1)]
    times: u32,
    /// Why: `consecutive` failures, or their `rate`.
    #[schema(value_type = String, max_length = 16, example = "consecutive")]
    reason: EjectionReason,
}

impl From<Ejection> for EjectionStats {
    fn from(Ejection { seconds_left, times, reason }: Ejection) -> Self {
        Self { seconds_left, times, reason }
    }
}

/// A network port of the layer-4 plane.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PortStats {
    /// Its name in the configuration file.
    #[schema(max_length = 64, example = "front")]
    name: String,
    /// Driver and mode, in words.
    #[schema(max_length = 256, example = "AF_XDP, zero copy")]
    driver: String,
    /// Whether the link is up.
    up: bool,
    /// What the driver counts, by its own names.
    driver_counters: BTreeMap<String, u64>,
}

/// Where every frame came from and went. Each is counted once on each side: `received + from_twin + originated =
/// sent + punted + consumed + held + the sum of drops`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FrameStats {
    /// Taken from the ports.
    #[schema(minimum = 0)]
    received: u64,
    /// Taken from the kernel's twins of owned ports.
    #[schema(minimum = 0)]
    from_twin: u64,
    /// Made by the plane itself.
    #[schema(minimum = 0)]
    originated: u64,
    /// Given to the ports.
    #[schema(minimum = 0)]
    sent: u64,
    /// Given to the kernel.
    #[schema(minimum = 0)]
    punted: u64,
    /// Ended here by intent.
    #[schema(minimum = 0)]
    consumed: u64,
    /// Waiting for a neighbour now.
    #[schema(minimum = 0)]
    held: u64,
    /// Dropped, by reason; only reasons that occurred.
    drops: BTreeMap<String, u64>,
}

/// Cookies that stand for handshakes, given by services under a flood of SYNs (`syn_cookies_from`).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SynCookieStats {
    /// Given to who asked for a connection.
    #[schema(minimum = 0)]
    given: u64,
    /// Brought back by clients, who got a connection for it. What was none is among `drops` as `bad_cookie`.
    #[schema(minimum = 0)]
    taken: u64,
}

/// What a worker of the layer-4 plane counted.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WorkerStats {
    /// Frames taken from the ports.
    #[schema(minimum = 0)]
    received: u64,
    /// Frames given to the ports.
    #[schema(minimum = 0)]
    sent: u64,
    /// Frames dropped, for whatever reason.
    #[schema(minimum = 0)]
    dropped: u64,
    /// Connections that it holds now.
    #[schema(minimum = 0)]
    flows: u64,
}

/// What a member was given by a service, and gave back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberStats {
    /// The virtual service.
    #[schema(value_type = Identifier)]
    virtual_service_id: String,
    /// The member.
    #[schema(value_type = Identifier)]
    member_id: String,
    /// Connections that were given to it.
    #[schema(minimum = 0)]
    connections: u64,
    /// Connections that it has now.
    #[schema(minimum = 0)]
    active: u64,
    /// Packets from clients.
    #[schema(minimum = 0)]
    packets_in: u64,
    /// Bytes from clients, as IP packets.
    #[schema(minimum = 0)]
    bytes_in: u64,
    /// Packets to clients.
    #[schema(minimum = 0)]
    packets_out: u64,
    /// TCP connections that it reset before they were open, and openings that were asked for again.
    #[schema(minimum = 0)]
    unopened: u64,
    /// Bytes to clients, as IP packets.
    #[schema(minimum = 0)]
    bytes_out: u64,
}

impl Stats {
    /// What both planes say.
    pub(super) fn new(l4: L4Status, l7: Option<L7Status>) -> Self {
        let L4Status { generation, ports, accounting, syn_cookies, workers, flows, flows_attached, backends } =
            l4;
        let SynCookies { given, taken } = syn_cookies;
        Self {
            generation: generation.0,
            ports: ports.into_iter().map(PortStats::from).collect(),
            accounting: accounting.into(),
            syn_cookies: SynCookieStats { given, taken },
            workers: workers.into_iter().map(WorkerStats::from).collect(),
            flows,
            flows_attached,
            backends: backends.into_iter().map(MemberStats::from).collect(),
            l7: l7.map(ProxyStats::from),
        }
    }
}

impl From<L7Status> for ProxyStats {
    fn from(L7Status { generation, services, members, queues }: L7Status) -> Self {
        Self {
            generation: generation.0,
            services: services.into_iter().map(ProxyServiceStats::from).collect(),
            members: members.into_iter().map(ProxyMemberStats::from).collect(),
            queues: queues.into_iter().map(QueueStats::from).collect(),
        }
    }
}

impl From<L7ServiceStatus> for ProxyServiceStats {
    fn from(L7ServiceStatus { service, counters }: L7ServiceStatus) -> Self {
        let L7ServiceCounters {
            connections,
            connections_open,
            requests,
            answers,
            bytes_in,
            bytes_out,
            endings,
            answer_times,
            request_times,
        } = counters;
        Self {
            virtual_service_id: service.to_string(),
            connections,
            connections_open,
            requests,
            answers: by_class(answers),
            bytes_in,
            bytes_out,
            endings,
            answer_times: answer_times.into(),
            request_times: request_times.into(),
        }
    }
}

fn by_class(answers: [u64; 5]) -> BTreeMap<String, u64> {
    let named = (1..).zip(answers).filter(|(_, count)| *count > 0);
    named.map(|(class, count)| (format!("{class}xx"), count)).collect()
}

impl From<L7MemberStatus> for ProxyMemberStats {
    fn from(L7MemberStatus { pool, member, counters, ejection }: L7MemberStatus) -> Self {
        let L7MemberCounters { connections, requests, requests_open, failures } = counters;
        Self {
            pool_id: pool.to_string(),
            member_id: member.to_string(),
            connections,
            requests,
            requests_open,
            failures,
            ejection: ejection.map(EjectionStats::from),
        }
    }
}

impl From<PortStatus> for PortStats {
    fn from(PortStatus { name, driver, up, driver_counters }: PortStatus) -> Self {
        Self { name, driver, up, driver_counters }
    }
}

impl From<Accounting> for FrameStats {
    fn from(accounting: Accounting) -> Self {
        let Accounting { received, from_twin, originated, sent, punted, consumed, held, drops } = accounting;
        Self { received, from_twin, originated, sent, punted, consumed, held, drops }
    }
}

impl From<WorkerStatus> for WorkerStats {
    fn from(WorkerStatus { received, sent, dropped, flows }: WorkerStatus) -> Self {
        Self { received, sent, dropped, flows }
    }
}

impl From<BackendStatus> for MemberStats {
    fn from(BackendStatus { service, member, counters }: BackendStatus) -> Self {
        let BackendCounters { connections, active, packets_in, bytes_in, packets_out, bytes_out, unopened } =
            counters;
        Self {
            virtual_service_id: service.to_string(),
            member_id: member.to_string(),
            connections,
            active,
            packets_in,
            bytes_in,
            packets_out,
            unopened,
            bytes_out,
        }
    }
}
