//! Floods of SYNs, and handshakes that are made by cookies: between a client and a member who know nothing of it.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot be set up has failed; numbers are made to fit"
)]

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_engine::{FlowTable, TICKS_PER_SECOND, Verdict};
use lb_mem::FlowFile;
use lb_model::counters::DropReason;
use lb_model::flow::{FlowKey, FlowState};
use lb_model::snapshot::{Ended, Forwarding, L4Protocol, L4Snapshot};
use support::v6::*;
use support::*;

const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 200);
const LOCAL_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0x200);
const PSH: u8 = 0x08;

fn guarded(from: u32) -> L4Snapshot {
    let mut snapshot = web(vec![backend(1, MEMBER_1, 8080)]);
    snapshot.services[0].admission.syn_cookies_from = Some(from);
    snapshot
}

fn full_nat(mut snapshot: L4Snapshot) -> L4Snapshot {
    let service = &mut snapshot.services[0];
    service.forwarding = Forwarding::FullNat;
    service.local_addresses = vec![if service.address.is_ipv4() { LOCAL.into() } else { LOCAL_6.into() }];
    snapshot
}

/// A segment, in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seg {
    flags: u8,
    seq: u32,
    ack: u32,
    window: u16,
    options: Vec<u8>,
    data: Vec<u8>,
}

type Socket = (IpAddr, u16);

impl Seg {
    fn new(flags: u8, seq: u32, ack: u32) -> Self {
        Self { flags, seq, ack, window: 500, ..Self::default() }
    }

    fn options(mut self, options: &[u8]) -> Self {
        self.options = options.to_vec();
        self
    }

    fn frame(&self, from: Socket, to: Socket) -> Frame {
        let rest = [&self.options[..], &self.data[..]].concat();
        let (mut frame, at) = match (from.0, to.0) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (Frame::tcp((a, from.1), (b, to.1), self.flags, &rest), 34),
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (Frame::tcp6((a, from.1), (b, to.1), self.flags, &rest), PAYLOAD_6)
            }
            _ => panic!("two families"),
        };
        frame.0[at + 4..at + 8].copy_from_slice(&self.seq.to_be_bytes());
        frame.0[at + 8..at + 12].copy_from_slice(&self.ack.to_be_bytes());
        frame.0[at + 12] = (5 + self.options.len() as u8 / 4) << 4;
        frame.0[at + 14..at + 16].copy_from_slice(&self.window.to_be_bytes());
        if at == 34 {
            frame.fix_checksums();
        } else {
            frame.fix_checksum_6();
        }
        frame
    }

    /// What a frame is, between whom; its checksums must be right.
    fn read(frame: &Frame) -> (Socket, Socket, Self) {
        assert!(frame.is_right(), "{frame:02x?}");
        let bytes = &frame.0;
        let wide = bytes[12] == 0x86;
        let (at, end) = if wide {
            (PAYLOAD_6, PAYLOAD_6 + usize::from(u16::from_be_bytes([bytes[18], bytes[19]])))
        } else {
            (34, 14 + usize::from(u16::from_be_bytes([bytes[16], bytes[17]])))
        };
        let address = |at: usize| -> IpAddr {
            if wide {
                <[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap().into()
            } else {
                <[u8; 4]>::try_from(&bytes[at..at + 4]).unwrap().into()
            }
        };
        let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        let ends = if wide { [address(22), address(38)] } else { [address(26), address(30)] };
        let header = usize::from(bytes[at + 12] >> 4) * 4;
        let segment = Self {
            flags: bytes[at + 13],
            seq: number(at + 4),
            ack: number(at + 8),
            window: port(at + 14),
            options: bytes[at + 20..at + header].to_vec(),
            data: bytes[at + header..end].to_vec(),
        };
        ((ends[0], port(at)), (ends[1], port(at + 2)), segment)
    }

    fn option(&self, kind: u8) -> Option<&[u8]> {
        let mut rest = &self.options[..];
        loop {
            match rest {
                [] | [_] | [0, ..] => return None,
                [1, more @ ..] => rest = more,
                [found, len, ..] if *found == kind => return Some(&rest[2..usize::from(*len)]),
                [_, len, ..] => rest = &rest[usize::from(*len)..],
            }
        }
    }

    fn clocks(&self) -> [u32; 2] {
        let bytes = self.option(8).unwrap();
        [0, 4].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
    }
}

