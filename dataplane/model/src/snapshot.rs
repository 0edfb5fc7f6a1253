//! What is published: one generation for each plane, and the plan for the host.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{L4Port, MemberId, Prefix, Tunnel, VirtualServiceId};

/// The number of an accepted configuration. It only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A transport protocol that the layer-4 plane balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum L4Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl L4Protocol {
    /// The number in an IPv4 header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// The protocol with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Tcp, Self::Udp].into_iter().find(|protocol| protocol.number() == number)
    }
}

/// How packets reach the members of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forwarding {
    /// Destination rewritten to the member; replies come back through the appliance, the client's address is kept.
    Nat,
    /// Both ends rewritten: the member sees one of the service's local addresses in the place of the client.
    FullNat,
    /// Direct return: packets reach the member as they came, and it answers the client itself, from the virtual IP that it holds.
    Dr,
    /// The same from further away: packets reach the member as they came, wrapped in others.
    Tunnel,
}

impl Forwarding {
    /// Whether what members answer comes back through the appliance.
    pub fn replies_return(self) -> bool {
        match self {
            Self::Nat | Self::FullNat => true,
            Self::Dr | Self::Tunnel => false,
        }
    }

    /// Whether members may have addresses of another family than the service is offered on.
    pub fn joins_families(self) -> bool {
        match self {
            Self::Nat | Self::FullNat | Self::Dr | Self::Tunnel => false,
        }
    }

    /// Whether members get packets with the service's port, and so must serve on it.
    pub fn keeps_port(self) -> bool {
        match self {
            Self::Nat | Self::FullNat => false,
            Self::Dr | Self::Tunnel => true,
        }
    }
}

/// What becomes of new connections that nobody takes: no member is there, or all that may have no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unserved {
    /// They hear nothing.
    #[default]
    Silence,
    /// They are reset; by UDP, the port is said to be unreachable.
    Reset,
}

/// What both ends of a TCP connection are told that is ended here: because that was asked for, because its member is gone or has
/// drained for long enough, or because it was silent for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// They hear nothing: what they send afterwards is dropped.
    #[default]
    Silence,
    /// They are reset.
    Reset,
}

/// How a member is chosen for a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheduler {
    /// One after the other.
    RoundRobin,
    /// One after the other, each as often as its weight says, spread evenly.
    WeightedRoundRobin,
    /// The one with the fewest connections.
    LeastConnections,
    /// The one with the fewest connections for its weight.
    WeightedLeastConnections,
    /// The one that would have the fewest connections for its weight with this one.
    ShortestExpectedDelay,
    /// One without connections; if all have some, the shortest expected delay.
    NeverQueue,
    /// By the client's address: the same client always has the same member.
    SourceHash,
    /// By the client's address and port.
    SourcePortHash,
    /// By the addresses and ports of both ends, in a table that changes little with the pool (Maglev, NSDI 2016).
    Maglev,
    /// Two are drawn, each as likely as its weight; the one with fewer connections for its weight.
    PowerOfTwo,
    /// The one that would answer soonest, by how fast it has answered lately, what it has to answer, and its weight (peak EWMA). Where no
    /// answers are seen, as the shortest expected delay.
    PeakEwma,
    /// The one with the highest weight, and the next one only when that has no room.
    Ordered,
}

/// The share of new connections that a member is to have, beside the others': 0 (none) to 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Weight(u16);

/// More than 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a weight of {0} is too large: want 0 to 256")]
pub struct WeightTooLarge(u16);

impl Weight {
    /// The largest.
    pub const MAX: u16 = 256;

