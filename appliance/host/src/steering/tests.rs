//! The program itself, run by the kernel on frames made here, and its attachment in a network namespace. As root only.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use aya::maps::{MapData, PerCpuArray};
use aya::programs::{TestRun, TestRunOptions};
use lb_model::L4Port;
use lb_model::snapshot::{Endpoint, L4Protocol, PortRange};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::maps::{Family, PinnedSet, V4, V6, address_keys};
use super::*;
use crate::kernel::netlink::Netlink;

const CLIENT: &str = "198.51.100.7";
const SERVICE: &str = "192.0.2.1";
const MEMBER: &str = "10.1.0.11";
const HERE: &str = "10.1.0.2";
const LOCAL: &str = "10.0.0.200";

const CLIENT_6: &str = "2001:db8:1::7";
const SERVICE_6: &str = "2001:db8::1";
const MEMBER_6: &str = "2001:db8:2::11";
const HERE_6: &str = "2001:db8:2::2";
const LOCAL_6: &str = "2001:db8::200";

/// `enum xdp_action` of linux/bpf.h. Without a plane, what is ours is dropped.
const OURS: u32 = 1;
const PASS: u32 = 2;

/// A directory for pins that is unmade with its content.
struct Pins {
    dir: tempfile::TempDir,
}

impl Pins {
    fn new() -> Self {
        assert!(rustix::process::geteuid().is_root(), "the steering program can be loaded by root only");
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn bpf(&self) -> PathBuf {
        self.dir.path().join("bpf")
    }

    fn link(&self) -> PathBuf {
        self.bpf().join("front0-link")
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        remove_all(&self.bpf()).unwrap();
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn octets(text: &str) -> Vec<u8> {
    match address(text) {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

fn endpoint(host: &str, port: u16) -> Endpoint {
    Endpoint { address: address(host), port: L4Port::new(port).unwrap(), protocol: L4Protocol::Tcp }
}

fn range(host: &str, first: u16, last: u16) -> PortRange {
    let [first, last] = [first, last].map(|port| L4Port::new(port).unwrap());
    PortRange { address: address(host), protocol: L4Protocol::Tcp, first, last }
}

/// Services on port 80 and on a thousand ports, a member on port 8080 and on a hundred.
fn tables() -> Tables {
    Tables {
        services: [endpoint(SERVICE, 80), endpoint(SERVICE_6, 80)].into(),
        service_ranges: [range(SERVICE, 8000, 8999), range(SERVICE_6, 8000, 8999)].into(),
        service_addrs: [address(SERVICE), address(SERVICE_6)].into(),
        members: [endpoint(MEMBER, 8080), endpoint(MEMBER_6, 8080)].into(),
        member_ranges: [range(MEMBER, 8100, 8199), range(MEMBER_6, 8100, 8199)].into(),
        member_addrs: [address(MEMBER), address(MEMBER_6)].into(),
        local_addrs: [address(LOCAL), address(LOCAL_6)].into(),
    }
}

/// A frame with a TCP segment, to be bent by the cases.
#[derive(Clone)]
struct Frame {
    from: (&'static str, u16),
    to: (&'static str, u16),
    protocol: u8,
    fragment: u16,
    options: usize,
    vlan: bool,
}

fn segment(from: (&'static str, u16), to: (&'static str, u16)) -> Frame {
    Frame { from, to, protocol: 6, fragment: 0, options: 0, vlan: false }
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        if self.vlan {
            bytes.extend([0x81, 0x00, 0, 7]);
        }
        bytes.extend([0x08, 0x00]);
        let header_len = 20 + self.options;
        let total_len = u16::try_from(header_len + 20).unwrap();
        bytes.extend([0x40 | u8::try_from(header_len / 4).unwrap(), 0]);
        bytes.extend(total_len.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(self.fragment.to_be_bytes());
        bytes.extend([64, self.protocol, 0, 0]);
        bytes.extend(octets(self.from.0));
        bytes.extend(octets(self.to.0));
        bytes.extend(vec![1; self.options]);
        bytes.extend(self.from.1.to_be_bytes());
        bytes.extend(self.to.1.to_be_bytes());
        bytes.extend([0; 16]);
        bytes
    }
}

struct Loaded {
    pins: Pins,
    steering: Steering,
}

fn loaded() -> Loaded {
    let pins = Pins::new();
    let link = Link { index: 1, name: "lo".to_owned(), ..Link::default() };
    let mut steering = Steering::load(&pins.bpf(), &[link]).unwrap();
    steering.grow(&tables()).unwrap();
    let locals = [HERE, SERVICE, LOCAL, HERE_6, SERVICE_6, LOCAL_6].map(address).into();
    let maps = maps::directory(&pins.bpf());
    PinnedSet::open(&maps, V4::NAMES.locals).unwrap().grow(&address_keys::<V4>(&locals)).unwrap();
    PinnedSet::open(&maps, V6::NAMES.locals).unwrap().grow(&address_keys::<V6>(&locals)).unwrap();
    Loaded { pins, steering }
}

impl Loaded {
    fn verdict(&mut self, bytes: &[u8]) -> u32 {
        let program = self.steering.programs[0].xdp().unwrap();
        let options = TestRunOptions { data_in: Some(bytes), ..TestRunOptions::new() };
        program.test_run(options).unwrap().return_value
    }

    fn counters(&self) -> [u64; 3] {
        let pin = maps::directory(&self.pins.bpf()).join("lo-counters");
        let counters = aya::maps::Map::from_map_data(MapData::from_pin(pin).unwrap()).unwrap();
        let counters = PerCpuArray::<_, u64>::try_from(counters).unwrap();
        [0, 1, 2].map(|index| counters.get(&index, 0).unwrap().iter().sum())
    }
}

#[test]
fn each_packet_has_its_verdict() {
    let to_service = segment((CLIENT, 40_000), (SERVICE, 80));
    let reply = segment((MEMBER, 8080), (CLIENT, 40_000));
    let cases = [
        ("to a service", to_service.clone(), OURS),
        ("to another port of its address", segment((CLIENT, 40_000), (SERVICE, 81)), PASS),
        ("to a service's port elsewhere", segment((CLIENT, 40_000), (HERE, 80)), PASS),
        ("by UDP", Frame { protocol: 17, ..to_service.clone() }, PASS),
        ("with IP options", Frame { options: 8, ..to_service.clone() }, OURS),
        ("tagged", Frame { vlan: true, ..to_service.clone() }, PASS),
        ("the first fragment", Frame { fragment: 0x2000, ..to_service.clone() }, OURS),
        ("a later fragment", Frame { fragment: 0x2010, to: (SERVICE, 9), ..to_service.clone() }, OURS),
        ("the last fragment", Frame { fragment: 0x0010, to: (SERVICE, 9), ..to_service.clone() }, OURS),
        ("do not fragment", Frame { fragment: 0x4000, ..to_service.clone() }, OURS),
        ("a fragment elsewhere", Frame { fragment: 0x0010, to: (HERE, 80), ..to_service.clone() }, PASS),
        ("a fragment by UDP", Frame { fragment: 0x2000, protocol: 17, ..to_service.clone() }, OURS),
        ("by another protocol", Frame { protocol: 47, ..to_service }, PASS),
        ("a member's reply", reply.clone(), OURS),
        ("a member's reply with IP options", Frame { options: 40, ..reply.clone() }, OURS),
        ("the first fragment of a reply", Frame { fragment: 0x2000, ..reply.clone() }, OURS),
        ("a later fragment of a reply", Frame { fragment: 0x0010, from: (MEMBER, 9), ..reply.clone() }, OURS),
        ("one to a local address", Frame { fragment: 0x0010, to: (LOCAL, 9), ..reply.clone() }, OURS),
        ("one to this host", Frame { fragment: 0x0010, to: (HERE, 9), ..reply.clone() }, PASS),
        ("one of somebody else's", Frame { fragment: 0x0010, from: (CLIENT, 8080), ..reply }, PASS),
        ("from a member's other port", segment((MEMBER, 22), (CLIENT, 40_000)), PASS),
        ("from a member to this host", segment((MEMBER, 8080), (HERE, 40_000)), PASS),
        ("from a member to a local address", segment((MEMBER, 8080), (LOCAL, 40_000)), OURS),
        ("from somebody else to a local address", segment((CLIENT, 8080), (LOCAL, 40_000)), PASS),
        ("from a member to a service", segment((MEMBER, 8080), (SERVICE, 80)), OURS),
        ("what a member answers a check past us", segment((SERVICE, 80), (HERE, 40_000)), OURS),
        ("from a service's other port", segment((SERVICE, 81), (HERE, 40_000)), PASS),
        ("from a service to another host", segment((SERVICE, 80), (CLIENT, 40_000)), PASS),
        ("to the port before a range", segment((CLIENT, 40_000), (SERVICE, 7999)), PASS),
        ("to the first port of a range", segment((CLIENT, 40_000), (SERVICE, 8000)), OURS),
        ("to the last port of a range", segment((CLIENT, 40_000), (SERVICE, 8999)), OURS),
        ("to the port after a range", segment((CLIENT, 40_000), (SERVICE, 9000)), PASS),
        ("from a member's range", segment((MEMBER, 8150), (CLIENT, 40_000)), OURS),
        ("from there to this host", segment((MEMBER, 8150), (HERE, 40_000)), PASS),
        ("from beside it", segment((MEMBER, 8200), (CLIENT, 40_000)), PASS),
    ];
    let mut loaded = loaded();
    for (what, frame, verdict) in cases {
        assert_eq!(loaded.verdict(&frame.bytes()), verdict, "{what}");
    }
}

/// An ICMP error of `kind`, from a router to `to`, about `quoted`.
fn error(kind: u8, to: &str, quoted: &Frame) -> Vec<u8> {
    let quoted = &quoted.bytes()[14..42];
    let mut bytes = Frame { protocol: 1, ..segment(("203.0.113.1", 0), (SERVICE, 0)) }.bytes()[..34].to_vec();
    bytes[16..18].copy_from_slice(&56u16.to_be_bytes());
    bytes[30..34].copy_from_slice(&octets(to));
    bytes.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(quoted);
    bytes
}

#[test]
fn an_error_goes_where_what_it_quotes_came_from() {
    let to_client = segment((SERVICE, 80), (CLIENT, 40_000));
    let to_member = segment((CLIENT, 40_000), (MEMBER, 8080));
    let cases = [
        ("about a reply", error(3, SERVICE, &to_client), OURS),
        ("about a packet that lived too long", error(11, SERVICE, &to_client), OURS),
        ("about a request", error(3, CLIENT, &to_member), OURS),
        ("about a request from a local address", error(3, LOCAL, &to_member), OURS),
        ("about a request of this host", error(3, HERE, &to_member), PASS),
        ("about another port", error(3, SERVICE, &segment((SERVICE, 22), (CLIENT, 40_000))), PASS),
        ("about UDP", error(3, SERVICE, &Frame { protocol: 17, ..to_client.clone() }), PASS),
        ("about ICMP", error(3, SERVICE, &Frame { protocol: 1, ..to_client.clone() }), PASS),
        ("about a later fragment", error(3, SERVICE, &Frame { fragment: 1, ..to_client.clone() }), PASS),
        ("no error but an echo", error(8, SERVICE, &to_client), PASS),
        ("cut short", error(3, SERVICE, &to_client)[..64].to_vec(), PASS),
    ];
    let mut loaded = loaded();
    for (what, bytes, verdict) in cases {
        assert_eq!(loaded.verdict(&bytes), verdict, "{what}");
    }
}

/// The same in IPv6, with extension headers: each of a type, and what is in it from its second byte on.
#[derive(Clone)]
struct Frame6 {
    from: (&'static str, u16),
    to: (&'static str, u16),
    protocol: u8,
    extensions: Vec<(u8, [u8; 7])>,
}

const NOTHING: [u8; 7] = [0; 7];

fn segment6(from: (&'static str, u16), to: (&'static str, u16)) -> Frame6 {
    Frame6 { from, to, protocol: 6, extensions: Vec::new() }
}

impl Frame6 {
    fn with(&self, extensions: &[(u8, [u8; 7])]) -> Self {
        Self { extensions: extensions.to_vec(), ..self.clone() }
    }

    /// As the piece of a larger packet that flags and offset say.
    fn piece(&self, field: [u8; 2]) -> Self {
        self.with(&[(44, [0, field[0], field[1], 0, 0, 0, 9])])
    }

    fn bytes(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        let mut next = self.protocol;
        for (kind, rest) in self.extensions.iter().rev() {
            let mut header = vec![std::mem::replace(&mut next, *kind)];
            header.extend(rest);
            let more = if *kind == 44 { 0 } else { usize::from(rest[0]) * 8 };
            header.extend(vec![0; more]);
            payload.splice(0..0, header);
        }
        payload.extend(self.from.1.to_be_bytes());
        payload.extend(self.to.1.to_be_bytes());
        payload.extend([0; 16]);
        let mut bytes = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0];
        bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend([next, 64]);
        bytes.extend(octets(self.from.0));
        bytes.extend(octets(self.to.0));
        bytes.extend(payload);
        bytes
    }
}

#[test]
fn each_packet_of_ipv6_has_its_verdict() {
    let to_service = segment6((CLIENT_6, 40_000), (SERVICE_6, 80));
    let reply = segment6((MEMBER_6, 8080), (CLIENT_6, 40_000));
    let options = [(0, NOTHING), (60, [2, 0, 0, 0, 0, 0, 0]), (43, NOTHING)];
    let cases = [
        ("to a service", to_service.clone(), OURS),
        ("to another port of its address", segment6((CLIENT_6, 40_000), (SERVICE_6, 81)), PASS),
        ("to a service's port elsewhere", segment6((CLIENT_6, 40_000), (HERE_6, 80)), PASS),
        ("by UDP", Frame6 { protocol: 17, ..to_service.clone() }, PASS),
        ("by another protocol", Frame6 { protocol: 47, ..to_service.clone() }, PASS),
        ("with extension headers", to_service.with(&options), OURS),
        ("with as many as are followed", to_service.with(&[(60, NOTHING); 8]), OURS),
        ("with more", to_service.with(&[(60, NOTHING); 9]), OURS),
        ("with more, elsewhere", segment6((CLIENT_6, 1), (HERE_6, 80)).with(&[(60, NOTHING); 9]), PASS),
        ("under way", to_service.with(&[(43, [0, 0, 1, 0, 0, 0, 0])]), PASS),
        ("whole, as a fragment", to_service.piece([0, 0]), OURS),
        ("the first fragment", to_service.piece([0, 1]), OURS),
        ("a later fragment", Frame6 { to: (SERVICE_6, 9), ..to_service.piece([0, 9]) }, OURS),
        ("the last fragment", Frame6 { to: (SERVICE_6, 9), ..to_service.piece([1, 0]) }, OURS),
        ("a fragment by another protocol", Frame6 { protocol: 58, ..to_service.piece([0, 8]) }, PASS),
        ("a fragment elsewhere", Frame6 { to: (HERE_6, 80), ..to_service.piece([0, 8]) }, PASS),
        ("a member's reply", reply.clone(), OURS),
        ("a member's reply with extension headers", reply.with(&options), OURS),
        ("the first fragment of a reply", reply.piece([0, 1]), OURS),
        ("a later fragment of a reply", Frame6 { from: (MEMBER_6, 9), ..reply.piece([0, 9]) }, OURS),
        ("one to this host", Frame6 { to: (HERE_6, 9), ..reply.piece([0, 9]) }, PASS),
        ("one of somebody else's", Frame6 { from: (CLIENT_6, 8080), ..reply.piece([0, 9]) }, PASS),
        ("from a member's other port", segment6((MEMBER_6, 22), (CLIENT_6, 40_000)), PASS),
        ("from a member to this host", segment6((MEMBER_6, 8080), (HERE_6, 40_000)), PASS),
        ("from a member to a local address", segment6((MEMBER_6, 8080), (LOCAL_6, 40_000)), OURS),
        ("from a member to a service", segment6((MEMBER_6, 8080), (SERVICE_6, 80)), OURS),
        ("what a member answers a check past us", segment6((SERVICE_6, 80), (HERE_6, 40_000)), OURS),
        ("from a service to another host", segment6((SERVICE_6, 80), (CLIENT_6, 40_000)), PASS),
        ("to the port before a range", segment6((CLIENT_6, 40_000), (SERVICE_6, 7999)), PASS),
        ("to the first port of a range", segment6((CLIENT_6, 40_000), (SERVICE_6, 8000)), OURS),
        ("to the last port of a range", segment6((CLIENT_6, 40_000), (SERVICE_6, 8999)), OURS),
        ("to the port after a range", segment6((CLIENT_6, 40_000), (SERVICE_6, 9000)), PASS),
        ("from a member's range", segment6((MEMBER_6, 8150), (CLIENT_6, 40_000)), OURS),
        ("from there to this host", segment6((MEMBER_6, 8150), (HERE_6, 40_000)), PASS),
        ("from beside it", segment6((MEMBER_6, 8200), (CLIENT_6, 40_000)), PASS),
    ];
    let mut loaded = loaded();
    for (what, frame, verdict) in cases {
        assert_eq!(loaded.verdict(&frame.bytes()), verdict, "{what}");
    }
    let whole = to_service.with(&[(60, NOTHING)]).bytes();
    assert_eq!(loaded.verdict(&whole[..66]), OURS);
    for len in [14, 53, 54, 61, 62, 65] {
        assert_eq!(loaded.verdict(&whole[..len]), PASS, "{len} bytes");
    }
}

/// An ICMP error of `kind`, from a router to `to`, about `quoted`.
fn error6(kind: u8, to: &'static str, quoted: &Frame6) -> Vec<u8> {
    let mut bytes =
        Frame6 { protocol: 58, ..segment6(("2001:db8:ffff::1", 0), (to, 0)) }.bytes()[..54].to_vec();
    bytes.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(&quoted.bytes()[14..]);
    bytes
}

#[test]
fn an_error_of_ipv6_goes_where_what_it_quotes_came_from() {
    let to_client = segment6((SERVICE_6, 80), (CLIENT_6, 40_000));
    let to_member = segment6((CLIENT_6, 40_000), (MEMBER_6, 8080));
    let cases = [
        ("about a reply", error6(1, SERVICE_6, &to_client), OURS),
        ("about one that is too big", error6(2, SERVICE_6, &to_client), OURS),
        ("about one with an extension header", error6(2, SERVICE_6, &to_client.with(&[(60, NOTHING)])), OURS),
        ("about a request", error6(4, CLIENT_6, &to_member), OURS),
        ("about a request of this host", error6(1, HERE_6, &to_member), PASS),
        ("about another port", error6(1, SERVICE_6, &segment6((SERVICE_6, 22), (CLIENT_6, 1))), PASS),
        ("about UDP", error6(1, SERVICE_6, &Frame6 { protocol: 17, ..to_client.clone() }), PASS),
        ("about a later fragment", error6(1, SERVICE_6, &to_client.piece([0, 8])), PASS),
        ("an echo", error6(128, SERVICE_6, &to_client), PASS),
        ("a neighbour's question", error6(135, SERVICE_6, &to_client), PASS),
        ("cut short", error6(1, SERVICE_6, &to_client)[..104].to_vec(), PASS),
    ];
    let mut loaded = loaded();
    for (what, bytes, verdict) in cases {
        assert_eq!(loaded.verdict(&bytes), verdict, "{what}");
    }
}

#[test]
fn what_is_cut_short_is_the_kernels() {
    let mut loaded = loaded();
    let whole = segment((CLIENT, 40_000), (SERVICE, 80)).bytes();
    assert_eq!(loaded.verdict(&whole[..38]), OURS);
    for len in [14, 20, 33, 34, 37] {
        assert_eq!(loaded.verdict(&whole[..len]), PASS, "{len} bytes");
    }
    let mut impossible = whole;
    impossible[14] = 0x44;
    assert_eq!(loaded.verdict(&impossible), PASS);
}

#[test]
fn every_packet_is_counted_once() {
    let mut loaded = loaded();
    let before = loaded.counters();
    loaded.verdict(&segment((CLIENT, 40_000), (SERVICE, 80)).bytes());
    loaded.verdict(&segment((CLIENT, 40_000), (SERVICE, 81)).bytes());
    loaded.verdict(&segment((CLIENT, 40_000), (SERVICE, 82)).bytes());
    assert_eq!((before, loaded.counters()), ([0, 0, 0], [2, 0, 1]));
}

#[test]
fn what_leaves_the_plan_is_the_kernels_again() {
    let mut loaded = loaded();
    let bytes = segment((CLIENT, 40_000), (SERVICE, 80)).bytes();
    let other = segment((CLIENT, 40_000), (SERVICE, 443)).bytes();
    let of_range = [8000, 8499, 8500, 9499].map(|port| segment((CLIENT, 40_000), (SERVICE, port)).bytes());
    let plan = Tables {
        services: [endpoint(SERVICE, 443)].into(),
        service_ranges: [range(SERVICE, 8500, 9499)].into(),
        ..tables()
    };
    loaded.steering.grow(&plan).unwrap();
    assert_eq!((loaded.verdict(&bytes), loaded.verdict(&other)), (OURS, OURS));
    assert_eq!(of_range.each_ref().map(|bytes| loaded.verdict(bytes)), [OURS; 4]);
    loaded.steering.shrink(&plan).unwrap();
    assert_eq!((loaded.verdict(&bytes), loaded.verdict(&other)), (PASS, OURS));
    assert_eq!(of_range.each_ref().map(|bytes| loaded.verdict(bytes)), [PASS, PASS, OURS, OURS]);
}

/// A network namespace with an interface `front0`; `work` runs inside.
fn with_interface<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> T {
    let namespace = Namespace::new(name);
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let file = File::open(Path::new("/run/netns").join(&namespace.name)).unwrap();
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        inside.join().unwrap()
    })
}

struct Namespace {
    name: String,
}

impl Namespace {
    fn new(name: &str) -> Self {
        let name = format!("hostunit-{name}-{}", std::process::id());
        ip(&["netns", "add", &name]);
        let namespace = Self { name };
        ip(&["-n", &namespace.name, "link", "add", "front0", "type", "veth", "peer", "name", "peer0"]);
        ip(&["-n", &namespace.name, "link", "set", "front0", "up"]);
        namespace
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

fn front() -> Link {
    Netlink::open().unwrap().link("front0").unwrap()
}

fn attach(pins: &Pins, maps: &str) -> Result<attach::Mode, SteeringError> {
    let maps = pins.bpf().join(maps);
    bpffs::make_dir(&maps)?;
    PortProgram::load(&front(), &maps)?.attach(&pins.link())
}

#[test]
fn the_same_program_stays_and_another_takes_its_place() {
    let pins = Pins::new();
    bpffs::prepare(&pins.bpf()).unwrap();
    with_interface("replace", || {
        assert_eq!(attach(&pins, "maps-v1").unwrap(), attach::Mode::Native);
        let first = front().xdp_program;
        assert!(first.is_some());
        assert_eq!(attach(&pins, "maps-v1").unwrap(), attach::Mode::Kept);
        assert_eq!(front().xdp_program, first);

        // Other maps are as good as another version.
        assert_eq!(attach(&pins, "maps-v2").unwrap(), attach::Mode::Replaced);
        let second = front().xdp_program;
        assert!(second.is_some() && second != first);
        assert_eq!(attach(&pins, "maps-v2").unwrap(), attach::Mode::Kept);
    });
}

#[test]
fn an_interface_that_came_back_is_steered_again() {
    let pins = Pins::new();
    bpffs::prepare(&pins.bpf()).unwrap();
    for _ in 0..2 {
        with_interface("again", || assert_eq!(attach(&pins, "maps-v1").unwrap(), attach::Mode::Native));
    }
}

#[test]
fn a_program_of_somebody_else_is_left_alone() {
    let (pins, theirs) = (Pins::new(), Pins::new());
    bpffs::prepare(&pins.bpf()).unwrap();
    bpffs::prepare(&theirs.bpf()).unwrap();
    with_interface("foreign", || {
        attach(&theirs, "maps-v1").unwrap();
        let running = front().xdp_program;
        let error = attach(&pins, "maps-v1").unwrap_err();
        assert!(matches!(error, SteeringError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("`front0` already runs the XDP program"), "{error}");
        assert_eq!(front().xdp_program, running);
    });
}

#[test]
fn what_the_driver_cannot_steer_the_kernel_does() {
    let pins = Pins::new();
    bpffs::prepare(&pins.bpf()).unwrap();
    with_interface("generic", || {
        // A veth's driver wants frames in one piece, which those of such a peer are not.
        ip(&["link", "set", "peer0", "mtu", "9000"]);
        assert_eq!(attach(&pins, "maps-v1").unwrap(), attach::Mode::Generic);
        assert_eq!(attach(&pins, "maps-v1").unwrap(), attach::Mode::Kept);
    });
}

#[test]
fn pins_that_nobody_needs_go() {
    let pins = Pins::new();
    bpffs::prepare(&pins.bpf()).unwrap();
    with_interface("unused", || {
        attach(&pins, "maps-v0").unwrap();
        bpffs::make_dir(&pins.bpf().join("maps-v1")).unwrap();
        bpffs::remove_unused(&pins.bpf(), &[pins.link()], &pins.bpf().join("maps-v1")).unwrap();
        assert!(!pins.bpf().join("maps-v0").exists());
        assert!(front().xdp_program.is_some());
        bpffs::remove_unused(&pins.bpf(), &[], &pins.bpf().join("maps-v1")).unwrap();
        assert_eq!(front().xdp_program, None);
    });
}