/// What a client says of itself: the largest segment 1460, selective acknowledgements, its clock, a scale of 6.
fn offer(clock: u32) -> Vec<u8> {
    [&[2, 4, 5, 0xb4, 4, 2, 8, 10][..], &clock.to_be_bytes(), &[0; 4], &[1, 3, 3, 6]].concat()
}

fn clocks(own: u32, other: u32) -> Vec<u8> {
    [&[1, 1, 8, 10][..], &own.to_be_bytes(), &other.to_be_bytes()].concat()
}

/// A client's and a member's end of a connection by an appliance.
struct Talk {
    lb: Lb,
    client: Socket,
    service: Socket,
    /// As the member knows them.
    member: Socket,
    local: Socket,
    /// The client's first number, and the one that it was given.
    first: u32,
    given: u32,
    /// What it was told of a clock.
    clock: u32,
}

impl Talk {
    fn new(snapshot: &L4Snapshot, port: u16) -> Self {
        let wide = snapshot.services[0].address.is_ipv6();
        let client: IpAddr = if wide { CLIENT_6.into() } else { CLIENT.into() };
        let nobody = (client, 0);
        Self {
            lb: Lb::new(snapshot),
            client: (client, port),
            service: (snapshot.services[0].address, 80),
            member: nobody,
            local: nobody,
            first: 4_294_967_000,
            given: 0,
            clock: 0,
        }
    }

    fn client_sends(&mut self, segment: &Seg) -> (Verdict, Frame) {
        self.lb.send_at(FRONT, segment.frame(self.client, self.service))
    }

    fn member_sends(&mut self, segment: &Seg) -> (Verdict, Frame) {
        self.lb.send_at(BACK, segment.frame(self.member, self.local).arriving_at(BACK_MAC))
    }

    /// What the member gets of what a client sends.
    fn member_gets(&mut self, segment: &Seg) -> Seg {
        let (verdict, frame) = self.client_sends(segment);
        assert_eq!(verdict, Verdict::Send(BACK));
        let (from, to, seen) = Seg::read(&frame);
        assert_eq!((from, to), (self.local, self.member));
        seen
    }

    fn client_gets(&mut self, segment: &Seg) -> Seg {
        let (verdict, frame) = self.member_sends(segment);
        assert_eq!(verdict, Verdict::Send(FRONT));
        let (from, to, seen) = Seg::read(&frame);
        assert_eq!((from, to), (self.service, self.client));
        seen
    }

    /// The client asks, with this of itself, and gets a cookie.
    fn ask(&mut self, options: &[u8]) -> Seg {
        let (verdict, frame) = self.client_sends(&Seg::new(SYN, self.first, 0).options(options));
        assert_eq!(verdict, Verdict::Reply(FRONT));
        let (from, to, cookie) = Seg::read(&frame);
        assert_eq!((from, to), (self.service, self.client));
        assert_eq!((cookie.flags, cookie.ack, cookie.window), (SYN | ACK, self.first.wrapping_add(1), 0));
        assert_eq!(frame.0[..12], [PEER_MAC.0, FRONT_MAC.0].concat());
        self.given = cookie.seq;
        if cookie.option(8).is_some() {
            self.clock = cookie.clocks()[0];
        }
        cookie
    }

    /// It brings the cookie back; the SYN that the member gets.
    fn bring(&mut self, options: &[u8]) -> Seg {
        let back = Seg::new(ACK, self.first.wrapping_add(1), self.given.wrapping_add(1)).options(options);
        let (verdict, frame) = self.client_sends(&back);
        assert_eq!(verdict, Verdict::Send(BACK));
        let (from, to, syn) = Seg::read(&frame);
        (self.local, self.member) = (from, to);
        assert_eq!((syn.flags, syn.seq, syn.ack), (SYN, self.first, 0));
        syn
    }

