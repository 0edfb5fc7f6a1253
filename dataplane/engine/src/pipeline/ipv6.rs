//! The first stage for IPv6: what a frame is looked up by.

use lb_model::counters::DropReason;

use super::{NEVER_PLAIN, Packet, Scene, Stage, on_last_hop};
use crate::ends::Ends;
use crate::errors;
use crate::flow::{View, WideAddresses};
use crate::verdict::Verdict;
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::tcp::{self, Tcp};
use crate::wire::{ICMPV6, TCP, UDP, eth, icmpv6, udp};

/// Where a packet without extension headers has its payload.
const PAYLOAD: usize = eth::LEN + ipv6::LEN;
/// Ethernet, IPv6 and TCP, none with options.
pub(super) const USUAL_TCP: usize = PAYLOAD + tcp::MIN_LEN;
/// The same for UDP.
pub(super) const USUAL_UDP: usize = PAYLOAD + udp::LEN;
/// Where the type and the first byte after it are.
const KIND: usize = 12;

/// Whether the type of a frame is that of IPv6.
#[inline]
pub(super) fn is_meant(frame: &[u8]) -> bool {
    frame.get(KIND..).and_then(<[u8]>::first_chunk).map(|bytes| u16::from_ne_bytes(*bytes)) == Some(eth::IPV6)
}

/// Reads an IPv6 frame that is as nearly all are: to this port, of this protocol without extension headers, whole. Says
/// whether it is. `LEN` are the bytes of its headers.
#[expect(clippy::needless_bitwise_bool, reason = "one branch instead of six")]
#[inline]
pub(super) fn glance<const PROTOCOL: u8, const LEN: usize>(
    scene: &Scene,
    view: &View,
    frame: &[u8],
    packet: &mut Packet,
) -> bool {
    let Some(head) = frame.first_chunk::<LEN>() else { return false };
    let to = head.first_chunk::<8>().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
    let len = usize::from(u16::from_be_bytes([head[18], head[19]]));
    let (segment, least) = if PROTOCOL == TCP {
        (usize::from(head[PAYLOAD + 12] >> 4) * 4, tcp::MIN_LEN)
    } else {
        let field = PAYLOAD + udp::LENGTH;
        (usize::from(u16::from_be_bytes([head[field], head[field + 1]])), udp::LEN)
    };
    let usual = scene.is_to_us(to)
        & (head[eth::LEN] >> 4 == 6)
        & (head[eth::LEN + 6] == PROTOCOL)
        & (head[ipv6::HOP_LIMIT] > 1)
        & (segment >= least)
        & (segment <= len)
        & (PAYLOAD + len <= frame.len());
    let Some(header) = head.get(eth::LEN..).and_then(<[u8]>::first_chunk) else { return false };
    let ports =
        head.get(PAYLOAD..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    packet.key = view.wide_key(&ipv6::addresses(header), ports, PROTOCOL);
    (packet.flags, packet.stage) =
        if PROTOCOL == TCP { (head[PAYLOAD + 13], Stage::Usual) } else { (0, Stage::UsualUdp) };
    (packet.payload, packet.end) = (PAYLOAD as u16, (PAYLOAD + len) as u16);
    usual
}

/// Reads the headers of any IPv6 frame to this port: a packet that may be of a flow, or the verdict.
pub(super) fn read(scene: &Scene, view: &View, frame: &[u8], packet: &mut Packet) -> Result<(), Verdict> {
    let Scene { tables, strangers, .. } = *scene;
    let dropped = Verdict::Drop;
    let ip = Ipv6::parse(frame).map_err(dropped)?;
    let ours = || tables.may_be_ours(ip.source(), ip.destination());
    if ip.chain.routed {
        return Err(strangers);
    }
    match ip.chain.protocol {
        TCP | UDP => {}
        ICMPV6 => return read_error(scene, view, frame, &ip, packet),
        _ if ip.chain.is_too_long() && ours() => return Err(dropped(DropReason::Malformed)),
        _ if !ip.chain.later_fragment => return Err(strangers),
        _ => {}
    }
    if ip.chain.fragment {
        if !ours() {
            return Err(strangers);
        }
        packet.key = view.wide_key(&ip.addresses, 0, ip.chain.protocol);
        (packet.flags, packet.stage) = (NEVER_PLAIN, Stage::Piece);
        (packet.payload, packet.end) = (ip.payload as u16, ip.end as u16);
        return Ok(());
    }
    let segment = frame.get(ip.payload..ip.end).ok_or(dropped(DropReason::Truncated))?;
    let (ports, flags) = if ip.chain.protocol == TCP {
        let Tcp { ports, flags } = Tcp::parse(segment).map_err(dropped)?;
        (ports, flags)
    } else {
        (udp::ports(segment).map_err(dropped)?, 0)
    };
    packet.key = view.wide_key(&ip.addresses, ports, ip.chain.protocol);
    if ip.hop_limit <= 1 {
        return Err(on_last_hop(tables, Ends::of(packet.key, Some(&ip.addresses)), strangers));
    }
    (packet.flags, packet.stage) = (flags, Stage::Unusual);
    (packet.payload, packet.end) = (ip.payload as u16, ip.end as u16);
    Ok(())
}

/// An ICMP message: an error about a packet of a service's, or the verdict.
fn read_error(
    scene: &Scene,
    view: &View,
    frame: &[u8],
    ip: &Ipv6,
    packet: &mut Packet,
) -> Result<(), Verdict> {
    let Scene { tables, strangers, .. } = *scene;
    if ip.chain.fragment {
        return Err(strangers);
    }
    let message = frame.get(ip.payload..ip.end).ok_or(Verdict::Drop(DropReason::Truncated))?;
    let quoted = icmpv6::quoted(message).ok_or(strangers)?;
    // As if the packet that is quoted came back: by this its flow is known.
    let addresses = reversed(quoted.addresses);
    packet.key = view.wide_key(&addresses, quoted.ports.rotate_left(16), quoted.protocol);
    let Ends { source, destination } = Ends::of(packet.key, Some(&addresses));
    let to_member = tables.is_member(source) && !tables.is_local(ip.destination());
    if tables.service(destination).is_none() && !to_member {
        return Err(strangers);
    }
    if !errors::has_right_checksum_v6(&ip.addresses, message) {
        return Err(Verdict::Drop(DropReason::BadChecksum));
    }
    if ip.hop_limit <= 1 {
        return Err(Verdict::Drop(DropReason::TtlExpired));
    }
    (packet.flags, packet.stage) = (NEVER_PLAIN, Stage::Error);
    (packet.payload, packet.end) = (ip.payload as u16, ip.end as u16);
    Ok(())
}

/// The addresses that the key of an IPv6 packet stands for.
#[inline]
pub(super) fn addresses(frame: &[u8], packet: &Packet) -> WideAddresses {
    let at = if packet.stage == Stage::Error { usize::from(packet.payload) + icmpv6::LEN } else { eth::LEN };
    let Some(head) = frame.get(at..).and_then(<[u8]>::first_chunk) else { return [0; 4] };
    let addresses = ipv6::addresses(head);
    if packet.stage == Stage::Error { reversed(addresses) } else { addresses }
}

#[inline]
fn reversed([a, b, c, d]: WideAddresses) -> WideAddresses {
    [c, d, a, b]
}