    /// Checks `weight`.
    pub fn new(weight: u16) -> Result<Self, WeightTooLarge> {
        if weight <= Self::MAX { Ok(Self(weight)) } else { Err(WeightTooLarge(weight)) }
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl TryFrom<u16> for Weight {
    type Error = WeightTooLarge;

    fn try_from(weight: u16) -> Result<Self, WeightTooLarge> {
        Self::new(weight)
    }
}

impl From<Weight> for u16 {
    fn from(weight: Weight) -> Self {
        weight.get()
    }
}

/// How much of its weight a member is given now, in percent: 1 to 100. Less than all while it warms up after it came back, or
/// as long as it says so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Share(u8);

/// None, or more than all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a share of {0} % makes no sense: want 1 to 100")]
pub struct ShareOutOfRange(u8);

impl Share {
    /// All of it.
    pub const FULL: Self = Self(100);

    /// Checks `percent`.
    pub fn new(percent: u8) -> Result<Self, ShareOutOfRange> {
        if (1..=100).contains(&percent) { Ok(Self(percent)) } else { Err(ShareOutOfRange(percent)) }
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0
    }

    /// This share of that one; never nothing.
    #[must_use]
    pub fn of(self, whole: Self) -> Self {
        let percent = u16::from(self.0) * u16::from(whole.0) / 100;
        Self(u8::try_from(percent).unwrap_or(100).max(1))
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::FULL
    }
}

impl TryFrom<u8> for Share {
    type Error = ShareOutOfRange;

    fn try_from(percent: u8) -> Result<Self, ShareOutOfRange> {
        Self::new(percent)
    }
}

impl From<Share> for u8 {
    fn from(share: Share) -> Self {
        share.get()
    }
}

/// After how many seconds of silence a flow is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// As long as the handshake is not done, or of UDP only one datagram was seen.
    pub opening_s: u32,
    /// Once it is established.
    pub idle_s: u32,
    /// Once both sides have said that they have no more to send.
    pub closing_s: u32,
}

/// Who may begin a flow, and how many there may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// How many connections there may be at a time, over all addresses of the service; none: as many as come.
    pub connection_limit: Option<NonZeroU32>,
    /// Networks whose clients may. If there are any, others may not.
    pub allowed_cidrs: Vec<Prefix>,
    /// Networks whose clients may not. The longest network that holds a client decides.
    pub denied_cidrs: Vec<Prefix>,
    /// How fast.
    #[serde(default)]
    pub rates: Option<L4Rates>,
    /// From how many handshakes under way on SYNs are answered with cookies; none: never.
    #[serde(default)]
    pub syn_cookies_from: Option<u32>,
}

/// How fast flows may begin and packets may pass. What is over a rate is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Rates {
    /// New connections, over all addresses of the service.
    pub connections_per_s: Option<NonZeroU32>,
    /// Those of one source.
    pub source_connections_per_s: Option<NonZeroU32>,
    /// Packets that one source sends.
    pub source_packets_per_s: Option<NonZeroU32>,
    /// How many leading bits of an IPv4 address make a source.
    pub source_prefix: u8,
    /// How many of an IPv6 address.
    pub source_prefix_v6: u8,
    /// Packets, of clients and members together.
    pub packets_per_s: Option<NonZeroU32>,
    /// Thousands of bits, likewise, as IP packets.
    pub kbits_per_s: Option<NonZeroU32>,
}

impl L4Rates {
    /// One IPv4 address.
    pub const SOURCE_PREFIX: u8 = 32;
    /// One IPv6 network as a household or a host has: within it addresses cost nothing.
    pub const SOURCE_PREFIX_V6: u8 = 64;
}

impl Default for L4Rates {
    fn default() -> Self {
        Self {
            connections_per_s: None,
            source_connections_per_s: None,
            source_packets_per_s: None,
            source_prefix: Self::SOURCE_PREFIX,
            source_prefix_v6: Self::SOURCE_PREFIX_V6,
            packets_per_s: None,
            kbits_per_s: None,
        }
    }
}

/// By what a client of the layer-4 plane keeps its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Persistence {
    /// How many leading bits of an IPv4 address count.
    pub prefix: u8,
    /// How many of an IPv6 address.
    pub prefix_v6: u8,
    /// For how many seconds after its last connection.
    pub timeout_s: u32,
    /// Whether a client has the same member, by its address, in all services of a virtual IP that say so.
    pub shared: bool,
}

/// What the layer-4 plane forwards by: every service with its backends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Snapshot {
    /// The configuration this was compiled from.
    pub generation: Generation,
    /// One entry for each address that a virtual service is offered on.
    pub services: Vec<L4Service>,
    /// The ways that checks take, beside clients.
    #[serde(default)]
    pub probes: Vec<L4Probe>,
}