    /// The member agrees: what it is told, and what the client is.
    fn agree(&mut self, first: u32, window: u16, options: &[u8]) -> [Seg; 2] {
        let answer =
            Seg { window, ..Seg::new(SYN | ACK, first, self.first.wrapping_add(1)).options(options) };
        let opened = self.client_gets(&answer);
        let [(BACK, told)] = &self.lb.made[..] else { panic!("{:02x?}", self.lb.made) };
        assert_eq!(told.0[..12], [PEER_MAC.0, BACK_MAC.0].concat());
        let (from, to, told) = Seg::read(told);
        assert_eq!((from, to), (self.local, self.member));
        assert_eq!(
            (told.flags, told.seq, told.ack),
            (ACK, self.first.wrapping_add(1), first.wrapping_add(1))
        );
        let given = self.given.wrapping_add(1);
        assert_eq!((opened.flags, opened.seq, opened.ack), (ACK, given, self.first.wrapping_add(1)));
        [told, opened]
    }

    /// All of it, with clocks and scales: the client's clock is at 700, the member's at 90 and its first number 5,000.
    fn meet(&mut self) {
        self.ask(&offer(700));
        self.bring(&clocks(701, self.clock));
        let theirs =
            [&[2, 4, 5, 0xb4, 4, 2, 8, 10][..], &90u32.to_be_bytes(), &701u32.to_be_bytes(), &[1, 3, 3, 9]];
        self.agree(5000, 28_960, &theirs.concat());
    }

    fn key(&self) -> FlowKey {
        FlowKey { protocol: L4Protocol::Tcp, client: self.client.into(), offered: self.service.into() }
    }
}

/// In every mode and family.
fn each(from: u32, test: impl Fn(&L4Snapshot)) {
    test(&guarded(from));
    test(&full_nat(guarded(from)));
    test(&over_ipv6(guarded(from)));
    test(&full_nat(over_ipv6(guarded(from))));
}

