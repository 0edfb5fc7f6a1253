//! Packets that do not fit where they must go: their sender is told how much would, or they are cut.

use crate::errors::{sum_at, sum_message_v6};
use crate::pipeline::Burst;
use crate::rewrite::store;
use crate::verdict::PortIndex;
use crate::wire::{ICMP, ICMPV6, eth, icmp, icmpv6, ipv4, ipv6};

/// The most of a packet that an error quotes: with the headers before it the 576 bytes that every host takes (RFC 1812, 4.3.2.3).
const QUOTE: usize = 576 - ipv4::MIN_LEN - icmp::LEN;
/// The same in IPv6, whose every link takes 1280 bytes (RFC 4443, 3.2).
const QUOTE_V6: usize = 1280 - ipv6::LEN - icmpv6::LEN;
/// The type of the answer in IPv6.
const PACKET_TOO_BIG: u8 = 2;
const HOPS: u8 = 64;
/// Where a frame with IPv4 has its parts.
const TOTAL: usize = eth::LEN + 2;
const FLAGS: usize = eth::LEN + 6;
const DONT_FRAGMENT: u8 = 0x40;
const MORE_FRAGMENTS: u8 = 0x20;
const UNREACHABLE: u8 = 3;
const FRAGMENTATION_NEEDED: u8 = 4;
/// Options from here on are in every piece (RFC 791, 3.1: the copied flag).
const COPIED: u8 = 0x80;
const END_OF_OPTIONS: u8 = 0;
const NO_OPTION: u8 = 1;

/// Whether the sender of an IPv4 packet wants to be told rather than have it cut.
pub(crate) fn may_not_be_cut(frame: &[u8]) -> bool {
    frame.get(FLAGS).is_some_and(|flags| flags & DONT_FRAGMENT != 0)
}

/// Makes of a packet the answer to its sender that it may have `room` bytes at most (RFC 1191), as if from whom it was sent to: the
/// clients know of nobody else here. Says whether there was space for it.
pub(crate) fn answer_too_big<B: Burst>(burst: &mut B, index: usize, end: usize, room: usize) -> bool {
    const GROWTH: usize = ipv4::MIN_LEN + icmp::LEN;
    let Some(head) = burst.frame(index).first_chunk::<{ eth::LEN + ipv4::MIN_LEN }>().copied() else {
        return false;
    };
    if !burst.prepend(index, GROWTH) {
        return false;
    }
    let quoted = (end - eth::LEN).min(QUOTE);
    burst.truncate(index, eth::LEN + GROWTH + quoted);
    let frame = burst.frame(index);
    // Back to where it came from.
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = head;
    store(frame, 0, [g, h, i, j, k, l, a, b, c, d, e, f, 0x08, 0x00]);
    let total = ((GROWTH + quoted) as u16).to_be_bytes();
    store(frame, eth::LEN, [0x45, 0, total[0], total[1], 0, 0, DONT_FRAGMENT, 0, HOPS, ICMP, 0, 0]);
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = head;
    store(frame, ipv4::SOURCE, [d0, d1, d2, d3, s0, s1, s2, s3]);
    sum_at(frame, eth::LEN, eth::LEN + ipv4::MIN_LEN, ipv4::CHECKSUM);
    let message = eth::LEN + ipv4::MIN_LEN;
    let most = (room.min(usize::from(u16::MAX)) as u16).to_be_bytes();
    store(frame, message, [UNREACHABLE, FRAGMENTATION_NEEDED, 0, 0, 0, 0, most[0], most[1]]);
    sum_at(frame, message, message + icmp::LEN + quoted, message + icmp::CHECKSUM);
    true
}

/// The same of an IPv6 packet (RFC 8201).
pub(crate) fn answer_too_big_v6<B: Burst>(burst: &mut B, index: usize, end: usize, room: usize) -> bool {
    const GROWTH: usize = ipv6::LEN + icmpv6::LEN;
    let Some(head) = burst.frame(index).first_chunk::<{ eth::LEN + ipv6::LEN }>().copied() else {
        return false;
    };
    if !burst.prepend(index, GROWTH) {
        return false;
    }
    let quoted = (end - eth::LEN).min(QUOTE_V6);
    burst.truncate(index, eth::LEN + GROWTH + quoted);
    let frame = burst.frame(index);
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = head;
    store(frame, 0, [g, h, i, j, k, l, a, b, c, d, e, f, 0x86, 0xdd]);
    let len = ((icmpv6::LEN + quoted) as u16).to_be_bytes();
    store(frame, eth::LEN, [0x60, 0, 0, 0, len[0], len[1], ICMPV6, HOPS]);
    let (source, destination) = (&head[ipv6::SOURCE..ipv6::DESTINATION], &head[ipv6::DESTINATION..]);
    if let Some(place) = frame.get_mut(ipv6::SOURCE..ipv6::SOURCE + 32) {
        let (first, second) = place.split_at_mut(16);
        first.copy_from_slice(destination);
        second.copy_from_slice(source);
    }
    let message = eth::LEN + ipv6::LEN;
    let most = (room.min(usize::from(u16::MAX)) as u16).to_be_bytes();
    store(frame, message, [PACKET_TOO_BIG, 0, 0, 0, 0, 0, most[0], most[1]]);
    sum_message_v6(frame, message);
    true
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
    let mut later = whole;
    drop_uncopied_options(&mut later, header);
    let mut at = payload + most;
    while at < end {
        let until = (at + most).min(end);
        let Some(piece) = burst.originate(index, at..until, front + header, to) else { return false };
        store_header(piece, front, &later, header);
        let offset = ((at - payload) / 8) as u16;
        finish(piece, front, header, until - at, offset, until < end);
        let len = piece.len();
        dress(piece, len);
        at = until;
    }
    burst.truncate(index, payload + most);
    finish(burst.frame(index), eth::LEN, header, most, 0, true);
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
