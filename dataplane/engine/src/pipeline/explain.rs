//! What would become of a frame: the stages of a burst once more, with copies of all that they would change. No flow begins, no
//! scheduler takes a turn, no counter rises.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use lb_mem::WIDE;
use lb_model::counters::DropReason;
use lb_model::explain::{Choice, NetworkRule, PacketEnds};
use lb_model::flow::SeenFlow;
use lb_model::snapshot::L4Protocol;
use lb_model::{MacAddr, MemberId, VirtualServiceId};

use super::cookies::{Greeting, Mediated};
use super::sight::{endpoint, see, socket};
use super::{
    Burst, Engine, Packet, Scene, Stage, backend_of, cookies, ending, ipv6, is_superseded, next_hop, pass,
    pass_error, policing, refuses, room, serving,
};
use crate::counters::WorkerCounters;
use crate::ends::Ends;
use crate::errors::sum_at;
use crate::flow::{Found, Key, Numbers, Trial, WideAddresses};
use crate::loads::Loads;
use crate::network::{raw, words};
use crate::rates::Asking;
use crate::rewrite::{Mode, store, sum_segment};
use crate::state;
use crate::tables::Tables;
use crate::verdict::{PortIndex, Verdict};
use crate::wire::tcp::SYN;
use crate::wire::{TCP, eth, ipv4, ipv6 as ip6, tcp, udp};

/// What may grow before and behind a frame.
const SPARE: usize = 256;
const HOPS: u8 = 64;

/// A frame to be explained; afterwards, what it has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    frame: Vec<u8>,
    /// The piece that was cut off it last.
    piece: Vec<u8>,
}

/// What would become of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// How it ends.
    pub verdict: Verdict,
    /// Why it is dropped, or answered.
    pub reason: Option<DropReason>,
    /// What it was read as.
    pub packet: Option<PacketEnds>,
    /// The service that it is for, or is of.
    pub service: Option<VirtualServiceId>,
    /// What the service's networks say of its client.
    pub network: Option<NetworkRule>,
    /// The flow that it belongs to.
    pub flow: Option<SeenFlow>,
    /// The member that it goes to, or comes from.
    pub member: Option<MemberId>,
    /// Why that one.
    pub choice: Option<Choice>,
    /// How it leaves, unless it is an answer.
    pub leaving: Option<Leaving>,
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The neighbour.
    pub next_hop: IpAddr,
    /// Its ends then, without what it may be wrapped in; none for an error of ICMP.
    pub packet: Option<PacketEnds>,
}

impl Sample {
    /// A captured frame.
    pub fn new(frame: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(frame.len() + SPARE);
        bytes.extend_from_slice(frame);
        // So that nothing is allocated where it is explained.
        Self { frame: bytes, piece: Vec::with_capacity(frame.len() + SPARE) }
    }

    /// A packet without a payload, sent to a port. Nothing if its ends are of different families.
    pub fn of(ends: &PacketEnds, flags: u8, to: MacAddr) -> Option<Self> {
        let PacketEnds { protocol, source, destination } = *ends;
        let len = match protocol {
            L4Protocol::Tcp => tcp::MIN_LEN,
            L4Protocol::Udp => udp::LEN,
        };
        let (mut frame, payload, wide) = match (source.ip(), destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let head = header(raw(from), raw(to), protocol, len);
                (head, eth::LEN + ipv4::MIN_LEN, 0)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                (header_v6([words(from), words(to)], protocol, len), eth::LEN + ip6::LEN, WIDE)
            }
            _ => return None,
        };
        store(&mut frame, 0, to.0);
        let [from, to] = [source, destination].map(|end| endpoint(protocol, end).port);
        store(&mut frame, payload, tcp::pair(from, to).to_ne_bytes());
        match protocol {
            L4Protocol::Tcp => store(&mut frame, payload + 12, [0x50, flags, 0xff, 0xff]),
            L4Protocol::Udp => {
                store(&mut frame, payload + udp::LENGTH, [0, udp::LEN as u8]);
                // Zero would say that there is no checksum.
                store(&mut frame, payload + udp::CHECKSUM, [1, 0]);
            }
        }
        let key = Key { protocol: protocol.number() | wide, ..Key::default() };
        sum_segment(&mut frame, payload, payload + len, key);
        Some(Self::new(&frame))
    }

    /// The frame as it is now.
    pub fn frame(&self) -> &[u8] {
        &self.frame
    }
}