#[test]
fn a_handshake_by_a_cookie_keeps_what_both_sides_say_of_themselves() {
    each(0, |snapshot| {
        let mut talk = Talk::new(snapshot, 1);
        let cookie = talk.ask(&offer(700));
        assert_eq!((cookie.option(4), cookie.option(3)), (Some(&[][..]), Some(&[7][..])));
        let largest: u16 = if snapshot.services[0].address.is_ipv6() { 1440 } else { 1460 };
        assert_eq!(cookie.option(2), Some(&largest.to_be_bytes()[..]));
        assert_eq!(cookie.clocks()[1], 700);
        assert_eq!(talk.lb.flows(), 0, "nothing is remembered");

        let syn = talk.bring(&clocks(701, talk.clock));
        assert_eq!(syn.option(2), Some(&largest.to_be_bytes()[..]));
        assert_eq!((syn.option(4), syn.option(3)), (Some(&[][..]), Some(&[6][..])));
        assert_eq!((syn.clocks(), syn.window), ([701, 0], 500 << 6));
        assert_eq!(talk.lb.flows(), 1);

        // A member with a scale of 9, whose clock is behind ours.
        let theirs =
            [&[2, 4, 5, 0xb4, 4, 2, 8, 10][..], &90u32.to_be_bytes(), &701u32.to_be_bytes(), &[1, 3, 3, 9]];
        let [told, opened] = talk.agree(5000, 28_960, &theirs.concat());
        assert_eq!((told.window, told.clocks()), (500, [701, 90]));
        assert_eq!((opened.window, opened.clocks()), (28_960 >> 7, [talk.clock, 701]));

        // The client speaks, and the member answers.
        let said = Seg {
            data: b"ask".to_vec(),
            ..Seg::new(ACK | PSH, talk.first.wrapping_add(1), talk.given.wrapping_add(1))
        };
        let seen = talk.member_gets(&said.clone().options(&clocks(710, talk.clock)));
        assert_eq!((seen.seq, seen.ack, seen.window), (said.seq, 5001, 500));
        assert_eq!((seen.clocks(), &seen.data[..]), ([710, 90], &b"ask"[..]));
        let answer =
            Seg { data: b"answer".to_vec(), ..Seg::new(ACK | PSH, 5001, talk.first.wrapping_add(4)) };
        let seen = talk.client_gets(&answer.clone().options(&clocks(95, 710)));
        assert_eq!((seen.seq, seen.ack), (talk.given.wrapping_add(1), talk.first.wrapping_add(4)));
        assert_eq!((seen.clocks(), seen.window), ([talk.clock.wrapping_add(5), 710], 500 << 2));
        assert_eq!(seen.data, b"answer");

        // It misses a part, and says so.
        let given = talk.given.wrapping_add(1);
        let edges: Vec<u8> =
            [10, 20, 40, 50].iter().flat_map(|far| given.wrapping_add(*far).to_be_bytes()).collect();
        let missing = [&[1, 1, 5, 18][..], &edges].concat();
        let seen = talk.member_gets(&Seg::new(ACK, talk.first.wrapping_add(4), given).options(&missing));
        let known: Vec<u8> = [10, 20, 40, 50].iter().flat_map(|far| (5001u32 + far).to_be_bytes()).collect();
        assert_eq!((seen.ack, seen.option(5)), (5001, Some(&known[..])));
        // At an odd place, too.
        let odd =
            [&[1, 5, 10][..], &given.to_be_bytes(), &given.wrapping_add(9).to_be_bytes(), &[0]].concat();
        let seen = talk.member_gets(&Seg::new(ACK, talk.first.wrapping_add(4), given).options(&odd));
        assert_eq!(seen.option(5), Some(&[5001u32.to_be_bytes(), 5010u32.to_be_bytes()].concat()[..]));

        // And both are done.
        let first = talk.first.wrapping_add(4);
        assert_eq!(talk.member_gets(&Seg::new(FIN | ACK, first, given)).ack, 5001);
        assert_eq!(talk.client_gets(&Seg::new(FIN | ACK, 5001, first)).seq, given);
        assert_eq!(talk.member_gets(&Seg::new(ACK, first, given)).ack, 5001);
        talk.lb.now += 61 * TICKS_PER_SECOND;
        assert_eq!((talk.lb.sweep(), talk.lb.flows()), (1, 0));
        assert_eq!(talk.lb.counters.cookies_given.get(), 1);
        assert_eq!(talk.lb.counters.cookies_taken.get(), 1);
    });
}

#[test]
fn who_offers_nothing_and_who_answers_nothing_are_understood() {
    let mut talk = Talk::new(&guarded(0), 1);
    let cookie = talk.ask(&[]);
    assert_eq!((cookie.option(3), cookie.option(4), cookie.option(8)), (None, None, None));
    let syn = talk.bring(&[]);
    assert_eq!(syn.options, [2, 4, 2, 0x18], "536 bytes are the usual");
    assert_eq!(syn.window, 500);
    let [told, opened] = talk.agree(77, 1234, &[2, 4, 5, 0xb4]);
    assert_eq!((told.window, opened.window, told.options.len(), opened.options.len()), (500, 1234, 0, 0));
    assert_eq!(talk.client_gets(&Seg { window: 9, ..Seg::new(ACK, 78, 0) }).window, 9);

    // A client with scales and clocks, and a member without: its windows are as they are.
    let mut talk = Talk::new(&guarded(0), 2);
    talk.ask(&offer(7));
    talk.bring(&clocks(8, talk.clock));
    let [told, opened] = talk.agree(77, 64_000, &[]);
    assert_eq!((told.window, opened.window, told.options.len()), (500 << 6, 64_000 >> 7, 0));
    assert_eq!(talk.client_gets(&Seg { window: 100, ..Seg::new(ACK, 78, 0) }).window, 1, "open, not closed");
    let first = talk.first.wrapping_add(1);
    assert_eq!(talk.member_gets(&Seg { window: 4000, ..Seg::new(ACK, first, 0) }).window, u16::MAX);
}

