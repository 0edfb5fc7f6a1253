//! Pieces of packets: they follow the first one, which alone says whose they are.

use lb_model::counters::DropReason;

use super::{Burst, Engine, Packet, Scene, Stage, ending, ipv6, pass, policing, serving};
use crate::flow::{Found, Key, WideAddresses, wide_key};
use crate::fragments::{Fate, Whole};
use crate::rates::Asking;
use crate::verdict::{PortIndex, Verdict};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::Ipv6;
use crate::wire::tcp::Tcp;
use crate::wire::{TCP, eth, udp};

/// Where an IPv4 frame has its identification, and the flags and offset after it.
const ID: usize = eth::LEN + 4;

/// A piece of a packet.
#[derive(Clone, Copy)]
struct Piece {
    addresses: WideAddresses,
    /// What it shares with the packet's other pieces alone.
    id: u64,
    /// Where its key's addresses are.
    wide: bool,
    protocol: u8,
    first: bool,
    hops: u8,
}

impl Piece {
    fn of(frame: &[u8], wide: bool) -> Result<Self, DropReason> {
        if wide {
            let Ipv6 { addresses, chain, hop_limit, .. } = Ipv6::parse(frame)?;
            let (id, protocol, first) = (u64::from(chain.id), chain.protocol, !chain.later_fragment);
            return Ok(Self { addresses, id, wide, protocol, first, hops: hop_limit });
        }
        let Ipv4 { addresses, protocol, ttl, .. } = Ipv4::parse(frame)?;
        let [a, b, high, low] =
            *frame.get(ID..).and_then(<[u8]>::first_chunk).ok_or(DropReason::Truncated)?;
        let id = u64::from(u16::from_be_bytes([a, b])) | u64::from(protocol) << 16;
        let first = !ipv4::is_later_fragment([high, low]);
        Ok(Self { addresses: [addresses, 0, 0, 0], id, wide, protocol, first, hops: ttl })
    }

    /// What the packet is looked up by, once its ports are known.
    fn key(&self, ports: u32, secret: [u64; 2]) -> Key {
        if self.wide {
            wide_key(&self.addresses, ports, self.protocol, secret)
        } else {
            Key { addresses: self.addresses[0], ports, protocol: self.protocol }
        }
    }
}

/// The ports at the beginning of a segment of which only a piece is here, and its control bits.
fn ports(segment: &[u8], protocol: u8) -> Result<(u32, u8), DropReason> {
    if protocol == TCP {
        let Tcp { ports, flags } = Tcp::parse(segment)?;
        return Ok((ports, flags));
    }
    let [a, b, c, d, ..] = *segment.first_chunk::<{ udp::LEN }>().ok_or(DropReason::Truncated)?;
    Ok((u32::from_ne_bytes([a, b, c, d]), 0))
}

/// What a piece is a part of, and the packet that it is forwarded as, or its verdict.
pub(super) struct Resolved {
    whole: Whole,
    pub(super) packet: Result<Packet, Verdict>,
}

impl Engine {
    /// Finds out whose a piece of a packet is that may be a service's. Of one that would wait it is said that it is consumed.
    pub(super) fn resolve(
        &mut self,
        scene: &Scene,
        frame: &[u8],
        packet: &Packet,
        handed_over: bool,
    ) -> Result<Resolved, Verdict> {
        let piece = Piece::of(frame, packet.key.is_wide()).map_err(Verdict::Drop)?;
        if piece.hops <= 1 {
            return Err(Verdict::Drop(DropReason::TtlExpired));
        }
        // All pieces of a packet meet at one worker: that is known before it is known whose they are.
        let owner = Whole::of(piece.addresses, piece.id, 0).owner(self.workers);
        if self.workers > 1 && owner != self.worker && !handed_over {
            return Err(Verdict::Handoff(owner));
        }
        let whole = Whole::of(piece.addresses, piece.id, self.flows.secret()[0]);
        let packet = if piece.first {
            let segment = frame.get(packet.payload.into()..packet.end.into());
            let segment = segment.ok_or(Verdict::Drop(DropReason::Truncated))?;
            let (ports, flags) = ports(segment, piece.protocol).map_err(Verdict::Drop)?;
            let key = piece.key(ports, self.flows.secret());
            Ok(self.looked_up_by(key, &Packet { flags, stage: Stage::FirstPiece, ..*packet }))
        } else {
            match self.fragments.fate(whole, scene.now) {
                Some(Fate::Flow(key)) => {
                    Ok(self.looked_up_by(key, &Packet { flags: 0, stage: Stage::LaterPiece, ..*packet }))
                }
                Some(Fate::Elsewhere(worker)) if worker != self.worker => Err(Verdict::Handoff(worker)),
                Some(Fate::Strangers) => Err(scene.strangers),
                _ if self.fragments.has_place(frame.len(), scene.now) => Err(Verdict::Consume),
                _ => Err(Verdict::Drop(DropReason::Fragment)),
            }
        };
        Ok(Resolved { whole, packet })
    }

