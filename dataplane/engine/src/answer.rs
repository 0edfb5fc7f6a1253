//! Frames that become answers to their senders: a reset, or an error of ICMP that quotes them. They come from whom the packet was sent
//! to, as the clients know of nobody else here, and go back to where it came from. And segments that are made here of nothing.

use std::net::IpAddr;

use lb_mem::WIDE;

use crate::ends::Ends;
use crate::errors::{sum_at, sum_message_v6};
use crate::flow::Key;
use crate::pipeline::Burst;
use crate::rewrite::{store, sum_segment};
use crate::verdict::PortIndex;
use crate::wire::tcp::{ACK, FIN, RST, SYN};
use crate::wire::{ICMP, ICMPV6, TCP, eth, icmp, icmpv6, ipv4, ipv6, tcp};

/// The most of a packet that an error quotes: with the headers before it the 576 bytes that every host takes (RFC 1812, 4.3.2.3).
const QUOTE: usize = 576 - ipv4::MIN_LEN - icmp::LEN;
/// The same in IPv6, whose every link takes 1280 bytes (RFC 4443, 3.2).
const QUOTE_V6: usize = 1280 - ipv6::LEN - icmpv6::LEN;
const HOPS: u8 = 64;
const DONT_FRAGMENT: u8 = 0x40;

/// What an error says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Complaint {
    /// A packet may have so many bytes at most (RFC 1191, RFC 8201).
    TooBig(usize),
    /// Nobody takes datagrams at this port.
    PortUnreachable,
}

impl Complaint {
    /// Type, code and what stands where the checksum has been passed, in IPv4.
    fn header(self) -> [u8; icmp::LEN] {
        match self {
            Self::TooBig(room) => {
                let [a, b] = (room.min(usize::from(u16::MAX)) as u16).to_be_bytes();
                [3, 4, 0, 0, 0, 0, a, b]
            }
            Self::PortUnreachable => [3, 3, 0, 0, 0, 0, 0, 0],
        }
    }

    /// The same in IPv6.
    fn header_v6(self) -> [u8; icmpv6::LEN] {
        match self {
            Self::TooBig(room) => {
                let [a, b] = (room.min(usize::from(u16::MAX)) as u16).to_be_bytes();
                [2, 0, 0, 0, 0, 0, a, b]
            }
            Self::PortUnreachable => [1, 4, 0, 0, 0, 0, 0, 0],
        }
    }
}

/// Makes of a packet that ends at `end` an error about it. Says whether there was space for it.
pub(crate) fn complain<B: Burst>(
    burst: &mut B,
    index: usize,
    end: usize,
    wide: bool,
    complaint: Complaint,
) -> bool {
    if wide { complain_v6(burst, index, end, complaint) } else { complain_v4(burst, index, end, complaint) }
}

fn complain_v4<B: Burst>(burst: &mut B, index: usize, end: usize, complaint: Complaint) -> bool {
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
    turn_back(frame, &head, icmp::LEN + quoted, ICMP);
    let message = eth::LEN + ipv4::MIN_LEN;
    store(frame, message, complaint.header());
    sum_at(frame, message, message + icmp::LEN + quoted, message + icmp::CHECKSUM);
    true
}

fn complain_v6<B: Burst>(burst: &mut B, index: usize, end: usize, complaint: Complaint) -> bool {
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
    turn_back_v6(frame, &head, icmpv6::LEN + quoted, ICMPV6);
    let message = eth::LEN + ipv6::LEN;
    store(frame, message, complaint.header_v6());
    sum_message_v6(frame, message);
    true
}

/// Makes of a TCP segment the reset that RFC 9293, 3.10.7.1 answers it with. Its transport header is at `payload`, and it ends at `end`.
pub(crate) fn reset<B: Burst>(
    burst: &mut B,
    index: usize,
    (payload, end): (usize, usize),
    wide: bool,
) -> bool {
    let frame = burst.frame(index);
    let Some(segment) = frame.get(payload..end) else { return false };
    let Some(header) = segment.first_chunk::<{ tcp::MIN_LEN }>().copied() else { return false };
    let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, ..] = header;
    let data = segment.len().saturating_sub(usize::from(offset >> 4) * 4);
    let counted = data + usize::from(flags & SYN != 0) + usize::from(flags & FIN != 0);
    let next = u32::from_be_bytes([q0, q1, q2, q3]).wrapping_add(counted as u32).to_be_bytes();
    // Whoever was acknowledged goes on from there; else what was sent is acknowledged.
    let (sequence, acknowledged, flags) =
        if flags & ACK == 0 { ([0; 4], next, RST | ACK) } else { ([a0, a1, a2, a3], [0; 4], RST) };
    let at = if wide { turn_segment_v6(burst, index) } else { turn_segment(burst, index) };
    let Some(at) = at else { return false };
    let frame = burst.frame(index);
    store(frame, at, [d0, d1, s0, s1]);
    store(frame, at + 4, sequence);
    store(frame, at + 8, acknowledged);
    store(frame, at + 12, [0x50, flags, 0, 0, 0, 0, 0, 0]);
    let protocol = if wide { TCP | WIDE } else { TCP };
    sum_segment(frame, at, at + tcp::MIN_LEN, Key { protocol, ..Key::default() });
    true
}