#[test]
fn what_is_lost_on_the_way_comes_again() {
    each(0, |snapshot| {
        let mut talk = Talk::new(snapshot, 1);
        // The answer to the SYN.
        let first = talk.ask(&offer(700));
        assert_eq!(talk.ask(&offer(700)).seq, first.seq);
        // The cookie on its way back: the client asks whether the window is still closed.
        let probe = Seg::new(ACK, talk.first, talk.given.wrapping_add(1)).options(&clocks(705, talk.clock));
        let (verdict, frame) = talk.client_sends(&probe);
        assert_eq!(verdict, Verdict::Send(BACK));
        let (local, member, syn) = Seg::read(&frame);
        (talk.local, talk.member) = (local, member);
        assert_eq!((syn.flags, syn.seq), (SYN, talk.first));
        // The SYN to the member: the sweep sends it again, and so does whatever the client says.
        assert_eq!(talk.lb.sweep(), 0);
        let [(BACK, again)] = &talk.lb.made[..] else { panic!("{:02x?}", talk.lb.made) };
        assert_eq!(Seg::read(again).2, syn);
        assert_eq!(talk.member_gets(&probe), syn);
        // The end of the handshake with the member.
        let answer = Seg::new(SYN | ACK, 5000, talk.first.wrapping_add(1)).options(&clocks(90, 705));
        talk.agree(5000, 500, &clocks(90, 705));
        let (verdict, frame) = talk.member_sends(&answer);
        assert_eq!(verdict, Verdict::Reply(BACK));
        let told = Seg::read(&frame).2;
        assert_eq!((told.flags, told.ack, told.clocks()), (ACK, 5001, [705, 90]));
        // Another number than the one that was agreed on is nobody's.
        let other = Seg { seq: 6000, ..answer };
        assert_eq!(talk.member_sends(&other).0, Verdict::Drop(DropReason::NoFlow));
    });
}

#[test]
fn a_member_that_does_not_take_it_is_told_to_the_client_with_its_own_numbers() {
    each(0, |snapshot| {
        let mut talk = Talk::new(snapshot, 1);
        talk.ask(&offer(700));
        talk.bring(&clocks(701, talk.clock));
        let next = talk.first.wrapping_add(1);
        // Of an earlier connection; it is told that this is over.
        let (verdict, frame) = talk.member_sends(&Seg::new(ACK, 99, 77));
        assert_eq!(verdict, Verdict::Reply(BACK));
        assert_eq!((Seg::read(&frame).2.flags, Seg::read(&frame).2.seq), (RST, 77));
        // Forged, or late.
        assert_eq!(talk.member_sends(&Seg::new(RST | ACK, 0, 5)).0, Verdict::Drop(DropReason::NoFlow));
        let reset = talk.client_gets(&Seg::new(RST | ACK, 0, next));
        assert_eq!((reset.flags, reset.seq, reset.ack), (RST | ACK, talk.given.wrapping_add(1), next));
        let unopened: u64 = talk.lb.counters.backends.iter().map(|cell| cell.unopened.get()).sum();
        assert_eq!(unopened, 1);
        // A SYN begins anew.
        assert_eq!(talk.ask(&offer(800)).flags, SYN | ACK);
        assert_eq!(talk.lb.flows(), 0);

        // One that keeps silent: the client hears of it in the end.
        talk.bring(&clocks(801, talk.clock));
        talk.lb.now += 61 * TICKS_PER_SECOND;
        assert_eq!((talk.lb.sweep(), talk.lb.flows()), (1, 0));
        let [(FRONT, reset)] = &talk.lb.made[..] else { panic!("{:02x?}", talk.lb.made) };
        let (_, to, reset) = Seg::read(reset);
        assert_eq!((to, reset.flags, reset.seq), (talk.client, RST, talk.given.wrapping_add(1)));

        // Nobody is there any more when the cookie comes back.
        talk.ask(&offer(800));
        let mut nobody = snapshot.clone();
        nobody.services[0].backends.clear();
        talk.lb.publish(&nobody);
        let back = Seg::new(ACK, next, talk.given.wrapping_add(1));
        let (verdict, frame) = talk.client_sends(&back);
        assert_eq!(verdict, Verdict::Reply(FRONT));
        assert_eq!((Seg::read(&frame).2.flags, Seg::read(&frame).2.seq), (RST, talk.given.wrapping_add(1)));
    });
}

