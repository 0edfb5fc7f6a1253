//! IPv4 (RFC 791).

use std::net::IpAddr;

use lb_model::counters::DropReason;

use super::eth;
use crate::network::unraw;

/// Bytes of a header without options.
pub const MIN_LEN: usize = 20;
/// Where a frame has its time to live.
pub const TTL: usize = eth::LEN + 8;
/// Where a frame has its header checksum.
pub const CHECKSUM: usize = eth::LEN + 10;
/// Where a frame has its source address.
pub const SOURCE: usize = eth::LEN + 12;
/// Where a frame has its destination address.
pub const DESTINATION: usize = eth::LEN + 16;
/// What one hop less adds to the header checksum: the word of TTL and protocol shrinks by one in its first byte.
pub const HOP_DELTA: u16 = !u16::from_ne_bytes([1, 0]);

const FRAGMENT_MASK: u16 = u16::from_ne_bytes([0x3f, 0xff]);

/// What the header says, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Source (first four bytes) and destination, as they lie in memory.
    pub addresses: u64,
    /// The protocol of what follows.
    pub protocol: u8,
    /// Hops left.
    pub ttl: u8,
    /// Whether the packet is a piece of a larger one.
    pub fragment: bool,
    /// Where the payload begins in the frame.
    pub payload: usize,
    /// Where it ends; a short frame is padded past it.
    pub end: usize,
}

impl Ipv4 {
    /// Reads the header of a frame whose type is IPv4.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<Self, DropReason> {
        let head =
            frame.get(eth::LEN..).and_then(<[u8]>::first_chunk::<MIN_LEN>).ok_or(DropReason::Truncated)?;
        let header_len = usize::from(head[0] & 0x0f) * 4;
        if head[0] >> 4 != 4 || header_len < MIN_LEN {
            return Err(DropReason::Malformed);
        }
        let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if total < header_len {
            return Err(DropReason::Malformed);
        }
        if eth::LEN + total > frame.len() {
            return Err(DropReason::Truncated);
        }
        let [.., a, b, c, d, e, f, g, h] = *head;
        Ok(Self {
            addresses: u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
            protocol: head[9],
            ttl: head[8],
            fragment: is_fragment([head[6], head[7]]),
            payload: eth::LEN + header_len,
            end: eth::LEN + total,
        })
    }

    /// The destination.
    pub fn destination(&self) -> IpAddr {
        unraw(high(self.addresses)).into()
    }

    /// The source.
    pub fn source(&self) -> IpAddr {
        unraw(low(self.addresses)).into()
    }
}

/// Whether flags and offset are those of a piece of a larger packet.
#[inline]
pub fn is_fragment(field: [u8; 2]) -> bool {
    u16::from_ne_bytes(field) & FRAGMENT_MASK != 0
}

/// Whether flags and offset are those of a piece that is not the first of its packet.
#[inline]
pub fn is_later_fragment([high, low]: [u8; 2]) -> bool {
    high & 0x1f != 0 || low != 0
}

/// The first of two addresses read as one word.
#[inline]
pub fn low(addresses: u64) -> u32 {
    let [a, b, c, d, ..] = addresses.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// The second.
#[inline]
pub fn high(addresses: u64) -> u32 {
    let [.., a, b, c, d] = addresses.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

/// Two addresses as one word.
#[inline]
pub fn pair(first: u32, second: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}
