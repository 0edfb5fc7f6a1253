//! What the processes say to each other, over the sockets of `lb-link`.
//!
//! A connection opens with a [`Hello`] from both sides; sides whose [`CONTRACT`] differs part with a clear error. Then the
//! client asks and the server answers, one answer to each request, in order. What is large travels beside the
//! request as a sealed memory file.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::asking::Ejection;
use crate::counters::{Accounting, BackendCounters, SynCookies};
use crate::explain::{DescribedPacket, DescribedRequest, Explanation, PacketExplanation};
use crate::flow::{FlowCursor, FlowFilter, FlowKey, SeenFlow};
use crate::l7::{L7MemberCounters, L7ServiceCounters};
use crate::record::{RequestCursor, RequestFilter, RequestRecord};
use crate::settings::Settings;
use crate::snapshot::{Generation, HealthDelta, HostPlan};
use crate::{MemberId, PoolId, VirtualServiceId};

/// The version of this page. It changes when an older peer would misunderstand a newer one.
pub const CONTRACT: u32 = 3;

/// First words of both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The speaker's [`CONTRACT`].
    pub contract: u32,
    /// Who speaks: the name of the binary.
    pub process: String,
    /// Its version, for logs and the API.
    pub version: String,
}

/// What penstockd asks of penstock-l4.
pub type L4Request = PlaneRequest;
/// What penstock-l4 answers.
pub type L4Answer = PlaneAnswer<L4Status>;
/// What penstockd asks of penstock-l7.
pub type L7Request = PlaneRequest;
/// What penstock-l7 answers.
pub type L7Answer = PlaneAnswer<L7Status>;

/// What penstockd asks of a plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum PlaneRequest {
    /// Forward by the plane's snapshot (JSON) in the memory file that comes along.
    Publish {
        /// Its generation.
        generation: Generation,
    },
    /// Change who takes new flows within the generation that is forwarding; refused if another one is.
    Health {
        /// Who changed.
        delta: HealthDelta,
    },
    /// Which generation is forwarding, and what was counted.
    Status,
    /// What would become of a request to this service: only of the layer-7 plane.
    Explain {
        /// The service.
        service: VirtualServiceId,
        /// The request.
        request: DescribedRequest,
    },
    /// The last requests, the newest first: only of the layer-7 plane.
    Requests {
        /// Which ones.
        filter: RequestFilter,
        /// Where the part begins; none with the newest.
        before: Option<RequestCursor>,
        /// How many at most.
        limit: u32,
    },
    /// Give the listening sockets to who asks, which is another process of the same plane: only of the layer-7 plane. After the answer they
    /// come one by one, each beside a [`HandedSocket`]; then who asks says `TakenOver`, or is gone.
    HandOver,
    /// They are in use: serve the connections that there are to their end, and take no more.
    TakenOver,
    /// What would become of this packet: only of the layer-4 plane, as are the other two.
    ExplainPacket {
        /// The packet.
        packet: DescribedPacket,
    },
    /// A part of the list of connections.
    Flows {
        /// Which ones.
        filter: FlowFilter,
        /// Where the part begins.
        from: FlowCursor,
        /// How many at most.
        limit: u32,
    },
    /// Forget this connection.
    EndFlow {
        /// Which one.
        key: FlowKey,
    },
}

/// What a plane answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum PlaneAnswer<S> {
    /// Every worker forwards by this generation.
    Forwarding {
        /// That generation.
        generation: Generation,
    },
    /// The snapshot or delta was refused; what was before it goes on.
    Refused {
        /// The one that was refused.
        generation: Generation,
        /// Why, for the operator.
        reason: String,
    },
    /// The answer to `Status`.
    Status(S),
    /// The answer to `Explain`.
    Explained(Box<Explanation>),
    /// The answer to `Requests`.
    Requests {
        /// These.
        requests: Vec<RequestRecord>,
        /// Where it goes on; none at the end.
        next: Option<RequestCursor>,
    },
    /// The answer to `HandOver`: so many sockets follow.
    HandingOver {
        /// That number.
        sockets: u32,
    },
    /// The answer to `TakenOver`.
    Left,
    /// The answer to `ExplainPacket`.
    PacketExplained(Box<PacketExplanation>),
    /// The answer to `Flows`: some, or for now none, though there may be more.
    Flows {
        /// These.
        flows: Vec<SeenFlow>,
        /// Where it goes on; none at the end.
        next: Option<FlowCursor>,
    },
    /// The answer to `EndFlow`.
    FlowEnded {
        /// What it was; none if there was none.
        flow: Option<SeenFlow>,
    },
}

/// What goes with a socket that is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedSocket {
    /// Where it listens.
    pub address: SocketAddr,
}

/// What a plane says of itself.
pub trait PlaneStatus {
    /// What it works by.
    fn generation(&self) -> Generation;
}

impl PlaneStatus for L4Status {
    fn generation(&self) -> Generation {
        self.generation
    }
}

impl PlaneStatus for L7Status {
    fn generation(&self) -> Generation {
        self.generation
    }
}

/// The state of the layer-4 plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct L4Status {
    /// What the workers forward by.
    pub generation: Generation,
    /// The ports, in configuration order.
    pub ports: Vec<PortStatus>,
    /// Where every frame went, summed over the workers.
    pub accounting: Accounting,
    /// What each worker counted, in the order of the cores.
    #[serde(default)]
    pub workers: Vec<WorkerStatus>,
    /// What became of cookies, summed over the workers.
    #[serde(default)]
    pub syn_cookies: SynCookies,
    /// Flows that are held now.
    pub flows: u64,
    /// Flows that were found in the flow file when the process started.
    pub flows_attached: u64,
    /// What each backend was given, summed over the workers.
    pub backends: Vec<BackendStatus>,
}

