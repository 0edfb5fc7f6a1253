//! What the layer-4 plane counted, as it is shown.

use std::collections::BTreeMap;

use lb_model::contract::{BackendStatus, L4Status, PortStatus};
use lb_model::counters::{Accounting, BackendCounters};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::schema::Identifier;

/// What the layer-4 plane counted since it was started.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stats {
    /// The number of the configuration that it works by.
    #[schema(minimum = 0, example = 7)]
    generation: u64,
    /// Its network ports.
    #[schema(max_items = 256)]
    ports: Vec<PortStats>,
    accounting: FrameStats,
    /// Connections that are held now.
    #[schema(minimum = 0)]
    flows: u64,
    /// Connections that it found when it was started: they survived its predecessor.
    #[schema(minimum = 0)]
    flows_attached: u64,
    /// What each member was given, service by service.
    #[schema(max_items = 1_000_000)]
    backends: Vec<MemberStats>,
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
    /// Packets from clients.
    #[schema(minimum = 0)]
    packets_in: u64,
    /// Bytes from clients, as IP packets.
    #[schema(minimum = 0)]
    bytes_in: u64,
    /// Packets to clients.
    #[schema(minimum = 0)]
    packets_out: u64,
    /// Bytes to clients, as IP packets.
    #[schema(minimum = 0)]
    bytes_out: u64,
}

impl From<L4Status> for Stats {
    fn from(status: L4Status) -> Self {
        let L4Status { generation, ports, accounting, flows, flows_attached, backends } = status;
        Self {
            generation: generation.0,
            ports: ports.into_iter().map(PortStats::from).collect(),
            accounting: accounting.into(),
            flows,
            flows_attached,
            backends: backends.into_iter().map(MemberStats::from).collect(),
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

impl From<BackendStatus> for MemberStats {
    fn from(BackendStatus { service, member, counters }: BackendStatus) -> Self {
        let BackendCounters { connections, packets_in, bytes_in, packets_out, bytes_out } = counters;
        Self {
            virtual_service_id: service.to_string(),
            member_id: member.to_string(),
            connections,
            packets_in,
            bytes_in,
            packets_out,
            bytes_out,
        }
    }
}
