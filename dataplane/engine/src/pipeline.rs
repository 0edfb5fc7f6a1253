//! The ordered stages of a burst, on one screen.
//!
//! Each stage runs over the whole burst before the next one begins, so that the memory a later stage needs is on its way
//! while the earlier one still works: parse and hash (asks for the bucket), look up (asks for the entry), then act.

mod cookies;
mod ending;
mod explain;
mod ipv6;
mod pieces;
mod room;
mod sight;

use std::ops::Range;
use std::sync::Arc;

use lb_mem::{Conn, NOBODY, Wide, prefetch};
use lb_model::MacAddr;
use lb_model::config::ChecksumMode;
use lb_model::counters::DropReason;
use lb_model::snapshot::Generation;

use crate::counters::WorkerCounters;
use crate::drain::Drains;
use crate::ends::Ends;
use crate::errors;
use crate::flow::{
    Direction, Flow, FlowTable, Found, Key, NO_EPOCH, NewFlow, Numbers, Place, View, WideAddresses,
};
use crate::fragments::Fragments;
use crate::half_open::HalfOpen;
use crate::loads::{self, Loads};
use crate::local_ports::LocalPorts;
use crate::network::{NextHop, Strangers};
use crate::pick::Picker;
use crate::rates::{Asking, Metered, Rates};
use crate::rewrite::{Mode, Onward, OnwardV6, deltas, sum_segment};
use crate::shift::translate_quoted;
use crate::state;
use crate::tables::{Backend, Endpoint, Tables, digest};
use crate::verdict::{PortIndex, Verdict};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::tcp::{self, SYN, Tcp};
use crate::wire::{ICMP, TCP, UDP, eth, icmp, udp};

use self::cookies::Mediated;
pub use explain::{Explained, Leaving, Sample};
pub use sight::FlowPage;

/// The most frames that are looked at together.
pub const MAX_BURST: usize = 64;

/// Ethernet, IPv4 and TCP, none with options; of UDP it is the header and the first words.
pub(crate) const USUAL_LEN: usize = eth::LEN + ipv4::MIN_LEN + tcp::MIN_LEN;
/// From byte 8 on: the type of IPv4, and its first byte when it has no options.
const USUAL_KIND: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0x08, 0x00, 0x45, 0]);
const USUAL_KIND_MASK: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0xff, 0xff, 0xff, 0]);
/// From byte 16 on, the protocol aside: no fragment ("don't fragment" may be set or not).
const USUAL_REST_MASK: u64 = u64::from_ne_bytes([0, 0, 0, 0, 0x3f, 0xff, 0, 0xff]);
/// The first six bytes of a frame.
const MAC_MASK: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0]);
/// How many frames ahead of the one at hand are asked for.
const PREFETCH_AHEAD: usize = 4;

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
    /// Puts `count` bytes, whatever they are, before a frame. Says whether there was space for them.
    fn prepend(&mut self, index: usize, count: usize) -> bool;
    /// Takes away at the end what is longer than `len`.
    fn truncate(&mut self, index: usize, len: usize);
    /// Whether the frames were handed over by another worker.
    fn is_handed_over(&self) -> bool;
    /// Takes note of a frame that is to be looked at again after this burst, as if it had come in by `port`.
    fn again(&mut self, frame: &[u8], port: PortIndex);
    /// Makes another frame, which leaves through a port when the burst is done: of `front` bytes, whatever they are, and a part of
    /// one of the burst's. Nothing if there is no buffer.
    fn originate(
        &mut self,
        index: usize,
        part: Range<usize>,
        front: usize,
        to: PortIndex,
    ) -> Option<&mut [u8]>;
}

/// Where frames go that no other one led to.
pub trait Outbox {
    /// Makes a frame of so many bytes, whatever they are, which leaves through a port. Nothing if there is no buffer.
    fn make(&mut self, len: usize, to: PortIndex) -> Option<&mut [u8]>;
}

/// One worker's engine: its flows and what its schedulers remember.
#[derive(Debug)]
pub struct Engine {
    flows: FlowTable,
    loads: Loads,
    picker: Picker,
    rates: Rates,
    local_ports: LocalPorts,
    drains: Drains,
    half_open: HalfOpen,
    fragments: Fragments,
    counters: Arc<WorkerCounters>,
    worker: u16,
    workers: u16,
    /// The burst at hand, between two stages; kept, so that it need not be cleared for every burst.
    packets: Box<[Packet; MAX_BURST]>,
}

/// A packet on its way through the stages.
#[derive(Clone, Copy, Debug, Default)]
struct Packet {
    key: Key,
    place: Place,
    found: Found,
    flags: u8,
    stage: Stage,
    payload: u16,
    end: u16,
}

/// How far a packet has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Its verdict is known.
    #[default]
    Decided,
    /// It is TCP, without IP options: all headers are at their usual places.
    Usual,
    /// It is UDP, likewise.
    UsualUdp,
    /// It is TCP or UDP in another form.
    Unusual,
    /// It is an ICMP error, and looked up by the reverse of the packet that it quotes.
    Error,
    /// It is a piece of a packet that may be a service's, and its key has no ports.
    Piece,
    /// It is the first one, with its ports.
    FirstPiece,
    /// It is another one, with the ports of the first.
    LaterPiece,
}

