//! An engine with a network around it, and frames to send through it.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "each test file uses a part of this module, and what it builds is known to fit"
)]

pub mod v6;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::sync::Arc;

use lb_engine::network::{Network, PortView, Route, Strangers};
use lb_engine::pipeline::{Burst, Engine, MAX_BURST};
use lb_engine::tables::{Planner, Tables};
use lb_engine::wire::checksum;
use lb_engine::{FlowTable, Outbox, PortIndex, Verdict, WorkerCounters};
use lb_mem::FlowFile;
use lb_model::config::ChecksumMode;
use lb_model::flow::{FlowKey, SeenFlow};
use lb_model::snapshot::{
    Admission, Ended, Forwarding, Generation, L4Backend, L4Protocol, L4Service, L4Snapshot, Scheduler, Share,
    Timeouts, Unserved, Weight,
};
use lb_model::{L4Port, MacAddr, MemberId, VirtualServiceId};
use uuid::Uuid;

pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 9);
pub const VIP: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 100);
pub const HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 1);
pub const BACK_HOST: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 1);
pub const MEMBER_1: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 11);
pub const MEMBER_2: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 12);
pub const FRONT: PortIndex = PortIndex(0);
pub const BACK: PortIndex = PortIndex(1);
pub const FRONT_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub const BACK_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
pub const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 9]);

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

/// A frame under construction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame(pub Vec<u8>);

impl Frame {
    pub fn tcp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), flags: u8, payload: &[u8]) -> Self {
        let mut bytes = vec![0; 54];
        bytes[..6].copy_from_slice(&FRONT_MAC.0);
        bytes[6..12].copy_from_slice(&PEER_MAC.0);
        bytes[12..14].copy_from_slice(&[8, 0]);
        bytes[14] = 0x45;
        bytes[16..18].copy_from_slice(&(40 + payload.len() as u16).to_be_bytes());
        bytes[22] = 64;
        bytes[23] = 6;
        bytes[26..30].copy_from_slice(&from.0.octets());
        bytes[30..34].copy_from_slice(&to.0.octets());
        bytes[34..36].copy_from_slice(&from.1.to_be_bytes());
        bytes[36..38].copy_from_slice(&to.1.to_be_bytes());
        bytes[46] = 0x50;
        bytes[47] = flags;
        bytes.extend_from_slice(payload);
        let mut frame = Self(bytes);
        frame.fix_checksums();
        frame
    }

    pub fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Self {
        let mut bytes = Self::tcp(from, to, 0, &[]).0[..42].to_vec();
        bytes[23] = 17;
        bytes[16..18].copy_from_slice(&(28 + payload.len() as u16).to_be_bytes());
        bytes[38..40].copy_from_slice(&(8 + payload.len() as u16).to_be_bytes());
        bytes.extend_from_slice(payload);
        let mut frame = Self(bytes);
        frame.fix_checksums();
        frame
    }

    /// An ICMP error from a router about `quoted`, of which it has the first `len` bytes.
    pub fn error(from: Ipv4Addr, to: Ipv4Addr, kind: u8, quoted: &Self, len: usize) -> Self {
        let quoted = &quoted.0[14..(14 + len).min(quoted.0.len())];
        let mut bytes = Self::tcp((from, 0), (to, 0), 0, &[]).0[..34].to_vec();
        bytes[23] = 1;
        bytes[16..18].copy_from_slice(&(28 + quoted.len() as u16).to_be_bytes());
        bytes.extend([kind, 1, 0, 0, 0, 0, 0x05, 0x78]);
        bytes.extend_from_slice(quoted);
        let mut frame = Self(bytes);
        frame.fix_checksums();
        frame
    }

    /// The packet that an ICMP error quotes, as a frame of its own.
    pub fn quoted(&self) -> Self {
        Self([&self.0[..14], &self.0[42..]].concat())
    }

    pub fn arriving_at(mut self, mac: MacAddr) -> Self {
        self.0[..6].copy_from_slice(&mac.0);
        self
    }

    pub fn with(mut self, at: usize, value: u8) -> Self {
        self.0[at] = value;
        self
    }

    /// Makes the checksum of the IP header right.
    pub fn fix_header(&mut self) {
        self.0[24..26].fill(0);
        let header = !checksum::fold(checksum::sum(&self.0[14..34]));
        self.0[24..26].copy_from_slice(&header.to_ne_bytes());
    }

    /// The same of a header with options.
    pub fn fix_long_header(&mut self) {
        let end = 14 + usize::from(self.0[14] & 15) * 4;
        self.0[24..26].fill(0);
        let header = !checksum::fold(checksum::sum(&self.0[14..end]));
        self.0[24..26].copy_from_slice(&header.to_ne_bytes());
    }

    pub fn header_holds(&self) -> bool {
        checksum::fold(checksum::sum(&self.0[14..34])) == 0xffff
    }

    pub fn fix_checksums(&mut self) {
        self.fix_header();
        let at = self.checksum_at();
        let sum = self.right_checksum();
        self.0[at..at + 2].copy_from_slice(&sum.to_ne_bytes());
    }

    fn checksum_at(&self) -> usize {
        34 + match self.0[23] {
            1 => 2,
            6 => 16,
            _ => 6,
        }
    }

    fn right_checksum(&self) -> u16 {
        let mut segment = self.0[34..self.end()].to_vec();
        let at = self.checksum_at() - 34;
        segment[at..at + 2].fill(0);
        match self.0[23] {
            1 => !checksum::fold(checksum::sum(&segment)),
            protocol => {
                match checksum::transport::<8>(self.0[26..34].try_into().unwrap(), protocol, &segment) {
                    0 if protocol == 17 => u16::MAX,
                    sum => sum,
                }
            }
        }
    }

    fn end(&self) -> usize {
        14 + usize::from(u16::from_be_bytes([self.0[16], self.0[17]]))
    }

    pub fn checksums_hold(&self) -> bool {
        let at = self.checksum_at();
        self.header_holds() && u16::from_ne_bytes([self.0[at], self.0[at + 1]]) == self.right_checksum()
    }

    pub fn src(&self) -> (Ipv4Addr, u16) {
        (address(&self.0[26..30]), u16::from_be_bytes([self.0[34], self.0[35]]))
    }

    pub fn dst(&self) -> (Ipv4Addr, u16) {
        (address(&self.0[30..34]), u16::from_be_bytes([self.0[36], self.0[37]]))
    }

    pub fn ttl(&self) -> u8 {
        self.0[22]
    }
}

