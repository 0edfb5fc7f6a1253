//! The ordered stages of a burst, on one screen.
//!
//! Each stage runs over the whole burst before the next one begins, so that the memory a later stage needs is on its way
//! while the earlier one still works: parse and hash (asks for the bucket), look up (asks for the entry), then act.

use std::sync::Arc;

use lb_mem::{Conn, NOBODY};
use lb_model::config::ChecksumMode;
use lb_model::counters::DropReason;

use crate::counters::WorkerCounters;
use crate::flow::{Direction, FlowTable, Found, Key, NewFlow, Place};
use crate::network::Strangers;
use crate::pick::Picker;
use crate::rewrite::{sum_segment, translate};
use crate::tables::{Backend, Endpoint, Service, Tables};
use crate::tcp_state;
use crate::verdict::{PortIndex, Verdict};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::tcp::{self, Tcp};
use crate::wire::{checksum, eth};

/// The most frames that are looked at together.
pub const MAX_BURST: usize = 64;

const TCP: u8 = 6;

/// Frames that arrived together.
pub trait Burst {
    /// How many, at most [`MAX_BURST`].
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// One of them, whole.
    fn frame(&mut self, index: usize) -> &mut [u8];
    /// Whether the receiving hardware found a checksum of it wrong.
    fn has_bad_checksum(&self, index: usize) -> bool;
    /// Brings the beginning of a frame near.
    fn prefetch(&self, index: usize);
}

/// One worker's engine: its flows and what its schedulers remember.
#[derive(Debug)]
pub struct Engine {
    flows: FlowTable,
    picker: Picker,
    counters: Arc<WorkerCounters>,
    worker: u16,
    workers: u16,
}

/// A TCP packet on its way through the stages.
#[derive(Clone, Copy, Default)]
struct Packet {
    key: Key,
    place: Place,
    flags: u8,
    payload: u16,
    end: u16,
}

impl Packet {
    fn source(&self) -> Endpoint {
        let (address, port) = (ipv4::low(self.key.addresses), tcp::low(self.key.ports));
        Endpoint { address, port, protocol: self.key.protocol }
    }

    fn destination(&self) -> Endpoint {
        let (address, port) = (ipv4::high(self.key.addresses), tcp::high(self.key.ports));
        Endpoint { address, port, protocol: self.key.protocol }
    }

    /// The bytes of the IP packet.
    fn bytes(&self) -> u64 {
        u64::from(self.end) - eth::LEN as u64
    }
}

/// What the first stage makes of a frame.
#[derive(Clone, Copy)]
enum Parsed {
    Tcp,
    Decided(Verdict),
}

impl Engine {
    /// The engine of worker number `worker` of `workers`, counted from 0.
    pub fn new(flows: FlowTable, counters: Arc<WorkerCounters>, worker: u16, workers: u16) -> Self {
        Self { flows, picker: Picker::default(), counters, worker, workers: workers.max(1) }
    }

    /// Prepares for tables that were not used before.
    pub fn adopt(&mut self, tables: &Tables) {
        self.picker.grow(tables.services.len());
    }

    /// The flows.
    pub fn flows(&mut self) -> &mut FlowTable {
        &mut self.flows
    }

    /// Decides on every frame of a burst from `port`: they are rewritten in place, and `verdicts` says what each becomes.
    #[inline]
    pub fn process<B: Burst>(
        &mut self,
        tables: &Tables,
        now: u32,
        port: PortIndex,
        burst: &mut B,
        verdicts: &mut [Verdict; MAX_BURST],
    ) {
        let count = burst.len().min(MAX_BURST);
        let mut packets = [Packet::default(); MAX_BURST];
        let mut parsed = [Parsed::Tcp; MAX_BURST];
        let mut found = [Found::NOTHING; MAX_BURST];
        let strangers = Verdict::for_stranger(tables, port);

        for index in 0..count {
            burst.prefetch(index + 4);
            parsed[index] = self.parse(tables, port, burst, index, strangers, &mut packets[index]);
        }
        let view = self.flows.view();
        for index in 0..count {
            if matches!(parsed[index], Parsed::Tcp) {
                found[index] = view.candidate(packets[index].place);
            }
        }
        for index in 0..count {
            verdicts[index] = match parsed[index] {
                Parsed::Decided(verdict) => verdict,
                Parsed::Tcp => {
                    let frame = burst.frame(index);
                    self.forward(tables, now, port, frame, &packets[index], found[index], strangers)
                }
            };
        }
    }

