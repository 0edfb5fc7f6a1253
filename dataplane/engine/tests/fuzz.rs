//! Whatever arrives, nothing panics and no rule of the house is broken: frames made, bent and cut by a generator of numbers
//! that any failure names, so that it can be run again.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot be set up has failed; numbers are drawn to fit"
)]

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_engine::wire::ipv4::Ipv4;
use lb_engine::wire::ipv6::Ipv6;
use lb_engine::wire::tcp::Tcp;
use lb_engine::wire::{icmp, icmpv6, udp};
use lb_engine::{PortIndex, Sample, Verdict};
use lb_model::config::ChecksumMode;
use lb_model::snapshot::{Ended, Endpoint, Forwarding, L4Probe, L4Snapshot, Scheduler};
use lb_model::{L4Port, Tunnel, VirtualServiceId, Vni, probes};
use support::v6::*;
use support::*;

const SCHEDULERS: [Scheduler; 12] = [
    Scheduler::RoundRobin,
    Scheduler::WeightedRoundRobin,
    Scheduler::LeastConnections,
    Scheduler::WeightedLeastConnections,
    Scheduler::ShortestExpectedDelay,
    Scheduler::NeverQueue,
    Scheduler::SourceHash,
    Scheduler::SourcePortHash,
    Scheduler::Maglev,
    Scheduler::PowerOfTwo,
    Scheduler::PeakEwma,
    Scheduler::Ordered,
];

const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 200);
const LOCAL_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0x200);

/// Bursts between two changes of what is forwarded by.
const CHANGE_EVERY: u64 = 500;

/// Marsaglia, "Xorshift RNGs", 2003.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// A service of each kind: TCP and UDP, translated, direct and by tunnel, IPv4 and IPv6.
fn snapshot(random: &mut Random) -> L4Snapshot {
    let mut all = L4Snapshot::default();
    all.generation.0 = 1;
    for (port, udp, forwarding) in [
        (80, false, Forwarding::Nat),
        (53, true, Forwarding::Nat),
        (81, false, Forwarding::Dr),
        (54, true, Forwarding::Dr),
        (82, false, Forwarding::Tunnel),
        (55, true, Forwarding::Tunnel),
        (83, false, Forwarding::FullNat),
        (56, true, Forwarding::FullNat),
    ] {
        let behind = if forwarding.keeps_port() { port } else { 8080 };
        let members = 1 + random.below(4) as u8;
        let backends = (1..=members).map(|number| {
            let mut backend = backend(u128::from(number), Ipv4Addr::new(198, 18, 2, number), behind);
            backend.takes_new = random.below(8) > 0;
            backend.backup = random.below(4) == 0;
            backend
        });
        let mut one = web(backends.collect());
        one = if udp { by_udp(one) } else { one };
        let mut service = one.services.remove(0);
        service.id = VirtualServiceId(uuid::Uuid::from_u128(u128::from(port)));
        service.port = L4Port::new(port).unwrap();
        service.forwarding = forwarding;
        if forwarding == Forwarding::FullNat {
            service.local_addresses = vec![IpAddr::V4(LOCAL)];
        }
        service.tunnel = (forwarding == Forwarding::Tunnel).then(|| random.pick(&tunnels()));
        service.scheduler = random.pick(&SCHEDULERS);
        service.ended = random.pick(&[Ended::Silence, Ended::Reset]);
        if !udp && forwarding.replies_return() {
            service.admission.syn_cookies_from = random.pick(&[None, Some(0), Some(5)]);
        }
        let mut six = service.clone();
        six.id = VirtualServiceId(uuid::Uuid::from_u128(u128::from(port) + 1000));
        six.address = VIP_6.into();
        for local in &mut six.local_addresses {
            *local = LOCAL_6.into();
        }
        for (backend, number) in six.backends.iter_mut().zip(1..) {
            backend.address = member6(number).into();
        }
        for (service, number) in [(&service, port), (&six, port + 1000)] {
            let (address, place) = probes::place(u64::from(number), service.address);
            let at = Endpoint { address, port: place, protocol: service.protocol };
            let member = random.pick(&service.backends.iter().map(|it| it.member).collect::<Vec<_>>());
            all.probes.push(L4Probe { at, service: service.id, address: service.address, member });
        }
        all.services.extend([service, six]);
    }
    all
}

