//! A forwarder set up for measuring: one worker, one service with four members, the network that goes with it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use lb_dpdk::{Burst, Eal, EalConfig, LogLevel, Memory, Mempool, cycles};
use lb_engine::flow::Key;
use lb_engine::network::{Network, PortView, Route, Strangers};
use lb_engine::tables::Planner;
use lb_engine::{Engine, FlowTable, PortIndex};
use lb_mem::FlowFile;
use lb_model::config::ChecksumMode;
use lb_model::snapshot::{
    Admission, Ended, Forwarding, Generation, L4Backend, L4Protocol, L4Service, L4Snapshot, Scheduler, Share,
    Timeouts, Unserved, Weight,
};
use lb_model::{L4Port, MacAddr, MemberId, Prefix, Tunnel, VirtualServiceId};

use super::stopwatch::Stopwatch;
use crate::generator::{Generator, NETWORK_V6, Reply, Scene, Step, frame_of};
use crate::ports::deal;
use crate::shared::Shared;
use crate::ways::{Inlet, KernelSide, Outlet};
use crate::worker::Worker;

const VIP: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 100);
const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 254);
const MEMBERS: [Ipv4Addr; 4] = [
    Ipv4Addr::new(198, 18, 2, 11),
    Ipv4Addr::new(198, 18, 2, 12),
    Ipv4Addr::new(198, 18, 2, 13),
    Ipv4Addr::new(198, 18, 2, 14),
];
const HOST: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 18, 1, 1), Ipv4Addr::new(198, 18, 2, 1)];
/// Enough for a million connections to four members.
const LOCAL_ADDRESSES: [Ipv4Addr; 8] = [
    Ipv4Addr::new(198, 18, 2, 201),
    Ipv4Addr::new(198, 18, 2, 202),
    Ipv4Addr::new(198, 18, 2, 203),
    Ipv4Addr::new(198, 18, 2, 204),
    Ipv4Addr::new(198, 18, 2, 205),
    Ipv4Addr::new(198, 18, 2, 206),
    Ipv4Addr::new(198, 18, 2, 207),
    Ipv4Addr::new(198, 18, 2, 208),
];
const MACS: [MacAddr; 2] = [MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2])];
const FRONT: usize = 0;
const BACK: usize = 1;

/// DPDK with memory for the packets of a measurement.
pub(super) fn start(core: u16, prefix: &str) -> anyhow::Result<(Eal, Mempool)> {
    lb_dpdk::pin_current_thread(core)?;
    let eal = Eal::init(&EalConfig {
        file_prefix: format!("penstock-{prefix}-{}", std::process::id()),
        memory: Memory::Auto,
        memory_mib: 64,
        pci: Vec::new(),
        log_level: LogLevel::Error,
    })?;
    Ok((eal, Mempool::new(eal, "frames", 8192, Mempool::DEFAULT_CACHE)?))
}

/// The port of the first service.
const FIRST_PORT: u16 = 80;

/// The scene of so many connections to one service.
pub(super) fn scene(flows: u32) -> Scene {
    scene_of(flows, Setup::default())
}

fn scene_of(flows: u32, setup: Setup) -> Scene {
    Scene {
        flows,
        wide: setup.wide,
        services: setup.services,
        service: (VIP.octets(), FIRST_PORT),
        member: (MEMBERS[0].octets(), 8080),
        members: 4,
        macs: MACS,
    }
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    /// How packets reach the members.
    pub(super) way: Way,
    /// Whether they are IPv6.
    pub(super) wide: bool,
    /// How many services the connections are spread over.
    pub(super) services: u16,
}

impl Default for Setup {
    fn default() -> Self {
        Self { way: Way::Nat, wide: false, services: 1 }
    }
}

impl Setup {
    /// An address as this setup has it.
    fn address(self, address: Ipv4Addr) -> IpAddr {
        if !self.wide {
            return address.into();
        }
        let mut bytes = [0; 16];
        bytes[..12].copy_from_slice(&NETWORK_V6);
        bytes[12..].copy_from_slice(&address.octets());
        Ipv6Addr::from(bytes).into()
    }
}

/// How packets reach the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Nat,
    FullNat,
    Direct,
    Tunnel(Tunnel),
}

impl Way {
    fn forwarding(self) -> Forwarding {
        match self {
            Self::Nat => Forwarding::Nat,
            Self::FullNat => Forwarding::FullNat,
            Self::Direct => Forwarding::Dr,
            Self::Tunnel(_) => Forwarding::Tunnel,
        }
    }
}

/// A worker with its connections.
pub(super) struct Stage {
    pub(super) worker: Worker,
    pub(super) scene: Scene,
    way: Way,
    eal: Eal,
    shared: Arc<Shared>,
}

