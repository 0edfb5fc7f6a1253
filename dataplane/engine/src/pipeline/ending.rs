//! Flows that are ended here, and both sides of them told: they stay for some seconds, and whatever either side sends is answered
//! with a reset and passes on as one. Entries hold no sequence numbers; a segment has those that both sides accept: its sender goes on from what it
//! acknowledges, and its receiver expects what it begins with (RFC 9293, 3.5.2). A side that does not expect just that says what it does, and is told again.
//! Sides that are silent are asked (RFC 9293, 3.10.7.4), so that they say where they are.

use lb_mem::NOBODY;
use lb_model::counters::DropReason;

use super::{Burst, Outbox, Packet, Scene, backend_of, ipv6, next_hop, pass};
use crate::answer::{Segment, become_reset, reset_aside};
use crate::counters::WorkerCounters;
use crate::flow::{Direction, Flow, Numbers};
use crate::loads::Loads;
use crate::rewrite::Mode;
use crate::schedule::mix;
use crate::shift::translate;
use crate::state;
use crate::tables::Tables;
use crate::verdict::{PortIndex, Verdict};
use crate::wire::TCP;
use crate::wire::tcp::{ACK, RST};

/// Ends a flow, if its sides can be told and its service wants that; else it can be forgotten. Says whether it has.
pub(super) fn begin(tables: &Tables, loads: &mut Loads, flow: &mut Flow<'_>, now: u32) -> bool {
    let service = tables.service(flow.ends(Direction::FromClient).destination);
    let wanted = state::can_be_told(flow.conn) && service.is_some_and(|service| tables.resets(service));
    if wanted {
        loads.forget(flow.conn);
        state::end(flow.conn, now);
    }
    wanted
}

/// Has both sides of a flow that was ended say where they are, unless they have: who gets a segment that is out of its window does.
pub(super) fn ask(tables: &Tables, loads: &mut Loads, flow: &mut Flow<'_>, outbox: &mut impl Outbox) {
    if !state::is_untold(flow.conn) {
        return;
    }
    refresh(tables, loads, flow);
    for from in [Direction::FromMember, Direction::FromClient] {
        if from == Direction::FromClient && !Mode::of(flow.conn).replies_return() {
            continue;
        }
        let Ok(hop) = next_hop(tables, flow, from) else { continue };
        let anything = mix(u64::from(flow.conn.last_seen)
            ^ flow.conn.addresses[0]
            ^ u64::from(flow.conn.ports[0]) << 32);
        let question = Segment {
            sequence: anything as u32,
            acknowledged: (anything >> 32) as u32,
            ..Segment::between(flow.ends(from.other()).reversed())
        };
        if let Some(frame) = outbox.make(question.len(), hop.port) {
            question.write(frame);
            hop.address_frame(frame);
        }
    }
}

/// For a packet of a flow that was ended, or whose member is gone; the flow may have numbers.
pub(super) fn tell<B: Burst>(
    counters: &WorkerCounters,
    scene: &Scene,
    burst: &mut B,
    index: usize,
    packet: &Packet,
    loads: &mut Loads,
    (flow, numbers): (&mut Flow<'_>, Option<Numbers>),
) -> Result<PortIndex, Verdict> {
    if flow.conn.state != state::ENDING && !begin(scene.tables, loads, flow, scene.now) {
        return Err(Verdict::Drop(DropReason::MemberGone));
    }
    // A piece of a segment, or one that acknowledges nothing, does not say enough.
    let says = packet.flags & (ACK | RST) != 0 && packet.key.transport() == TCP && !packet.is_piece();
    if !says {
        return Err(Verdict::Drop(DropReason::NoFlow));
    }
    refresh(scene.tables, loads, flow);
    let (payload, wide) = (usize::from(packet.payload), packet.key.is_wide());
    let mut end = usize::from(packet.end);
    if packet.flags & RST == 0 {
        let addresses = wide.then(|| ipv6::addresses(burst.frame(index), packet));
        // Without a buffer for it the other side is told, and this one when it sends again.
        reset_aside(burst, index, payload, packet.ends(addresses.as_ref()), scene.port);
    }
    if let (Some(numbers), Some(segment)) = (numbers, burst.frame(index).get_mut(payload..end)) {
        translate(segment, packet.found.direction(), &numbers);
    }
    if packet.flags & RST == 0 {
        end = become_reset(burst, index, payload, wide);
    }
    state::told(flow.conn);
    let reset = Packet { end: end as u16, flags: RST | ACK, ..*packet };
    pass(counters, scene, burst, index, &reset, flow)
}

/// A flow whose member is gone has none; its next hops are those of these tables.
fn refresh(tables: &Tables, loads: &mut Loads, flow: &mut Flow<'_>) {
    if backend_of(tables, loads, flow).is_none() {
        let conn = &mut *flow.conn;
        (conn.backend, conn.next_hops, conn.epoch) = (NOBODY, [NOBODY; 2], tables.epoch);
    }
}