fn tunnels() -> [Tunnel; 5] {
    let (port, vni) = (L4Port::new(4789).unwrap(), Vni::new(7).unwrap());
    [
        Tunnel::Ipip {},
        Tunnel::Gre {},
        Tunnel::Gue { port },
        Tunnel::Vxlan { port, vni },
        Tunnel::Geneve { port, vni },
    ]
}

/// By how many bytes a frame to a member grows.
fn growth(frame: &Frame) -> usize {
    if frame.0[12] == 0x86 {
        return growth_v6(frame);
    }
    match (frame.0.get(23), frame.0.get(36..38), frame.0.get(44..46)) {
        (Some(4), ..) => 20,
        (Some(47), ..) => 24,
        (Some(17), Some([0x12, 0xb5]), Some([0, 0])) if frame.0.get(42..44) == Some(&[0, 4]) => 32,
        (Some(17), Some([0x12, 0xb5]), _) => 50,
        _ => 0,
    }
}

/// The same by IPv6.
fn growth_v6(frame: &Frame) -> usize {
    match (frame.0.get(20), frame.0.get(56..58), frame.0.get(62..66)) {
        (Some(41), ..) => 40,
        (Some(47), ..) => 44,
        (Some(17), Some([0x12, 0xb5]), Some([0, 41, 0, 0])) => 52,
        (Some(17), Some([0x12, 0xb5]), Some(_)) => 70,
        _ => 0,
    }
}

fn inner(frame: &Frame, growth: usize) -> Frame {
    Frame([&frame.0[..14], &frame.0[14 + growth..]].concat())
}

/// Whether it is a segment without data, as they are made here.
fn is_bare(frame: &Frame) -> bool {
    let at = if frame.is_ip6() { 54 } else { 34 };
    frame.0.get(at + 12).is_some_and(|offset| frame.0.len() == at + usize::from(offset >> 4) * 4)
}

/// A frame as somebody could send it, to a service (`inbound`) or from a member, or about either.
fn frame(random: &mut Random, inbound: bool) -> Frame {
    let client = (Ipv4Addr::new(198, 18, 1, random.pick(&[9, 10, 11])), 1 + random.below(40) as u16);
    let member = (Ipv4Addr::new(198, 18, 2, 1 + random.below(5) as u8), random.pick(&[8080, 81, 54, 82, 55]));
    let service = (VIP, random.pick(&[80, 53, 81, 54, 82, 55, 83, 56, 22]));
    // Where checks connect to that go by way of a service.
    let service = match probes::place(u64::from(service.1), VIP.into()) {
        (IpAddr::V4(address), port) if random.below(8) == 0 => (address, port.get()),
        _ => service,
    };
    let flags = random.pick(&[SYN, SYN, SYN | ACK, ACK, ACK, ACK | FIN, RST, 0]);
    let len = if random.below(16) == 0 { 1400 + random.below(100) } else { random.below(40) };
    let payload = random.bytes(len);
    // Full NAT's replies are for an end of ours; it was seen, or guessed.
    let client =
        if !inbound && random.below(3) == 0 { (LOCAL, 1024 + random.below(64_512) as u16) } else { client };
    let (from, to) = if inbound { (client, service) } else { (member, client) };
    let packet = match random.below(2) {
        0 => Frame::tcp(from, to, flags, &payload),
        _ => Frame::udp(from, to, &payload),
    };
    let frame = if random.below(8) == 0 {
        let quoted = if inbound { (service, client) } else { (client, member) };
        let quoted = match random.below(2) {
            0 => Frame::tcp(quoted.0, quoted.1, ACK, &payload),
            _ => Frame::udp(quoted.0, quoted.1, &payload),
        };
        let to = if inbound { service.0 } else { client.0 };
        Frame::error(
            Ipv4Addr::new(203, 0, 113, 1),
            to,
            random.pick(&[3, 11, 12, 8]),
            &quoted,
            random.below(60),
        )
    } else {
        packet
    };
    // "Don't fragment", or not.
    let flags = random.pick(&[0, 0x40]);
    let mut frame = frame.with(20, flags);
    if frame.0[23] == 1 {
        frame.0[20] = 0;
    } else {
        frame.fix_checksums();
    }
    if inbound { frame } else { frame.arriving_at(BACK_MAC) }
}