    #[inline]
    fn parse<B: Burst>(
        &mut self,
        tables: &Tables,
        port: PortIndex,
        burst: &mut B,
        index: usize,
        strangers: Verdict,
        packet: &mut Packet,
    ) -> Parsed {
        if burst.has_bad_checksum(index) {
            return Parsed::Decided(Verdict::Drop(DropReason::BadChecksum));
        }
        match read(tables, port, burst.frame(index), strangers, packet) {
            Ok(()) => {
                packet.place = self.flows.place(packet.key);
                self.flows.view().prefetch_bucket(packet.place);
                Parsed::Tcp
            }
            Err(verdict) => Parsed::Decided(verdict),
        }
    }

    #[inline]
    #[expect(clippy::too_many_arguments, reason = "the state of one packet between two stages of one loop")]
    fn forward(
        &mut self,
        tables: &Tables,
        now: u32,
        port: PortIndex,
        frame: &mut [u8],
        packet: &Packet,
        found: Found,
        strangers: Verdict,
    ) -> Verdict {
        let mut view = self.flows.view();
        if let Some(conn) = view.confirm(found, packet.key)
            && let Some(backend) = tables.backends.get(conn.backend as usize)
            && backend.tag == conn.backend_tag
            && tcp_state::is_plain(conn.state, packet.flags)
        {
            return pass(&self.counters, tables, now, port, frame, packet, conn, backend, found.direction());
        }
        self.forward_slowly(tables, now, port, frame, packet, strangers)
    }

    /// For packets that begin, change or miss a flow.
    #[cold]
    #[inline(never)]
    fn forward_slowly(
        &mut self,
        tables: &Tables,
        now: u32,
        port: PortIndex,
        frame: &mut [u8],
        packet: &Packet,
        strangers: Verdict,
    ) -> Verdict {
        let mut found = self.flows.view().find(packet.key, packet.place);
        if found != Found::NOTHING && tcp_state::asks(packet.flags) && self.is_superseded(tables, found) {
            self.flows.remove(found);
            found = Found::NOTHING;
        }
        if found == Found::NOTHING {
            found = match self.begin(tables, now, packet, strangers) {
                Ok(begun) => begun,
                Err(verdict) => return verdict,
            };
        }
        let from = found.direction();
        let mut view = self.flows.view();
        let Some(conn) = view.confirm(found, packet.key) else { return Verdict::Drop(DropReason::NoFlow) };
        let Some(backend) = backend_of(tables, conn) else { return Verdict::Drop(DropReason::MemberGone) };
        tcp_state::advance(conn, from, packet.flags, backend.idle);
        pass(&self.counters, tables, now, port, frame, packet, conn, backend, from)
    }

    /// Whether a client's SYN finds a flow that is over, or whose member is gone.
    fn is_superseded(&mut self, tables: &Tables, found: Found) -> bool {
        found.direction() == Direction::FromClient
            && self
                .flows
                .conn(found)
                .is_some_and(|conn| tcp_state::is_over(conn.state) || backend_of(tables, conn).is_none())
    }

    /// Begins a flow, if the packet may and is ours.
    fn begin(
        &mut self,
        tables: &Tables,
        now: u32,
        packet: &Packet,
        strangers: Verdict,
    ) -> Result<Found, Verdict> {
        let (source, destination) = (packet.source(), packet.destination());
        let Some((slot, service)) = tables.service(destination) else {
            if !tables.is_member(source) || tables.is_local(destination.address) {
                return Err(strangers);
            }
            return Err(self.elsewhere(destination).unwrap_or(Verdict::Drop(DropReason::NoFlow)));
        };
        if let Some(handoff) = self.elsewhere(source) {
            return Err(handoff);
        }
        if !tcp_state::asks(packet.flags) {
            return Err(Verdict::Drop(DropReason::NoFlow));
        }
        self.open(tables, now, packet, (slot, service)).map_err(Verdict::Drop)
    }

