//! ICMP (RFC 792): the errors that quote the packet they are about.

use super::ipv4;
use super::{TCP, UDP};

/// Bytes of an error's header; what it quotes follows.
pub const LEN: usize = 8;
/// Where a message has its checksum.
pub const CHECKSUM: usize = 2;

const UNREACHABLE: u8 = 3;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// The packet that an error quotes: as much of it as names its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    /// Source and destination address, as they lie in memory.
    pub addresses: u64,
    /// Their ports, likewise.
    pub ports: u32,
    /// The transport protocol.
    pub protocol: u8,
    /// Bytes of its IP header.
    pub header_len: usize,
}

/// What an error quotes, if `message` is one about a TCP segment or UDP datagram.
pub fn quoted(message: &[u8]) -> Option<Quoted> {
    if !matches!(message.first()?, &(UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM)) {
        return None;
    }
    let packet = message.get(LEN..)?;
    let head = packet.first_chunk::<{ ipv4::MIN_LEN }>()?;
    let header_len = usize::from(head[0] & 0x0f) * 4;
    let protocol = head[9];
    let begins = !ipv4::is_later_fragment([head[6], head[7]]);
    if head[0] >> 4 != 4 || header_len < ipv4::MIN_LEN || !begins || !matches!(protocol, TCP | UDP) {
        return None;
    }
    let ports = packet.get(header_len..)?.first_chunk::<4>()?;
    let [.., a, b, c, d, e, f, g, h] = *head;
    let addresses = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    Some(Quoted { addresses, ports: u32::from_ne_bytes(*ports), protocol, header_len })
}