/// A way to one member that checks take as clients' packets would, whoever's turn it is: what penstockd sends to `at`, on the
/// interface [`crate::config::ApplianceConfig::PROBE_TAP`], reaches the member as the service forwards, and its answers come back
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Probe {
    /// Where checks connect to: nobody else's address.
    pub at: Endpoint,
    /// The virtual service …
    pub service: VirtualServiceId,
    /// … and its address.
    pub address: IpAddr,
    /// The member, one of that service's.
    pub member: MemberId,
}

/// A virtual service on one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L4Service {
    /// The virtual service.
    pub id: VirtualServiceId,
    /// The address of one of its virtual IPs.
    pub address: IpAddr,
    /// The port.
    pub port: L4Port,
    /// The last one of several ports, of which `port` is the first; backends get what is for them on the port that clients sent it
    /// to.
    #[serde(default)]
    pub port_end: Option<L4Port>,
    /// The transport protocol.
    pub protocol: L4Protocol,
    /// How packets reach the backends.
    pub forwarding: Forwarding,
    /// What they are wrapped in; for [`Forwarding::Tunnel`].
    #[serde(default)]
    pub tunnel: Option<Tunnel>,
    /// What members see in the place of the clients; for [`Forwarding::FullNat`].
    #[serde(default)]
    pub local_addresses: Vec<IpAddr>,
    /// How one is chosen.
    pub scheduler: Scheduler,
    /// After how much silence a flow is forgotten.
    pub timeouts: Timeouts,
    /// Who may begin one.
    #[serde(default)]
    pub admission: Admission,
    /// What those are told whom nobody takes.
    #[serde(default)]
    pub unserved: Unserved,
    /// What both ends of a connection are told that is ended here.
    #[serde(default)]
    pub ended: Ended,
    /// By what a client keeps its member; none: every connection may have another.
    #[serde(default)]
    pub persistence: Option<L4Persistence>,
    /// Who serves it; none: new connections are dropped and counted.
    pub backends: Vec<L4Backend>,
}

impl L4Service {
    /// Its ports, as those of this address.
    pub fn ports_at(&self, address: IpAddr) -> PortRange {
        let Self { port, port_end, protocol, .. } = *self;
        PortRange { address, protocol, first: port, last: port_end.unwrap_or(port) }
    }
}

/// A member as the layer-4 plane sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each of them is a fact of its own")]
pub struct L4Backend {
    /// The member.
    pub member: MemberId,
    /// Its address.
    pub address: IpAddr,
    /// The port it serves on; for a service of several ports, where it is checked.
    pub port: L4Port,
    /// Whether it is given new connections; one that is not keeps those it has.
    pub takes_new: bool,
    /// Whether it is given new connections of clients that keep it, even if it drains.
    #[serde(default)]
    pub keeps: bool,
    /// Its share of new connections.
    #[serde(default)]
    pub weight: Weight,
    /// How much of that it is given now.
    #[serde(default)]
    pub share: Share,
    /// Whether it is given new connections only when no other member takes any.
    #[serde(default)]
    pub backup: bool,
    /// Whether it belongs to the backup pool: it is given new connections only when nobody of the pool itself takes any.
    #[serde(default)]
    pub reserve: bool,
    /// How many connections it may have at a time, over all services; none: as many as come.
    #[serde(default)]
    pub connection_limit: Option<NonZeroU32>,
    /// If it drains: after how many seconds the connections that it has end; none: by themselves.
    #[serde(default)]
    pub drain_timeout_s: Option<u32>,
}

/// A change of health alone: members that stand otherwise than in the snapshot of this generation, or than in the delta
/// before. It goes its own short road, past the compilation of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthDelta {
    /// The generation that it changes; a plane that forwards by another one refuses it.
    pub generation: Generation,
    /// The members that changed.
    pub members: Vec<Standing>,
}

/// Whether a member is given new flows, by what is wanted and what was seen of it. The flows it has stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// The member: wherever it serves.
    pub member: MemberId,
    /// Whether it is given new connections.
    pub takes_new: bool,
    /// Whether it is given those of clients that keep it.
    #[serde(default)]
    pub keeps: bool,
    /// How much of its weight.
    #[serde(default)]
    pub share: Share,
}

