//! ICMP errors about packets of flows: translated as the packets themselves were, so that both ends know what is meant.

use lb_mem::Conn;

use crate::flow::Direction;
use crate::rewrite::{Onward, halves, store, update_at, update_transport};
use crate::wire::{checksum, eth, icmp, ipv4, load_u16, tcp};

/// Whether the message from `payload` to `end` has the checksum that it should.
pub(crate) fn has_right_checksum(message: &[u8]) -> bool {
    checksum::fold(checksum::sum(message)) == u16::MAX
}

/// Rewrites an error that came from one side and is about what the other side sent.
///
/// What it quotes becomes what that side had sent: before the flow's own rewriting. It goes on to that side; one from the
/// members' side comes from the virtual IP then, as the clients know of nobody else there.
pub(crate) fn translate(frame: &mut [u8], payload: usize, end: usize, conn: &Conn, from: Direction) {
    let [source, destination] = [ipv4::low, ipv4::high].map(|part| part(Onward::of(conn, from).addresses()));
    match from {
        Direction::FromClient => store(frame, ipv4::DESTINATION, destination.to_ne_bytes()),
        Direction::FromMember => store(frame, ipv4::SOURCE, source.to_ne_bytes()),
    }
    if let Some(ttl) = frame.get_mut(ipv4::TTL) {
        *ttl = ttl.saturating_sub(1);
    }
    sum_at(frame, eth::LEN, payload, ipv4::CHECKSUM);
    translate_quoted(frame, payload + icmp::LEN, end, conn, from.other());
    sum_at(frame, payload, end, payload + icmp::CHECKSUM);
}

/// Makes the packet that is quoted at `at` the one that `sender` had sent.
fn translate_quoted(frame: &mut [u8], at: usize, end: usize, conn: &Conn, sender: Direction) {
    let (addresses, ports) = (conn.addresses[sender as usize], conn.ports[sender as usize]);
    let Some(quoted) = frame.get(at - icmp::LEN..end).and_then(icmp::quoted) else { return };
    let address = difference(quoted.addresses, addresses);
    let transport = checksum::add(
        address,
        checksum::delta(
            &[tcp::low(quoted.ports), tcp::high(quoted.ports)],
            &[tcp::low(ports), tcp::high(ports)],
        ),
    );
    let payload = at + quoted.header_len;
    // Within the message only: what follows it is padding.
    let Some(message) = frame.get_mut(..end) else { return };
    update_at(message, at + ipv4::CHECKSUM - eth::LEN, address);
    update_transport(message, payload, quoted.protocol, transport);
    store(message, at + ipv4::SOURCE - eth::LEN, addresses.to_ne_bytes());
    store(message, payload, ports.to_ne_bytes());
}

fn difference(old: u64, new: u64) -> u16 {
    let words = |pair: u64| {
        let ([a, b], [c, d]) = (halves(ipv4::low(pair)), halves(ipv4::high(pair)));
        [a, b, c, d]
    };
    checksum::delta(&words(old), &words(new))
}

/// Makes the checksum at `at` right for the bytes from `begin` to `end`.
fn sum_at(frame: &mut [u8], begin: usize, end: usize, at: usize) {
    store(frame, at, [0, 0]);
    let sum = frame.get(begin..end).map_or(0, |bytes| !checksum::fold(checksum::sum(bytes)));
    store(frame, at, sum.to_ne_bytes());
    debug_assert!(load_u16(frame, at).is_some());
}