fn header(from: u32, to: u32, protocol: L4Protocol, len: usize) -> Vec<u8> {
    let mut frame = vec![0; eth::LEN + ipv4::MIN_LEN + len];
    store(&mut frame, eth::LEN - 2, eth::IPV4.to_ne_bytes());
    let [high, low] = ((ipv4::MIN_LEN + len) as u16).to_be_bytes();
    store(&mut frame, eth::LEN, [0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, protocol.number()]);
    store(&mut frame, ipv4::SOURCE, ipv4::pair(from, to).to_ne_bytes());
    sum_at(&mut frame, eth::LEN, eth::LEN + ipv4::MIN_LEN, ipv4::CHECKSUM);
    frame
}

fn header_v6(addresses: [[u64; 2]; 2], protocol: L4Protocol, len: usize) -> Vec<u8> {
    let mut frame = vec![0; eth::LEN + ip6::LEN + len];
    store(&mut frame, eth::LEN - 2, eth::IPV6.to_ne_bytes());
    let [high, low] = (len as u16).to_be_bytes();
    store(&mut frame, eth::LEN, [0x60, 0, 0, 0, high, low, protocol.number(), HOPS]);
    for (place, word) in addresses.iter().flatten().enumerate() {
        store(&mut frame, ip6::SOURCE + 8 * place, word.to_ne_bytes());
    }
    frame
}

impl Burst for Sample {
    fn len(&self) -> usize {
        1
    }

    fn frame(&mut self, _index: usize) -> &mut [u8] {
        &mut self.frame
    }

    fn has_bad_checksum(&self, _index: usize) -> bool {
        false
    }

    fn prefetch(&self, _index: usize) {}

    fn prepend(&mut self, _index: usize, count: usize) -> bool {
        self.frame.splice(..0, std::iter::repeat_n(0, count));
        true
    }

    fn truncate(&mut self, _index: usize, len: usize) {
        self.frame.truncate(len);
    }

    fn is_handed_over(&self) -> bool {
        false
    }

    fn again(&mut self, _frame: &[u8], _port: PortIndex) {}

    fn originate(
        &mut self,
        _index: usize,
        part: Range<usize>,
        front: usize,
        _to: PortIndex,
    ) -> Option<&mut [u8]> {
        let Self { frame, piece } = self;
        piece.clear();
        piece.resize(front, 0);
        piece.extend_from_slice(frame.get(part)?);
        Some(piece)
    }
}

impl Engine {
    /// Says what [`Engine::process`] would do with a frame from `port`, and does it to the sample alone.
    pub fn explain(&mut self, tables: &Tables, now: u32, port: PortIndex, sample: &mut Sample) -> Explained {
        let mut told = Explained::undecided();
        told.verdict = match Scene::at(tables, now, port) {
            Some(scene) => self.rehearse(&scene, sample, &mut told).map_or_else(|other| other, Verdict::Send),
            None => Verdict::Drop(DropReason::NotOurs),
        };
        if let Verdict::Drop(reason) = told.verdict {
            told.reason = Some(reason);
        }
        told
    }