/// Control bits that make a packet take the long way.
const NEVER_PLAIN: u8 = u8::MAX;

/// What is the same for a whole burst.
#[derive(Clone, Copy)]
struct Scene<'tables> {
    tables: &'tables Tables,
    now: u32,
    port: PortIndex,
    mac: MacAddr,
    /// The same, as the first eight bytes of a frame are read.
    mac_word: u64,
    /// Whether checksums are to be made from scratch.
    sums: bool,
    /// What becomes of frames that are not ours.
    strangers: Verdict,
}

impl Packet {
    /// Its ends; of an IPv6 packet by its addresses.
    fn ends(&self, wide: Option<&WideAddresses>) -> Ends {
        Ends::of(self.key, wide)
    }

    /// Whether it is less than a packet.
    #[inline]
    fn is_piece(&self) -> bool {
        matches!(self.stage, Stage::FirstPiece | Stage::LaterPiece)
    }

    /// The bytes of the IP packet.
    #[inline]
    fn bytes(&self) -> u64 {
        u64::from(self.end) - eth::LEN as u64
    }
}

impl Engine {
    /// The engine of one worker: the one at `worker`, counted from 0, of those whose counters these are.
    ///
    /// # Panics
    /// Without counters of its own.
    pub fn new(mut flows: FlowTable, workers: Box<[Arc<WorkerCounters>]>, worker: u16) -> Self {
        let counters = Arc::clone(&workers[usize::from(worker)]);
        let count = u16::try_from(workers.len()).unwrap_or(u16::MAX);
        let [seed, secret] = flows.secret();
        // Of a worker's counters there is one engine.
        let _ = counters.marks_for.set((flows.capacity() / 4, secret));
        Self {
            flows,
            rates: Rates::new(count, secret),
            loads: Loads::new(Arc::clone(&counters)),
            local_ports: LocalPorts::new(worker, count, seed),
            drains: Drains::default(),
            half_open: HalfOpen::default(),
            fragments: Fragments::default(),
            counters,
            worker,
            workers: count,
            picker: Picker::new(workers, worker),
            packets: Box::new([Packet::default(); MAX_BURST]),
        }
    }

    /// Prepares for tables that were not used before.
    pub fn adopt(&mut self, tables: &Tables) {
        self.picker.grow(tables.schedules.len());
        self.loads.adopt(&tables.schedules);
        self.drains.adopt(tables.drains());
        self.rates.adopt(tables.all_metered());
        self.counters.prepare(tables);
    }

    /// Looks at the next `count` entries of the flow table and forgets those that were silent for too long, and those whose
    /// member is gone or has drained for long enough; where their service wants it, they are told first. Returns how many it forgot.
    pub fn expire(&mut self, tables: &Tables, now: u32, count: u32, outbox: &mut impl Outbox) -> u32 {
        let mut expired = 0;
        let draining = self.drains.are_any(now);
        self.half_open.tick(now);
        for _ in 0..count {
            let Some((found, mut flow)) = self.flows.next_in_round() else { continue };
            let silent = now.wrapping_sub(flow.conn.last_seen) > flow.conn.timeout;
            if flow.conn.state == state::ENDING && !silent {
                ending::ask(tables, &mut self.loads, &mut flow, outbox);
                continue;
            }
            if state::is_calling(flow.conn) {
                expired += u32::from(self.call_again(tables, now, found, outbox));
                continue;
            }
            let drained = draining
                && backend_of(tables, &mut self.loads, &mut flow).is_some()
                && self.drains.is_over(flow.conn.backend, now);
            if silent || drained || is_orphan(tables, &mut self.loads, &mut flow) {
                if ending::begin(tables, &mut self.loads, &mut flow, now) {
                    ending::ask(tables, &mut self.loads, &mut flow, outbox);
                } else {
                    self.forget(found);
                    expired += 1;
                }
            } else if tables.any_keeping() {
                renew(&self.picker, tables, &flow, now);
            }
        }
        expired
    }

    fn forget(&mut self, found: Found) {
        if let Some(mut conn) = self.flows.remove(found) {
            self.loads.forget(&conn);
            self.half_open.end(&mut conn);
        }
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
        let Some(scene) = Scene::at(tables, now, port) else {
            return verdicts[..count].fill(Verdict::Drop(DropReason::NotOurs));
        };
        self.parse(&scene, burst, &mut verdicts[..count]);
        self.look_up(count);
        let mut done = 0;
        while done < count {
            done = self.forward(&scene, burst, done, &mut verdicts[..count]);
            if let Some(verdict) = verdicts[..count].get_mut(done) {
                // Met on the way: a packet that begins, changes or misses a flow.
                let packet = self.packets[done];
                let forwarded = self.forward_slowly(&scene, burst, done, &packet);
                *verdict = forwarded.map_or_else(|other| other, Verdict::Send);
                done += 1;
            }
        }
    }

