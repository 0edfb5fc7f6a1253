//! What the operator wants, validated: the input of the compiler.

use std::net::IpAddr;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::asking::{Breaker, Hedge, Outlier, Persistence, Queue, Retries};
use crate::l7::{L7Certificate, L7Compression, L7Limits, L7Protocol, L7Timeouts, L7Tls, Manner};
use crate::policy::L7Policy;
use crate::snapshot::{
    Admission, Ended, Forwarding, Generation, L4Protocol, Scheduler, Timeouts, Unserved, Weight,
};
use crate::{L4Port, MemberId, PoolId, Prefix, Tunnel, VirtualIpId, VirtualServiceId};

/// Everything that is wanted, as of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredState {
    /// The number that the last accepted change gave to the whole.
    pub generation: Generation,
    /// Addresses that the appliance answers for.
    pub virtual_ips: Vec<VirtualIp>,
    /// What is offered on them, packet by packet.
    pub virtual_services: Vec<VirtualService>,
    /// What the appliance answers itself.
    pub proxied_services: Vec<ProxiedService>,
    /// Who serves it.
    pub pools: Vec<Pool>,
    /// What is shown to clients that speak TLS.
    pub certificates: Vec<L7Certificate>,
}

/// An address that the appliance answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualIp {
    /// Its identifier.
    pub id: VirtualIpId,
    /// The address.
    pub address: IpAddr,
    /// A disabled one is held by nobody.
    pub enabled: bool,
}

/// A protocol and port on one or more virtual IPs, served by a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualService {
    /// Its identifier.
    pub id: VirtualServiceId,
    /// The virtual IPs it is offered on.
    pub virtual_ip_ids: Vec<VirtualIpId>,
    /// The transport protocol.
    pub protocol: L4Protocol,
    /// The port clients connect to.
    pub port: L4Port,
    /// The last one of several, of which that is the first.
    pub port_end: Option<L4Port>,
    /// How packets reach the members.
    pub forwarding: Forwarding,
    /// What they are wrapped in; for [`Forwarding::Tunnel`].
    pub tunnel: Option<Tunnel>,
    /// What members see in the place of the clients; for [`Forwarding::FullNat`].
    pub local_addresses: Vec<IpAddr>,
    /// The pool that serves it; without one every connection is refused.
    pub default_pool_id: Option<PoolId>,
    /// After how much silence a connection is forgotten.
    pub timeouts: Timeouts,
    /// Who may connect.
    pub admission: Admission,
    /// What those are told whom nobody takes.
    pub unserved: Unserved,
    /// What both ends of a connection are told that is ended here.
    pub ended: Ended,
    /// A disabled service is not offered.
    pub enabled: bool,
}

/// A virtual service that the appliance answers itself, asking the members in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxiedService {
    /// Its identifier.
    pub id: VirtualServiceId,
    /// The virtual IPs it is offered on.
    pub virtual_ip_ids: Vec<VirtualIpId>,
    /// What clients speak.
    pub protocol: L7Protocol,
    /// The port clients connect to.
    pub port: L4Port,
    /// The pool that serves it; without one every request is answered with 503.
    pub default_pool_id: Option<PoolId>,
    /// How long each phase of a request may take.
    pub timeouts: L7Timeouts,
    /// How TLS ends here, where it does.
    pub tls: Option<L7Tls>,
    /// Proxies whose connections begin by telling who the client is.
    pub proxy_protocol_from: Vec<Prefix>,
    /// How much a client may ask for.
    pub limits: L7Limits,
    /// Which answers are made smaller, and how.
    pub compression: Option<L7Compression>,
    /// What decides about its requests, in this order.
    pub policies: Vec<L7Policy>,
    /// A disabled service is not offered.
    pub enabled: bool,
}

/// A set of members and how one is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its identifier.
    pub id: PoolId,
    /// How a member is chosen for a new connection.
    pub algorithm: Scheduler,
    /// A disabled pool serves nothing.
    pub enabled: bool,
    /// Which member a client of a proxied service keeps.
    pub persistence: Option<Persistence>,
    /// What is asked of another member.
    pub retries: Retries,
    /// Who is left out for a while.
    pub outlier: Option<Outlier>,
    /// What waits while every member has as many requests as it may.
    pub queue: Option<Queue>,
    /// When it is left alone as a whole.
    pub breaker: Option<Breaker>,
    /// What is asked of two members.
    pub hedge: Option<Hedge>,
    /// How they are spoken to by the layer-7 plane.
    pub manner: Manner,
    /// The members, in the order they were added.
    pub members: Vec<Member>,
    /// So many of them must be able to take new connections.
    pub min_healthy: u32,
    /// What happens when fewer can.
    pub below_min_healthy: BelowMinHealthy,
    /// Whether members are checked by way of the services that they serve, too.
    pub probed: bool,
}

/// What becomes of new connections when fewer members of a pool can take them than must.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BelowMinHealthy {
    /// They are refused.
    #[default]
    Refuse,
    /// All members get them, those that are down as well.
    AllMembers,
    /// The members of this pool get them.
    BackupPool(PoolId),
}

/// One server of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its identifier.
    pub id: MemberId,
    /// Its address.
    pub address: IpAddr,
    /// The port it serves on.
    pub port: L4Port,
    /// Whether it takes new connections, and keeps its old ones.
    pub state: MemberState,
    /// Its share of new connections.
    pub weight: Weight,
    /// Whether it takes new connections only when no other member does.
    pub backup: bool,
    /// How many connections it may have at a time.
    pub connection_limit: Option<NonZeroU32>,
    /// After how many seconds of draining its connections end; none: by themselves. Its pool says so.
    pub drain_timeout_s: Option<u32>,
}

/// What the operator wants of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// Takes new connections.
    Enabled,
    /// Keeps its connections, takes no new ones.
    Drain,
    /// Serves nothing; its connections end.
    Disabled,
}

/// A protocol of a virtual service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ServiceProtocol {
    /// Forwarded packet by packet, or as a stream.
    L4(L4Protocol),
    /// Understood by the layer-7 plane.
    L7(L7Protocol),
}

impl ServiceProtocol {
    /// What it is carried by: two services of one transport cannot share a port.
    pub fn transport(self) -> L4Protocol {
        match self {
            Self::L4(protocol) => protocol,
            Self::L7(_) => L4Protocol::Tcp,
        }
    }
}

/// How what clients send reaches the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ServiceForwarding {
    /// As packets.
    Packets(Forwarding),
    /// The appliance answers itself, over connections of its own to the members.
    Proxied(Proxied),
}

impl ServiceForwarding {
    /// Whether members get what clients send with the service's port, and so must serve on it.
    pub fn keeps_port(self) -> bool {
        match self {
            Self::Packets(forwarding) => forwarding.keeps_port(),
            Self::Proxied(_) => false,
        }
    }

    /// Whether members may have addresses of another family than the service is offered on.
    pub fn joins_families(self) -> bool {
        match self {
            Self::Packets(forwarding) => forwarding.joins_families(),
            Self::Proxied(_) => true,
        }
    }
}

/// The word for [`ServiceForwarding::Proxied`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proxied {
    /// The only one.
    Proxy,
}