fn member6(number: u16) -> Ipv6Addr {
    let [a, b, c, d, e, f, g, _] = MEMBER_1_6.segments();
    Ipv6Addr::from([a, b, c, d, e, f, g, 0x10 + number])
}

/// The same in IPv6.
fn frame6(random: &mut Random, inbound: bool) -> Frame {
    let client = (Ipv6Addr::from(CLIENT_6.to_bits() + random.below(3) as u128), 1 + random.below(40) as u16);
    let member = (member6(1 + random.below(5) as u16), random.pick(&[8080, 81, 54, 82, 55]));
    let service = (VIP_6, random.pick(&[80, 53, 81, 54, 82, 55, 83, 56, 22]));
    let service = match probes::place(u64::from(service.1) + 1000, VIP_6.into()) {
        (IpAddr::V6(address), port) if random.below(8) == 0 => (address, port.get()),
        _ => service,
    };
    let flags = random.pick(&[SYN, SYN, SYN | ACK, ACK, ACK, ACK | FIN, RST, 0]);
    let len = if random.below(16) == 0 { 1380 + random.below(100) } else { random.below(40) };
    let payload = random.bytes(len);
    let (from, to) = if inbound { (client, service) } else { (member, client) };
    let packet = |random: &mut Random, from, to, flags| {
        let packet = match random.below(2) {
            0 => Frame::tcp6(from, to, flags, &payload),
            _ => Frame::udp6(from, to, &payload),
        };
        let header = (random.pick(&[0, 60, 60, 43]), vec![0; 8 + 8 * random.below(3)]);
        let count = random.pick(&[0, 0, 0, 1, 2, 9]);
        packet.with_extensions(&vec![(header.0, &header.1[..]); count])
    };
    let frame = if random.below(8) == 0 {
        let quoted = if inbound { (service, client) } else { (client, member) };
        let quoted = packet(random, quoted.0, quoted.1, ACK);
        let to = if inbound { service.0 } else { client.0 };
        let router = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
        Frame::error6(router, to, random.pick(&[1, 2, 3, 4, 128, 135]), &quoted, random.below(100))
    } else {
        packet(random, from, to, flags)
    };
    if inbound { frame } else { frame.arriving_at(BACK_MAC) }
}

/// Some bytes are others now, or there are fewer or more of them.
fn bend(random: &mut Random, frame: &mut Frame) {
    for _ in 0..random.below(4) {
        let at = random.below(frame.0.len());
        frame.0[at] =
            random.pick(&[0, 1, 0x45, 0x46, 0x4f, 0x50, 0x60, 0xf0, 0xff, 43, 44, 58, 60, random.0 as u8]);
    }
    match random.below(6) {
        0 => frame.0.truncate(random.below(frame.0.len() + 1)),
        1 => {
            let more = random.below(64);
            frame.0.extend(random.bytes(more));
        }
        _ => {}
    }
    if frame.0.is_empty() {
        frame.0.push(0);
    }
}

fn any_frame(random: &mut Random, inbound: bool) -> Frame {
    if random.below(2) == 0 { frame(random, inbound) } else { frame6(random, inbound) }
}

fn parse_alone(bytes: &[u8]) {
    let _ = (Ipv4::parse(bytes), Tcp::parse(bytes), udp::ports(bytes), icmp::quoted(bytes));
    let _ = (Ipv6::parse(bytes), icmpv6::quoted(bytes));
}