    fn open(
        &mut self,
        tables: &Tables,
        now: u32,
        packet: &Packet,
        (slot, service): (u32, &Service),
    ) -> Result<Found, DropReason> {
        let chosen = self.picker.round_robin(slot, service).ok_or(DropReason::NoMember)?;
        let backend = tables.backends.get(chosen as usize).ok_or(DropReason::NoMember)?;
        let (offered, member) = (packet.destination(), backend.endpoint);
        let delta_l3 = checksum::delta(&halves(offered.address), &halves(member.address));
        let port_delta = checksum::delta(&[offered.port], &[member.port]);
        let delta_l4 = checksum::fold(u32::from(delta_l3) + u32::from(port_delta));
        let flow = NewFlow {
            from_client: packet.key,
            member: (member.address, member.port),
            backend: (chosen, backend.tag),
            deltas: (delta_l3, delta_l4),
            now,
            timeout: tcp_state::OPENING_TIMEOUT,
        };
        let begun = self.flows.insert(&flow).ok_or(DropReason::FlowTableFull)?;
        if let Some(cell) = self.counters.backends.get(chosen as usize) {
            cell.connections.add(1);
        }
        Ok(begun)
    }

    /// The handover to the worker that owns the flows of a client, if that is another one.
    fn elsewhere(&self, client: Endpoint) -> Option<Verdict> {
        if self.workers == 1 {
            return None;
        }
        let owner = owner(client, self.workers);
        (owner != self.worker).then_some(Verdict::Handoff(owner))
    }
}

/// The worker that owns all flows of a client's address and port: the same for both directions.
fn owner(client: Endpoint, workers: u16) -> u16 {
    let mixed =
        (u64::from(client.address) << 16 | u64::from(client.port)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) * u64::from(workers) >> 32) as u16
}

impl Verdict {
    fn for_stranger(tables: &Tables, port: PortIndex) -> Self {
        match tables.ports.get(usize::from(port.0)).map(|view| view.strangers) {
            Some(Strangers::Punt) => Self::Punt,
            _ => Self::Drop(DropReason::NotOurs),
        }
    }
}

/// Reads the headers of a frame: a TCP packet that may be of a flow, or the verdict.
#[inline]
fn read(
    tables: &Tables,
    port: PortIndex,
    frame: &mut [u8],
    strangers: Verdict,
    packet: &mut Packet,
) -> Result<(), Verdict> {
    let dropped = Verdict::Drop;
    let head = frame.first_chunk::<{ eth::LEN }>().ok_or(dropped(DropReason::Truncated))?;
    let Some(view) = tables.ports.get(usize::from(port.0)) else { return Err(dropped(DropReason::NotOurs)) };
    if eth::destination(head) != view.mac {
        return Err(for_others(head, view.mac, strangers));
    }
    if eth::ethertype(head) != eth::IPV4 {
        return Err(strangers);
    }
    let ip = Ipv4::parse(frame).map_err(dropped)?;
    if ip.protocol != TCP {
        return Err(strangers);
    }
    if ip.fragment {
        let ours = tables.may_be_ours(ip.source(), ip.destination());
        return Err(if ours { dropped(DropReason::Fragment) } else { strangers });
    }
    let segment = frame.get(ip.payload..ip.end).ok_or(dropped(DropReason::Truncated))?;
    let transport = Tcp::parse(segment).map_err(dropped)?;
    if ip.ttl <= 1 {
        return Err(on_last_hop(tables, &ip, transport.ports, strangers));
    }
    packet.key = Key { addresses: ip.addresses, ports: transport.ports, protocol: TCP };
    packet.flags = transport.flags;
    (packet.payload, packet.end) = (ip.payload as u16, ip.end as u16);
    Ok(())
}

/// A frame to another Ethernet address than the port's.
#[cold]
fn for_others(head: &[u8; eth::LEN], own: lb_model::MacAddr, strangers: Verdict) -> Verdict {
    if eth::source(head) == own {
        return Verdict::Drop(DropReason::OwnEcho);
    }
    if eth::is_group(eth::destination(head)) {
        return strangers;
    }
    Verdict::Drop(DropReason::NotOurs)
}

