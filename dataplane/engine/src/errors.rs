//! ICMP errors about packets of flows: translated as the packets themselves were, so that both ends know what is meant.

use std::net::IpAddr;

use lb_mem::WIDE;

use crate::ends::Ends;
use crate::flow::{Direction, Flow, Key, WideAddresses};
use crate::rewrite::{Mode, difference, store, update_at, update_transport};
use crate::wire::{ICMPV6, checksum, eth, icmp, icmpv6, ipv4, ipv6, load_u16, tcp};

/// Whether a message has the checksum that it should.
pub(crate) fn has_right_checksum(message: &[u8]) -> bool {
    checksum::fold(checksum::sum(message)) == u16::MAX
}

/// Whether a message between these addresses has it: that of IPv6 covers them too.
pub(crate) fn has_right_checksum_v6(addresses: &WideAddresses, message: &[u8]) -> bool {
    checksum::transport(bytes(*addresses), ICMPV6, message) == 0
}

fn bytes(addresses: WideAddresses) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(addresses) {
        *place = word.to_ne_bytes();
    }
    bytes
}

/// Rewrites an error that came from one side and is about what the other side sent.
///
/// What it quotes becomes what that side had sent: before the flow's own rewriting. It goes on to that side; one from the
/// members' side comes from the virtual IP then, as the clients know of nobody else there.
pub(crate) fn translate(frame: &mut [u8], payload: usize, end: usize, flow: &Flow<'_>, from: Direction) {
    let onward = flow.ends(from.other()).reversed();
    let wide = onward.source.address.is_ipv6();
    let [source, destination, hops] = if wide {
        [ipv6::SOURCE, ipv6::DESTINATION, ipv6::HOP_LIMIT]
    } else {
        [ipv4::SOURCE, ipv4::DESTINATION, ipv4::TTL]
    };
    match from {
        // Neither end knows the other's hosts.
        _ if Mode::of(flow.conn).masks() => {
            store_address(frame, source, onward.source.address);
            store_address(frame, destination, onward.destination.address);
        }
        Direction::FromClient => store_address(frame, destination, onward.destination.address),
        Direction::FromMember => store_address(frame, source, onward.source.address),
    }
    if let Some(hops) = frame.get_mut(hops) {
        *hops = hops.saturating_sub(1);
    }
    let sender = flow.ends(from.other());
    // Within the message only: what follows it is padding.
    let Some(packet) = frame.get_mut(..end) else { return };
    if wide {
        translate_quoted_v6(packet, payload + icmpv6::LEN, &sender);
        sum_message_v6(packet, payload);
    } else {
        sum_at(packet, eth::LEN, payload, ipv4::CHECKSUM);
        translate_quoted(packet, payload + icmp::LEN, &sender);
        sum_at(packet, payload, end, payload + icmp::CHECKSUM);
    }
}

/// Makes the packet that is quoted at `at` the one that `sender` had sent.
fn translate_quoted(packet: &mut [u8], at: usize, sender: &Ends) {
    let Some(quoted) = packet.get(at - icmp::LEN..).and_then(icmp::quoted) else { return };
    let icmp::Quoted { addresses, ports, protocol, header_len } = quoted;
    let before = Ends::of(Key { addresses, ports, protocol }, None);
    let places = [at + ipv4::SOURCE - eth::LEN, at + ipv4::DESTINATION - eth::LEN, at + header_len];
    let address = translate_ends(packet, places, &before, sender);
    update_at(packet, at + ipv4::CHECKSUM - eth::LEN, address);
}

/// The same in IPv6.
fn translate_quoted_v6(packet: &mut [u8], at: usize, sender: &Ends) {
    let Some(quoted) = packet.get(at - icmpv6::LEN..).and_then(icmpv6::quoted) else { return };
    let icmpv6::Quoted { addresses, ports, protocol, header_len } = quoted;
    let before = Ends::of(Key { addresses: 0, ports, protocol: protocol | WIDE }, Some(&addresses));
    let places = [at + ipv6::SOURCE - eth::LEN, at + ipv6::DESTINATION - eth::LEN, at + header_len];
    translate_ends(packet, places, &before, sender);
}

/// Writes both addresses and the ports at these places, and makes the checksum of the transport right. Returns what the
/// addresses add to a checksum.
fn translate_ends(packet: &mut [u8], places: [usize; 3], before: &Ends, after: &Ends) -> u16 {
    let [source, destination, payload] = places;
    let address = checksum::add(
        difference(before.source.address, after.source.address),
        difference(before.destination.address, after.destination.address),
    );
    let ports = [before, after].map(|ends| [ends.source.port, ends.destination.port]);
    let transport = checksum::add(address, checksum::delta(&ports[0], &ports[1]));
    update_transport(packet, payload, before.source.protocol, transport);
    store_address(packet, source, after.source.address);
    store_address(packet, destination, after.destination.address);
    store(packet, payload, tcp::pair(ports[1][0], ports[1][1]).to_ne_bytes());
    address
}

fn store_address(frame: &mut [u8], at: usize, address: IpAddr) {
    match address {
        IpAddr::V4(address) => store(frame, at, address.octets()),
        IpAddr::V6(address) => store(frame, at, address.octets()),
    }
}

/// Makes the checksum at `at` right for the bytes from `begin` to `end`.
pub(crate) fn sum_at(frame: &mut [u8], begin: usize, end: usize, at: usize) {
    store(frame, at, [0, 0]);
    let sum = frame.get(begin..end).map_or(0, |bytes| !checksum::fold(checksum::sum(bytes)));
    store(frame, at, sum.to_ne_bytes());
    debug_assert!(load_u16(frame, at).is_some());
}

/// Makes the checksum of the ICMP message right that begins at `payload` and ends with the packet.
pub(crate) fn sum_message_v6(packet: &mut [u8], payload: usize) {
    store(packet, payload + icmpv6::CHECKSUM, [0, 0]);
    let head = packet.get(eth::LEN..).and_then(<[u8]>::first_chunk);
    let (Some(head), Some(message)) = (head, packet.get(payload..)) else { return };
    let sum = checksum::transport(bytes(ipv6::addresses(head)), ICMPV6, message);
    store(packet, payload + icmpv6::CHECKSUM, sum.to_ne_bytes());
}
