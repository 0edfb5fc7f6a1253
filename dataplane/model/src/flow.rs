//! Connections of the layer-4 plane, as those see them who are not in it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::snapshot::L4Protocol;
use crate::{MemberId, Prefix, VirtualServiceId};

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenFlow {
    /// What it is known by.
    pub key: FlowKey,
    /// What the member sees as the other end: the client, or with full NAT a local address.
    pub local: SocketAddr,
    /// The member's end.
    pub member_end: SocketAddr,
    /// The service; none if it or the member is gone.
    pub service: Option<VirtualServiceId>,
    /// The member, likewise.
    pub member: Option<MemberId>,
    /// How far it is.
    pub state: FlowState,
    /// For how long nothing was heard, in milliseconds.
    pub idle_ms: u64,
    /// After how much silence it is forgotten.
    pub timeout_ms: u64,
    /// The worker that has it.
    pub worker: u16,
}

/// What a connection is known by: no two have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FlowKey {
    /// The transport protocol.
    pub protocol: L4Protocol,
    /// Who asked for it.
    pub client: SocketAddr,
    /// The service's address and port that it came to.
    pub offered: SocketAddr,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// The handshake is not done; of UDP, one datagram was seen.
    Opening,
    /// Both ends agreed; of UDP, more than one datagram was seen.
    Established,
    /// Both ends have said that they have no more to send.
    Closing,
    /// One end ended it.
    Reset,
}

/// Which connections are wanted: those that fit all that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowFilter {
    /// Of this service.
    pub service: Option<VirtualServiceId>,
    /// With this member.
    pub member: Option<MemberId>,
    /// Of clients in this network.
    pub client: Option<Prefix>,
    /// By this protocol.
    pub protocol: Option<L4Protocol>,
    /// That are so far.
    pub state: Option<FlowState>,
}

/// Where a list goes on: connections that stay are met once, in whatever order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowCursor {
    /// At this worker.
    pub worker: u16,
    /// At this entry of its table.
    pub entry: u32,
}
