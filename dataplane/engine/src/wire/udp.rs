//! UDP (RFC 768).

use lb_model::counters::DropReason;

/// Bytes of the header.
pub const LEN: usize = 8;
/// Where a datagram has its length.
pub const LENGTH: usize = 4;
/// Where a datagram has its checksum; 0 if the sender made none.
pub const CHECKSUM: usize = 6;

/// Reads the header of a datagram, the payload of an IP packet: source and destination port, as they lie in memory.
#[inline]
pub fn ports(datagram: &[u8]) -> Result<u32, DropReason> {
    let head = datagram.first_chunk::<LEN>().ok_or(DropReason::Truncated)?;
    let [a, b, c, d, high, low, ..] = *head;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len < LEN || len > datagram.len() {
        return Err(DropReason::Malformed);
    }
    Ok(u32::from_ne_bytes([a, b, c, d]))
}
