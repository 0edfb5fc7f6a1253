//! Full NAT: members see an address of ours in the place of the client's.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_engine::Verdict;
use lb_model::counters::DropReason;
use lb_model::snapshot::{Forwarding, L4Snapshot};
use support::v6::*;
use support::*;

const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 200);
const OTHER_LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 201);
const LOCAL_6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 0x200);

fn masked(mut snapshot: L4Snapshot, addresses: &[IpAddr]) -> L4Snapshot {
    for service in &mut snapshot.services {
        service.forwarding = Forwarding::FullNat;
        service.local_addresses = addresses.to_vec();
    }
    snapshot
}

fn one_member() -> L4Snapshot {
    masked(web(vec![backend(1, MEMBER_1, 8080)]), &[LOCAL.into()])
}

/// The host holds the local addresses, as it does for ARP.
fn lb(snapshot: &L4Snapshot) -> Lb {
    let mut lb = Lb::new(snapshot);
    lb.network.locals.extend([LOCAL, OTHER_LOCAL].map(IpAddr::V4));
    lb.refresh();
    lb
}

fn reply(to: (Ipv4Addr, u16), flags: u8) -> Frame {
    Frame::tcp((MEMBER_1, 8080), to, flags, b"answer").arriving_at(BACK_MAC)
}

#[test]
fn both_ends_are_translated_and_back() {
    for (snapshot, udp) in [(one_member(), false), (by_udp(one_member()), true)] {
        let mut lb = lb(&snapshot);
        let packet = if udp { Frame::udp((CLIENT, 1), (VIP, 80), b"ask") } else { from_client(1, SYN, b"") };
        let (verdict, out) = lb.send(packet.clone());
        assert_eq!(verdict, Verdict::Send(BACK));
        assert_eq!((out.src().0, out.dst(), out.ttl()), (LOCAL, (MEMBER_1, 8080), 63));
        assert!(out.src().1 >= 1024 && out.checksums_hold());
        let answer = Frame::udp((MEMBER_1, 8080), out.src(), b"answer").arriving_at(BACK_MAC);
        let answer = if udp { answer } else { reply(out.src(), SYN | ACK) };
        let (verdict, back) = lb.send(answer);
        assert_eq!(verdict, Verdict::Send(FRONT));
        assert_eq!((back.src(), back.dst()), ((VIP, 80), (CLIENT, 1)));
        assert!(back.checksums_hold());
        assert_eq!(lb.send(packet).1.src(), out.src(), "the flow keeps its end");
    }
}

#[test]
fn ipv6_likewise() {
    let mut lb = lb(&masked(over_ipv6(web(vec![backend(1, MEMBER_1, 8080)])), &[LOCAL_6.into()]));
    let (verdict, out) = lb.send(Frame::tcp6((CLIENT_6, 1), (VIP_6, 80), SYN, b""));
    assert_eq!(verdict, Verdict::Send(BACK));
    assert!(out.is_right());
    assert_eq!(out.0[22..54], [LOCAL_6.octets(), MEMBER_1_6.octets()].concat());
    let port = u16::from_be_bytes([out.0[54], out.0[55]]);
    let answer = Frame::tcp6((MEMBER_1_6, 8080), (LOCAL_6, port), SYN | ACK, b"").arriving_at(BACK_MAC);
    let (verdict, back) = lb.send(answer);
    assert_eq!(verdict, Verdict::Send(FRONT));
    assert!(back.is_right());
    assert_eq!(back.0[22..54], [VIP_6.octets(), CLIENT_6.octets()].concat());
}

#[test]
fn no_two_flows_to_a_member_have_one_end() {
    let mut lb = lb(&masked(web(vec![backend(1, MEMBER_1, 8080)]), &[LOCAL.into(), OTHER_LOCAL.into()]));
    let ends: BTreeSet<_> = (1..=2000).map(|port| lb.send(from_client(port, SYN, b"")).1.src()).collect();
    assert_eq!(ends.len(), 2000);
    let addresses: BTreeSet<_> = ends.iter().map(|(address, _)| *address).collect();
    assert_eq!(addresses, BTreeSet::from([LOCAL, OTHER_LOCAL]));
}