    /// First stage: headers, and where to look.
    #[inline]
    fn parse<B: Burst>(&mut self, scene: &Scene, burst: &mut B, verdicts: &mut [Verdict]) {
        let view = self.flows.view();
        for (index, (packet, verdict)) in self.packets.iter_mut().zip(verdicts).enumerate() {
            burst.prefetch(index + PREFETCH_AHEAD);
            let bad = burst.has_bad_checksum(index);
            let frame = burst.frame(index);
            let usual = !bad
                && if ipv6::is_meant(frame) {
                    ipv6::glance::<TCP, { ipv6::USUAL_TCP }>(scene, &view, frame, packet)
                        || ipv6::glance::<UDP, { ipv6::USUAL_UDP }>(scene, &view, frame, packet)
                } else {
                    glance::<TCP>(scene, frame, packet) || glance::<UDP>(scene, frame, packet)
                };
            if !usual && let Err(decided) = read(scene, &view, frame, bad, packet) {
                (packet.stage, *verdict) = (Stage::Decided, decided);
                continue;
            }
            packet.place = view.place(packet.key);
            view.prefetch_bucket(packet.place);
        }
    }

    /// Second stage: which entry it probably is.
    #[inline]
    fn look_up(&mut self, count: usize) {
        let view = self.flows.view();
        for packet in self.packets[..count].iter_mut().filter(|packet| packet.stage != Stage::Decided) {
            packet.found = view.candidate(packet.place, packet.key.is_wide());
        }
    }

    /// Third stage, from the packet `next` on, for packets that just pass. Says where it met another one, or the end.
    #[inline]
    fn forward<B: Burst>(
        &mut self,
        scene: &Scene,
        burst: &mut B,
        next: usize,
        verdicts: &mut [Verdict],
    ) -> usize {
        let mut view = self.flows.view();
        let count = verdicts.len();
        let rest = self.packets.iter().zip(&mut *verdicts).enumerate().skip(next);
        for (index, (packet, verdict)) in rest {
            // With many members their counters are not all near.
            if let Some(soon) = self.packets[..count].get(index + PREFETCH_AHEAD)
                && let Some(cell) = view.backend(soon.found).and_then(|slot| self.counters.backends.get(slot))
            {
                prefetch(cell);
            }
            if packet.stage == Stage::Decided {
                continue;
            }
            let flow = if packet.key.is_wide() {
                let addresses = ipv6::addresses(burst.frame(index), packet);
                view.confirm_wide(packet.found, packet.key, &addresses)
            } else {
                view.confirm(packet.found, packet.key)
            };
            match flow {
                Some(mut flow)
                    if flow.conn.epoch == scene.tables.epoch
                        && state::is_plain(flow.conn.state, packet.flags) =>
                {
                    // Written in two ways on purpose: a verdict copied as a whole stalls on its own narrow stores.
                    match pass(&self.counters, scene, burst, index, packet, &mut flow) {
                        Ok(to) => *verdict = Verdict::Send(to),
                        Err(other) => *verdict = other,
                    }
                }
                _ => return index,
            }
        }
        verdicts.len()
    }

    /// For packets that begin, change or miss a flow.
    #[cold]
    #[inline(never)]
    fn forward_slowly<B: Burst>(
        &mut self,
        scene: &Scene,
        burst: &mut B,
        index: usize,
        packet: &Packet,
    ) -> Result<PortIndex, Verdict> {
        if packet.stage == Stage::Piece {
            return self.forward_piece(scene, burst, index, packet);
        }
        let wide = packet.key.is_wide().then(|| ipv6::addresses(burst.frame(index), packet));
        if packet.stage == Stage::Error {
            return self.forward_error(scene, burst, index, packet, wide);
        }
        let Scene { tables, .. } = *scene;
        let mut found = self.flows.view().find(packet.key, packet.place, wide.as_ref());
        let asks = state::asks(packet.key.transport(), packet.flags);
        let superseded = |mut flow| is_superseded(tables, &mut self.loads, &mut flow, found.direction());
        if asks && self.flows.flow(found).is_some_and(superseded) {
            self.forget(found);
            found = Found::NOTHING;
        }
        let begins = found == Found::NOTHING;
        if begins && let Some(decided) = self.by_cookie(scene, burst, index, packet, wide) {
            return decided;
        }
        if begins {
            found = match self.begin(scene, packet, wide) {
                Err(Verdict::Drop(reason)) if refuses(tables, packet, wide.as_ref(), reason) => {
                    return Err(room::refuse(scene, burst, index, packet, reason));
                }
                begun => begun?,
            };
        }
        let from = found.direction();
        let numbers = self.flows.numbers(found);
        let mut flow = self.flows.flow(found).ok_or(Verdict::Drop(DropReason::NoFlow))?;
        let packet = &Packet { found, ..*packet };
        let Some(backend) = serving(tables, &mut self.loads, &mut flow) else {
            return ending::tell(
                &self.counters,
                scene,
                burst,
                index,
                packet,
                &mut self.loads,
                (&mut flow, numbers),
            );
        };
        let metered = policing(tables, backend);
        if let Some(metered) = metered {
            let asking = Asking::of(packet, &flow, from, scene.now);
            self.rates.police(metered, asking).map_err(Verdict::Drop)?;
        }
        if let Some(numbers) = numbers {
            let flow = (&mut flow, numbers);
            match cookies::mediate(scene, burst, index, packet, flow, &backend.patience) {
                Mediated::Passes => {}
                Mediated::Done(decided) => return decided,
                Mediated::Agreed(numbers, decided) => {
                    // It has an entry for them.
                    self.flows.set_numbers(found, numbers);
                    return decided;
                }
            }
        }
        if !begins {
            let counted = loads::counts(flow.conn);
            if state::is_unopened(flow.conn, from, packet.flags)
                && let Some(cell) = self.counters.backends.get(flow.conn.backend as usize)
            {
                cell.unopened.add(1);
            }
            let opening = flow.conn.state == state::OPENING;
            state::advance(flow.conn, from, packet.flags, &backend.patience);
            if opening && flow.conn.state != state::OPENING {
                self.half_open.end(flow.conn);
            }
            if counted && !loads::counts(flow.conn) {
                self.loads.end(flow.conn.backend);
            }
        }
        state::police(flow.conn, metered.is_some());
        if packet.flags & SYN != 0 && packet.key.transport() == TCP {
            room::clamp_segments(scene, burst.frame(index), packet, &mut flow, from);
        }
        pass(&self.counters, scene, burst, index, packet, &mut flow)
    }