/// A TCP segment without data that is made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) ends: Ends,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    pub(crate) flags: u8,
    pub(crate) window: u16,
    pub(crate) options: Options,
}

/// The options of such a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    bytes: [u8; Self::MOST],
    len: usize,
}

impl Options {
    /// All of them together.
    const MOST: usize = 20;

    fn push<const N: usize>(&mut self, bytes: [u8; N]) {
        store(&mut self.bytes, self.len, bytes);
        self.len = (self.len + N).min(Self::MOST);
    }

    /// The largest segment that is taken (RFC 9293, 3.7.1).
    pub(crate) fn largest(&mut self, bytes: u16) {
        let [high, low] = bytes.to_be_bytes();
        self.push([tcp::MSS, 4, high, low]);
    }

    /// That losses may be told selectively (RFC 2018), and our clock with what was heard of the other's (RFC 7323).
    pub(crate) fn sacks_and_clock(&mut self, sacks: bool, clocks: Option<[u32; 2]>) {
        match (sacks, clocks) {
            (false, None) => return,
            (true, None) => return self.push([tcp::NOTHING, tcp::NOTHING, tcp::SACKS, 2]),
            (true, Some(_)) => self.push([tcp::SACKS, 2, tcp::CLOCK, 10]),
            (false, Some(_)) => self.push([tcp::NOTHING, tcp::NOTHING, tcp::CLOCK, 10]),
        }
        clocks.unwrap_or_default().into_iter().for_each(|clock| self.push(clock.to_be_bytes()));
    }

    /// By how many bits windows are shifted (RFC 7323).
    pub(crate) fn scale(&mut self, bits: u8) {
        self.push([tcp::NOTHING, tcp::SCALE, 3, bits]);
    }
}

impl Segment {
    /// One that acknowledges nothing yet, and says nothing else.
    pub(crate) fn between(ends: Ends) -> Self {
        Self { ends, sequence: 0, acknowledged: 0, flags: ACK, window: 0, options: Options::default() }
    }

    /// The bytes of its TCP header.
    fn header(&self) -> usize {
        tcp::MIN_LEN + self.options.len
    }

    /// The bytes of its frame.
    pub(crate) fn len(&self) -> usize {
        let before = if self.ends.source.address.is_ipv6() { ipv6::LEN } else { ipv4::MIN_LEN };
        eth::LEN + before + self.header()
    }

    /// Takes the place of a frame, but for the Ethernet addresses. Says whether there was space for it.
    pub(crate) fn take_place<B: Burst>(&self, burst: &mut B, index: usize) -> bool {
        let (len, before) = (self.len(), burst.frame(index).len());
        let fits = before >= len || burst.prepend(index, len - before);
        if fits {
            burst.truncate(index, len);
            self.write(burst.frame(index));
        }
        fits
    }

    /// The same, as an answer to who sent the frame.
    pub(crate) fn answer<B: Burst>(&self, burst: &mut B, index: usize) -> bool {
        let macs = burst.frame(index).first_chunk().copied().unwrap_or_default();
        let fits = self.take_place(burst, index);
        send_back(burst.frame(index), macs);
        fits
    }

    /// The same, in a frame of its own, which leaves through the port that the other came in by.
    pub(crate) fn answer_aside<B: Burst>(&self, burst: &mut B, index: usize, to: PortIndex) {
        let macs = burst.frame(index).first_chunk().copied().unwrap_or_default();
        if let Some(frame) = burst.originate(index, 0..0, self.len(), to) {
            self.write(frame);
            send_back(frame, macs);
        }
    }

    /// Writes it into a frame of so many bytes, but for the Ethernet addresses.
    pub(crate) fn write(&self, frame: &mut [u8]) {
        let Self { ends: Ends { source, destination }, sequence, acknowledged, flags, window, options } =
            *self;
        let len = self.header();
        let (at, protocol) = match (source.address, destination.address) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                // As the answer to one from there.
                let mut head = [0; eth::LEN + ipv4::MIN_LEN];
                store(&mut head, ipv4::SOURCE, to.octets());
                store(&mut head, ipv4::DESTINATION, from.octets());
                turn_back(frame, &head, len, TCP);
                (eth::LEN + ipv4::MIN_LEN, TCP)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let mut head = [0; eth::LEN + ipv6::LEN];
                store(&mut head, ipv6::SOURCE, to.octets());
                store(&mut head, ipv6::DESTINATION, from.octets());
                turn_back_v6(frame, &head, len, TCP);
                (eth::LEN + ipv6::LEN, TCP | WIDE)
            }
            _ => return,
        };
        store(frame, at, tcp::pair(source.port, destination.port).to_ne_bytes());
        store(frame, at + 4, sequence.to_be_bytes());
        store(frame, at + 8, acknowledged.to_be_bytes());
        let [high, low] = window.to_be_bytes();
        store(frame, at + 12, [(len as u8 / 4) << 4, flags, high, low, 0, 0, 0, 0]);
        if let Some(place) = frame.get_mut(at + tcp::MIN_LEN..at + len) {
            place.copy_from_slice(&options.bytes[..options.len]);
        }
        sum_segment(frame, at, at + len, Key { protocol, ..Key::default() });
    }
}