impl Stage {
    /// A worker with generators for ports and room for the connections, none of which is open.
    pub(super) fn new(eal: Eal, pool: Mempool, flows: u32) -> anyhow::Result<Self> {
        Self::by(eal, pool, flows, Setup::default())
    }

    /// The same, for any setup.
    pub(super) fn by(eal: Eal, pool: Mempool, flows: u32, setup: Setup) -> anyhow::Result<Self> {
        let scene = scene_of(flows, setup);
        let shared = Arc::new(Shared::new(1));
        let entries = if setup.wide { 2 * flows } else { flows };
        let capacity = entries.next_power_of_two().clamp(1024, (1 << 24) - 1);
        let table =
            FlowTable::attach(FlowFile::anonymous(capacity, [0x9e37_79b9_7f4a_7c15, 0x517c_c1b7_2722_0a95])?);
        let engine = Engine::new(table, shared.counters(), 0);
        let mut ports = Vec::new();
        for port in [FRONT, BACK] {
            let inlets = vec![Inlet::Generator(Box::new(Generator::new(pool, scene)))];
            ports.extend(deal(eal, port, 1, inlets, vec![Outlet::Sink], KernelSide::None)?);
        }
        let frequency = eal.cycles_per_second();
        let worker = Worker::new(0, engine, ports, pool, frequency, Arc::clone(&shared), None);
        let mut planner = Planner::new(1);
        planner.publish(&snapshot(setup))?;
        shared.publish(planner.tables(&network(setup)));
        Ok(Self { worker, scene, way: setup.way, eal, shared })
    }

    /// Opens every connection, handshake and all; returns the cycles it took.
    pub(super) fn open_all(&mut self) -> f64 {
        let flows = u64::from(self.scene.flows);
        let mut cycles = self.drive(&[(FRONT, Step::Syn)], flows, true);
        match self.way {
            Way::Nat => cycles += self.drive(&[(BACK, Step::SynAck)], flows, true),
            Way::FullNat => {
                self.learn_replies();
                cycles += self.drive(&[(BACK, Step::SynAck)], flows, true);
            }
            // Replies take another way.
            Way::Direct | Way::Tunnel(_) => {}
        }
        cycles + self.drive(&[(FRONT, Step::Ack)], flows, true)
    }

    /// Tells the members' side what it was asked from.
    fn learn_replies(&mut self) {
        let (table, scene) = (self.worker.engine.flows(), self.scene);
        let reply = |flow| {
            let frame = frame_of(&scene, Step::Syn, flow);
            let addresses = frame.get(26..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))?;
            let ports = frame.get(34..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))?;
            let found = table.find(Key { addresses, ports, protocol: 6 }, None);
            let Key { addresses, ports, .. } = table.reply(found)?;
            let mut reply = Reply::default();
            reply[..8].copy_from_slice(&addresses.to_ne_bytes());
            reply[8..].copy_from_slice(&ports.to_ne_bytes());
            Some(reply)
        };
        let replies: Arc<[Reply]> = (0..scene.flows).filter_map(reply).collect();
        if let Some(Inlet::Generator(generator)) = self.worker.ports[BACK].inlets.first_mut() {
            generator.answer(replies);
        }
    }

    /// Data from the clients over all connections in an unforeseen order. Returns the cycles it took.
    pub(super) fn listen(&mut self, frames: u64) -> f64 {
        self.drive(&[(FRONT, Step::FromClient)], frames, false)
    }

    /// Lets the timeout of every connection pass, and returns the cycles it takes to forget them all.
    pub(super) fn expire_all(&mut self) -> f64 {
        self.worker.clock.skip(1_000_000);
        let now = self.worker.clock.at(cycles());
        let watch = Stopwatch::start(self.eal);
        while self.worker.engine.flows().live() > 0 {
            self.worker.expire(now, 64);
        }
        watch.cycles()
    }

    /// Data both ways over all connections in an unforeseen order: `frames` from each side. Returns the cycles it took.
    pub(super) fn converse(&mut self, frames: u64) -> f64 {
        self.drive(&[(FRONT, Step::FromClient), (BACK, Step::FromMember)], frames, false)
    }

    fn drive(&mut self, sides: &[(usize, Step)], frames: u64, in_order: bool) -> f64 {
        for (port, step) in sides {
            if let Some(Inlet::Generator(generator)) = self.worker.ports[*port].inlets.first_mut() {
                generator.make(*step, frames, in_order);
            }
        }
        let watch = Stopwatch::start(self.eal);
        while self.worker.turn(cycles()) {}
        watch.cycles()
    }

    /// Frames that left.
    pub(super) fn sent(&self) -> u64 {
        self.shared.workers[0].counters.sent.get()
    }

    /// Frames that did not leave as they should: there must be none.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let mut sum = lb_model::counters::Accounting::default();
        self.shared.workers[0].counters.add_to(&mut sum);
        anyhow::ensure!(
            sum.drops.is_empty() && sum.imbalance() == 0,
            "not all frames were forwarded: {sum:?}"
        );
        Ok(())
    }
}