    /// For ICMP errors about packets of flows.
    fn forward_error<B: Burst>(
        &mut self,
        scene: &Scene,
        burst: &mut B,
        index: usize,
        packet: &Packet,
        wide: Option<WideAddresses>,
    ) -> Result<PortIndex, Verdict> {
        let tables = scene.tables;
        let found = self.flows.view().find(packet.key, packet.place, wide.as_ref());
        let numbers = self.flows.numbers(found);
        let unknown = self.unknown(scene, packet, wide);
        let mut flow = self.flows.flow(found).ok_or(unknown)?;
        backend_of(tables, &mut self.loads, &mut flow).ok_or(Verdict::Drop(DropReason::MemberGone))?;
        pass_error(scene, burst, index, &Packet { found, ..*packet }, (&mut flow, numbers))
    }

    /// What becomes of an error about a packet of no flow.
    fn unknown(&self, scene: &Scene, packet: &Packet, wide: Option<WideAddresses>) -> Verdict {
        let Ends { source, destination } = packet.ends(wide.as_ref());
        if scene.tables.service(destination).is_some() {
            return self.elsewhere(source).unwrap_or(Verdict::Drop(DropReason::NoFlow));
        }
        self.elsewhere(destination).unwrap_or_else(|| scene.no_reply(source, destination))
    }

    /// Begins a flow, if the packet may and is ours.
    fn begin(
        &mut self,
        scene: &Scene,
        packet: &Packet,
        wide: Option<WideAddresses>,
    ) -> Result<Found, Verdict> {
        let service = self.asked(scene, packet, wide.as_ref())?;
        let begun = self.open(scene.tables, scene.now, (packet, wide), service).map_err(Verdict::Drop)?;
        if packet.key.transport() == TCP
            && let Some(guard) = scene.tables.guard(service)
            && let Some(flow) = self.flows.flow(begun)
        {
            self.half_open.begin(flow.conn, guard);
        }
        Ok(begun)
    }

    /// The service that a packet of no flow asks for a flow, if it may begin one here.
    fn asked(&self, scene: &Scene, packet: &Packet, wide: Option<&WideAddresses>) -> Result<u32, Verdict> {
        let Scene { tables, strangers, .. } = *scene;
        let Ends { source, destination } = packet.ends(wide);
        let Some(service) = tables.service(destination) else {
            let is_reply = tables.is_member(source) && !tables.is_local(destination.address);
            if !is_reply && !tables.is_answered_by(source) {
                return Err(strangers);
            }
            return Err(self.elsewhere(destination).unwrap_or_else(|| scene.no_reply(source, destination)));
        };
        if let Some(handoff) = self.elsewhere(source) {
            return Err(handoff);
        }
        if !state::asks(packet.key.transport(), packet.flags) {
            return Err(Verdict::Drop(DropReason::NoFlow));
        }
        Ok(service)
    }