fn address(bytes: &[u8]) -> Ipv4Addr {
    let octets: [u8; 4] = bytes.try_into().unwrap();
    Ipv4Addr::from(octets)
}

/// Frames that came together, and what they led to.
pub struct Frames<'frames> {
    pub came: &'frames mut [Frame],
    /// What was made of them.
    pub made: Vec<(PortIndex, Frame)>,
    /// What is to be looked at again.
    pub again: Vec<(PortIndex, Frame)>,
    pub handed_over: bool,
    pub bad_checksum: bool,
}

impl Burst for Frames<'_> {
    fn len(&self) -> usize {
        self.came.len()
    }

    fn frame(&mut self, index: usize) -> &mut [u8] {
        &mut self.came[index].0
    }

    fn has_bad_checksum(&self, _index: usize) -> bool {
        self.bad_checksum
    }

    fn prefetch(&self, _index: usize) {}

    fn prepend(&mut self, index: usize, count: usize) -> bool {
        let bytes = &mut self.came[index].0;
        bytes.splice(..0, std::iter::repeat_n(0xee, count));
        count <= 128
    }

    fn truncate(&mut self, index: usize, len: usize) {
        self.came[index].0.truncate(len);
    }

    fn is_handed_over(&self) -> bool {
        self.handed_over
    }

    fn again(&mut self, frame: &[u8], port: PortIndex) {
        self.again.push((port, Frame(frame.to_vec())));
    }

    fn originate(
        &mut self,
        index: usize,
        part: Range<usize>,
        front: usize,
        to: PortIndex,
    ) -> Option<&mut [u8]> {
        let bytes = [vec![0xee; front], self.came[index].0[part].to_vec()].concat();
        self.made.push((to, Frame(bytes)));
        self.made.last_mut().map(|(_, frame)| &mut frame.0[..])
    }
}

/// What is made beside bursts.
#[derive(Default)]
pub struct Made(pub Vec<(PortIndex, Frame)>);

impl Outbox for Made {
    fn make(&mut self, len: usize, to: PortIndex) -> Option<&mut [u8]> {
        self.0.push((to, Frame(vec![0xee; len])));
        self.0.last_mut().map(|(_, frame)| &mut frame.0[..])
    }
}

/// For fewer backends than an appliance has: they cost each test its time.
fn counters() -> Arc<WorkerCounters> {
    Arc::new(WorkerCounters::for_backends(4096))
}