/// The same frames, received and sent without a look at them. Returns the cycles.
pub(super) fn no_op(
    eal: Eal,
    pool: Mempool,
    scene: Scene,
    steps: &[Step],
    frames: u64,
    in_order: bool,
) -> f64 {
    let mut inlets: Vec<_> = steps
        .iter()
        .map(|step| {
            let mut generator = Generator::new(pool, scene);
            generator.make(*step, frames, in_order);
            Inlet::Generator(Box::new(generator))
        })
        .collect();
    let mut outlet = Outlet::Sink;
    let watch = Stopwatch::start(eal);
    loop {
        let mut received = 0;
        for inlet in &mut inlets {
            let mut burst = Burst::new();
            let mut leaving = Burst::new();
            received += inlet.receive(&mut burst);
            for frame in burst.drain() {
                // As many fit as came from a burst.
                let _ = leaving.push(frame);
            }
            outlet.send(&mut leaving);
        }
        if received == 0 {
            return watch.cycles();
        }
    }
}

/// Services with four members each, as published by penstockd.
fn snapshot(setup: Setup) -> L4Snapshot {
    let services = (0..setup.services).filter_map(|number| service(setup, number));
    L4Snapshot { generation: Generation(1), services: services.collect(), probes: Vec::new() }
}

fn service(setup: Setup, number: u16) -> Option<L4Service> {
    let tunnel = if let Way::Tunnel(tunnel) = setup.way { Some(tunnel) } else { None };
    let port = |number| L4Port::new(number).map_err(|_| ()).ok();
    let backends = MEMBERS.iter().zip(1u128..).filter_map(|(address, number)| {
        Some(L4Backend {
            member: MemberId(uuid::Uuid::from_u128(number)),
            address: setup.address(*address),
            port: port(8080)?,
            takes_new: true,
            keeps: true,
            weight: Weight::default(),
            share: Share::FULL,
            backup: false,
            reserve: false,
            connection_limit: None,
            drain_timeout_s: None,
        })
    });
    let own = FIRST_PORT + number;
    port(own).map(|port| L4Service {
        id: VirtualServiceId(uuid::Uuid::from_u128(own.into())),
        address: setup.address(VIP),
        port,
        port_end: None,
        protocol: L4Protocol::Tcp,
        forwarding: setup.way.forwarding(),
        tunnel,
        local_addresses: LOCAL_ADDRESSES.map(|address| setup.address(address)).to_vec(),
        scheduler: Scheduler::RoundRobin,
        timeouts: Timeouts { opening_s: 60, idle_s: 300, closing_s: 60 },
        admission: Admission::default(),
        unserved: Unserved::default(),
        ended: Ended::default(),
        persistence: None,
        backends: backends.collect(),
    })
}

/// Clients behind a router on the first port, members on the second.
fn network(setup: Setup) -> Network {
    let port = |(mac, address): (MacAddr, Ipv4Addr)| PortView {
        mac,
        mtu: 1500,
        addresses: vec![setup.address(address)],
        checksum: ChecksumMode::Incremental,
        strangers: Strangers::Punt,
    };
    let (front, back) = (PortIndex(0), PortIndex(1));
    let route = |to: Ipv4Addr, len: u8, port, gateway: Option<Ipv4Addr>| {
        let gateway = gateway.map(|address| setup.address(address));
        let len = if setup.wide && len > 0 { len + 96 } else { len };
        Prefix::new(setup.address(to), len).ok().map(|to| Route { to, port, gateway, metric: 0 })
    };
    let routes = [
        route(Ipv4Addr::UNSPECIFIED, 0, front, Some(ROUTER)),
        route(Ipv4Addr::new(198, 18, 1, 0), 24, front, None),
        route(Ipv4Addr::new(198, 18, 2, 0), 24, back, None),
    ];
    let mut neighbours = HashMap::from([((front, setup.address(ROUTER)), MacAddr([2, 0, 0, 0, 1, 254]))]);
    neighbours.extend(
        MEMBERS
            .iter()
            .zip(11u8..)
            .map(|(address, last)| ((back, setup.address(*address)), MacAddr([2, 0, 0, 0, 2, last]))),
    );
    Network {
        ports: MACS.into_iter().zip(HOST).map(port).collect(),
        routes: routes.into_iter().flatten().collect(),
        neighbours,
        locals: HashSet::from([setup.address(VIP)]),
    }
}
