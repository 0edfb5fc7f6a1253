//! ICMP of IPv6 (RFC 4443): the errors that quote the packet they are about.

use super::{TCP, UDP, ipv6};
use crate::flow::WideAddresses;

/// Bytes of an error's header; what it quotes follows.
pub const LEN: usize = 8;
/// Where a message has its checksum.
pub const CHECKSUM: usize = 2;

const UNREACHABLE: u8 = 1;
const TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;

/// The packet that an error quotes: as much of it as names its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Source and destination address, as they lie in memory.
    pub addresses: WideAddresses,
    /// Their ports, likewise.
    pub ports: u32,
    /// The transport protocol.
    pub protocol: u8,
    /// Bytes of its IP headers.
    pub header_len: usize,
}

/// What an error quotes, if `message` is one about a TCP segment or UDP datagram.
pub fn quoted(message: &[u8]) -> Option<Quoted> {
    if !matches!(message.first()?, &(UNREACHABLE | TOO_BIG | TIME_EXCEEDED | PARAMETER_PROBLEM)) {
        return None;
    }
    let packet = message.get(LEN..)?;
    let head = packet.first_chunk::<{ ipv6::LEN }>()?;
    if head[0] >> 4 != 6 {
        return None;
    }
    let chain = ipv6::chain(packet, head[6]).ok()?;
    if chain.later_fragment || chain.routed || !matches!(chain.protocol, TCP | UDP) {
        return None;
    }
    let ports = packet.get(chain.len..)?.first_chunk::<4>()?;
    Some(Quoted {
        addresses: ipv6::addresses(head),
        ports: u32::from_ne_bytes(*ports),
        protocol: chain.protocol,
        header_len: chain.len,
    })
}