/// The appliance of a test: an engine and what it forwards by.
pub struct Lb {
    pub planner: Planner,
    pub network: Network,
    pub tables: Tables,
    pub engine: Engine,
    pub counters: Arc<WorkerCounters>,
    pub now: u32,
    /// What the last burst, sweep or ending made.
    pub made: Vec<(PortIndex, Frame)>,
    /// What became of frames that were looked at again after the last burst.
    pub again: Vec<(Verdict, Frame)>,
    /// Whether frames come from another worker.
    pub handed_over: bool,
    /// Whether the receiving hardware finds their checksums wrong.
    pub bad_checksum: bool,
}

impl Lb {
    pub fn new(snapshot: &L4Snapshot) -> Self {
        Self::with_capacity(snapshot, 4096)
    }

    pub fn with_capacity(snapshot: &L4Snapshot, capacity: u32) -> Self {
        let file = FlowFile::anonymous(capacity, [0x9e37_79b9_7f4a_7c15, 0x517c_c1b7_2722_0a95]).unwrap();
        Self::on_file(snapshot, file)
    }

    pub fn on_file(snapshot: &L4Snapshot, file: FlowFile) -> Self {
        Self::on_file_as(snapshot, file, 0, 1)
    }

    /// One of several workers, alone.
    pub fn as_worker(snapshot: &L4Snapshot, worker: u16, workers: usize) -> Self {
        Self::on_file_as(snapshot, FlowFile::anonymous(4096, [3, 5]).unwrap(), worker, workers)
    }

    /// All workers of an appliance, who see each other's counts.
    pub fn workers(snapshot: &L4Snapshot, count: u16) -> Vec<Self> {
        let all: Box<[Arc<WorkerCounters>]> = (0..count).map(|_| counters()).collect();
        let file = || FlowFile::anonymous(4096, [3, 5]).unwrap();
        (0..count).map(|worker| Self::beside(snapshot, file(), worker, all.clone())).collect()
    }

    fn on_file_as(snapshot: &L4Snapshot, file: FlowFile, worker: u16, workers: usize) -> Self {
        Self::beside(snapshot, file, worker, (0..workers).map(|_| counters()).collect())
    }

    fn beside(snapshot: &L4Snapshot, file: FlowFile, worker: u16, all: Box<[Arc<WorkerCounters>]>) -> Self {
        let counters = Arc::clone(&all[usize::from(worker)]);
        let engine = Engine::new(FlowTable::attach(file), all, worker);
        let tables = Tables::default();
        let mut lb = Self {
            planner: Planner::new(1),
            network: network(),
            tables,
            engine,
            counters,
            now: 1000,
            made: Vec::new(),
            again: Vec::new(),
            handed_over: false,
            bad_checksum: false,
        };
        lb.publish(snapshot);
        lb
    }

    pub fn publish(&mut self, snapshot: &L4Snapshot) {
        self.planner.publish(snapshot).unwrap();
        self.refresh();
    }

    pub fn refresh(&mut self) {
        self.tables = self.planner.tables(&self.network);
        self.engine.adopt(&self.tables);
    }

    /// Sends a frame in at the port it is addressed to.
    pub fn send(&mut self, frame: Frame) -> (Verdict, Frame) {
        let port = if frame.0[..6] == BACK_MAC.0 { BACK } else { FRONT };
        self.send_at(port, frame)
    }

    pub fn send_at(&mut self, port: PortIndex, frame: Frame) -> (Verdict, Frame) {
        let mut frames = [frame];
        let verdicts = self.burst(port, &mut frames);
        let [frame] = frames;
        (verdicts[0], frame)
    }

    pub fn burst(&mut self, port: PortIndex, frames: &mut [Frame]) -> Vec<Verdict> {
        let mut verdicts = [Verdict::Punt; MAX_BURST];
        let count = frames.len();
        let (made, again) = (Vec::new(), Vec::new());
        let Self { handed_over, bad_checksum, .. } = *self;
        let mut burst = Frames { came: frames, made, again, handed_over, bad_checksum };
        self.engine.process(&self.tables, self.now, port, &mut burst, &mut verdicts);
        let (made, again) = (burst.made, burst.again);
        let mut seen = Vec::new();
        let came = std::mem::replace(&mut self.handed_over, true);
        for (port, frame) in again {
            seen.push(self.send_at(port, frame));
        }
        self.handed_over = came;
        (self.made, self.again) = (made, seen);
        verdicts[..count].to_vec()
    }

    /// Opens a connection from a client's port, handshake and all; the member that got it.
    pub fn open(&mut self, port: u16) -> (Ipv4Addr, u16) {
        let (verdict, syn) = self.send(from_client(port, SYN, b""));
        assert_eq!(verdict, Verdict::Send(BACK));
        let member = syn.dst();
        assert_eq!(self.send(from_member(member, port, SYN | ACK, b"")).0, Verdict::Send(FRONT));
        assert_eq!(self.send(from_client(port, ACK, b"")).0, Verdict::Send(BACK));
        member
    }