    fn open(
        &mut self,
        tables: &Tables,
        now: u32,
        (packet, wide): (&Packet, Option<WideAddresses>),
        service: u32,
    ) -> Result<Found, DropReason> {
        let flow = self.plan(tables, now, (packet, wide), service)?;
        let is_wide = flow.wide.is_some();
        let Self { flows, loads, half_open, .. } = self;
        let gone = |gone: &mut Conn| {
            loads.forget(gone);
            half_open.end(gone);
        };
        if !flows.has_room(is_wide) && !flows.evict(now, is_wide, gone) {
            return Err(DropReason::FlowTableFull);
        }
        let begun = self.flows.insert(&flow).ok_or(DropReason::FlowTableFull)?;
        let (chosen, _) = flow.backend;
        self.loads.begin(chosen);
        if let Some(metered) = tables.metered(service) {
            self.rates.begun(metered, packet.ends(wide.as_ref()).source.address, now);
        }
        if let Some(cell) = self.counters.backends.get(chosen as usize) {
            cell.connections.add(1);
        }
        if let Some(keeping) = tables.keeping(chosen) {
            self.picker.keep(keeping, packet.ends(wide.as_ref()).source.address, chosen, now);
        }
        Ok(begun)
    }

    /// The flow that a packet would begin.
    fn plan(
        &mut self,
        tables: &Tables,
        now: u32,
        (packet, wide): (&Packet, Option<WideAddresses>),
        service: u32,
    ) -> Result<NewFlow, DropReason> {
        let ends = packet.ends(wide.as_ref());
        self.picker.admit(tables, service, ends.source.address)?;
        if let Some(metered) = tables.metered(service) {
            let client = Some(ends.source.address);
            self.rates.admits(metered, Asking { client, bits: packet.bytes() * 8, now })?;
        }
        let chosen = self.picker.pick(tables, service, &self.loads, &ends, now)?;
        let backend = tables.backend(chosen).ok_or(DropReason::NoMember)?;
        let offered = ends.destination;
        let member = backend.end(offered);
        let local = self.local_end(tables, service, (backend.mode, member), ends.source)?;
        let reply = Ends { source: member, destination: local };
        let (from_member, wide_reply) = reply.key(self.flows.secret()).ok_or(DropReason::NoMember)?;
        Ok(NewFlow {
            keys: [packet.key, from_member],
            wide: wide.zip(wide_reply).map(|(there, back)| Wide([there, back])),
            deltas: deltas(&[(ends.source, local), (offered, member)]),
            backend: (chosen, tables.epoch),
            mode: backend.mode,
            now,
            timeout: backend.patience.opening,
        })
    }

    /// Whom a member sees: the client, or with full NAT an end of ours that this worker owns.
    fn local_end(
        &mut self,
        tables: &Tables,
        service: u32,
        (mode, member): (Mode, Endpoint),
        client: Endpoint,
    ) -> Result<Endpoint, DropReason> {
        if !mode.masks() {
            return Ok(client);
        }
        let Self { local_ports, flows, .. } = self;
        let addresses = tables.local_addresses(service);
        let is_free = |local| {
            let reply = Ends { source: member, destination: local };
            let key = reply.key(flows.secret());
            key.is_some_and(|(key, wide)| flows.find(key, wide.as_ref()) == Found::NOTHING)
        };
        local_ports.choose(addresses, client.protocol, owner, is_free).ok_or(DropReason::NoLocalPort)
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

/// The rates of a backend's service, if each packet is looked at.
fn policing<'tables>(tables: &'tables Tables, backend: &Backend) -> Option<&'tables Metered> {
    tables.metered(backend.service).filter(|metered| metered.polices())
}

impl Asking {
    /// A packet of a flow, from one of its ends.
    fn of(packet: &Packet, flow: &Flow<'_>, from: Direction, now: u32) -> Self {
        let client = (from == Direction::FromClient).then(|| flow.ends(from).source.address);
        Self { client, bits: packet.bytes() * 8, now }
    }
}

/// Whether the sender of a packet that was not taken for this reason is told.
fn refuses(tables: &Tables, packet: &Packet, wide: Option<&WideAddresses>, reason: DropReason) -> bool {
    matches!(reason, DropReason::NoMember | DropReason::MembersFull | DropReason::ServiceFull)
        && tables.service(packet.ends(wide).destination).is_some_and(|service| tables.refuses(service))
}

/// The worker that owns all flows of a client's address and port: the same for both directions.
fn owner(client: Endpoint, workers: u16) -> u16 {
    let mixed = ((u64::from(digest(client.address)) << 16) | u64::from(client.port))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (((mixed >> 32) * u64::from(workers)) >> 32) as u16
}

impl<'tables> Scene<'tables> {
    /// Whether the frame that begins with this word is to the port itself.
    #[inline]
    fn is_to_us(&self, first: u64) -> bool {
        first & MAC_MASK == self.mac_word
    }

    /// What becomes of a packet of no flow, sent from where members answer.
    fn no_reply(&self, source: Endpoint, destination: Endpoint) -> Verdict {
        // A member that answers by many ports may have sent it of its own accord.
        if self.tables.is_one_of_many(source) && !self.tables.masks(destination.address) {
            return self.strangers;
        }
        Verdict::Drop(DropReason::NoFlow)
    }

