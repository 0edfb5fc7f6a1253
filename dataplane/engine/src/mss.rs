//! The largest segment that an end of a TCP connection says it takes (RFC 9293, 3.7.1), made smaller where the path has less room.

use crate::rewrite::{store, update_at};
use crate::wire::{checksum, tcp};

/// In a segment whose header is at `payload` and which ends at `end`: at most what fits into `room` bytes together with the header of the segment.
pub(crate) fn clamp(frame: &mut [u8], payload: usize, end: usize, room: usize) {
    let most = room.saturating_sub(tcp::MIN_LEN).min(usize::from(u16::MAX)) as u16;
    let Some(at) = frame.get(payload..end).and_then(find).map(|at| payload + at) else { return };
    let Some(bytes) = frame.get(at..).and_then(<[u8]>::first_chunk::<2>).copied() else { return };
    if u16::from_be_bytes(bytes) <= most {
        return;
    }
    // The sum is of words that begin at the segment's even bytes.
    let (old, new) = (bytes, most.to_be_bytes());
    let word = |[high, low]: [u8; 2]| {
        u16::from_ne_bytes(if (at - payload).is_multiple_of(2) { [high, low] } else { [low, high] })
    };
    store(frame, at, new);
    update_at(frame, payload + tcp::CHECKSUM, checksum::delta(&[word(old)], &[word(new)]));
}

/// Where the value is, counted from the beginning of the segment.
fn find(segment: &[u8]) -> Option<usize> {
    let said = tcp::options(segment).find(|(kind, value)| *kind == tcp::MSS && value.len() == 2);
    said.map(|(_, value)| value.start)
}
