//! Packets that do not fit where they must go and may be cut.

use crate::errors::sum_at;
use crate::pipeline::Burst;
use crate::rewrite::store;
use crate::verdict::PortIndex;
use crate::wire::{eth, ipv4};

/// Where a frame with IPv4 has its parts.
const TOTAL: usize = eth::LEN + 2;
const FLAGS: usize = eth::LEN + 6;
const DONT_FRAGMENT: u8 = 0x40;
const MORE_FRAGMENTS: u8 = 0x20;
/// Options from here on are in every piece (RFC 791, 3.1: the copied flag).
const COPIED: u8 = 0x80;
const END_OF_OPTIONS: u8 = 0;
const NO_OPTION: u8 = 1;

/// Whether the sender of an IPv4 packet wants to be told rather than have it cut.
pub(crate) fn may_not_be_cut(frame: &[u8]) -> bool {
    frame.get(FLAGS).is_some_and(|flags| flags & DONT_FRAGMENT != 0)
}

/// Cuts the IPv4 packet of a frame, whose payload lies from `payload` to `end`, into pieces of at most `room` bytes. The first stays where
/// it is; the others leave through `to`, each with `front` bytes before its IP header that `dress` fills, being told where the piece
/// ends. Says whether all pieces could be made.
pub(crate) fn cut<B: Burst>(
    burst: &mut B,
    index: usize,
    (payload, end): (usize, usize),
    room: usize,
    (front, to): (usize, PortIndex),
    mut dress: impl FnMut(&mut [u8], usize),
) -> bool {
    let header = payload - eth::LEN;
    let most = room.saturating_sub(header) & !7;
    if most == 0 {
        return false;
    }
    let mut whole = [0; 60];
    let Some(before) = burst.frame(index).get(eth::LEN..payload) else { return false };
    let Some(place) = whole.get_mut(..header) else { return false };
    place.copy_from_slice(before);
    // What is cut may be a piece already.
    let [high, low] = [whole[FLAGS - eth::LEN], whole[FLAGS - eth::LEN + 1]];
    let begin = u16::from_be_bytes([high & 0x1f, low]);
    let is_last = high & MORE_FRAGMENTS == 0;
    let mut later = whole;
    drop_uncopied_options(&mut later, header);
    let mut at = payload + most;
    while at < end {
        let until = (at + most).min(end);
        let Some(piece) = burst.originate(index, at..until, front + header, to) else { return false };
        store_header(piece, front, &later, header);
        let offset = begin.wrapping_add(((at - payload) / 8) as u16);
        finish(piece, front, header, until - at, offset, until < end || !is_last);
        let len = piece.len();
        dress(piece, len);
        at = until;
    }
    burst.truncate(index, payload + most);
    finish(burst.frame(index), eth::LEN, header, most, begin, true);
    true
}

fn store_header(piece: &mut [u8], at: usize, bytes: &[u8; 60], len: usize) {
    if let (Some(place), Some(bytes)) = (piece.get_mut(at..at + len), bytes.get(..len)) {
        place.copy_from_slice(bytes);
    }
}

/// Length, offset, flags and checksum of a piece whose IP header is at `at`.
fn finish(frame: &mut [u8], at: usize, header: usize, data: usize, offset: u16, more: bool) {
    let [high, low] = offset.to_be_bytes();
    let flags = if more { high | MORE_FRAGMENTS } else { high };
    store(frame, at + TOTAL - eth::LEN, ((header + data) as u16).to_be_bytes());
    store(frame, at + FLAGS - eth::LEN, [flags, low]);
    sum_at(frame, at, at + header, at + ipv4::CHECKSUM - eth::LEN);
}

/// Options that only the first piece has become none.
fn drop_uncopied_options(header: &mut [u8; 60], len: usize) {
    let mut at = ipv4::MIN_LEN;
    while at < len {
        let kind = header[at];
        let size = match kind {
            END_OF_OPTIONS => return,
            NO_OPTION => 1,
            _ => usize::from(header.get(at + 1).copied().unwrap_or(0)).max(2).min(len - at),
        };
        if kind & COPIED == 0 {
            header[at..at + size].fill(NO_OPTION);
        }
        at += size;
    }
}
