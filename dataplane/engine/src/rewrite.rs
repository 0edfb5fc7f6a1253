//! Changing a packet in place: addresses, ports, checksums, hop limit.

use std::net::IpAddr;
use std::ops::Range;

use lb_mem::{Conn, Wide};
use lb_model::snapshot::Forwarding;

use crate::flow::{Direction, Key, WideAddresses};
use crate::pipeline::USUAL_LEN;
use crate::tables::Endpoint;
use crate::wire::{UDP, checksum, eth, ipv4, ipv6, load_u16, tcp, udp};

/// How packets of a flow are rewritten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Addresses and ports become those of the other end.
    #[default]
    Translated = 0,
    /// They stay as they are: only where the frame goes is decided.
    Direct = 1,
    /// From the client they are wrapped in others, and stay as they are within.
    Wrapped = 2,
    /// Translated at both ends: to the member they come from an address of ours.
    Masked = 3,
    /// The way of a check to a member of direct return: translated at both ends into what a client would send, and answered
    /// to an address of ours.
    MaskedDirect = 4,
    /// The same, and wrapped.
    MaskedWrapped = 5,
}

impl Mode {
    /// The mode of a flow.
    #[inline]
    pub(crate) fn of(conn: &Conn) -> Self {
        match conn.mode {
            0 => Self::Translated,
            1 => Self::Direct,
            3 => Self::Masked,
            4 => Self::MaskedDirect,
            5 => Self::MaskedWrapped,
            _ => Self::Wrapped,
        }
    }

    /// Whether what members answer comes back through the appliance.
    #[inline]
    pub(crate) fn replies_return(self) -> bool {
        !matches!(self, Self::Direct | Self::Wrapped)
    }

    /// Whether the member sees an address of ours in the place of who asks.
    #[inline]
    pub(crate) fn masks(self) -> bool {
        matches!(self, Self::Masked | Self::MaskedDirect | Self::MaskedWrapped)
    }

    /// Whether what members get is addressed to the virtual IP, so that no router may come between.
    pub(crate) fn is_direct(self) -> bool {
        matches!(self, Self::Direct | Self::MaskedDirect)
    }

    /// Whether what members get is wrapped.
    #[inline]
    pub(crate) fn wraps(self) -> bool {
        matches!(self, Self::Wrapped | Self::MaskedWrapped)
    }

    /// How a check gets to a member of a service that forwards like this.
    pub(crate) fn of_probe(forwarding: Forwarding) -> Self {
        match forwarding {
            Forwarding::Nat | Forwarding::FullNat => Self::Masked,
            Forwarding::Dr => Self::MaskedDirect,
            Forwarding::Tunnel => Self::MaskedWrapped,
        }
    }
}

impl From<Forwarding> for Mode {
    fn from(forwarding: Forwarding) -> Self {
        match forwarding {
            Forwarding::Nat => Self::Translated,
            Forwarding::FullNat => Self::Masked,
            Forwarding::Dr => Self::Direct,
            Forwarding::Tunnel => Self::Wrapped,
        }
    }
}

/// What a packet of a flow becomes: the one that travels on to the member, or back to the client as if from the virtual
/// IP.
#[derive(Clone, Copy)]
pub(crate) struct Onward {
    addresses: u64,
    ports: u32,
    deltas: [u16; 2],
}

impl Onward {
    /// It is the reverse of what comes from the other end.
    #[inline]
    pub(crate) fn of(conn: &Conn, from: Direction) -> Self {
        let other = from.other() as usize;
        Self {
            addresses: conn.addresses[other].rotate_left(32),
            ports: conn.ports[other].rotate_left(16),
            deltas: conn.deltas[from as usize],
        }
    }

    /// Rewrites a frame whose headers have no options.
    #[inline]
    pub(crate) fn write_usual<const PROTOCOL: u8>(self, head: &mut [u8; USUAL_LEN]) {
        const PAYLOAD: usize = eth::LEN + ipv4::MIN_LEN;
        self.write(head, PAYLOAD, PROTOCOL);
    }

    /// Rewrites a frame whose transport header is at `payload`; both headers were parsed.
    #[inline]
    pub(crate) fn write(self, frame: &mut [u8], payload: usize, protocol: u8) {
        self.write_head(frame);
        update_transport(frame, payload, protocol, self.deltas[1]);
        store(frame, payload, self.ports.to_ne_bytes());
    }

    /// Rewrites the IP header alone.
    #[inline]
    pub(crate) fn write_head(self, frame: &mut [u8]) {
        if let Some(ttl) = frame.get_mut(ipv4::TTL) {
            *ttl = ttl.wrapping_sub(1);
        }
        update_at(frame, ipv4::CHECKSUM, self.deltas[0]);
        store(frame, ipv4::SOURCE, self.addresses.to_ne_bytes());
    }
}

/// The same of an IPv6 packet.
#[derive(Clone, Copy)]
pub(crate) struct OnwardV6 {
    addresses: WideAddresses,
    ports: u32,
    delta: u16,
}