/// What is ours may not travel on; what is the host's has arrived.
#[cold]
fn on_last_hop(tables: &Tables, ip: &Ipv4, ports: u32, strangers: Verdict) -> Verdict {
    let destination = Endpoint { address: ip.destination(), port: tcp::high(ports), protocol: TCP };
    let source = Endpoint { address: ip.source(), port: tcp::low(ports), protocol: TCP };
    let reply = tables.is_member(source) && !tables.is_local(destination.address);
    if tables.service(destination).is_some() || reply {
        Verdict::Drop(DropReason::TtlExpired)
    } else {
        strangers
    }
}

/// The backend of a flow, found again if it has moved to another slot.
fn backend_of<'tables>(tables: &'tables Tables, conn: &mut Conn) -> Option<&'tables Backend> {
    let remembered = tables.backends.get(conn.backend as usize);
    if let Some(backend) = remembered.filter(|backend| backend.tag == conn.backend_tag) {
        return Some(backend);
    }
    let protocol = conn.protocol;
    let offered =
        Endpoint { address: ipv4::high(conn.addresses[0]), port: tcp::high(conn.ports[0]), protocol };
    let member = Endpoint { address: ipv4::low(conn.addresses[1]), port: tcp::low(conn.ports[1]), protocol };
    let slot = tables.backend_slot(offered, member)?;
    let backend = tables.backends.get(slot as usize)?;
    (conn.backend, conn.backend_tag) = (slot, backend.tag);
    Some(backend)
}

/// Rewrites a packet of a flow and finds its next hop.
#[inline]
#[expect(clippy::too_many_arguments, reason = "the state of one packet at the last stage of one loop")]
fn pass(
    counters: &WorkerCounters,
    tables: &Tables,
    now: u32,
    port: PortIndex,
    frame: &mut [u8],
    packet: &Packet,
    conn: &mut Conn,
    backend: &Backend,
    from: Direction,
) -> Verdict {
    let way = from as usize;
    if conn.last_seen != now {
        conn.last_seen = now;
    }
    if let Some(cell) = counters.backends.get(conn.backend as usize) {
        cell.packets[way].add(1);
        cell.bytes[way].add(packet.bytes());
    }
    translate(frame, usize::from(packet.payload), conn, from);
    let needs_sum =
        tables.ports.get(usize::from(port.0)).is_some_and(|view| view.checksum == ChecksumMode::Full);
    if needs_sum {
        sum_segment(frame, usize::from(packet.payload), usize::from(packet.end), TCP);
    }
    let slot = match from {
        Direction::FromClient => backend.next_hop,
        Direction::FromMember if conn.route_epoch == tables.route_epoch && conn.next_hop != NOBODY => {
            conn.next_hop
        }
        Direction::FromMember => match towards_client(tables, conn) {
            Ok(slot) => slot,
            Err(verdict) => return verdict,
        },
    };
    let Some(hop) = tables.next_hops.get(slot as usize) else { return Verdict::Drop(DropReason::NoRoute) };
    if !hop.resolved {
        return Verdict::Hold(hop.awaited());
    }
    hop.address_frame(frame);
    Verdict::Send(hop.port)
}

/// Finds the next hop towards the client, and remembers it.
#[cold]
fn towards_client(tables: &Tables, conn: &mut Conn) -> Result<u32, Verdict> {
    let client = ipv4::low(conn.addresses[0]);
    match tables.next_hop_towards(client) {
        None => Err(Verdict::Drop(DropReason::NoRoute)),
        Some(Err(awaited)) => Err(Verdict::Hold(awaited)),
        Some(Ok(slot)) => {
            (conn.next_hop, conn.route_epoch) = (slot, tables.route_epoch);
            Ok(slot)
        }
    }
}

fn halves(word: u32) -> [u16; 2] {
    let [a, b, c, d] = word.to_ne_bytes();
    [u16::from_ne_bytes([a, b]), u16::from_ne_bytes([c, d])]
}
