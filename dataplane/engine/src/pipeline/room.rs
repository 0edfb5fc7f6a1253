//! Packets that grow on their way, or meet a port with less room than they need.

use lb_mem::{Conn, Wide};
use lb_model::counters::DropReason;

use super::{Burst, Packet, Scene, Stage, next_hop};
use crate::answer::{self, Complaint};
use crate::flow::{Direction, Flow};
use crate::network::NextHop;
use crate::rewrite::{Mode, Onward, OnwardV6, store, sum_segment};
use crate::tunnel::Outer;
use crate::verdict::{PortIndex, Verdict};
use crate::wire::{TCP, eth, ipv4, ipv6};
use crate::{mss, mtu};

/// Whether a packet wants its sender to be told rather than be cut: all of IPv6 do.
#[inline]
pub(super) fn may_not_be_cut(packet: &Packet, frame: &[u8]) -> bool {
    packet.key.is_wide() || mtu::may_not_be_cut(frame)
}

/// Makes of a check's packet what a client would send to the service.
#[cold]
pub(super) fn mask(frame: &mut [u8], packet: &Packet, conn: &Conn, wide: Option<&Wide>) {
    let (payload, protocol) = (usize::from(packet.payload), packet.key.transport());
    match wide {
        Some(wide) => OnwardV6::of(conn, wide, Direction::FromClient).write(frame, payload, protocol),
        None => Onward::of(conn, Direction::FromClient).write(frame, payload, protocol),
    }
}

/// Wraps a packet for a member that is reached by a tunnel.
#[inline(never)]
pub(super) fn wrap<B: Burst>(
    scene: &Scene,
    burst: &mut B,
    index: usize,
    packet: &Packet,
    backend: u32,
    hop: Result<&NextHop, Verdict>,
) -> Result<PortIndex, Verdict> {
    let outer = scene.tables.outer(backend).ok_or(Verdict::Drop(DropReason::NoRoute))?;
    let (payload, mut end) = (usize::from(packet.payload), usize::from(packet.end));
    let frame = burst.frame(index);
    if scene.sums && packet.stage != Stage::Error && !packet.is_piece() {
        sum_segment(frame, payload, end, packet.key);
    }
    let entropy = packet.place.entropy();
    let id = scene.now as u16 ^ entropy as u16;
    let mut pieces = 0;
    let mut dress = |frame: &mut [u8], end: usize| {
        pieces += 1;
        outer.wrap(frame, end, entropy, id.wrapping_add(pieces));
        if let Ok(hop) = hop {
            hop.address_frame(frame);
        }
    };
    if let Ok(hop) = hop
        && packet.bytes() + outer.growth() as u64 > u64::from(hop.mtu)
    {
        let room = usize::from(hop.mtu).saturating_sub(outer.growth());
        if may_not_be_cut(packet, frame) {
            return Err(too_big_for(scene, burst, index, packet, room));
        }
        let place = (outer.len(), hop.port);
        if !mtu::cut(burst, index, (payload, end), room, place, &mut dress) {
            return Err(Verdict::Drop(DropReason::TooBig));
        }
        end = burst.frame(index).len();
    }
    // Padding would be taken for a part of the outer packet by those who trust the length of a frame.
    burst.truncate(index, end);
    if !burst.prepend(index, outer.growth()) {
        return Err(Verdict::Drop(DropReason::TooBig));
    }
    dress(burst.frame(index), end + outer.growth());
    Ok(hop?.port)
}

/// Cuts a packet that was rewritten and addressed.
#[cold]
pub(super) fn cut<B: Burst>(
    burst: &mut B,
    index: usize,
    packet: &Packet,
    hop: &NextHop,
) -> Result<(), Verdict> {
    let extent = (usize::from(packet.payload), usize::from(packet.end));
    let whole = mtu::cut(burst, index, extent, hop.mtu.into(), (eth::LEN, hop.port), |piece, _| {
        store(piece, eth::LEN - 2, eth::IPV4.to_ne_bytes());
        hop.address_frame(piece);
    });
    whole.then_some(()).ok_or(Verdict::Drop(DropReason::TooBig))
}

/// Tells the sender how much would fit.
#[cold]
pub(super) fn too_big_for<B: Burst>(
    scene: &Scene,
    burst: &mut B,
    index: usize,
    packet: &Packet,
    room: usize,
) -> Verdict {
    let (end, wide) = (usize::from(packet.end), packet.key.is_wide());
    // About an error no error is sent (RFC 1122, 3.2.2).
    let told =
        packet.stage != Stage::Error && answer::complain(burst, index, end, wide, Complaint::TooBig(room));
    if told { Verdict::Reply(scene.port) } else { Verdict::Drop(DropReason::TooBig) }
}

/// Tells the sender of a packet that asks for a connection that nobody takes it.
#[cold]
pub(super) fn refuse<B: Burst>(
    scene: &Scene,
    burst: &mut B,
    index: usize,
    packet: &Packet,
    reason: DropReason,
) -> Verdict {
    let (extent, wide) = ((usize::from(packet.payload), usize::from(packet.end)), packet.key.is_wide());
    let told = if packet.key.transport() == TCP {
        answer::reset(burst, index, extent, wide)
    } else {
        answer::complain(burst, index, extent.1, wide, Complaint::PortUnreachable)
    };
    if told { Verdict::Reply(scene.port) } else { Verdict::Drop(reason) }
}

/// Lets the two ends of a connection that begins send no larger segments than fit on both sides of the appliance.
#[cold]
pub(super) fn clamp_segments(
    scene: &Scene,
    frame: &mut [u8],
    packet: &Packet,
    flow: &mut Flow<'_>,
    from: Direction,
) {
    let onward = match next_hop(scene.tables, flow, from) {
        Ok(hop) => hop.mtu,
        Err(Verdict::Hold(awaited)) => scene.tables.mtu(awaited.port),
        Err(_) => return,
    };
    let growth = match Mode::of(flow.conn) {
        Mode::Translated | Mode::Masked | Mode::MaskedDirect => 0,
        Mode::Direct => return,
        Mode::Wrapped | Mode::MaskedWrapped => scene.tables.outer(flow.conn.backend).map_or(0, Outer::growth),
    };
    let room = usize::from(onward).saturating_sub(growth).min(scene.tables.mtu(scene.port).into());
    let header = if packet.key.is_wide() { ipv6::LEN } else { ipv4::MIN_LEN };
    mss::clamp(frame, usize::from(packet.payload), usize::from(packet.end), room.saturating_sub(header));
}
