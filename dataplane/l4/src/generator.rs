//! Frames made in memory: a port without a wire, to measure the forwarder by itself.

use std::sync::Arc;

use lb_dpdk::{Burst, Mempool};
use lb_engine::MAX_BURST;
use lb_model::MacAddr;

/// Bytes of a frame: the shortest that Ethernet has, without its checksum.
const LEN: usize = 60;
/// Bytes of an IPv6 frame: its headers alone are longer than the shortest.
const LEN_V6: usize = 74;
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
    /// Whether they are by IPv6, whose addresses are [`NETWORK_V6`] and the bytes of IPv4's.
    pub(crate) wide: bool,
    /// How many services they are spread over, on as many ports.
    pub(crate) services: u16,
    /// The virtual IP and the first service's port.
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
    template: [u8; LEN_V6],
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
            let flow = self.at;
            self.at += self.stride;
            if self.at >= self.scene.flows {
                self.at -= self.scene.flows;
            }
            // Every buffer of the pool has room for it.
            if self.scene.wide {
                if let Ok(frame) = mbuf.set_len(LEN_V6)
                    && let Some(frame) = frame.first_chunk_mut::<LEN_V6>()
                {
                    *frame = self.template;
                    address_v6(frame, &self.scene, self.step, flow);
                }
            } else if let Ok(frame) = mbuf.set_len(LEN)
                && let Some(frame) = frame.first_chunk_mut::<LEN>()
            {
                frame.copy_from_slice(&self.template[..LEN]);
                address(frame, &self.scene, self.step, flow);
                if let Some(reply) = self.replies.get(flow as usize).filter(|_| self.step.is_from_member()) {
                    frame[26..38].copy_from_slice(reply);
                }
            }
        }
        count
    }
}

/// The IPv4 frame of one connection.
pub(crate) fn frame_of(scene: &Scene, step: Step, flow: u32) -> [u8; LEN] {
    let mut frame = [0; LEN];
    frame.copy_from_slice(&template(scene, step)[..LEN]);
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

/// What is different in the frames of different connections.
struct Ends {
    client: [u8; 4],
    client_port: [u8; 2],
    service_port: [u8; 2],
    member: [u8; 4],
}

impl Ends {
    #[inline]
    fn of(scene: &Scene, flow: u32) -> Self {
        let services = u32::from(scene.services);
        // Most have one: a division for each frame would be much of what is measured.
        let (service, turn) = if services == 1 { (0, flow) } else { (flow % services, flow / services) };
        let [a, b, c, d] = scene.member.0;
        let member = u8::try_from(turn % u32::from(scene.members)).unwrap_or(0);
        Self {
            client: (0x0a00_0000 + flow / PORTS).to_be_bytes(),
            client_port: (FIRST_PORT + u16::try_from(flow % PORTS).unwrap_or(0)).to_be_bytes(),
            service_port: (scene.service.1 + u16::try_from(service).unwrap_or(0)).to_be_bytes(),
            member: [a, b, c, d + member],
        }
    }
}

#[inline]
fn address(frame: &mut [u8; LEN], scene: &Scene, step: Step, flow: u32) {
    let Ends { client, client_port, service_port, member } = Ends::of(scene, flow);
    if step.is_from_member() {
        frame[26..30].copy_from_slice(&member);
        frame[30..34].copy_from_slice(&client);
        frame[36..38].copy_from_slice(&client_port);
    } else {
        frame[26..30].copy_from_slice(&client);
        frame[34..36].copy_from_slice(&client_port);
        frame[36..38].copy_from_slice(&service_port);
    }
}

#[inline]
fn address_v6(frame: &mut [u8; LEN_V6], scene: &Scene, step: Step, flow: u32) {
    let Ends { client, client_port, service_port, member } = Ends::of(scene, flow);
    if step.is_from_member() {
        frame[34..38].copy_from_slice(&member);
        frame[50..54].copy_from_slice(&client);
        frame[56..58].copy_from_slice(&client_port);
    } else {
        frame[34..38].copy_from_slice(&client);
        frame[54..56].copy_from_slice(&client_port);
        frame[56..58].copy_from_slice(&service_port);
    }
}

/// The network that all IPv6 addresses are of.
pub(crate) const NETWORK_V6: [u8; 12] = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0];

fn template(scene: &Scene, step: Step) -> [u8; LEN_V6] {
    let mut frame = [0; LEN_V6];
    let from_member = step.is_from_member();
    frame[..6].copy_from_slice(&scene.macs[usize::from(from_member)].0);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0xee]);
    let (destination, segment) = if scene.wide {
        frame[12..22].copy_from_slice(&[0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, 6, 64]);
        frame[22..34].copy_from_slice(&NETWORK_V6);
        frame[38..50].copy_from_slice(&NETWORK_V6);
        (50, 54)
    } else {
        frame[12..24].copy_from_slice(&[8, 0, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 6]);
        (30, 34)
    };
    frame[segment + 12] = 0x50;
    frame[segment + 13] = step.flags();
    if from_member {
        frame[segment..segment + 2].copy_from_slice(&scene.member.1.to_be_bytes());
    } else {
        frame[destination..destination + 4].copy_from_slice(&scene.service.0);
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
