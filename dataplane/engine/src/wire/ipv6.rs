//! IPv6 (RFC 8200).

use std::net::IpAddr;

use lb_model::counters::DropReason;

use super::eth;
use crate::flow::WideAddresses;
use crate::network::unwords;

/// Bytes of the header.
pub const LEN: usize = 40;
/// Where a frame has its hop limit.
pub const HOP_LIMIT: usize = eth::LEN + 7;
/// Where a frame has its source address; the destination follows.
pub const SOURCE: usize = eth::LEN + 8;
/// Where a frame has its destination address.
pub const DESTINATION: usize = eth::LEN + 24;
/// Extension headers that are looked at, at most: no sender needs more (RFC 8504, 5.3).
const MOST_EXTENSIONS: usize = 8;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// What the headers say, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Source and destination, as they lie in memory.
    pub addresses: WideAddresses,
    /// What follows the extension headers.
    pub chain: Chain,
    /// Hops left.
    pub hop_limit: u8,
    /// Where the payload begins in the frame.
    pub payload: usize,
    /// Where it ends; a short frame is padded past it.
    pub end: usize,
}

/// Where the extension headers lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The protocol of what follows them; of an extension header if there are more than are looked at.
    pub protocol: u8,
    /// Bytes from the beginning of the packet to what follows them.
    pub len: usize,
    /// Whether the packet is a piece of a larger one.
    pub fragment: bool,
    /// Whether it is a piece that is not the first.
    pub later_fragment: bool,
    /// Whether it is on its way to another destination, by this one.
    pub routed: bool,
    /// What the pieces of a packet have in common.
    pub id: u32,
}

impl Ipv6 {
    /// Reads the headers of a frame whose type is IPv6.
    pub fn parse(frame: &[u8]) -> Result<Self, DropReason> {
        let head = frame.get(eth::LEN..).and_then(<[u8]>::first_chunk::<LEN>).ok_or(DropReason::Truncated)?;
        if head[0] >> 4 != 6 {
            return Err(DropReason::Malformed);
        }
        let end = eth::LEN + LEN + usize::from(u16::from_be_bytes([head[4], head[5]]));
        let packet = frame.get(eth::LEN..end).ok_or(DropReason::Truncated)?;
        let chain = chain(packet, head[6])?;
        Ok(Self { addresses: addresses(head), chain, hop_limit: head[7], payload: eth::LEN + chain.len, end })
    }

    /// The source.
    pub fn source(&self) -> IpAddr {
        unwords([self.addresses[0], self.addresses[1]]).into()
    }

    /// The destination.
    pub fn destination(&self) -> IpAddr {
        unwords([self.addresses[2], self.addresses[3]]).into()
    }
}

impl Chain {
    /// Whether more extension headers follow than are looked at.
    pub fn is_too_long(self) -> bool {
        matches!(self.protocol, ROUTING | FRAGMENT | DESTINATION_OPTIONS) && !self.later_fragment
    }
}

/// The addresses of a header.
#[inline]
pub(crate) fn addresses(head: &[u8; LEN]) -> WideAddresses {
    let word = |at: usize| head[at..].first_chunk::<8>().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    [word(8), word(16), word(24), word(32)]
}

/// Follows the extension headers of a packet, the first of which is of the type `next`.
pub(crate) fn chain(packet: &[u8], next: u8) -> Result<Chain, DropReason> {
    let mut chain =
        Chain { protocol: next, len: LEN, fragment: false, later_fragment: false, routed: false, id: 0 };
    for count in 0..MOST_EXTENSIONS {
        let is_extension = match chain.protocol {
            // Only the first one may be (RFC 8200, 4.1).
            HOP_BY_HOP => count == 0,
            ROUTING | FRAGMENT | DESTINATION_OPTIONS => true,
            _ => false,
        };
        if !is_extension {
            break;
        }
        let [next, len, third, fourth, id @ ..] =
            *packet.get(chain.len..).and_then(<[u8]>::first_chunk::<8>).ok_or(DropReason::Truncated)?;
        let this = std::mem::replace(&mut chain.protocol, next);
        chain.len += 8;
        match this {
            FRAGMENT => {
                chain.later_fragment = third != 0 || fourth & 0xf8 != 0;
                // One that is neither preceded nor followed by others is whole (RFC 6946).
                chain.fragment = chain.later_fragment || fourth & 1 != 0;
                chain.id = u32::from_be_bytes(id);
            }
            _ => chain.len += usize::from(len) * 8,
        }
        chain.routed |= this == ROUTING && fourth != 0;
        if chain.later_fragment {
            break;
        }
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with these extension headers, each of its type and length in bytes.
    fn packet(extensions: &[(u8, u8)], last: u8) -> (u8, Vec<u8>) {
        let mut bytes = vec![0; LEN];
        let types = extensions.iter().map(|(kind, _)| *kind).chain([last]).collect::<Vec<_>>();
        for (at, (_, len)) in extensions.iter().enumerate() {
            let mut header = vec![0; usize::from(*len)];
            (header[0], header[1]) = (types[at + 1], len / 8 - 1);
            bytes.extend(header);
        }
        (types[0], bytes)
    }

    fn chain_of(extensions: &[(u8, u8)], last: u8) -> Result<Chain, DropReason> {
        let (first, bytes) = packet(extensions, last);
        chain(&bytes, first)
    }

    #[test]
    fn extension_headers_lead_to_the_transport() {
        let plain =
            Chain { protocol: 6, len: 40, fragment: false, later_fragment: false, routed: false, id: 0 };
        assert_eq!(chain_of(&[], 6), Ok(plain));
        assert_eq!(chain_of(&[(0, 8), (60, 24), (43, 16)], 6), Ok(Chain { len: 88, ..plain }));
        assert_eq!(chain_of(&[(60, 8); 8], 6), Ok(Chain { len: 104, ..plain }));
        assert!(chain_of(&[(60, 8); 9], 6).unwrap().is_too_long());
        assert_eq!(chain_of(&[(60, 8), (0, 8)], 6).unwrap().protocol, 0, "hop-by-hop is the first or none");
    }

    #[test]
    fn a_chain_that_ends_within_a_header_is_truncated() {
        let (first, bytes) = packet(&[(0, 8), (60, 16)], 17);
        for len in LEN..bytes.len() - 8 {
            assert_eq!(chain(&bytes[..len], first), Err(DropReason::Truncated), "{len}");
        }
        // Where the last one ends is for whoever reads what follows.
        assert_eq!(chain(&bytes[..bytes.len() - 8], first).unwrap().len, bytes.len());
    }

    #[test]
    fn fragments_are_known_and_atomic_ones_are_whole() {
        let with = |field: [u8; 2]| {
            let (first, mut bytes) = packet(&[(44, 8)], 17);
            bytes[42..44].copy_from_slice(&field);
            let chain = chain(&bytes, first).unwrap();
            (chain.fragment, chain.later_fragment)
        };
        assert_eq!(with([0, 0]), (false, false));
        assert_eq!(with([0, 6]), (false, false), "reserved bits");
        assert_eq!(with([0, 1]), (true, false));
        assert_eq!(with([0, 8]), (true, true));
        assert_eq!(with([1, 1]), (true, true));
    }

    #[test]
    fn segments_left_say_that_the_packet_is_under_way() {
        let (first, mut bytes) = packet(&[(43, 8)], 6);
        assert!(!chain(&bytes, first).unwrap().routed);
        bytes[43] = 1;
        assert!(chain(&bytes, first).unwrap().routed);
    }
}