    pub fn flows(&mut self) -> u32 {
        self.engine.flows().live()
    }

    /// Looks at every entry once.
    pub fn sweep(&mut self) -> u32 {
        let used = self.engine.flows().used();
        let mut made = Made::default();
        let expired = self.engine.expire(&self.tables, self.now, used, &mut made);
        self.made = made.0;
        expired
    }

    /// Ends a flow.
    pub fn end(&mut self, key: &FlowKey) -> Option<SeenFlow> {
        let mut made = Made::default();
        let ended = self.engine.end(&self.tables, self.now, key, &mut made);
        self.made = made.0;
        ended
    }
}

pub fn from_client(port: u16, flags: u8, payload: &[u8]) -> Frame {
    Frame::tcp((CLIENT, port), (VIP, 80), flags, payload)
}

pub fn from_member(member: (Ipv4Addr, u16), client_port: u16, flags: u8, payload: &[u8]) -> Frame {
    Frame::tcp(member, (CLIENT, client_port), flags, payload).arriving_at(BACK_MAC)
}

pub fn network() -> Network {
    let port = |mac, address: Ipv4Addr| PortView {
        mac,
        mtu: 1500,
        addresses: vec![address.into()],
        checksum: ChecksumMode::Incremental,
        strangers: Strangers::Punt,
    };
    let route = |to: &str, port, gateway: Option<Ipv4Addr>| {
        let gateway = gateway.map(IpAddr::V4);
        Route { to: to.parse().unwrap(), port, gateway, metric: 0 }
    };
    let mut network = Network {
        ports: vec![port(FRONT_MAC, HOST), port(BACK_MAC, BACK_HOST)],
        routes: vec![
            route("198.18.1.0/24", FRONT, None),
            route("198.18.2.0/24", BACK, None),
            route("0.0.0.0/0", FRONT, Some(Ipv4Addr::new(198, 18, 1, 254))),
        ],
        neighbours: HashMap::from([
            ((FRONT, CLIENT.into()), MacAddr([2, 0, 0, 1, 1, 9])),
            ((BACK, MEMBER_1.into()), MacAddr([2, 0, 0, 2, 2, 11])),
            ((BACK, MEMBER_2.into()), MacAddr([2, 0, 0, 2, 2, 12])),
        ])
        .into_iter()
        .chain(
            (1..=100)
                .map(|last| ((BACK, Ipv4Addr::new(198, 18, 2, last).into()), MacAddr([2, 0, 0, 2, 2, last]))),
        )
        .collect(),
        locals: HashSet::from([HOST.into(), VIP.into()]),
    };
    v6::add_network6(&mut network);
    network
}

pub fn backend(number: u128, address: Ipv4Addr, port: u16) -> L4Backend {
    L4Backend {
        member: MemberId(Uuid::from_u128(number)),
        address: address.into(),
        port: L4Port::new(port).unwrap(),
        takes_new: true,
        keeps: true,
        weight: Weight::default(),
        share: Share::FULL,
        backup: false,
        reserve: false,
        connection_limit: None,
        drain_timeout_s: None,
    }
}

/// A service on the virtual IP, port 80.
pub fn web(backends: Vec<L4Backend>) -> L4Snapshot {
    let service = L4Service {
        id: VirtualServiceId(Uuid::from_u128(80)),
        address: VIP.into(),
        port: L4Port::new(80).unwrap(),
        port_end: None,
        protocol: L4Protocol::Tcp,
        forwarding: Forwarding::Nat,
        tunnel: None,
        local_addresses: Vec::new(),
        scheduler: Scheduler::RoundRobin,
        timeouts: Timeouts { opening_s: 60, idle_s: 300, closing_s: 60 },
        admission: Admission::default(),
        unserved: Unserved::default(),
        ended: Ended::default(),
        persistence: None,
        backends,
    };
    L4Snapshot { generation: Generation(1), services: vec![service], probes: Vec::new() }
}

/// The same by UDP.
pub fn by_udp(mut snapshot: L4Snapshot) -> L4Snapshot {
    for service in &mut snapshot.services {
        service.protocol = L4Protocol::Udp;
        service.timeouts = Timeouts { opening_s: 30, idle_s: 120, closing_s: 60 };
    }
    snapshot
}

/// Two members on port 8080.
pub fn two_members() -> L4Snapshot {
    web(vec![backend(1, MEMBER_1, 8080), backend(2, MEMBER_2, 8080)])
}
