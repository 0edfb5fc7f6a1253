//! Segments of a flow whose handshake was made here: each side's numbers as the other knows them. The member's numbers and its clock are shifted for
//! the client, and back in what the client says of them; windows are said in the scale that was agreed with whom they are for.

use crate::flow::{Direction, Numbers};
use crate::rewrite::{store, update_at};
use crate::wire::tcp::{self, ACK, CLOCK, SACK, SYN};
use crate::wire::{TCP, checksum, icmp, icmpv6};

/// A segment that is being changed, and what that adds to its checksum.
struct Changed<'s> {
    segment: &'s mut [u8],
    delta: u16,
}

impl Changed<'_> {
    /// Replaces bytes that begin anywhere: a checksum is of words that begin at the segment's even bytes.
    fn put<const N: usize>(&mut self, at: usize, new: [u8; N]) {
        let Some(old) = self.segment.get(at..).and_then(<[u8]>::first_chunk::<N>).copied() else { return };
        for (step, (old, new)) in old.into_iter().zip(new).enumerate() {
            let word = |byte| {
                let even = (at + step).is_multiple_of(2);
                u16::from_ne_bytes(if even { [byte, 0] } else { [0, byte] })
            };
            self.delta = checksum::add(self.delta, checksum::delta(&[word(old)], &[word(new)]));
        }
        store(self.segment, at, new);
    }

    /// Adds to a number.
    fn add(&mut self, at: usize, amount: u32) {
        if let Some(old) = tcp::number(self.segment, at) {
            self.put(at, old.wrapping_add(amount).to_be_bytes());
        }
    }

    fn finish(self) {
        update_at(self.segment, tcp::CHECKSUM, self.delta);
    }
}

/// Makes of a segment from one side what the other side knows. Its header was parsed, and is whole.
pub(crate) fn translate(segment: &mut [u8], from: Direction, numbers: &Numbers) {
    let Some(flags) = segment.get(13).copied() else { return };
    let places: Places = tcp::options(segment).fold(Places::default(), |found, (kind, value)| match kind {
        CLOCK if value.len() == 8 => Places { clock: Some(value.start), ..found },
        SACK => Places { sack: Some(value), ..found },
        _ => found,
    });
    let mut changed = Changed { segment, delta: 0 };
    match from {
        Direction::FromMember => {
            changed.add(4, numbers.shift);
            if let Some(at) = places.clock.filter(|_| numbers.has_clock) {
                changed.add(at, numbers.clock);
            }
        }
        Direction::FromClient if flags & ACK != 0 => {
            let back = numbers.shift.wrapping_neg();
            changed.add(8, back);
            let blocks = places.sack.unwrap_or_default();
            for edge in blocks.step_by(4) {
                changed.add(edge, back);
            }
            if let Some(at) = places.clock.filter(|_| numbers.has_clock) {
                changed.add(at + 4, numbers.clock.wrapping_neg());
            }
        }
        Direction::FromClient => {}
    }
    let by = numbers.scales[from as usize];
    if by != 0 && flags & SYN == 0 {
        let window =
            changed.segment.get(14..).and_then(<[u8]>::first_chunk).map_or(0, |it| u16::from_be_bytes(*it));
        changed.put(14, scaled(window, by).to_be_bytes());
    }
    changed.finish();
}

/// Where options are that have numbers in them.
#[derive(Default)]
struct Places {
    clock: Option<usize>,
    sack: Option<std::ops::Range<usize>>,
}

/// A window, shifted to the left by so many bits. One that is open stays open.
pub(crate) fn scaled(window: u16, by: i8) -> u16 {
    let wide = u32::from(window);
    let shifted = if by >= 0 { wide << by } else { (wide >> by.unsigned_abs()).max(u32::from(window > 0)) };
    shifted.min(u16::MAX.into()) as u16
}

/// Makes the number right of a member's segment that an error from the client's side quotes: the error has its header at `payload`.
pub(crate) fn translate_quoted(frame: &mut [u8], payload: usize, end: usize, wide: bool, numbers: &Numbers) {
    let message = frame.get(payload..end).unwrap_or_default();
    let at = if wide {
        icmpv6::quoted(message)
            .filter(|it| it.protocol & !lb_mem::WIDE == TCP)
            .map(|it| payload + icmpv6::LEN + it.header_len)
    } else {
        icmp::quoted(message).filter(|it| it.protocol == TCP).map(|it| payload + icmp::LEN + it.header_len)
    };
    let Some(segment) = at.and_then(|at| frame.get_mut(at..end)) else { return };
    let mut changed = Changed { segment, delta: 0 };
    changed.add(4, numbers.shift.wrapping_neg());
    changed.finish();
}
