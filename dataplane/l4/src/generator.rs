//! Frames made in memory: a port without a wire, to measure the forwarder by itself.

use std::sync::Arc;

use lb_dpdk::{Burst, Mempool};
use lb_engine::MAX_BURST;
use lb_model::MacAddr;

/// Bytes of a frame: the shortest that Ethernet has, without its checksum.
const LEN: usize = 60;
/// Ports a client address is used with before the next one.
const PORTS: u32 = 50_000;
const FIRST_PORT: u16 = 10_000;

/// Which packet of each connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The client's SYN.
    Syn,
    /// The member's answer to it.
    SynAck,
    /// The client's acknowledgement.
    Ack,
    /// Data from the client.
    FromClient,
    /// Data from the member.
    FromMember,
}

impl Step {
    fn is_from_member(self) -> bool {
        matches!(self, Self::SynAck | Self::FromMember)
    }

    fn flags(self) -> u8 {
        match self {
            Self::Syn => 0x02,
            Self::SynAck => 0x12,
            Self::Ack | Self::FromClient | Self::FromMember => 0x10,
        }
    }
}

/// The network that the frames are of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    /// How many connections there are.
    pub(crate) flows: u32,
    /// The virtual IP and port.
    pub(crate) service: ([u8; 4], u16),
    /// The first member's address and port; the others follow.
    pub(crate) member: ([u8; 4], u16),
    /// How many members there are; connections are expected to be dealt out in turn.
    pub(crate) members: u8,
    /// The ports' addresses: towards clients and towards members.
    pub(crate) macs: [MacAddr; 2],
}

/// Makes frames of all connections of a scene, in an order that no cache foresees, for as long as it is told to.
#[derive(Debug)]
pub(crate) struct Generator {
    pool: Mempool,
    scene: Scene,
    step: Step,
    template: [u8; LEN],
    at: u32,
    stride: u32,
    left: u64,
    /// Where members' frames come from and go to, where it is not from themselves to the clients.
    replies: Arc<[Reply]>,
}

/// Addresses and ports of a member's frames, as in their headers.
pub(crate) type Reply = [u8; 12];

impl Generator {
    pub(crate) fn new(pool: Mempool, scene: Scene) -> Self {
        let template = template(&scene, Step::Syn);
        Self { pool, scene, step: Step::Syn, template, at: 0, stride: 1, left: 0, replies: Arc::default() }
    }

    /// From now on members answer to where their frames came from; by connection.
    pub(crate) fn answer(&mut self, replies: Arc<[Reply]>) {
        self.replies = replies;
    }

    /// Makes `count` frames from now on. In order, the connections are opened as the members take turns.
    pub(crate) fn make(&mut self, step: Step, count: u64, in_order: bool) {
        self.step = step;
        self.template = template(&self.scene, step);
        self.stride = if in_order { 1 } else { stride(self.scene.flows) };
        if in_order {
            self.at = 0;
        }
        self.left = count;
    }

    #[inline]
    pub(crate) fn receive(&mut self, burst: &mut Burst) -> usize {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(MAX_BURST);
        if count == 0 || !self.pool.alloc_bulk(burst, count) {
            return 0;
        }
        self.left -= count as u64;
        for mbuf in burst.iter_mut() {
            // Every buffer of the pool has room for it.
            if let Ok(frame) = mbuf.set_len(LEN)
                && let Some(frame) = frame.first_chunk_mut::<LEN>()
            {
                *frame = self.template;
                let flow = self.at;
                self.at += self.stride;
                if self.at >= self.scene.flows {
                    self.at -= self.scene.flows;
                }
                address(frame, &self.scene, self.step, flow);
                if let Some(reply) = self.replies.get(flow as usize).filter(|_| self.step.is_from_member()) {
                    frame[26..38].copy_from_slice(reply);
                }
            }
        }
        count
    }
}

/// The frame of one connection.
pub(crate) fn frame_of(scene: &Scene, step: Step, flow: u32) -> [u8; LEN] {
    let mut frame = template(scene, step);
    address(&mut frame, scene, step, flow);
    frame
}

/// A step through the connections that meets each once: a large one without common factor.
fn stride(flows: u32) -> u32 {
    let golden = (flows / 1000 * 618 + flows % 1000 * 618 / 1000) | 1;
    (golden..flows).find(|stride| gcd(*stride, flows) == 1).unwrap_or(1)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[inline]
fn address(frame: &mut [u8; LEN], scene: &Scene, step: Step, flow: u32) {
    let client = (0x0a00_0000 + flow / PORTS).to_be_bytes();
    let client_port = (FIRST_PORT + u16::try_from(flow % PORTS).unwrap_or(0)).to_be_bytes();
    if step.is_from_member() {
        let [a, b, c, d] = scene.member.0;
        frame[26..30].copy_from_slice(&[
            a,
            b,
            c,
            d + u8::try_from(flow % u32::from(scene.members)).unwrap_or(0),
        ]);
        frame[30..34].copy_from_slice(&client);
        frame[36..38].copy_from_slice(&client_port);
    } else {
        frame[26..30].copy_from_slice(&client);
        frame[34..36].copy_from_slice(&client_port);
    }
}

fn template(scene: &Scene, step: Step) -> [u8; LEN] {
    let mut frame = [0; LEN];
    let from_member = step.is_from_member();
    frame[..6].copy_from_slice(&scene.macs[usize::from(from_member)].0);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0xee]);
    frame[12..24].copy_from_slice(&[8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 6]);
    frame[46] = 0x50;
    frame[47] = step.flags();
    if from_member {
        frame[34..36].copy_from_slice(&scene.member.1.to_be_bytes());
    } else {
        frame[30..34].copy_from_slice(&scene.service.0);
        frame[36..38].copy_from_slice(&scene.service.1.to_be_bytes());
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stride_meets_every_connection_once() {
        for flows in [1, 2, 1000, 1_000_000] {
            let step = stride(flows);
            let (step, flows) = (step as usize, flows as usize);
            let mut seen = vec![false; flows];
            for count in 0..flows {
                seen[count * step % flows] = true;
            }
            assert!(seen.iter().all(|met| *met), "{flows}");
        }
    }
}