    fn at(tables: &'tables Tables, now: u32, port: PortIndex) -> Option<Self> {
        let view = tables.ports.get(usize::from(port.0))?;
        let strangers = match view.strangers {
            Strangers::Punt => Verdict::Punt,
            Strangers::Drop => Verdict::Drop(DropReason::NotOurs),
        };
        let [a, b, c, d, e, f] = view.mac.0;
        let mac_word = u64::from_ne_bytes([a, b, c, d, e, f, 0, 0]);
        let sums = view.checksum == ChecksumMode::Full;
        Some(Self { tables, now, port, mac: view.mac, mac_word, sums, strangers })
    }
}

/// Reads a frame that is as nearly all are: to this port, of this protocol over IPv4 without options, whole. Says whether it
/// is.
#[expect(clippy::needless_bitwise_bool, reason = "one branch instead of seven")]
#[inline]
fn glance<const PROTOCOL: u8>(scene: &Scene, frame: &[u8], packet: &mut Packet) -> bool {
    let Some(head) = frame.first_chunk::<USUAL_LEN>() else { return false };
    // Three words hold all that decides.
    let (to, kind, rest) = (word(head, 0), word(head, 8), word(head, 16));
    let [len_high, len_low, _, _, _, _, ttl, _] = rest.to_ne_bytes();
    let total = usize::from(u16::from_be_bytes([len_high, len_low]));
    let (segment, least) = match PROTOCOL {
        TCP => (usize::from(head[46] >> 4) * 4, tcp::MIN_LEN),
        _ => (usize::from(u16::from_be_bytes([head[38], head[39]])), udp::LEN),
    };
    let protocol = u64::from_ne_bytes([0, 0, 0, 0, 0, 0, 0, PROTOCOL]);
    // All at once: one branch that is nearly never taken.
    let usual = scene.is_to_us(to)
        & (kind & USUAL_KIND_MASK == USUAL_KIND)
        & (rest & USUAL_REST_MASK == protocol)
        & (ttl > 1)
        & (segment >= least)
        & (ipv4::MIN_LEN + segment <= total)
        & (eth::LEN + total <= frame.len());
    let [.., a, b, c, d, e, f, g, h] = head[..34] else { return false };
    packet.key.addresses = u64::from_ne_bytes([a, b, c, d, e, f, g, h]);
    packet.key.ports = u32::from_ne_bytes([head[34], head[35], head[36], head[37]]);
    packet.key.protocol = PROTOCOL;
    (packet.flags, packet.stage) =
        if PROTOCOL == TCP { (head[47], Stage::Usual) } else { (0, Stage::UsualUdp) };
    packet.payload = (eth::LEN + ipv4::MIN_LEN) as u16;
    packet.end = (eth::LEN + total) as u16;
    usual
}

