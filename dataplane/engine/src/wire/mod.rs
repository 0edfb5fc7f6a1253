//! Views of a frame: where the headers are, checked once.

pub mod checksum;
pub mod eth;
pub mod icmp;
pub mod icmpv6;
pub mod ipv4;
pub mod ipv6;
pub mod tcp;
pub mod udp;

/// The number of ICMP in an IP header.
pub const ICMP: u8 = 1;
/// The number of IPv6's ICMP.
pub const ICMPV6: u8 = 58;
/// The number of TCP.
pub const TCP: u8 = 6;
/// The number of UDP.
pub const UDP: u8 = 17;

/// Reads two bytes as they lie in memory: sums and comparisons need no other order.
#[inline]
pub(crate) fn load_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk::<2>().map(|word| u16::from_ne_bytes(*word))
}