/// So many bursts through one engine, from numbers that begin with `seed`.
fn fuzz(seed: u64, bursts: u64) {
    let mut random = Random(seed | 1);
    let mut lb = Lb::with_capacity(&snapshot(&mut random), 256);
    let mut passed = 0;
    let mut answers = Vec::new();
    for number in 0..bursts {
        if number % CHANGE_EVERY == 0 {
            for port in &mut lb.network.ports {
                port.mtu = random.pick(&[1280, 1400, 1500, 9000]);
            }
            lb.network.ports[0].checksum = random.pick(&[ChecksumMode::Full, ChecksumMode::Incremental]);
            lb.publish(&snapshot(&mut random));
        }
        lb.now = lb.now.wrapping_add(random.below(20) as u32);
        if random.below(64) == 0 {
            lb.sweep();
        }
        let count = 1 + random.below(8);
        // There is no third port.
        let port = PortIndex(random.pick(&[0, 0, 0, 0, 1, 1, 1, 2]));
        let mut frames: Vec<Frame> = (0..count).map(|_| any_frame(&mut random, port != BACK)).collect();
        if let Some(at) = answers.iter().position(|it: &Frame| (it.0[..6] == BACK_MAC.0) == (port == BACK)) {
            frames[0] = answers.swap_remove(at);
        }
        let whole: Vec<bool> = frames
            .iter_mut()
            .map(|frame| {
                let whole = random.below(3) == 0;
                if !whole {
                    bend(&mut random, frame);
                }
                parse_alone(&frame.0);
                whole
            })
            .collect();
        let lengths: Vec<usize> = frames.iter().map(|frame| frame.0.len()).collect();
        for (at, verdict) in lb.burst(port, &mut frames).into_iter().enumerate() {
            let frame = &frames[at];
            match verdict {
                Verdict::Send(to) => {
                    passed += u64::from(whole[at]);
                    assert!(to == FRONT || to == BACK, "seed {seed}, burst {number}");
                    if whole[at] {
                        let growth = growth(frame);
                        let is_piece = frame.0[12] == 8 && frame.0[20 + growth] & 0x20 != 0;
                        let fits = frame.0.len() <= 14 + usize::from(lb.network.ports[usize::from(to.0)].mtu);
                        let same = frame.0.len() == lengths[at] + growth;
                        assert!(same || is_piece || is_bare(&inner(frame, growth)));
                        assert!(
                            fits && (is_piece || inner(frame, growth).is_right()),
                            "seed {seed}, burst {number}: {frame:02x?}"
                        );
                    }
                }
                Verdict::Reply(to) => {
                    assert_eq!(to, port, "seed {seed}, burst {number}");
                    assert!(!whole[at] || frame.is_right(), "seed {seed}, burst {number}: {frame:02x?}");
                }
                Verdict::Handoff(worker) => panic!("seed {seed}, burst {number}: to worker {worker} of one"),
                Verdict::Drop(_) | Verdict::Punt | Verdict::Hold(_) | Verdict::Consume => {}
            }
        }
        assert!(lb.flows() <= 256);
    }
    assert!(passed > bursts / 8, "seed {seed}: {passed} whole frames passed in {bursts} bursts");
    let active: u64 = lb.counters.backends.iter().map(|cell| cell.active.get()).sum();
    assert!(active <= u64::from(lb.flows()), "seed {seed}: {active} flows are counted of {}", lb.flows());
}

