//! What is counted, by the same names from the worker to the API.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal),+ $(,)?) => {
        /// Why a frame was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl DropReason {
            /// All of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word used in the API, in metrics and in the console.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

drop_reasons! {
    /// Shorter than its headers say.
    Truncated => "truncated",
    /// A header with a value that no sender may use.
    Malformed => "malformed",
    /// The receiving hardware found a checksum wrong.
    BadChecksum => "bad_checksum",
    /// A fragment of an IP packet for a service.
    Fragment => "fragment",
    /// The hop limit was used up.
    TtlExpired => "ttl_expired",
    /// A frame that the kernel sent itself, seen by AF_PACKET.
    OwnEcho => "own_echo",
    /// A frame of which the kernel has the other copy (AF_PACKET), or which nobody asked for.
    NotOurs => "not_ours",
    /// No flow, and not the beginning of one.
    NoFlow => "no_flow",
    /// No flow, and what it acknowledges is no cookie that was given lately.
    BadCookie => "bad_cookie",
    /// The service has no member that takes new connections.
    NoMember => "no_member",
    /// The client's network may not use the service.
    Denied => "denied",
    /// The service has as many connections as it may.
    ServiceFull => "service_full",
    /// The service has as many new connections a second as it may.
    ConnectionRate => "connection_rate",
    /// The source begins as many connections a second as it may.
    SourceRate => "source_rate",
    /// The source sends as many packets a second as it may.
    SourcePacketRate => "source_packet_rate",
    /// As many packets a second pass for the service as may.
    PacketRate => "packet_rate",
    /// As many bits a second pass for the service as may.
    BitRate => "bit_rate",
    /// Every member that takes new connections has as many as it may.
    MembersFull => "members_full",
    /// The member of this flow was removed or disabled.
    MemberGone => "member_gone",
    /// The flow table has no room and nothing in it may be evicted.
    FlowTableFull => "flow_table_full",
    /// No route to the destination.
    NoRoute => "no_route",
    /// Every port of the local addresses that full NAT looked at is in use with this member.
    NoLocalPort => "no_local_port",
    /// The packet does not fit where it must go and cannot be cut.
    TooBig => "too_big",
    /// The next hop did not answer in time, or too many frames wait for it.
    NoNeighbour => "no_neighbour",
    /// The transmit queue was full.
    TxFull => "tx_full",
    /// The twin or the reinjection TAP did not take the frame.
    PuntFull => "punt_full",
}

impl DropReason {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();
}

/// Where every frame came from and went. Frames are counted once on each side:
/// `received + from_twin + originated = sent + punted + consumed + held + Σ drops`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// Frames taken from the ports.
    pub received: u64,
    /// Frames taken from the twins of owned ports.
    pub from_twin: u64,
    /// Frames that the plane made itself.
    pub originated: u64,
    /// Frames given to the ports.
    pub sent: u64,
    /// Frames given to the kernel: through a twin or a reinjection TAP.
    pub punted: u64,
    /// Frames that ended here by intent.
    pub consumed: u64,
    /// Frames that wait for a neighbour now.
    pub held: u64,
    /// Frames dropped, by [`DropReason::as_str`]; only those that occurred.
    pub drops: BTreeMap<String, u64>,
}

impl Accounting {
    /// Frames that entered but did not leave by any name, or left without entering: 0 unless there is a defect.
    pub fn imbalance(&self) -> i128 {
        let entered = i128::from(self.received) + i128::from(self.from_twin) + i128::from(self.originated);
        let dropped: i128 = self.drops.values().map(|count| i128::from(*count)).sum();
        let left = i128::from(self.sent)
            + i128::from(self.punted)
            + i128::from(self.consumed)
            + i128::from(self.held)
            + dropped;
        entered - left
    }
}

/// Cookies that were given in the place of handshakes, by services that answer floods with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynCookies {
    /// Given to who asked for a connection.
    pub given: u64,
    /// Brought back, by clients that got a connection for it. Those that were none are dropped as [`DropReason::BadCookie`].
    pub taken: u64,
}

/// What a backend was given and gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendCounters {
    /// Connections that were given to it.
    pub connections: u64,
    /// Connections that it has now.
    pub active: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Bytes from clients, as IP packets.
    pub bytes_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes to clients, as IP packets.
    pub bytes_out: u64,
    /// Signs that it does not serve: TCP connections that it reset before they were open, and openings that were asked for again.
    #[serde(default)]
    pub unopened: u64,
}

impl BackendCounters {
    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        let Self { connections, active, packets_in, bytes_in, packets_out, bytes_out, unopened } = other;
        self.unopened += unopened;
        self.connections += connections;
        self.active += active;
        self.packets_in += packets_in;
        self.bytes_in += bytes_in;
        self.packets_out += packets_out;
        self.bytes_out += bytes_out;
    }

    /// What was counted after `before`; what is now stays.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            connections: self.connections.wrapping_sub(before.connections),
            active: self.active,
            packets_in: self.packets_in.wrapping_sub(before.packets_in),
            bytes_in: self.bytes_in.wrapping_sub(before.bytes_in),
            packets_out: self.packets_out.wrapping_sub(before.packets_out),
            bytes_out: self.bytes_out.wrapping_sub(before.bytes_out),
            unopened: self.unopened.wrapping_sub(before.unopened),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_and_named_once() {
        let names: std::collections::BTreeSet<_> =
            DropReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }

    #[test]
    fn imbalance_names_the_lost_frame() {
        let mut accounting = Accounting { received: 5, sent: 3, held: 1, ..Accounting::default() };
        assert_eq!(accounting.imbalance(), 1);
        accounting.drops.insert("no_flow".into(), 1);
        assert_eq!(accounting.imbalance(), 0);
    }
}
