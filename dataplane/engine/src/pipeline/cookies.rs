//! Floods of SYNs to services that answer them with cookies (`cookie.rs`), and the handshake with a member in the place of a client that brought one back: until
//! it is done the client's window is closed, and then it is opened. From there on each side's numbers are translated for the other (`shift.rs`): segments of
//! such flows take the long way, those of others notice nothing.

use lb_model::counters::DropReason;

use super::{Burst, Engine, Outbox, Packet, Scene, backend_of, next_hop, room};
use crate::answer::{Options, Segment};
use crate::cookie::{self, Offer};
use crate::ends::Ends;
use crate::flow::{Direction, Flow, Found, Numbers, WideAddresses};
use crate::half_open::Guard;
use crate::rates::Asking;
use crate::shift::{scaled, translate};
use crate::state::{self, Patience};
use crate::tables::Tables;
use crate::verdict::{PortIndex, Verdict};
use crate::wire::TCP;
use crate::wire::tcp::{self, ACK, FIN, RST, SCALE, SYN};
use crate::{TICKS_PER_SECOND, wire};

/// By how many bits the windows are shifted that clients are told of: what hosts use with some megabytes for a connection.
const OUR_SCALE: u8 = 7;
const MS_PER_TICK: u32 = 1000 / TICKS_PER_SECOND;

/// What a segment of no flow is to a service that answers floods with cookies.
pub(super) enum Greeting {
    /// It asks, and is answered by this.
    Cookie(Guard, Segment),
    /// It brings a cookie back.
    Visitor(u32, Numbers),
    /// It brings what is no cookie of ours.
    Forged,
    /// It asks in pieces, which nobody does in earnest.
    Pieces,
}

/// What becomes of a segment of a flow whose handshake is made here.
pub(super) enum Mediated {
    /// It passes, with the numbers that the other side knows.
    Passes,
    /// It is dealt with.
    Done(Result<PortIndex, Verdict>),
    /// It is dealt with, and these are the flow's numbers now.
    Agreed(Numbers, Result<PortIndex, Verdict>),
}

impl Engine {
    /// For a segment of no flow: what becomes of it, if cookies have to do with it.
    pub(super) fn by_cookie<B: Burst>(
        &mut self,
        scene: &Scene,
        burst: &mut B,
        index: usize,
        packet: &Packet,
        wide: Option<WideAddresses>,
    ) -> Option<Result<PortIndex, Verdict>> {
        if !scene.tables.any_guarded() || packet.key.transport() != TCP {
            return None;
        }
        Some(match self.greeting(scene, burst.frame(index), packet, wide.as_ref())? {
            Greeting::Cookie(guard, answer) => {
                self.half_open.gave(guard, scene.now);
                self.counters.cookies_given.add(1);
                Err(reply(scene, burst, index, &answer))
            }
            Greeting::Visitor(service, numbers) => {
                self.receive(scene, burst, index, (packet, wide), service, numbers)
            }
            Greeting::Forged => Err(Verdict::Drop(DropReason::BadCookie)),
            Greeting::Pieces => Err(Verdict::Drop(DropReason::Fragment)),
        })
    }

    /// What a segment of no flow is; nothing if cookies have nothing to do with it.
    pub(super) fn greeting(
        &self,
        scene: &Scene,
        frame: &[u8],
        packet: &Packet,
        wide: Option<&WideAddresses>,
    ) -> Option<Greeting> {
        let Scene { tables, now, .. } = *scene;
        let ends = packet.ends(wide);
        let service = tables.service(ends.destination)?;
        let guard = tables.guard(service)?;
        if self.elsewhere(ends.source).is_some() {
            return None;
        }
        let segment = frame.get(packet.payload.into()..packet.end.into())?;
        match packet.flags & (SYN | ACK | RST | FIN) {
            SYN if !self.half_open.is_flooded(guard, self.workers) => None,
            SYN if packet.is_piece() => Some(Greeting::Pieces),
            SYN => {
                // Who would not be served hears what he would hear without a flood.
                let takes = self.would_take(tables, service, packet, &ends, now);
                takes.then(|| Greeting::Cookie(guard, self.welcome(scene, segment, &ends)))
            }
            ACK if !packet.is_piece() && self.half_open.gave_lately(guard, now) => {
                let visitor = self.visitor(segment, &ends, now);
                Some(visitor.map_or(Greeting::Forged, |numbers| Greeting::Visitor(service, numbers)))
            }
            _ => None,
        }
    }