/// What whom a TCP segment is for answers, if it begins a connection: with the numbers that it wants.
fn answer_to(frame: &Frame) -> Option<Frame> {
    let (at, six) = match frame.0.get(12..14)? {
        [8, 0] if frame.0.get(14) == Some(&0x45) && frame.0.get(23) == Some(&6) => (34, false),
        [0x86, 0xdd] if frame.0.get(20) == Some(&6) => (54, true),
        _ => return None,
    };
    let number = |at: usize| Some(u32::from_be_bytes(frame.0.get(at..at + 4)?.try_into().ok()?));
    let port = |at: usize| Some(u16::from_be_bytes(frame.0.get(at..at + 2)?.try_into().ok()?));
    let (seq, ack, flags) = (number(at + 4)?, number(at + 8)?, *frame.0.get(at + 13)?);
    let (own, flags) = match flags {
        SYN => (seq.wrapping_mul(77), SYN | ACK),
        _ if flags == SYN | ACK => (ack, ACK),
        _ => return None,
    };
    let (from, to) = (port(at + 2)?, port(at)?);
    let mut answer = if six {
        let end = |at: usize| <[u8; 16]>::try_from(&frame.0[at..at + 16]).unwrap().into();
        Frame::tcp6((end(38), from), (end(22), to), flags, &[])
    } else {
        let end = |at: usize| <[u8; 4]>::try_from(&frame.0[at..at + 4]).unwrap().into();
        Frame::tcp((end(30), from), (end(26), to), flags, &[])
    };
    answer.0[at + 4..at + 8].copy_from_slice(&own.to_be_bytes());
    answer.0[at + 8..at + 12].copy_from_slice(&seq.wrapping_add(1).to_be_bytes());
    if six {
        answer.fix_checksum_6();
    } else {
        answer.fix_checksums();
    }
    Some(if flags & SYN != 0 { answer.arriving_at(BACK_MAC) } else { answer })
}

/// Frames one by one, each explained twice and then sent: it becomes what was said, and saying so changed nothing.
fn foretell(seed: u64, frames: u64) {
    let mut random = Random(seed | 1);
    // Of a table that is nearly full it is not said whether the second entry of a flow finds room.
    let mut lb = Lb::with_capacity(&snapshot(&mut random), 4096);
    let mut passed = 0;
    let mut answers = Vec::new();
    for number in 0..frames {
        if number % CHANGE_EVERY == 0 {
            lb.network.ports[0].mtu = random.pick(&[1280, 1500]);
            lb.network.ports[0].checksum = random.pick(&[ChecksumMode::Full, ChecksumMode::Incremental]);
            lb.publish(&snapshot(&mut random));
        }
        lb.now = lb.now.wrapping_add(random.below(20) as u32);
        let mut port = PortIndex(random.pick(&[0, 0, 0, 1, 1, 2]));
        let mut frame = any_frame(&mut random, port != BACK);
        if random.below(3) == 0 && !answers.is_empty() {
            frame = answers.swap_remove(random.below(answers.len()));
            port = if frame.0[..6] == BACK_MAC.0 { BACK } else { FRONT };
        }
        if random.below(8) == 0 {
            bend(&mut random, &mut frame);
        }
        let mut samples = [Sample::new(&frame.0), Sample::new(&frame.0)];
        let told = samples.each_mut().map(|sample| lb.engine.explain(&lb.tables, lb.now, port, sample));
        assert_eq!(told[0], told[1], "seed {seed}, frame {number}: the first time changed something");
        let (verdict, sent) = lb.send_at(port, frame);
        assert_eq!(told[0].verdict, verdict, "seed {seed}, frame {number}: {:?}", told[0]);
        if matches!(verdict, Verdict::Send(_) | Verdict::Reply(_)) {
            assert_eq!(samples[0].frame(), sent.0, "seed {seed}, frame {number}");
            passed += 1;
            answers.extend(answer_to(&sent));
            answers.truncate(64);
        }
    }
    assert!(lb.counters.cookies_taken.get() > 0, "seed {seed}: nobody brought a cookie back");
    assert!(passed > frames / 20, "seed {seed}: {passed} of {frames} passed");
}

#[test]
fn whatever_is_explained_becomes_what_was_said() {
    for seed in 1..=4 {
        foretell(seed, 10_000);
    }
}

#[test]
fn frames_of_any_kind_break_nothing() {
    for seed in 1..=8 {
        fuzz(seed, 5_000);
    }
}

#[test]
#[ignore = "minutes of random frames; PENSTOCK_FUZZ_BURSTS says how many bursts for each of 64 seeds"]
fn frames_of_any_kind_break_nothing_for_long() {
    let bursts =
        std::env::var("PENSTOCK_FUZZ_BURSTS").ok().and_then(|text| text.parse().ok()).unwrap_or(400_000);
    std::thread::scope(|scope| {
        for lane in 0..2 {
            scope.spawn(move || (0..32).for_each(|seed| fuzz(seed * 2 + lane + 1000, bursts)));
        }
    });
}
