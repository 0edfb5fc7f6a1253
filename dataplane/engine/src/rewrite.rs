//! Changing a packet in place: addresses, ports, checksums, hop limit.

use lb_mem::Conn;

use crate::flow::Direction;
use crate::pipeline::USUAL_LEN;
use crate::wire::{checksum, eth, ipv4, load_u16, tcp};

/// What a packet of a flow becomes: the one that travels on to the member, or back to the client as if from the virtual
/// IP.
pub(crate) struct Onward {
    from: Direction,
    /// The new destination of a client's packet, the new source of a member's.
    address: u32,
    port: u16,
    delta_l3: u16,
    delta_l4: u16,
}

impl Onward {
    #[inline]
    pub(crate) fn of(conn: &Conn, from: Direction) -> Self {
        match from {
            // The reverse of what comes back from the member.
            Direction::FromClient => Self {
                from,
                address: ipv4::low(conn.addresses[1]),
                port: tcp::low(conn.ports[1]),
                delta_l3: conn.delta_l3,
                delta_l4: conn.delta_l4,
            },
            Direction::FromMember => Self {
                from,
                address: ipv4::high(conn.addresses[0]),
                port: tcp::high(conn.ports[0]),
                delta_l3: !conn.delta_l3,
                delta_l4: !conn.delta_l4,
            },
        }
    }

    /// Rewrites a frame whose headers have no options.
    #[inline]
    pub(crate) fn write_usual(&self, head: &mut [u8; USUAL_LEN]) {
        const PAYLOAD: usize = eth::LEN + ipv4::MIN_LEN;
        self.write(head, PAYLOAD);
    }

    /// Rewrites a frame whose transport header is at `payload`; both headers were parsed.
    #[inline]
    pub(crate) fn write(&self, frame: &mut [u8], payload: usize) {
        let hop = checksum::fold(u32::from(self.delta_l3) + u32::from(ipv4::HOP_DELTA));
        if let Some(ttl) = frame.get_mut(ipv4::TTL) {
            *ttl = ttl.wrapping_sub(1);
        }
        update_at(frame, ipv4::CHECKSUM, hop);
        update_at(frame, payload + tcp::CHECKSUM, self.delta_l4);
        let (address_at, port_at) = match self.from {
            Direction::FromClient => (ipv4::DESTINATION, payload + 2),
            Direction::FromMember => (ipv4::SOURCE, payload),
        };
        store(frame, address_at, self.address.to_ne_bytes());
        store(frame, port_at, self.port.to_ne_bytes());
    }
}

/// Sums the whole transport segment anew, whatever checksum it came with.
pub(crate) fn sum_segment(frame: &mut [u8], payload: usize, end: usize, protocol: u8) {
    let Some(addresses) = frame.get(ipv4::SOURCE..).and_then(<[u8]>::first_chunk::<8>).copied() else {
        return;
    };
    let Some(segment) = frame.get_mut(payload..end) else { return };
    store(segment, tcp::CHECKSUM, [0, 0]);
    let sum = checksum::transport(addresses, protocol, segment);
    store(segment, tcp::CHECKSUM, sum.to_ne_bytes());
}

/// Writes both Ethernet addresses.
#[inline]
pub(crate) fn address_frame(frame: &mut [u8], macs: &[u8; 12]) {
    store(frame, 0, *macs);
    debug_assert!(frame.len() >= eth::LEN);
}

#[inline]
fn update_at(frame: &mut [u8], at: usize, delta: u16) {
    if let Some(old) = load_u16(frame, at) {
        store(frame, at, checksum::update(old, delta).to_ne_bytes());
    }
}

#[inline]
fn store<const N: usize>(frame: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = frame.get_mut(at..at + N) {
        place.copy_from_slice(&bytes);
    }
}