/// What one worker counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Frames taken from the ports.
    pub received: u64,
    /// Frames given to the ports.
    pub sent: u64,
    /// Frames dropped, for whatever reason.
    pub dropped: u64,
    /// Flows that it holds now.
    pub flows: u64,
}

/// The state of the layer-7 plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct L7Status {
    /// What the workers work by.
    pub generation: Generation,
    /// What each service counted.
    pub services: Vec<L7ServiceStatus>,
    /// What each member was given, service by service.
    pub members: Vec<L7MemberStatus>,
    /// Where requests wait; only pools that say so.
    #[serde(default)]
    pub queues: Vec<L7QueueStatus>,
}

/// What waits for a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct L7QueueStatus {
    /// The pool.
    pub pool: PoolId,
    /// How many requests wait until a member has room.
    pub waiting: u32,
}

/// A service's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct L7ServiceStatus {
    /// The virtual service.
    pub service: VirtualServiceId,
    /// What it counted.
    pub counters: L7ServiceCounters,
}

/// A member's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct L7MemberStatus {
    /// The pool it belongs to.
    pub pool: PoolId,
    /// The member.
    pub member: MemberId,
    /// What it was given.
    pub counters: L7MemberCounters,
    /// Whether the plane leaves it out for a while, as it fails: a suspicion, which checks may confirm.
    #[serde(default)]
    pub ejection: Option<Ejection>,
}

/// A backend's counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendStatus {
    /// The virtual service.
    pub service: VirtualServiceId,
    /// The member.
    pub member: MemberId,
    /// What it was given.
    pub counters: BackendCounters,
}

/// A port as the plane sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// Its name in the configuration.
    pub name: String,
    /// The driver and mode that are in use, in words.
    pub driver: String,
    /// Whether the link is up.
    pub up: bool,
    /// What the driver counts, by its own names.
    pub driver_counters: BTreeMap<String, u64>,
}

/// What penstockd asks of penstock-host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum HostRequest {
    /// Hold these addresses and steer these packets, and no others. The plan (JSON) is in the memory file that comes along.
    Apply {
        /// Its generation.
        generation: Generation,
    },
    /// Which generation is applied.
    Status,
    /// Something about the machine as a whole.
    Machine(MachineRequest),
    /// Something about the machine's own settings.
    Settings(SettingsRequest),
    /// What the machine's own tools say of it, for whoever looks for a fault.
    Diagnose,
}

/// What penstockd asks of penstock-host about the machine's own settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum SettingsRequest {
    /// What they are.
    Describe,
    /// Put these in force, and go back to those before unless they are confirmed in time.
    Try {
        /// All of them.
        settings: Settings,
        /// How long they wait.
        seconds: u32,
    },
    /// Keep those that are on trial.
    Confirm,
}

/// What penstockd asks of penstock-host about the machine as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum MachineRequest {
    /// How its slots are, and the installation of an update.
    Describe,
    /// Install the update in [`crate::config::ApplianceConfig::update_file`] into the slot that does not run. Answered when that has begun.
    Install,
    /// Start the other slot next.
    RollBack,
    /// Start anew.
    Restart,
    /// Switch off.
    ShutDown,
    /// Start anew, and forget everything before.
    FactoryReset,
}

/// What penstock-host answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum HostAnswer {
    /// This generation is applied.
    Applied {
        /// That generation.
        generation: Generation,
        /// Addresses that no port's network holds, and were therefore put on the first port.
        off_link: Vec<IpAddr>,
    },
    /// It was refused or failed; what could not be done is in the reason, and is tried again with the next request.
    Refused {
        /// The one that was refused.
        generation: Generation,
        /// Why, for the operator.
        reason: String,
    },
    /// A `MachineRequest` was followed, and this is how the machine is.
    Machine(MachineStatus),
    /// A `SettingsRequest` was followed, and this is how they are.
    Settings(SettingsStatus),
    /// The answer to `Diagnose`: of each tool what it said, by the name of the file that it belongs into.
    Diagnosis {
        /// File names and texts.
        texts: BTreeMap<String, String>,
    },
    /// A `MachineRequest` or `SettingsRequest` cannot be followed.
    Unable {
        /// Why, for the operator.
        reason: String,
    },
}

/// The machine's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsStatus {
    /// Those in force.
    pub settings: Settings,
    /// The seconds after which they give way to those before, unless they are confirmed.
    pub trial: Option<u32>,
}

/// How the machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineStatus {
    /// Its slots; none on a machine that was not started from an image.
    pub slots: Vec<SlotStatus>,
    /// What became of the last update since this process was started.
    pub installation: Installation,
}

/// A slot: one of the two places that hold a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotStatus {
    /// `a` or `b`.
    pub name: String,
    /// Whether it runs now.
    pub running: bool,
    /// Whether it is started next.
    pub next: bool,
    /// Whether it can be started: it holds a release that was not found to fail.
    pub startable: bool,
    /// The release in it, if it was ever started or installed as an update.
    pub version: Option<String>,
}

/// What became of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Installation {
    /// None was asked for.
    #[default]
    None,
    /// It is being verified and written.
    Running,
    /// It is in its slot, which is started next.
    Done,
    /// It was refused, or could not be written.
    Failed {
        /// Why, for the operator.
        reason: String,
    },
}

/// The payload that goes with [`HostRequest::Apply`].
pub type HostPayload = HostPlan;