#[test]
fn replies_come_to_the_worker_that_has_the_flow() {
    let mut ends: [BTreeSet<_>; 3] = Default::default();
    for worker in 0..3 {
        let mut lb = Lb::as_worker(&one_member(), worker, 3);
        lb.network.locals.insert(LOCAL.into());
        lb.refresh();
        for port in 1..=300 {
            let (verdict, out) = lb.send(from_client(port, SYN, b""));
            if matches!(verdict, Verdict::Handoff(_)) {
                continue;
            }
            assert_eq!(verdict, Verdict::Send(BACK));
            assert_eq!(lb.send(reply(out.src(), SYN | ACK)).0, Verdict::Send(FRONT));
            ends[usize::from(worker)].insert(out.src());
        }
        assert!(ends[usize::from(worker)].len() > 50);
    }
    // What arrives elsewhere is handed over to the one that gave the end out.
    let mut other = Lb::as_worker(&one_member(), 0, 3);
    for end in &ends[2] {
        assert_eq!(other.send(reply(*end, SYN | ACK)).0, Verdict::Handoff(2));
    }
}

#[test]
fn without_a_free_port_nothing_begins() {
    let snapshot = one_member();
    let mut lb = Lb::with_capacity(&snapshot, 1 << 17);
    lb.network.locals.insert(LOCAL.into());
    lb.refresh();
    let mut refused = 0;
    for number in 0..80_000u32 {
        let client = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 19, 0, 0)) + number / 60_000);
        let from = (client, u16::try_from(1 + number % 60_000).unwrap());
        match lb.send(Frame::tcp(from, (VIP, 80), SYN, b"")).0 {
            Verdict::Send(BACK) => {}
            Verdict::Drop(DropReason::NoLocalPort) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(refused >= 80_000 - 64_512, "there are no more ports than that: {refused}");
    assert!(lb.flows() > 64_000, "{} found an end", lb.flows());
}

#[test]
fn errors_are_translated_at_both_ends() {
    let mut lb = lb(&one_member());
    let (_, out) = lb.send(from_client(1, SYN, b""));
    // From a router behind us, about what the client sent.
    let router = Ipv4Addr::new(198, 18, 2, 77);
    let error = Frame::error(router, LOCAL, 3, &out, 28).arriving_at(BACK_MAC);
    let (verdict, told) = lb.send(error);
    assert_eq!(verdict, Verdict::Send(FRONT));
    assert_eq!((told.src().0, told.dst().0), (VIP, CLIENT));
    assert_eq!((told.quoted().src(), told.quoted().dst()), ((CLIENT, 1), (VIP, 80)));
    // From one before us, about what the member answered.
    let (_, back) = lb.send(reply(out.src(), SYN | ACK));
    let error = Frame::error(Ipv4Addr::new(203, 0, 113, 1), VIP, 3, &back, 28);
    let (verdict, told) = lb.send(error);
    assert_eq!(verdict, Verdict::Send(BACK));
    assert_eq!((told.src().0, told.dst().0), (LOCAL, MEMBER_1));
    assert_eq!((told.quoted().src(), told.quoted().dst()), ((MEMBER_1, 8080), out.src()));
    assert!(told.checksums_hold());
}

#[test]
fn a_local_address_that_is_gone_ends_its_flows() {
    let both = masked(web(vec![backend(1, MEMBER_1, 8080)]), &[LOCAL.into(), OTHER_LOCAL.into()]);
    let mut lb = lb(&both);
    let ends: Vec<_> = (1..=40).map(|port| (port, lb.send(from_client(port, SYN, b"")).1.src().0)).collect();
    lb.publish(&one_member());
    for (port, address) in ends {
        let (verdict, _) = lb.send(from_client(port, ACK, b""));
        let expected =
            if address == LOCAL { Verdict::Send(BACK) } else { Verdict::Drop(DropReason::MemberGone) };
        assert_eq!(verdict, expected);
    }
}

#[test]
fn without_local_addresses_it_is_refused() {
    let refused = Lb::new(&two_members()).planner.publish(&masked(two_members(), &[])).unwrap_err();
    assert!(refused.to_string().contains("has no local address"), "{refused}");
}

#[test]
fn what_others_send_to_a_local_address_is_the_kernels() {
    let mut lb = lb(&one_member());
    let ping = Frame::udp((MEMBER_2, 9), (LOCAL, 5000), b"").arriving_at(BACK_MAC);
    assert_eq!(lb.send(ping).0, Verdict::Punt);
    assert_eq!(lb.send(reply((LOCAL, 5000), ACK)).0, Verdict::Drop(DropReason::NoFlow));
}
