//! Ethernet II.

use lb_model::MacAddr;

/// Bytes of the header.
pub const LEN: usize = 14;
/// The type of IPv4, as it lies in memory.
pub const IPV4: u16 = u16::from_ne_bytes([0x08, 0x00]);
/// The type of IPv6, likewise.
pub const IPV6: u16 = u16::from_ne_bytes([0x86, 0xdd]);

/// The destination.
#[inline]
pub fn destination<const N: usize>(frame: &[u8; N]) -> MacAddr {
    const { assert!(N >= LEN) };
    MacAddr([frame[0], frame[1], frame[2], frame[3], frame[4], frame[5]])
}

/// The source.
#[inline]
pub fn source(frame: &[u8; LEN]) -> MacAddr {
    let [_, _, _, _, _, _, a, b, c, d, e, f, ..] = *frame;
    MacAddr([a, b, c, d, e, f])
}

/// The type of what follows, as it lies in memory.
#[inline]
pub fn ethertype(frame: &[u8; LEN]) -> u16 {
    u16::from_ne_bytes([frame[12], frame[13]])
}

/// Whether the frame is for more than one receiver.
#[inline]
pub fn is_group(destination: MacAddr) -> bool {
    destination.0[0] & 1 != 0
}