    fn looked_up_by(&mut self, key: Key, packet: &Packet) -> Packet {
        let place = self.flows.view().place(key);
        Packet { key, place, found: Found::NOTHING, ..*packet }
    }

    /// For a piece of a packet that may be a service's.
    #[inline(never)]
    pub(super) fn forward_piece<B: Burst>(
        &mut self,
        scene: &Scene,
        burst: &mut B,
        index: usize,
        packet: &Packet,
    ) -> Result<PortIndex, Verdict> {
        let handed_over = burst.is_handed_over();
        let Resolved { whole, packet } = self.resolve(scene, burst.frame(index), packet, handed_over)?;
        match packet {
            Ok(first) if first.stage == Stage::FirstPiece => {
                self.forward_first(scene, burst, index, &first, whole)
            }
            Ok(later) => self.forward_later(scene, burst, index, &later),
            Err(verdict) => {
                if verdict == Verdict::Consume {
                    self.fragments.wait(whole, burst.frame(index), scene.port, scene.now);
                }
                Err(verdict)
            }
        }
    }

    /// For the first piece: like a whole packet; those that came before it come again.
    fn forward_first<B: Burst>(
        &mut self,
        scene: &Scene,
        burst: &mut B,
        index: usize,
        first: &Packet,
        whole: Whole,
    ) -> Result<PortIndex, Verdict> {
        let verdict = self.forward_slowly(scene, burst, index, first);
        let fate = match verdict {
            Err(Verdict::Handoff(worker)) => Fate::Elsewhere(worker),
            Err(Verdict::Punt | Verdict::Drop(DropReason::NotOurs)) => Fate::Strangers,
            _ => Fate::Flow(first.key),
        };
        self.fragments.learn(whole, fate, scene.now);
        self.fragments.release(whole, |frame, port| burst.again(frame, port));
        verdict
    }

    /// For another piece of a packet of a flow.
    fn forward_later<B: Burst>(
        &mut self,
        scene: &Scene,
        burst: &mut B,
        index: usize,
        packet: &Packet,
    ) -> Result<PortIndex, Verdict> {
        let wide = packet.key.is_wide().then(|| ipv6::addresses(burst.frame(index), packet));
        let found = self.flows.view().find(packet.key, packet.place, wide.as_ref());
        let numbers = self.flows.numbers(found);
        let Some(mut flow) = self.flows.flow(found) else {
            return Err(Verdict::Drop(DropReason::NoFlow));
        };
        let Some(backend) = serving(scene.tables, &mut self.loads, &mut flow) else {
            let packet = Packet { found, ..*packet };
            return ending::tell(
                &self.counters,
                scene,
                burst,
                index,
                &packet,
                &mut self.loads,
                (&mut flow, numbers),
            );
        };
        if let Some(metered) = policing(scene.tables, backend) {
            let asking = Asking::of(packet, &flow, found.direction(), scene.now);
            self.rates.police(metered, asking).map_err(Verdict::Drop)?;
        }
        pass(&self.counters, scene, burst, index, &Packet { found, ..*packet }, &mut flow)
    }
}