    fn would_take(&self, tables: &Tables, service: u32, packet: &Packet, ends: &Ends, now: u32) -> bool {
        let client = ends.source.address;
        let asking = Asking { client: Some(client), bits: packet.bytes() * 8, now };
        let admits = tables.metered(service).is_none_or(|metered| self.rates.admits(metered, asking).is_ok());
        let served = tables.schedules.get(service as usize).is_some_and(|it| !it.takers.is_empty());
        served && admits && self.picker.admit(tables, service, client).is_ok()
    }

    /// The answer to a SYN, that stands for all that would have to be remembered. The window is closed, as nobody is there yet.
    fn welcome(&self, scene: &Scene, segment: &[u8], ends: &Ends) -> Segment {
        let (now, wide) = (scene.now, ends.source.address.is_ipv6());
        let client = tcp::number(segment, 4).unwrap_or_default();
        let offer = Offer::of(segment, wide);
        let mut options = Options::default();
        options.largest(largest(scene.tables, wide));
        options.sacks_and_clock(offer.sacks, tcp::clock(segment).map(|[theirs, _]| [our_clock(now), theirs]));
        if offer.scale.is_some() {
            options.scale(OUR_SCALE);
        }
        Segment {
            ends: ends.reversed(),
            sequence: cookie::bake(ends, client, offer, now, self.flows.secret()),
            acknowledged: client.wrapping_add(1),
            flags: SYN | ACK,
            window: 0,
            options,
        }
    }

    /// The numbers of a client that brings a cookie of ours back.
    fn visitor(&self, segment: &[u8], ends: &Ends, now: u32) -> Option<Numbers> {
        let [first, acknowledged] = [4, 8].map(|at| tcp::number(segment, at).unwrap_or_default());
        let ours = acknowledged.wrapping_sub(1);
        // Of one whose ACK was lost the next segment asks whether the window is still closed, by the number before.
        let candidates = [first.wrapping_sub(1), first];
        let (client, offer) = candidates.into_iter().find_map(|client| {
            cookie::taste(ends, client, ours, now, self.flows.secret()).map(|offer| (client, offer))
        })?;
        let clocks = tcp::clock(segment);
        let [client_clock, clock] = clocks.unwrap_or_default();
        let window = segment.get(14..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))?;
        let has_clock = clocks.is_some();
        let offer = offer.code();
        Some(Numbers { ours, client, clock, client_clock, has_clock, window, offer, ..Numbers::default() })
    }

    /// Begins the flow of a client that brought a cookie back, and asks its member.
    fn receive<B: Burst>(
        &mut self,
        scene: &Scene,
        burst: &mut B,
        index: usize,
        (packet, wide): (&Packet, Option<WideAddresses>),
        service: u32,
        numbers: Numbers,
    ) -> Result<PortIndex, Verdict> {
        // Who believes to be connected, and is not, is told in any case.
        let refuse = |burst: &mut B, reason| Err(room::refuse(scene, burst, index, packet, reason));
        let found = match self.open(scene.tables, scene.now, (packet, wide), service) {
            Ok(found) => found,
            Err(reason) => return refuse(burst, reason),
        };
        if let Some(flow) = self.flows.flow(found) {
            state::call(flow.conn);
        }
        if !self.flows.set_numbers(found, numbers) {
            self.forget(found);
            return refuse(burst, DropReason::FlowTableFull);
        }
        self.counters.cookies_taken.add(1);
        let mut flow = self.flows.flow(found).ok_or(Verdict::Drop(DropReason::NoFlow))?;
        call(scene, burst, index, &mut flow, &numbers)
    }

    /// For a flow whose member has not answered yet: it is asked again, or if it was asked for long enough, or is gone, the client is told. Says
    /// whether the flow is forgotten.
    pub(super) fn call_again(
        &mut self,
        tables: &Tables,
        now: u32,
        found: Found,
        outbox: &mut impl Outbox,
    ) -> bool {
        let Some(numbers) = self.flows.numbers(found) else {
            self.forget(found);
            return true;
        };
        let Some(mut flow) = self.flows.flow(found) else { return false };
        let silent = now.wrapping_sub(flow.conn.last_seen) > flow.conn.timeout;
        let over = silent || backend_of(tables, &mut self.loads, &mut flow).is_none();
        let (segment, from) = if over {
            let ends = flow.ends(Direction::FromClient).reversed();
            let sequence = numbers.ours.wrapping_add(1);
            (Segment { flags: RST, sequence, ..Segment::between(ends) }, Direction::FromMember)
        } else {
            (question(tables, &flow, &numbers), Direction::FromClient)
        };
        if let Ok(hop) = next_hop(tables, &mut flow, from)
            && let Some(frame) = outbox.make(segment.len(), hop.port)
        {
            segment.write(frame);
            hop.address_frame(frame);
        }
        if over {
            self.forget(found);
        }
        over
    }
}