/// Addresses a frame to where one with these Ethernet addresses came from.
fn send_back(frame: &mut [u8], [a, b, c, d, e, f, g, h, i, j, k, l]: [u8; 12]) {
    store(frame, 0, [g, h, i, j, k, l, a, b, c, d, e, f]);
}

/// Answers a segment that acknowledges something, whose transport header is at `payload`, with a reset in a frame of its own, which leaves
/// through the port that it came in by: `ends` are those of the segment. The reset begins where its sender goes on (RFC 9293, 3.5.2).
pub(crate) fn reset_aside<B: Burst>(burst: &mut B, index: usize, payload: usize, ends: Ends, to: PortIndex) {
    if let Some(sequence) = tcp::number(burst.frame(index), payload + 8) {
        let reset = Segment { sequence, flags: RST, ..Segment::between(ends.reversed()) };
        reset.answer_aside(burst, index, to);
    }
}

/// Makes of a segment the reset that its sender could have sent in its place. Its transport header is at `payload`; says where it ends now.
pub(crate) fn become_reset<B: Burst>(burst: &mut B, index: usize, payload: usize, wide: bool) -> usize {
    let end = payload + tcp::MIN_LEN;
    burst.truncate(index, end);
    let frame = burst.frame(index);
    if wide {
        let len = (end - eth::LEN - ipv6::LEN) as u16;
        store(frame, eth::LEN + 4, len.to_be_bytes());
    } else {
        store(frame, eth::LEN + 2, ((end - eth::LEN) as u16).to_be_bytes());
        sum_at(frame, eth::LEN, payload, ipv4::CHECKSUM);
    }
    store(frame, payload + 12, [0x50, RST | ACK, 0, 0, 0, 0, 0, 0]);
    let protocol = if wide { TCP | WIDE } else { TCP };
    sum_segment(frame, payload, end, Key { protocol, ..Key::default() });
    end
}

/// The headers before a reset; says where it goes. Options are not answered.
fn turn_segment<B: Burst>(burst: &mut B, index: usize) -> Option<usize> {
    let head = *burst.frame(index).first_chunk::<{ eth::LEN + ipv4::MIN_LEN }>()?;
    let at = eth::LEN + ipv4::MIN_LEN;
    burst.truncate(index, at + tcp::MIN_LEN);
    turn_back(burst.frame(index), &head, tcp::MIN_LEN, TCP);
    Some(at)
}

fn turn_segment_v6<B: Burst>(burst: &mut B, index: usize) -> Option<usize> {
    let head = *burst.frame(index).first_chunk::<{ eth::LEN + ipv6::LEN }>()?;
    let at = eth::LEN + ipv6::LEN;
    burst.truncate(index, at + tcp::MIN_LEN);
    turn_back_v6(burst.frame(index), &head, tcp::MIN_LEN, TCP);
    Some(at)
}

/// Ethernet and IP headers of an answer with a payload of `len` bytes, to the packet that began with `head`.
fn turn_back(frame: &mut [u8], head: &[u8; eth::LEN + ipv4::MIN_LEN], len: usize, protocol: u8) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *head;
    store(frame, 0, [g, h, i, j, k, l, a, b, c, d, e, f, 0x08, 0x00]);
    let total = ((ipv4::MIN_LEN + len) as u16).to_be_bytes();
    store(frame, eth::LEN, [0x45, 0, total[0], total[1], 0, 0, DONT_FRAGMENT, 0, HOPS, protocol, 0, 0]);
    let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *head;
    store(frame, ipv4::SOURCE, [d0, d1, d2, d3, s0, s1, s2, s3]);
    sum_at(frame, eth::LEN, eth::LEN + ipv4::MIN_LEN, ipv4::CHECKSUM);
}

fn turn_back_v6(frame: &mut [u8], head: &[u8; eth::LEN + ipv6::LEN], len: usize, protocol: u8) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *head;
    store(frame, 0, [g, h, i, j, k, l, a, b, c, d, e, f, 0x86, 0xdd]);
    let len = (len as u16).to_be_bytes();
    store(frame, eth::LEN, [0x60, 0, 0, 0, len[0], len[1], protocol, HOPS]);
    let (source, destination) = (&head[ipv6::SOURCE..ipv6::DESTINATION], &head[ipv6::DESTINATION..]);
    if let Some(place) = frame.get_mut(ipv6::SOURCE..ipv6::SOURCE + 32) {
        let (first, second) = place.split_at_mut(16);
        first.copy_from_slice(destination);
        second.copy_from_slice(source);
    }
}