#[test]
fn only_under_a_flood_cookies_are_given_and_afterwards_no_more() {
    let mut lb = Lb::new(&guarded(8));
    let opened = lb.open(1);
    assert_eq!(opened, (MEMBER_1, 8080), "as ever");
    for port in 100..108 {
        assert_eq!(lb.send(from_client(port, SYN, b"")).0, Verdict::Send(BACK), "{port}");
    }
    assert_eq!(lb.send(from_client(108, SYN, b"")).0, Verdict::Reply(FRONT));
    assert_eq!(lb.flows(), 9);
    assert_eq!(lb.send(from_client(1, ACK, b"x")).0, Verdict::Send(BACK), "who is there notices nothing");
    // One of them opens, one is reset, and one comes in pieces.
    lb.send(from_member((MEMBER_1, 8080), 100, SYN | ACK, b""));
    lb.send(from_client(100, ACK, b""));
    lb.send(from_member((MEMBER_1, 8080), 101, RST | ACK, b""));
    assert_eq!(lb.send(from_client(200, SYN, b"")).0, Verdict::Send(BACK));
    assert_eq!(lb.send(from_client(201, SYN, b"")).0, Verdict::Send(BACK));
    assert_eq!(lb.send(from_client(202, SYN, b"")).0, Verdict::Reply(FRONT));
    // The flood is over: they are forgotten.
    lb.now += 61 * TICKS_PER_SECOND;
    lb.sweep();
    assert_eq!(lb.send(from_client(203, SYN, b"")).0, Verdict::Send(BACK));
    // What is no cookie is one for two minutes after the last was given, and then nothing that could be.
    assert_eq!(lb.send(from_client(300, ACK, b"")).0, Verdict::Drop(DropReason::BadCookie));
    lb.now += 129 * TICKS_PER_SECOND;
    assert_eq!(lb.send(from_client(300, ACK, b"")).0, Verdict::Drop(DropReason::NoFlow));
}

#[test]
fn a_worker_gives_cookies_from_its_share_on() {
    let mut all = Lb::workers(&guarded(8), 2);
    let lb = &mut all[0];
    let mut begun = 0;
    let answered = (1..400).any(|port| match lb.send(from_client(port, SYN, b"")).0 {
        Verdict::Send(_) => {
            begun += 1;
            false
        }
        verdict => verdict == Verdict::Reply(FRONT),
    });
    assert!(answered && begun == 4, "{begun} begun");
}

#[test]
fn a_flood_takes_no_memory_and_nobody_is_evicted_for_it() {
    let mut lb = Lb::with_capacity(&guarded(64), 1024);
    for port in 1..=500 {
        lb.open(port);
    }
    for number in 0..20_000u32 {
        let source = Ipv4Addr::from(0x6440_0000 + number);
        lb.send(Frame::tcp((source, 1 + (number % 1000) as u16), (VIP, 80), SYN, b""));
    }
    assert_eq!((lb.flows(), lb.engine.flows().evicted), (564, 0));
    assert!((1..=500).all(|port| lb.send(from_client(port, ACK, b"x")).0 == Verdict::Send(BACK)));
    assert_eq!(lb.counters.cookies_given.get(), 20_000 - 64);
}