/// Eight bytes as they lie in memory.
#[inline]
fn word(head: &[u8; USUAL_LEN], at: usize) -> u64 {
    head[at..].first_chunk::<8>().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// Reads the headers of any frame: a packet that may be of a flow, or the verdict.
#[cold]
fn read(
    scene: &Scene,
    view: &View,
    frame: &[u8],
    bad_checksum: bool,
    packet: &mut Packet,
) -> Result<(), Verdict> {
    let Scene { tables, strangers, .. } = *scene;
    let dropped = Verdict::Drop;
    if bad_checksum {
        return Err(dropped(DropReason::BadChecksum));
    }
    let head = frame.first_chunk::<{ eth::LEN }>().ok_or(dropped(DropReason::Truncated))?;
    if eth::destination(head) != scene.mac {
        return Err(for_others(head, scene.mac, strangers));
    }
    match eth::ethertype(head) {
        eth::IPV4 => {}
        eth::IPV6 => return ipv6::read(scene, view, frame, packet),
        _ => return Err(strangers),
    }
    let ip = Ipv4::parse(frame).map_err(dropped)?;
    match ip.protocol {
        TCP | UDP => {}
        ICMP => return read_error(scene, frame, &ip, packet),
        _ => return Err(strangers),
    }
    if ip.fragment {
        if !tables.may_be_ours(ip.source(), ip.destination()) {
            return Err(strangers);
        }
        packet.key = Key { addresses: ip.addresses, ports: 0, protocol: ip.protocol };
        (packet.flags, packet.stage) = (NEVER_PLAIN, Stage::Piece);
        (packet.payload, packet.end) = (ip.payload as u16, ip.end as u16);
        return Ok(());
    }
    let segment = frame.get(ip.payload..ip.end).ok_or(dropped(DropReason::Truncated))?;
    let (ports, flags) = if ip.protocol == TCP {
        let Tcp { ports, flags } = Tcp::parse(segment).map_err(dropped)?;
        (ports, flags)
    } else {
        (udp::ports(segment).map_err(dropped)?, 0)
    };
    packet.key = Key { addresses: ip.addresses, ports, protocol: ip.protocol };
    if ip.ttl <= 1 {
        return Err(on_last_hop(tables, packet.ends(None), strangers));
    }
    packet.flags = flags;
    packet.stage = Stage::Unusual;
    (packet.payload, packet.end) = (ip.payload as u16, ip.end as u16);
    Ok(())
}

/// An ICMP message: an error about a packet of a service's, or the verdict.
#[cold]
fn read_error(scene: &Scene, frame: &[u8], ip: &Ipv4, packet: &mut Packet) -> Result<(), Verdict> {
    let Scene { tables, strangers, .. } = *scene;
    if ip.fragment {
        return Err(strangers);
    }
    let message = frame.get(ip.payload..ip.end).ok_or(Verdict::Drop(DropReason::Truncated))?;
    let quoted = icmp::quoted(message).ok_or(strangers)?;
    // As if the packet that is quoted came back: by this its flow is known.
    packet.key = Key {
        addresses: quoted.addresses.rotate_left(32),
        ports: quoted.ports.rotate_left(16),
        protocol: quoted.protocol,
    };
    let Ends { source, destination } = packet.ends(None);
    let to_member = tables.is_member(source) && !tables.is_local(ip.destination());
    if tables.service(destination).is_none() && !to_member {
        return Err(strangers);
    }
    if !errors::has_right_checksum(message) {
        return Err(Verdict::Drop(DropReason::BadChecksum));
    }
    if ip.ttl <= 1 {
        return Err(Verdict::Drop(DropReason::TtlExpired));
    }
    (packet.flags, packet.stage) = (NEVER_PLAIN, Stage::Error);
    (packet.payload, packet.end) = (ip.payload as u16, ip.end as u16);
    Ok(())
}

/// A frame to another Ethernet address than the port's.
#[cold]
fn for_others(head: &[u8; eth::LEN], own: MacAddr, strangers: Verdict) -> Verdict {
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
fn on_last_hop(tables: &Tables, ends: Ends, strangers: Verdict) -> Verdict {
    let Ends { source, destination } = ends;
    let reply = tables.is_member(source) && !tables.is_local(destination.address);
    if tables.service(destination).is_some() || reply {
        Verdict::Drop(DropReason::TtlExpired)
    } else {
        strangers
    }
}

/// The backend of a flow. If the tables are others than when it was last looked up, it is looked up again, and the next hops
/// have to be.
fn backend_of<'tables>(
    tables: &'tables Tables,
    loads: &mut Loads,
    flow: &mut Flow<'_>,
) -> Option<&'tables Backend> {
    if flow.conn.epoch != tables.epoch {
        let offered = flow.ends(Direction::FromClient).destination;
        let member = flow.ends(Direction::FromMember).source;
        let local = flow.ends(Direction::FromMember).destination.address;
        let conn = &mut *flow.conn;
        let slot = tables.backend_slot(offered, member)?;
        let mode = Mode::of(conn);
        if tables.backend(slot)?.mode != mode || mode == Mode::Masked && !tables.masks(local) {
            return None;
        }
        if conn.backend != slot {
            loads.forget(conn);
            conn.backend = slot;
            if loads::counts(conn) {
                loads.begin(slot);
            }
        }
        (conn.next_hops, conn.epoch) = ([NOBODY; 2], tables.epoch);
    }
    tables.backend(flow.conn.backend)
}

/// The same, unless the flow was ended.
fn serving<'tables>(
    tables: &'tables Tables,
    loads: &mut Loads,
    flow: &mut Flow<'_>,
) -> Option<&'tables Backend> {
    let backend = backend_of(tables, loads, flow);
    backend.filter(|_| flow.conn.state != state::ENDING)
}

/// As long as a client has a flow, it keeps its member.
fn renew(picker: &Picker, tables: &Tables, flow: &Flow<'_>, now: u32) {
    if flow.conn.epoch == tables.epoch
        && let Some(keeping) = tables.keeping(flow.conn.backend)
    {
        picker.renew(keeping, flow.ends(Direction::FromClient).source.address, flow.conn.backend, now);
    }
}

/// Whether the member of a flow was removed or disabled. As long as nothing was published, nobody was.
fn is_orphan(tables: &Tables, loads: &mut Loads, flow: &mut Flow<'_>) -> bool {
    let epoch = flow.conn.epoch;
    let older = epoch == NO_EPOCH || epoch.wrapping_sub(tables.backends_since).cast_signed() < 0;
    older && tables.generation != Generation::default() && backend_of(tables, loads, flow).is_none()
}

/// Whether a client's SYN finds a flow that is over, or whose member is gone, or one whose handshake was done with a cookie and whose client
/// knows nothing of that.
fn is_superseded(tables: &Tables, loads: &mut Loads, flow: &mut Flow<'_>, from: Direction) -> bool {
    from == Direction::FromClient
        && (state::is_over(flow.conn.state)
            || state::is_calling(flow.conn)
            || backend_of(tables, loads, flow).is_none())
}