impl L4Snapshot {
    /// Where each member stands; the same in every service that it serves.
    pub fn standings(&self) -> BTreeMap<MemberId, Standing> {
        let backends = self.services.iter().flat_map(|service| &service.backends);
        let standing = |&L4Backend { member, takes_new, keeps, share, .. }: &L4Backend| Standing {
            member,
            takes_new,
            keeps,
            share,
        };
        backends.map(|backend| (backend.member, standing(backend))).collect()
    }
}

/// What the host does for a generation: the addresses it holds and the packets it leaves to the planes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostPlan {
    /// The configuration this was compiled from.
    pub generation: Generation,
    /// Addresses of enabled virtual IPs, to be held on the port whose network they belong to.
    pub addresses: Vec<IpAddr>,
    /// Packets to one of these are the layer-4 plane's.
    pub services: Vec<Endpoint>,
    /// Packets from one of these, not addressed to this host, are the layer-4 plane's: replies of members under NAT.
    pub members: Vec<Endpoint>,
    /// Packets to one of these as well. No two have a port in common.
    #[serde(default)]
    pub service_ranges: Vec<PortRange>,
    /// And packets from one of these, likewise.
    #[serde(default)]
    pub member_ranges: Vec<PortRange>,
    /// Of the addresses those that members see in the place of the clients: packets to them from a member are the layer-4 plane's.
    #[serde(default)]
    pub local_addresses: Vec<IpAddr>,
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: L4Port,
    /// The transport protocol.
    pub protocol: L4Protocol,
}

/// Several ports of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRange {
    /// The address.
    pub address: IpAddr,
    /// The transport protocol.
    pub protocol: L4Protocol,
    /// The first port …
    pub first: L4Port,
    /// … and the last.
    pub last: L4Port,
}

impl PortRange {
    /// The first two, in order, of which a port is both's, with what belongs to them.
    pub fn clash<T: Copy + Ord>(ranges: &mut [(Self, T)]) -> Option<[(Self, T); 2]> {
        ranges.sort_unstable();
        let mut pairs = ranges.iter().zip(ranges.iter().skip(1)).map(|(before, next)| [*before, *next]);
        pairs.find(|[(before, _), (next, _)]| {
            (before.address, before.protocol) == (next.address, next.protocol) && before.last >= next.first
        })
    }

    /// The same ports, in order, and each of them once.
    pub fn merged(ranges: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut all: Vec<Self> = ranges.into_iter().collect();
        all.sort_unstable();
        all.dedup_by(|next, before| {
            let touches = (next.address, next.protocol) == (before.address, before.protocol)
                && u32::from(next.first.get()) <= u32::from(before.last.get()) + 1;
            if touches {
                before.last = before.last.max(next.last);
            }
            touches
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(last_byte: u8, protocol: L4Protocol, first: u16, last: u16) -> PortRange {
        let port = |number| L4Port::new(number).unwrap();
        PortRange { address: [10, 0, 0, last_byte].into(), protocol, first: port(first), last: port(last) }
    }

    #[test]
    fn ranges_that_meet_become_one() {
        use L4Protocol::{Tcp, Udp};
        let merged = PortRange::merged([
            range(1, Tcp, 30, 39),
            range(1, Tcp, 10, 19),
            range(1, Tcp, 15, 29),
            range(1, Tcp, 50, 65535),
            range(1, Tcp, 60, 70),
            range(1, Udp, 10, 19),
            range(2, Tcp, 20, 20),
        ]);
        let expected =
            [range(1, Tcp, 10, 39), range(1, Tcp, 50, 65535), range(1, Udp, 10, 19), range(2, Tcp, 20, 20)];
        assert_eq!(merged, expected);
    }

    #[test]
    fn what_has_a_port_in_common_is_told_with_whose_it_is() {
        use L4Protocol::{Tcp, Udp};
        let mut apart = [
            (range(1, Tcp, 20, 29), 'a'),
            (range(1, Udp, 20, 29), 'b'),
            (range(2, Tcp, 20, 29), 'c'),
            (range(1, Tcp, 30, 30), 'd'),
        ];
        assert_eq!(PortRange::clash(&mut apart), None);
        let mut met = [(range(1, Tcp, 29, 40), 'e'), (range(1, Tcp, 20, 29), 'f')];
        let [before, next] = PortRange::clash(&mut met).unwrap();
        assert_eq!((before.1, next.1, next.0.first.get()), ('f', 'e', 29));
    }
}