    fn rehearse(
        &mut self,
        scene: &Scene,
        sample: &mut Sample,
        told: &mut Explained,
    ) -> Result<PortIndex, Verdict> {
        let mut decided = [Verdict::Punt];
        self.parse(scene, sample, &mut decided);
        let packet = self.packets[0];
        if packet.stage == Stage::Decided {
            return Err(decided[0]);
        }
        let packet = match packet.stage {
            Stage::Piece => self.resolve(scene, &sample.frame, &packet, false)?.packet?,
            _ => packet,
        };
        let tables = scene.tables;
        let wide = packet.key.is_wide().then(|| ipv6::addresses(&sample.frame, &packet));
        told.packet = ends_of(packet.ends(wide.as_ref()));
        // It counts for nobody.
        let mut loads = Loads::new(Arc::new(WorkerCounters::for_backends(0)));
        let mut visitor = None;
        let (met, gives_way) = self.met(scene, &packet, wide, &mut loads);
        let (found, mut trial, numbers) = match met {
            Some((found, mut trial)) => {
                told.flow = trial.flow().and_then(|flow| see(tables, scene.now, self.worker, &flow));
                told.choice = Some(Choice::Flow);
                (found, trial, self.flows.numbers(found))
            }
            None if packet.stage == Stage::Error => return Err(self.unknown(scene, &packet, wide)),
            None if packet.stage == Stage::LaterPiece => return Err(Verdict::Drop(DropReason::NoFlow)),
            None => match self.greet_instead(gives_way, scene, sample, &packet, wide, (told, &mut visitor)) {
                Err(Verdict::Drop(reason)) if refuses(tables, &packet, wide.as_ref(), reason) => {
                    told.reason = Some(reason);
                    return Err(room::refuse(scene, sample, 0, &packet, reason));
                }
                begun => (Found::TRIED_ON, begun?, None),
            },
        };
        let packet = Packet { found, ..packet };
        let mut flow = trial.flow().ok_or(Verdict::Drop(DropReason::NoFlow))?;
        let is_error = packet.stage == Stage::Error;
        let backend = if is_error {
            backend_of(tables, &mut loads, &mut flow)
        } else {
            serving(tables, &mut loads, &mut flow)
        };
        if let Some((service, member)) = tables.parties(flow.conn.backend) {
            (told.service, told.member) = (Some(service), Some(member));
        }
        let from = found.direction();
        let metered = backend.and_then(|backend| policing(tables, backend));
        if let Some(metered) = metered.filter(|_| !is_error && visitor.is_none()) {
            let asking = Asking::of(&packet, &flow, from, scene.now);
            self.rates.passes(metered, asking).map_err(Verdict::Drop)?;
        }
        let counters = WorkerCounters::for_backends(0);
        let mediated = match (numbers, backend) {
            (Some(numbers), Some(backend)) if !is_error && packet.stage != Stage::LaterPiece => {
                let flow = (&mut flow, numbers);
                match cookies::mediate(scene, sample, 0, &packet, flow, &backend.patience) {
                    Mediated::Passes => None,
                    Mediated::Done(decided) | Mediated::Agreed(_, decided) => Some(decided),
                }
            }
            _ => visitor.map(|numbers| cookies::call(scene, sample, 0, &mut flow, &numbers)),
        };
        let passed = if let Some(decided) = mediated {
            decided
        } else if is_error {
            backend.ok_or(Verdict::Drop(DropReason::MemberGone))?;
            pass_error(scene, sample, 0, &packet, (&mut flow, numbers))
        } else if backend.is_none() {
            ending::tell(&counters, scene, sample, 0, &packet, &mut loads, (&mut flow, numbers))
        } else {
            if packet.flags & SYN != 0 && packet.key.transport() == TCP {
                room::clamp_segments(scene, &mut sample.frame, &packet, &mut flow, from);
            }
            pass(&counters, scene, sample, 0, &packet, &mut flow)
        };
        let next_hop = match next_hop(tables, &mut flow, from) {
            Ok(hop) => Some(hop.address),
            Err(Verdict::Hold(awaited)) => Some(awaited.address),
            Err(_) => None,
        };
        let ends = if Mode::of(flow.conn).replies_return() {
            flow.ends(from.other()).reversed()
        } else {
            packet.ends(wide.as_ref())
        };
        if matches!(passed, Ok(_) | Err(Verdict::Hold(_))) {
            let ends = Some(ends).filter(|_| !is_error);
            told.leaving = next_hop.map(|next_hop| Leaving { next_hop, packet: ends.and_then(ends_of) });
        }
        passed
    }

    /// A copy of the flow that a packet is of; or of one that is to give way to a new one.
    fn met(
        &mut self,
        scene: &Scene,
        packet: &Packet,
        wide: Option<WideAddresses>,
        loads: &mut Loads,
    ) -> (Option<(Found, Trial)>, Option<Trial>) {
        let found = self.flows.view().find(packet.key, packet.place, wide.as_ref());
        let Some(mut trial) = self.flows.copy(found) else { return (None, None) };
        let is_whole = !matches!(packet.stage, Stage::Error | Stage::LaterPiece);
        let asks = is_whole && state::asks(packet.key.transport(), packet.flags);
        let superseded = |mut flow| is_superseded(scene.tables, loads, &mut flow, found.direction());
        if asks && trial.flow().is_some_and(superseded) {
            (None, Some(trial))
        } else {
            (Some((found, trial)), None)
        }
    }

