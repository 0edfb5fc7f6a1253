//! TCP (RFC 9293).

use std::ops::Range;

use lb_model::counters::DropReason;

/// Bytes of a header without options.
pub const MIN_LEN: usize = 20;
/// Where a segment has its checksum.
pub const CHECKSUM: usize = 16;
/// The sender has no more to send.
pub const FIN: u8 = 0x01;
/// The beginning of a connection.
pub const SYN: u8 = 0x02;
/// The end of a connection.
pub const RST: u8 = 0x04;
/// The acknowledgement number counts.
pub const ACK: u8 = 0x10;

/// Kinds of options: their end, none, …
const END: u8 = 0;
pub(crate) const NOTHING: u8 = 1;
/// … the largest segment, …
pub(crate) const MSS: u8 = 2;
/// … the scale of windows, …
pub(crate) const SCALE: u8 = 3;
/// … that losses may be told selectively, and that they are, …
pub(crate) const SACKS: u8 = 4;
pub(crate) const SACK: u8 = 5;
/// … and clocks.
pub(crate) const CLOCK: u8 = 8;

/// What the header says, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Source (first two bytes) and destination, as they lie in memory.
    pub ports: u32,
    /// The control bits.
    pub flags: u8,
}

impl Tcp {
    /// Reads the header of a segment, the payload of an IP packet.
    #[inline]
    pub fn parse(segment: &[u8]) -> Result<Self, DropReason> {
        let head = segment.first_chunk::<MIN_LEN>().ok_or(DropReason::Truncated)?;
        let header_len = usize::from(head[12] >> 4) * 4;
        if header_len < MIN_LEN || header_len > segment.len() {
            return Err(DropReason::Malformed);
        }
        Ok(Self { ports: u32::from_ne_bytes([head[0], head[1], head[2], head[3]]), flags: head[13] })
    }
}

/// The number at `at`.
pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// The options of a segment: what each is, and where its value is.
pub(crate) fn options(segment: &[u8]) -> impl Iterator<Item = (u8, Range<usize>)> {
    let header = segment.get(12).map_or(0, |offset| usize::from(offset >> 4) * 4).min(segment.len());
    let mut at = MIN_LEN;
    std::iter::from_fn(move || {
        while segment.get(at..header)?.first() == Some(&NOTHING) {
            at += 1;
        }
        let &[kind, len] = segment.get(at..header)?.first_chunk()?;
        let value = at + 2..at + usize::from(len);
        at = value.end;
        (kind != END && len >= 2 && value.end <= header).then_some((kind, value))
    })
    .fuse()
}

/// What the sender of a segment says of its clock, and last heard of the receiver's.
pub(crate) fn clock(segment: &[u8]) -> Option<[u32; 2]> {
    let (_, value) = options(segment).find(|(kind, value)| *kind == CLOCK && value.len() == 8)?;
    Some([number(segment, value.start)?, number(segment, value.start + 4)?])
}

/// The first of two ports read as one word, as it lies in memory.
#[inline]
pub fn low(ports: u32) -> u16 {
    let [a, b, ..] = ports.to_ne_bytes();
    u16::from_ne_bytes([a, b])
}

/// The second.
#[inline]
pub fn high(ports: u32) -> u16 {
    let [.., a, b] = ports.to_ne_bytes();
    u16::from_ne_bytes([a, b])
}

/// Two ports as one word.
#[inline]
pub fn pair(first: u16, second: u16) -> u32 {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}