/// Translates an error of ICMP about a packet of a flow, and finds its next hop.
fn pass_error<B: Burst>(
    scene: &Scene,
    burst: &mut B,
    index: usize,
    packet: &Packet,
    (flow, numbers): (&mut Flow<'_>, Option<Numbers>),
) -> Result<PortIndex, Verdict> {
    let from = packet.found.direction();
    let hop = next_hop(scene.tables, flow, from);
    match Mode::of(flow.conn) {
        Mode::Wrapped if from == Direction::FromClient => {
            return room::wrap(scene, burst, index, packet, flow.conn.backend, hop);
        }
        Mode::Direct | Mode::Wrapped => {}
        Mode::Translated | Mode::Masked | Mode::MaskedDirect | Mode::MaskedWrapped => {
            let (payload, end) = (usize::from(packet.payload), usize::from(packet.end));
            if let Some(numbers) = numbers.filter(|_| from == Direction::FromClient) {
                translate_quoted(burst.frame(index), payload, end, packet.key.is_wide(), &numbers);
            }
            errors::translate(burst.frame(index), payload, end, flow, from);
        }
    }
    let hop = hop?;
    hop.address_frame(burst.frame(index));
    Ok(hop.port)
}

/// Rewrites a packet of a flow and finds its next hop.
#[inline]
fn pass<B: Burst>(
    counters: &WorkerCounters,
    scene: &Scene,
    burst: &mut B,
    index: usize,
    packet: &Packet,
    flow: &mut Flow<'_>,
) -> Result<PortIndex, Verdict> {
    let from = packet.found.direction();
    let hop = next_hop(scene.tables, flow, from);
    let (conn, way) = (&mut *flow.conn, from as usize);
    if conn.last_seen != scene.now {
        conn.last_seen = scene.now;
    }
    if let Some(cell) = counters.backends.get(conn.backend as usize) {
        cell.packets[way].add(1);
        cell.bytes[way].add(packet.bytes());
    }
    let mode = Mode::of(conn);
    if mode.wraps() && from == Direction::FromClient {
        if mode == Mode::MaskedWrapped {
            room::mask(burst.frame(index), packet, conn, flow.wide);
        }
        return room::wrap(scene, burst, index, packet, conn.backend, hop);
    }
    let too_big = hop.is_ok_and(|hop| packet.bytes() > u64::from(hop.mtu));
    let frame = burst.frame(index);
    if too_big && room::may_not_be_cut(packet, frame) {
        return Err(room::too_big_for(scene, burst, index, packet, hop?.mtu.into()));
    }
    let onward = Onward::of(conn, from);
    match frame.first_chunk_mut::<USUAL_LEN>() {
        _ if !mode.replies_return() => {}
        _ if let Some(wide) = flow.wide => {
            let onward = OnwardV6::of(conn, wide, from);
            if packet.stage == Stage::LaterPiece {
                onward.write_head(frame);
            } else {
                onward.write(frame, usize::from(packet.payload), packet.key.transport());
            }
        }
        Some(head) if packet.stage == Stage::Usual => onward.write_usual::<TCP>(head),
        Some(head) if packet.stage == Stage::UsualUdp => onward.write_usual::<UDP>(head),
        _ if packet.stage == Stage::LaterPiece => onward.write_head(frame),
        _ => onward.write(frame, usize::from(packet.payload), packet.key.protocol),
    }
    if scene.sums && !packet.is_piece() {
        sum_segment(frame, usize::from(packet.payload), usize::from(packet.end), packet.key);
    }
    let hop = hop?;
    hop.address_frame(frame);
    if too_big {
        room::cut(burst, index, packet, hop)?;
    }
    Ok(hop.port)
}

/// The next hop of a flow's packets from one end.
#[inline]
fn next_hop<'tables>(
    tables: &'tables Tables,
    flow: &mut Flow<'_>,
    from: Direction,
) -> Result<&'tables NextHop, Verdict> {
    match tables.next_hops.get(flow.conn.next_hops[from as usize] as usize) {
        Some(hop) if hop.resolved => Ok(hop),
        _ => seek(tables, flow, from),
    }
}

/// Looks for the next hop of a flow's packets, and remembers it once it is there.
#[cold]
fn seek<'tables>(
    tables: &'tables Tables,
    flow: &mut Flow<'_>,
    from: Direction,
) -> Result<&'tables NextHop, Verdict> {
    // What comes from one end goes to where the other end's packets come from.
    let destination = match tables.probed(flow.conn.backend) {
        // A check is answered from the service's own end, where the member is not looked for.
        Some(member) if from == Direction::FromClient => member,
        _ => flow.ends(from.other()).source.address,
    };
    let conn = &mut *flow.conn;
    let is_direct = Mode::of(conn).is_direct() && from == Direction::FromClient;
    let no_route = Verdict::Drop(DropReason::NoRoute);
    let slot = match tables.next_hop_towards(destination).ok_or(no_route)? {
        // A router would send what is for the virtual IP back to us.
        Ok(slot) if is_direct && !tables.is_neighbour(slot, destination) => return Err(no_route),
        Err(awaited) if is_direct && awaited.address != destination => return Err(no_route),
        slot => slot.map_err(Verdict::Hold)?,
    };
    let hop = tables.next_hops.get(slot as usize).ok_or(no_route)?;
    conn.next_hops[from as usize] = slot;
    if hop.resolved { Ok(hop) } else { Err(Verdict::Hold(hop.awaited())) }
}