/// What becomes of a segment of a flow with these numbers.
pub(super) fn mediate<B: Burst>(
    scene: &Scene,
    burst: &mut B,
    index: usize,
    packet: &Packet,
    (flow, numbers): (&mut Flow<'_>, Numbers),
    patience: &Patience,
) -> Mediated {
    let from = packet.found.direction();
    let frame = burst.frame(index);
    let Some(segment) = frame.get_mut(packet.payload.into()..packet.end.into()) else {
        return Mediated::Done(Err(Verdict::Drop(DropReason::Truncated)));
    };
    let kind = packet.flags & (SYN | ACK | RST | FIN);
    if !state::is_calling(flow.conn) {
        if from == Direction::FromMember && kind == SYN | ACK {
            return Mediated::Done(Err(answer_again(scene, burst, index, packet, flow, &numbers)));
        }
        translate(segment, from, &numbers);
        return Mediated::Passes;
    }
    let answers = tcp::number(segment, 8) == Some(numbers.client.wrapping_add(1));
    match (from, kind) {
        (Direction::FromClient, _) if kind & RST != 0 => Mediated::Passes,
        (Direction::FromClient, _) => Mediated::Done(call(scene, burst, index, flow, &numbers)),
        (Direction::FromMember, _) if kind & RST != 0 && answers => {
            // To the client it is a reset of what it has heard so far.
            let first = tcp::number(segment, 4).unwrap_or_default();
            let shift = numbers.ours.wrapping_add(1).wrapping_sub(first);
            translate(segment, from, &Numbers { shift, has_clock: false, scales: [0; 2], ..numbers });
            Mediated::Passes
        }
        (Direction::FromMember, _) if kind == SYN | ACK && answers && !packet.is_piece() => {
            agree(scene, burst, index, packet, (flow, numbers), patience)
        }
        // It still has a connection from before: it is told that this is over, and asked again.
        (Direction::FromMember, ACK) => {
            let reset = room::refuse(scene, burst, index, packet, DropReason::NoFlow);
            Mediated::Done(Err(reset))
        }
        (Direction::FromMember, _) => Mediated::Done(Err(Verdict::Drop(DropReason::NoFlow))),
    }
}

/// The member has answered: it is told that the handshake is done, and the client that its window is open.
fn agree<B: Burst>(
    scene: &Scene,
    burst: &mut B,
    index: usize,
    packet: &Packet,
    (flow, numbers): (&mut Flow<'_>, Numbers),
    patience: &Patience,
) -> Mediated {
    let segment = burst.frame(index).get(packet.payload.into()..packet.end.into()).unwrap_or_default();
    let first = tcp::number(segment, 4).unwrap_or_default();
    let window = segment.get(14..).and_then(<[u8]>::first_chunk).map_or(0, |it| u16::from_be_bytes(*it));
    let clock = tcp::clock(segment).filter(|_| numbers.has_clock).map(|[theirs, _]| theirs);
    let offered = Offer::meant_by(numbers.offer).scale;
    let agreed = Numbers {
        shift: numbers.ours.wrapping_sub(first),
        clock: clock.map_or(0, |theirs| numbers.clock.wrapping_sub(theirs)),
        has_clock: clock.is_some(),
        scales: scales(offered, scale(segment)),
        ..numbers
    };
    let mut to_member = done(flow, &agreed, first);
    to_member.options.sacks_and_clock(false, clock.map(|theirs| [numbers.client_clock, theirs]));
    to_member.window = scaled(numbers.window, agreed.scales[0]);
    let mut to_client = Segment {
        sequence: numbers.ours.wrapping_add(1),
        acknowledged: numbers.client.wrapping_add(1),
        // A window in a SYN is in no scale (RFC 7323, 2.2).
        window: scaled(window, offered.map_or(0, |_| -OUR_SCALE.cast_signed())),
        ..Segment::between(flow.ends(Direction::FromClient).reversed())
    };
    to_client.options.sacks_and_clock(false, clock.map(|_| [numbers.clock, numbers.client_clock]));

    let hop = next_hop(scene.tables, flow, Direction::FromMember);
    // Without a buffer the member says again what it said, and is told then.
    to_member.answer_aside(burst, index, scene.port);
    state::agree(flow.conn, scene.now, patience);
    let sent = if to_client.take_place(burst, index) {
        hop.map(|hop| {
            hop.address_frame(burst.frame(index));
            hop.port
        })
    } else {
        Err(Verdict::Drop(DropReason::TooBig))
    };
    Mediated::Agreed(agreed, sent)
}

/// The member has not heard that the handshake is done.
fn answer_again<B: Burst>(
    scene: &Scene,
    burst: &mut B,
    index: usize,
    packet: &Packet,
    flow: &Flow<'_>,
    numbers: &Numbers,
) -> Verdict {
    let segment = burst.frame(index).get(packet.payload.into()..packet.end.into()).unwrap_or_default();
    let first = tcp::number(segment, 4).unwrap_or_default();
    if first.wrapping_add(numbers.shift) != numbers.ours {
        return Verdict::Drop(DropReason::NoFlow);
    }
    let clock = tcp::clock(segment).filter(|_| numbers.has_clock).map(|[theirs, _]| theirs);
    let mut again = done(flow, numbers, first);
    again.window = scaled(numbers.window, numbers.scales[0]);
    again.options.sacks_and_clock(false, clock.map(|theirs| [numbers.client_clock, theirs]));
    reply(scene, burst, index, &again)
}

/// The end of the handshake with a member whose first number this is.
fn done(flow: &Flow<'_>, numbers: &Numbers, first: u32) -> Segment {
    Segment {
        sequence: numbers.client.wrapping_add(1),
        acknowledged: first.wrapping_add(1),
        ..Segment::between(flow.ends(Direction::FromMember).reversed())
    }
}

/// Makes of a frame the SYN that the client had sent, for the member.
pub(super) fn call<B: Burst>(
    scene: &Scene,
    burst: &mut B,
    index: usize,
    flow: &mut Flow<'_>,
    numbers: &Numbers,
) -> Result<PortIndex, Verdict> {
    if !question(scene.tables, flow, numbers).take_place(burst, index) {
        return Err(Verdict::Drop(DropReason::TooBig));
    }
    let hop = next_hop(scene.tables, flow, Direction::FromClient)?;
    hop.address_frame(burst.frame(index));
    Ok(hop.port)
}

fn question(tables: &Tables, flow: &Flow<'_>, numbers: &Numbers) -> Segment {
    let ends = flow.ends(Direction::FromMember).reversed();
    let offer = Offer::meant_by(numbers.offer);
    let mut options = Options::default();
    options.largest(offer.largest.min(largest(tables, ends.source.address.is_ipv6())));
    options.sacks_and_clock(offer.sacks, numbers.has_clock.then_some([numbers.client_clock, 0]));
    if let Some(scale) = offer.scale {
        options.scale(scale);
    }
    let window = scaled(numbers.window, offer.scale.unwrap_or(0).cast_signed());
    Segment { sequence: numbers.client, flags: SYN, window, options, ..Segment::between(ends) }
}

/// Makes of a frame an answer to its sender.
pub(super) fn reply<B: Burst>(scene: &Scene, burst: &mut B, index: usize, answer: &Segment) -> Verdict {
    if answer.answer(burst, index) { Verdict::Reply(scene.port) } else { Verdict::Drop(DropReason::TooBig) }
}

/// By how many bits windows are shifted, a client's and a member's, who said these scales.
fn scales(client: Option<u8>, member: Option<u8>) -> [i8; 2] {
    match (client, member) {
        (None, _) => [0, 0],
        (Some(_), Some(member)) => [0, member.cast_signed() - OUR_SCALE.cast_signed()],
        // What the client scales the member does not, and the other way around.
        (Some(client), None) => [client.cast_signed(), -OUR_SCALE.cast_signed()],
    }
}

/// The scale that a segment says.
fn scale(segment: &[u8]) -> Option<u8> {
    let said = tcp::options(segment).find(|(kind, value)| *kind == SCALE && value.len() == 1);
    said.and_then(|(_, value)| segment.get(value.start)).map(|scale| (*scale).min(14))
}

/// The largest segment that fits through every port.
fn largest(tables: &Tables, wide: bool) -> u16 {
    let header = tcp::MIN_LEN + if wide { wire::ipv6::LEN } else { wire::ipv4::MIN_LEN };
    let room = tables.ports.iter().map(|port| port.mtu).min().unwrap_or(1280);
    room.saturating_sub(header as u16)
}

fn our_clock(now: u32) -> u32 {
    now.wrapping_mul(MS_PER_TICK)
}