#[test]
fn who_would_not_be_served_hears_what_he_would_hear_without_a_flood() {
    let mut snapshot = guarded(0);
    snapshot.services[0].admission.denied_cidrs = vec!["198.18.1.9/32".parse().unwrap()];
    assert_eq!(Lb::new(&snapshot).send(from_client(1, SYN, b"")).0, Verdict::Drop(DropReason::Denied));
    let mut snapshot = guarded(0);
    snapshot.services[0].backends.clear();
    assert_eq!(Lb::new(&snapshot).send(from_client(1, SYN, b"")).0, Verdict::Drop(DropReason::NoMember));
}

#[test]
fn numbers_outlive_the_process_and_what_is_left_of_others_is_freed() {
    let dir = std::env::temp_dir().join(format!("lb-engine-cookies-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    for snapshot in [guarded(0), over_ipv6(guarded(0))] {
        let open = || FlowFile::open(&dir.join("flows"), 1024, [7; 16], [11, 13]).unwrap().0;
        let mut talk = Talk::new(&snapshot, 1);
        talk.lb = Lb::on_file(&snapshot, open());
        talk.meet();
        drop(std::mem::replace(&mut talk.lb, Lb::new(&snapshot)));
        talk.lb = Lb::on_file(&snapshot, open());
        assert_eq!(talk.lb.flows(), 1);
        let first = talk.first.wrapping_add(1);
        assert_eq!(talk.member_gets(&Seg::new(ACK, first, talk.given.wrapping_add(1))).ack, 5001);
        assert_eq!(talk.client_gets(&Seg::new(ACK, 5001, first)).seq, talk.given.wrapping_add(1));
        // As if it had been killed before the flow was tied to them.
        assert!(talk.lb.end(&talk.key()).is_some());
        assert_eq!(talk.lb.flows(), 0);
        talk.lb = Lb::new(&snapshot);
        let mut file = open();
        file.parts().conns[1].state = 7;
        let mut table = FlowTable::attach(file);
        assert_eq!(
            (table.live(), table.used()),
            (0, if snapshot.services[0].address.is_ipv6() { 4 } else { 2 })
        );
        drop(table);
        assert_eq!(open().parts().conns[1].state, 0, "it is free again");
        std::fs::remove_file(dir.join("flows")).unwrap();
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn room_that_numbers_took_is_given_back() {
    for snapshot in [guarded(0), over_ipv6(guarded(0))] {
        let mut talk = Talk::new(&snapshot, 1);
        talk.lb = Lb::with_capacity(&snapshot, 1024);
        let most = if snapshot.services[0].address.is_ipv6() { 340 } else { 512 };
        for round in 0..3 {
            for port in 1..=most {
                talk.client.1 = port;
                talk.meet();
            }
            assert_eq!(talk.lb.flows(), u32::from(most), "round {round}");
            for port in 1..=most {
                talk.client.1 = port;
                assert!(talk.lb.end(&talk.key()).is_some());
            }
            assert_eq!(talk.lb.flows(), 0);
        }
    }
}

#[test]
fn errors_about_what_a_member_sent_quote_its_own_number() {
    for snapshot in [guarded(0), over_ipv6(guarded(0)), full_nat(guarded(0))] {
        let mut talk = Talk::new(&snapshot, 1);
        talk.meet();
        let sent = Seg { data: vec![7; 600], ..Seg::new(ACK, 5001, talk.first.wrapping_add(1)) };
        let (_, passed) = talk.member_sends(&sent);
        let (error, quote) = match (talk.service.0, talk.client.0) {
            (IpAddr::V4(service), IpAddr::V4(_)) => {
                (Frame::error(Ipv4Addr::new(203, 0, 113, 1), service, 3, &passed, 48), 42)
            }
            (IpAddr::V6(service), _) => {
                let router = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
                (Frame::error6(router, service, 2, &passed, 68), PAYLOAD_6 + 8)
            }
            _ => panic!("two families"),
        };
        let (verdict, told) = talk.lb.send_at(FRONT, error);
        assert_eq!(verdict, Verdict::Send(BACK));
        assert!(told.is_right());
        let at = quote + if talk.service.0.is_ipv6() { 40 } else { 20 };
        let original = sent.frame(talk.member, talk.local);
        let segment = if talk.service.0.is_ipv6() { PAYLOAD_6 } else { 34 };
        // But for its window, which nobody asks of an error.
        assert_eq!(told.0[at..at + 14], original.0[segment..segment + 14], "what it quotes is what was sent");
    }
}

#[test]
fn one_that_is_ended_is_told_to_both_by_their_own_numbers() {
    let mut snapshot = guarded(0);
    snapshot.services[0].ended = Ended::Reset;
    let mut talk = Talk::new(&snapshot, 1);
    talk.meet();
    assert!(talk.lb.end(&talk.key()).is_some());
    assert_eq!(talk.lb.made.len(), 2, "both are asked");
    let first = talk.first.wrapping_add(1);
    let reset = talk.client_gets(&Seg::new(ACK, 5001, first));
    assert_eq!((reset.flags, reset.seq), (RST | ACK, talk.given.wrapping_add(1)));
    let [(BACK, told)] = &talk.lb.made[..] else { panic!("{:02x?}", talk.lb.made) };
    assert_eq!((Seg::read(told).2.flags, Seg::read(told).2.seq), (RST, first));
    let reset = talk.member_gets(&Seg::new(ACK, first, talk.given.wrapping_add(1)));
    assert_eq!((reset.flags, reset.seq, reset.ack), (RST | ACK, first, 5001));
}

#[test]
fn pieces_of_segments_follow_and_checksums_are_kept() {
    let mut talk = Talk::new(&guarded(0), 1);
    talk.meet();
    // A segment of 64 bytes in two pieces.
    let sent = Seg { data: vec![9; 64], ..Seg::new(ACK, 5001, talk.first.wrapping_add(1)) };
    let whole = sent.frame(talk.member, talk.local).arriving_at(BACK_MAC);
    let mut first = Frame(whole.0[..34 + 40].to_vec()).with(20, 0x20);
    first.0[16..18].copy_from_slice(&60u16.to_be_bytes());
    first.fix_header();
    let mut last = Frame([&whole.0[..34], &whole.0[34 + 40..]].concat()).with(21, 5);
    last.0[16..18].copy_from_slice(&64u16.to_be_bytes());
    last.fix_header();
    let (verdict, first) = talk.lb.send_at(BACK, first);
    assert_eq!(verdict, Verdict::Send(FRONT));
    let (verdict, last) = talk.lb.send_at(BACK, last);
    assert_eq!(verdict, Verdict::Send(FRONT));
    let mut joined = Frame([&first.0[..], &last.0[34..]].concat()).with(20, 0);
    joined.0[16..18].copy_from_slice(&104u16.to_be_bytes());
    joined.fix_header();
    assert_eq!(Seg::read(&joined).2.seq, talk.given.wrapping_add(1));
    assert_eq!(Seg::read(&joined).2.data, [9; 64]);
    // Nobody opens a connection in pieces.
    let syn = Seg { data: vec![0; 24], ..Seg::new(SYN, 1, 0) }
        .frame((CLIENT.into(), 9), talk.service)
        .with(20, 0x20);
    let mut syn = syn;
    syn.fix_header();
    assert_eq!(talk.lb.send_at(FRONT, syn).0, Verdict::Drop(DropReason::Fragment));
}

#[test]
fn such_a_flow_is_seen_like_any_other() {
    let mut talk = Talk::new(&guarded(0), 1);
    talk.ask(&offer(700));
    talk.bring(&clocks(701, talk.clock));
    let state = |talk: &mut Talk| {
        let mut page = lb_engine::FlowPage::new(lb_model::flow::FlowFilter::default(), 9);
        talk.lb.engine.list(&talk.lb.tables, talk.lb.now, 0..64, &mut page);
        page.seen.iter().map(|flow| flow.state).collect::<Vec<_>>()
    };
    assert_eq!(state(&mut talk), [FlowState::Opening]);
    talk.agree(5000, 500, &[]);
    assert_eq!(state(&mut talk), [FlowState::Established]);
}