    /// What would become of a packet of no flow once the one that gives way to it is forgotten.
    fn greet_instead(
        &mut self,
        gives_way: Option<Trial>,
        scene: &Scene,
        sample: &mut Sample,
        packet: &Packet,
        wide: Option<WideAddresses>,
        (told, visitor): (&mut Explained, &mut Option<Numbers>),
    ) -> Result<Trial, Verdict> {
        let before = gives_way.and_then(|mut gone| self.loads.forget_on_trial(gone.flow()?.conn));
        let greeted = self.greet_on_trial(scene, sample, packet, wide, told, visitor);
        if let Some(before) = before {
            self.loads.recall(before);
        }
        greeted
    }

    /// What would become of a packet of no flow: what cookies have to do with it, or what would begin with it.
    fn greet_on_trial(
        &mut self,
        scene: &Scene,
        sample: &mut Sample,
        packet: &Packet,
        wide: Option<WideAddresses>,
        told: &mut Explained,
        visitor: &mut Option<Numbers>,
    ) -> Result<Trial, Verdict> {
        let greeting = self.greeting(scene, &sample.frame, packet, wide.as_ref());
        let destination = packet.ends(wide.as_ref()).destination;
        let service = scene.tables.service(destination).filter(|_| greeting.is_some());
        told.service = service.and_then(|service| scene.tables.service_id(service));
        match greeting {
            None => {
                let asked = self.asked(scene, packet, wide.as_ref());
                self.begin_on_trial(scene, packet, wide, told, asked)
            }
            Some(Greeting::Cookie(_, answer)) => Err(cookies::reply(scene, sample, 0, &answer)),
            Some(Greeting::Forged) => Err(Verdict::Drop(DropReason::BadCookie)),
            Some(Greeting::Pieces) => Err(Verdict::Drop(DropReason::Fragment)),
            Some(Greeting::Visitor(service, numbers)) => {
                *visitor = Some(numbers);
                self.begin_on_trial(scene, packet, wide, told, Ok(service)).map_err(|verdict| match verdict {
                    Verdict::Drop(reason) => {
                        told.reason = Some(reason);
                        room::refuse(scene, sample, 0, packet, reason)
                    }
                    other => other,
                })
            }
        }
    }

    /// What would begin with a packet of no flow that asks this service.
    fn begin_on_trial(
        &mut self,
        scene: &Scene,
        packet: &Packet,
        wide: Option<WideAddresses>,
        told: &mut Explained,
        asked: Result<u32, Verdict>,
    ) -> Result<Trial, Verdict> {
        let Scene { tables, now, .. } = *scene;
        let ends = packet.ends(wide.as_ref());
        told.service = tables.service(ends.destination).and_then(|service| tables.service_id(service));
        let service = asked?;
        let gate = tables.gate(service).filter(|gate| gate.has_rules());
        told.network = gate.map(|gate| gate.rule(ends.source.address));

        let (memory, ports) = (self.picker.memory(service), self.local_ports);
        let favourite = self.picker.favourite(tables, service, &self.loads, &ends);
        self.picker.recall(service, memory);
        let planned = self.plan(tables, now, (packet, wide), service);
        self.picker.recall(service, memory);
        self.local_ports = ports;

        let flow = planned.map_err(Verdict::Drop)?;
        let (chosen, _) = flow.backend;
        let member = |slot| tables.parties(slot).map(|(_, member)| member);
        let instead_of = favourite.filter(|first| *first != chosen);
        told.member = Some(chosen).and_then(member);
        let schedule = tables.schedules.get(service as usize);
        told.choice = schedule.map(|schedule| Choice::Scheduler {
            scheduler: schedule.scheduler,
            instead_of: instead_of.and_then(member),
        });
        let wide = flow.wide.is_some();
        if !self.flows.has_room(wide) && !self.flows.would_evict(now, wide) {
            return Err(Verdict::Drop(DropReason::FlowTableFull));
        }
        Ok(Trial::begun(&flow))
    }
}

impl Explained {
    fn undecided() -> Self {
        Self {
            verdict: Verdict::Punt,
            reason: None,
            packet: None,
            service: None,
            network: None,
            flow: None,
            member: None,
            choice: None,
            leaving: None,
        }
    }
}

fn ends_of(Ends { source, destination }: Ends) -> Option<PacketEnds> {
    let protocol = L4Protocol::from_number(source.protocol)?;
    Some(PacketEnds { protocol, source: socket(source), destination: socket(destination) })
}