impl OnwardV6 {
    /// It is the reverse of what comes from the other end.
    #[inline]
    pub(crate) fn of(conn: &Conn, wide: &Wide, from: Direction) -> Self {
        let other = from.other() as usize;
        let [a, b, c, d] = wide.0[other];
        Self {
            addresses: [c, d, a, b],
            ports: conn.ports[other].rotate_left(16),
            delta: conn.deltas[from as usize][1],
        }
    }

    /// Rewrites a frame whose transport header is at `payload`; all headers were parsed.
    #[inline]
    pub(crate) fn write(self, frame: &mut [u8], payload: usize, protocol: u8) {
        self.write_head(frame);
        update_transport(frame, payload, protocol, self.delta);
        store(frame, payload, self.ports.to_ne_bytes());
    }

    /// Rewrites the IP header alone.
    #[inline]
    pub(crate) fn write_head(self, frame: &mut [u8]) {
        if let Some(hop_limit) = frame.get_mut(ipv6::HOP_LIMIT) {
            *hop_limit = hop_limit.wrapping_sub(1);
        }
        store_addresses(frame, self.addresses);
    }
}

#[inline]
fn store_addresses(frame: &mut [u8], addresses: WideAddresses) {
    let places = frame.get_mut(ipv6::SOURCE..ipv6::SOURCE + 32).unwrap_or_default().as_chunks_mut::<8>().0;
    for (place, word) in places.iter_mut().zip(addresses) {
        *place = word.to_ne_bytes();
    }
}

/// What the rewrite adds to both checksums, for packets from the client and for packets from the member, when the first end of each
/// pair becomes the second.
pub(crate) fn deltas(changes: &[(Endpoint, Endpoint)]) -> [[u16; 2]; 2] {
    let of_all = |change: fn(&(Endpoint, Endpoint)) -> u16| changes.iter().map(change).fold(0, checksum::add);
    let address = of_all(|(old, new)| difference(old.address, new.address));
    let port = of_all(|(old, new)| checksum::delta(&[old.port], &[new.port]));
    let transport = checksum::add(address, port);
    let hop = ipv4::HOP_DELTA;
    [[checksum::add(address, hop), transport], [checksum::add(!address, hop), !transport]]
}

/// What replacing one address by another adds to a checksum.
pub(crate) fn difference(old: IpAddr, new: IpAddr) -> u16 {
    checksum::add(!sum(old), sum(new))
}

/// The sum of an address, as checksums count it.
fn sum(address: IpAddr) -> u16 {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            checksum::add(u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d]))
        }
        IpAddr::V6(address) => checksum::fold(checksum::sum(&address.octets())),
    }
}

/// Updates the checksum of a transport header, if it is there and its sender made one.
#[inline]
pub(crate) fn update_transport(frame: &mut [u8], payload: usize, protocol: u8, delta: u16) {
    if protocol != UDP {
        return update_at(frame, payload + tcp::CHECKSUM, delta);
    }
    if let Some(old @ 1..) = load_u16(frame, payload + udp::CHECKSUM) {
        let sum = udp_sum(checksum::update(old, delta));
        store(frame, payload + udp::CHECKSUM, sum.to_ne_bytes());
    }
}

/// A sum of 0 is sent as its other form: 0 says that there is none (RFC 768).
#[inline]
fn udp_sum(sum: u16) -> u16 {
    if sum == 0 { u16::MAX } else { sum }
}

/// Sums the whole transport segment anew, whatever checksum it came with; a datagram that came without goes without.
pub(crate) fn sum_segment(frame: &mut [u8], payload: usize, end: usize, key: Key) {
    if key.is_wide() {
        sum_between::<32>(frame, ipv6::SOURCE, payload..end, key.transport());
    } else {
        sum_between::<8>(frame, ipv4::SOURCE, payload..end, key.transport());
    }
}

/// The same, for a pseudo header whose addresses are the `N` bytes at `addresses`.
fn sum_between<const N: usize>(frame: &mut [u8], addresses: usize, segment: Range<usize>, protocol: u8) {
    let Some(addresses) = frame.get(addresses..).and_then(<[u8]>::first_chunk::<N>).copied() else {
        return;
    };
    let Some(segment) = frame.get_mut(segment) else { return };
    let at = if protocol == UDP { udp::CHECKSUM } else { tcp::CHECKSUM };
    if protocol == UDP && load_u16(segment, at) == Some(0) {
        return;
    }
    store(segment, at, [0, 0]);
    let sum = checksum::transport(addresses, protocol, segment);
    let sum = if protocol == UDP { udp_sum(sum) } else { sum };
    store(segment, at, sum.to_ne_bytes());
}

/// Writes both Ethernet addresses.
#[inline]
pub(crate) fn address_frame(frame: &mut [u8], macs: &[u8; 12]) {
    store(frame, 0, *macs);
    debug_assert!(frame.len() >= eth::LEN);
}

#[inline]
pub(crate) fn update_at(frame: &mut [u8], at: usize, delta: u16) {
    if let Some(old) = load_u16(frame, at) {
        store(frame, at, checksum::update(old, delta).to_ne_bytes());
    }
}

#[inline]
pub(crate) fn store<const N: usize>(frame: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = frame.get_mut(at..at + N) {
        place.copy_from_slice(&bytes);
    }
}
