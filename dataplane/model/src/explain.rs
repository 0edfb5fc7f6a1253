//! A request or a packet that is described, and what would become of it: asked of the plane that it is for, which answers by the code that
//! serves clients.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::flow::SeenFlow;
use crate::snapshot::{L4Protocol, Scheduler};
use crate::{Generation, MemberId, PolicyId, PoolId, Prefix, VirtualServiceId};

/// A request that nobody sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedRequest {
    /// The method.
    pub method: String,
    /// What stands in `Host`.
    pub host: Option<String>,
    /// The path, and after `?` the query.
    pub target: String,
    /// Other header fields.
    pub headers: Vec<(String, String)>,
    /// The client's address.
    pub source: IpAddr,
    /// The name that it asks for when TLS begins.
    pub sni: Option<String>,
}

/// What would become of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// By this configuration.
    pub generation: Generation,
    /// The policies that were asked, in their order: the last one ended the search, or nobody was left.
    pub policies: Vec<AskedPolicy>,
    /// Who serves it.
    pub pool: Option<PoolId>,
    /// The member that gets it: by lot, by turn or because its client keeps it.
    pub member: Option<MemberId>,
    /// The path and query that the member sees.
    pub target: String,
    /// The header that the member sees.
    pub headers: Vec<(String, String)>,
    /// The answer, where no member is asked.
    pub own_answer: Option<OwnAnswer>,
}

/// A policy that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedPolicy {
    /// The policy.
    pub policy: PolicyId,
    /// The place of its first rule that the request does not fit; none, if it fits them all.
    pub misfit: Option<u32>,
}

/// An answer that no member gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAnswer {
    /// Its status.
    pub status: u16,
    /// Its header.
    pub headers: Vec<(String, String)>,
}

/// A packet that nobody sent, or one that somebody captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedPacket {
    /// What it is.
    pub content: PacketContent,
    /// The port that it comes in by; none: of a captured one the first, of another where its source is.
    pub port: Option<String>,
}

/// What a described packet is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PacketContent {
    /// One between these ends, without a payload.
    Headers {
        /// The ends.
        ends: PacketEnds,
        /// The control bits, of TCP.
        flags: u8,
    },
    /// A whole Ethernet frame.
    Frame(Vec<u8>),
}

/// Both ends of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketEnds {
    /// The transport protocol.
    pub protocol: L4Protocol,
    /// Where it comes from.
    pub source: SocketAddr,
    /// Where it goes.
    pub destination: SocketAddr,
}

/// What would become of a packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketExplanation {
    /// By this configuration.
    pub generation: Generation,
    /// The port that it comes in by.
    pub port: String,
    /// The worker that decides.
    pub worker: u16,
    /// What it was read as; of an error of ICMP, the reverse of the packet that it is about. None if it could not be read, or is nothing that is
    /// balanced.
    pub packet: Option<PacketEnds>,
    /// The service that it is for, or is of.
    pub service: Option<VirtualServiceId>,
    /// What the service's networks say of its client; none if it is not asked, or everybody may.
    pub network: Option<NetworkRule>,
    /// The connection that it belongs to; none if it begins one, or is of none.
    pub flow: Option<SeenFlow>,
    /// The member that it goes to, or comes from.
    pub member: Option<MemberId>,
    /// Why that one.
    pub choice: Option<Choice>,
    /// How it ends.
    pub verdict: PacketVerdict,
    /// Why it is dropped, or answered: [`crate::counters::DropReason::as_str`].
    pub reason: Option<String>,
    /// How it leaves; none if it does not.
    pub leaves: Option<LeavingPacket>,
}

/// What decided whether a client may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRule {
    /// The longest network that holds its address; none: no network does.
    pub network: Option<Prefix>,
    /// Whether it may.
    pub allowed: bool,
}

/// Why a member has a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// It has the connection.
    Flow,
    /// It would be given it.
    Scheduler {
        /// By this.
        scheduler: Scheduler,
        /// In the place of this one, which has as many connections as it may.
        instead_of: Option<MemberId>,
    },
}

/// How a packet ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PacketVerdict {
    /// It travels on.
    Send,
    /// Its sender is answered.
    Reply,
    /// It is the kernel's.
    Punt,
    /// It waits until the next hop is known.
    Hold,
    /// It ends here.
    Drop,
}

/// A packet that leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeavingPacket {
    /// The port.
    pub port: String,
    /// The neighbour that it is handed to; none for an answer.
    pub next_hop: Option<IpAddr>,
    /// Its ends, without what it may be wrapped in; none for an answer, and for an error of ICMP.
    pub packet: Option<PacketEnds>,
    /// All of it; if it is cut, the first piece.
    pub frame: Vec<u8>,
}
