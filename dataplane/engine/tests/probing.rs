//! Checks by way of forwarding: they reach the member as clients' packets do, whatever it stands for, and hear its answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_engine::network::{PortView, Route, Strangers};
use lb_engine::tables::{Planner, TablesError};
use lb_engine::{Awaited, PortIndex, Verdict};
use lb_model::config::ChecksumMode;
use lb_model::counters::DropReason;
use lb_model::snapshot::{Endpoint, Forwarding, L4Probe, L4Snapshot};
use lb_model::{MacAddr, MemberId, Tunnel, VirtualServiceId, probes};
use support::v6::*;
use support::*;
use uuid::Uuid;

const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 200);
/// The TAP of checks is the port behind the others.
const TAP: PortIndex = PortIndex(2);
const TAP_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);

/// Where the first and the second member are checked, and the kernel's own end.
fn places() -> [(Ipv4Addr, u16); 2] {
    [1, 2].map(|member| match probes::place(member, VIP.into()) {
        (IpAddr::V4(address), port) => (address, port.get()),
        other @ (IpAddr::V6(_), _) => panic!("{other:?}"),
    })
}

fn own() -> (Ipv4Addr, u16) {
    match probes::OWN[0].0 {
        IpAddr::V4(address) => (address, 40_000),
        IpAddr::V6(address) => panic!("{address}"),
    }
}

/// Two members of a service that forwards like this, each with its place; the first one takes nothing new.
fn probed(forwarding: Forwarding) -> L4Snapshot {
    let port = if forwarding.keeps_port() { 80 } else { 8080 };
    let mut snapshot = web(vec![backend(1, MEMBER_1, port), backend(2, MEMBER_2, port)]);
    let service = &mut snapshot.services[0];
    service.forwarding = forwarding;
    service.tunnel = (forwarding == Forwarding::Tunnel).then_some(Tunnel::Ipip {});
    service.local_addresses = if forwarding == Forwarding::FullNat { vec![LOCAL.into()] } else { vec![] };
    service.backends[0].takes_new = false;
    snapshot.probes = (1..=2).map(|member| probe(&snapshot, member)).collect();
    snapshot
}

fn probe(snapshot: &L4Snapshot, member: u64) -> L4Probe {
    let service = &snapshot.services[0];
    let (address, port) = probes::place(member, service.address);
    L4Probe {
        at: Endpoint { address, port, protocol: service.protocol },
        service: service.id,
        address: service.address,
        member: MemberId(Uuid::from_u128(member.into())),
    }
}

/// An appliance with a TAP for checks.
fn lb(snapshot: &L4Snapshot) -> Lb {
    with_tap(Lb::new(snapshot))
}

fn with_tap(mut lb: Lb) -> Lb {
    lb.network.ports.push(PortView {
        mac: TAP_MAC,
        mtu: 1500,
        addresses: Vec::new(),
        checksum: ChecksumMode::Incremental,
        strangers: Strangers::Drop,
    });
    for (own, len) in probes::OWN {
        let to = lb_model::Prefix::new(own, len).unwrap();
        lb.network.routes.push(Route { to, port: TAP, gateway: None, metric: 0 });
        lb.network.neighbours.insert((TAP, own), TAP_MAC);
        lb.network.locals.insert(own);
    }
    lb.network.locals.insert(BACK_HOST.into());
    lb.refresh();
    lb
}

fn ask(lb: &mut Lb, member: usize, flags: u8) -> (Verdict, Frame) {
    lb.send_at(TAP, Frame::tcp(own(), places()[member], flags, b"").arriving_at(TAP_MAC))
}

/// The member's answer to what it got, and what the check hears.
fn hear(lb: &mut Lb, asked: &Frame, flags: u8) -> (Verdict, Frame) {
    lb.send(Frame::tcp(asked.dst(), asked.src(), flags, b"answer").arriving_at(BACK_MAC))
}

fn check_member(forwarding: Forwarding, member: usize, wanted: (Ipv4Addr, (Ipv4Addr, u16)), growth: usize) {
    let mut lb = lb(&probed(forwarding));
    let (verdict, out) = ask(&mut lb, member, SYN);
    assert_eq!(verdict, Verdict::Send(BACK), "{forwarding:?}");
    // Whatever it is wrapped in, it goes to this member.
    assert_eq!(out.0[..6], [2, 0, 0, 2, 2, [11, 12][member]], "{forwarding:?}");
    let inner = Frame([&out.0[..14], &out.0[14 + growth..]].concat());
    assert_eq!((inner.src().0, inner.dst()), wanted, "{forwarding:?}");
    assert!(inner.checksums_hold() && inner.src().1 >= 1024, "{forwarding:?}");
    let (verdict, back) = hear(&mut lb, &inner, SYN | ACK);
    assert_eq!(verdict, Verdict::Send(TAP), "{forwarding:?}");
    assert_eq!((back.src(), back.dst()), (places()[member], own()), "{forwarding:?}");
    assert!(back.checksums_hold() && back.0[..6] == TAP_MAC.0);
    let (verdict, out) = ask(&mut lb, member, ACK);
    let again = Frame([&out.0[..14], &out.0[14 + growth..]].concat());
    assert_eq!((verdict, again.src()), (Verdict::Send(BACK), inner.src()), "the connection keeps its end");
}

#[test]
fn a_check_reaches_its_member_in_the_mode_of_the_service() {
    for member in 0..2 {
        let address = [MEMBER_1, MEMBER_2][member];
        check_member(Forwarding::Nat, member, (VIP, (address, 8080)), 0);
        check_member(Forwarding::FullNat, member, (LOCAL, (address, 8080)), 0);
        check_member(Forwarding::Dr, member, (BACK_HOST, (VIP, 80)), 0);
        check_member(Forwarding::Tunnel, member, (BACK_HOST, (VIP, 80)), 20);
    }
}

#[test]
fn datagrams_likewise() {
    for forwarding in [Forwarding::Nat, Forwarding::FullNat, Forwarding::Dr] {
        let mut snapshot = by_udp(probed(forwarding));
        for probe in &mut snapshot.probes {
            probe.at.protocol = snapshot.services[0].protocol;
        }
        let mut lb = lb(&snapshot);
        let question = Frame::udp(own(), places()[1], b"a question of 20 by").arriving_at(TAP_MAC);
        let (verdict, out) = lb.send_at(TAP, question.clone());
        assert_eq!(verdict, Verdict::Send(BACK), "{forwarding:?}");
        assert!(out.checksums_hold() && out.0[..6] == [2, 0, 0, 2, 2, 12]);
        let answer = Frame::udp(out.dst(), out.src(), b"an answer of 20 byte").arriving_at(BACK_MAC);
        let (verdict, back) = lb.send(answer);
        assert_eq!(verdict, Verdict::Send(TAP), "{forwarding:?}");
        assert_eq!((back.src(), back.dst()), (places()[1], own()));
        assert!(back.checksums_hold());
        if !forwarding.replies_return() {
            continue;
        }
        // A member that does not listen says so, and the check hears it.
        let refusal = Frame::error(out.dst().0, out.src().0, 3, &out, 28).arriving_at(BACK_MAC);
        let (verdict, told) = lb.send(refusal);
        assert_eq!(verdict, Verdict::Send(TAP), "{forwarding:?}");
        assert_eq!(told.quoted().src(), question.src());
        assert_eq!(told.quoted().dst(), question.dst());
    }
}

#[test]
fn of_ipv6_likewise() {
    for (forwarding, seen, to) in
        [(Forwarding::Nat, VIP_6, (MEMBER_1_6, 8080)), (Forwarding::Dr, BACK_HOST_6, (VIP_6, 80))]
    {
        let mut six = over_ipv6(probed(forwarding));
        six.probes = vec![probe(&six, 1)];
        let mut lb = lb(&six);
        let (IpAddr::V6(place), port) = probes::place(1, VIP_6.into()) else { panic!() };
        let IpAddr::V6(own) = probes::OWN[1].0 else { panic!() };
        let syn = Frame::tcp6((own, 40_000), (place, port.get()), SYN, b"").arriving_at(TAP_MAC);
        let (verdict, out) = lb.send_at(TAP, syn);
        assert_eq!(verdict, Verdict::Send(BACK));
        assert!(out.is_right());
        let ends = |a: Ipv6Addr, b: Ipv6Addr| [a.octets(), b.octets()].concat();
        assert_eq!(out.0[22..54], ends(seen, to.0), "{forwarding:?}");
        let local = u16::from_be_bytes([out.0[54], out.0[55]]);
        let answer = Frame::tcp6(to, (seen, local), SYN | ACK, b"").arriving_at(BACK_MAC);
        let (verdict, back) = lb.send(answer);
        assert_eq!(verdict, Verdict::Send(TAP));
        assert!(back.is_right());
        assert_eq!(back.0[22..54], ends(place, own));
    }
}

#[test]
fn who_is_checked_is_nobodys_turn_and_nobodys_count() {
    let mut lb = lb(&probed(Forwarding::Nat));
    for _ in 0..3 {
        ask(&mut lb, 0, SYN);
    }
    let clients: Vec<usize> = lb.planner.backend_slots().map(|(slot, ..)| slot).collect();
    assert_eq!(clients.len(), 2);
    let counted = |slot: &usize| lb.counters.backends[*slot].connections.get();
    assert!(clients.iter().all(|slot| counted(slot) == 0));
    assert_eq!(lb.send(from_client(1, SYN, b"")).1.dst(), (MEMBER_2, 8080), "the first one takes nobody");
    // A member that refuses is told to the check, and suspected by nobody.
    let (_, asked) = ask(&mut lb, 0, SYN);
    assert_eq!(hear(&mut lb, &asked, RST | ACK).0, Verdict::Send(TAP));
    let unopened: u64 = clients.iter().map(|slot| lb.counters.backends[*slot].unopened.get()).sum();
    assert_eq!(unopened, 0);
}

#[test]
fn a_neighbour_that_is_not_there_is_looked_for_by_its_own_address() {
    let mut lb = lb(&probed(Forwarding::Dr));
    lb.network.neighbours.remove(&(BACK, MEMBER_1.into()));
    lb.refresh();
    let awaited = Awaited { port: BACK, address: MEMBER_1.into() };
    assert_eq!(ask(&mut lb, 0, SYN).0, Verdict::Hold(awaited));
    // By a router, what is for the virtual IP would come back.
    lb.network.routes.push(Route {
        to: "198.18.2.11/32".parse().unwrap(),
        port: BACK,
        gateway: Some(MEMBER_2.into()),
        metric: 0,
    });
    lb.refresh();
    assert_eq!(ask(&mut lb, 0, SYN).0, Verdict::Drop(DropReason::NoRoute));
}

#[test]
fn a_check_that_is_under_way_outlives_a_publication() {
    for forwarding in [Forwarding::Nat, Forwarding::FullNat, Forwarding::Dr, Forwarding::Tunnel] {
        let mut snapshot = probed(forwarding);
        let mut lb = lb(&snapshot);
        let (_, first) = ask(&mut lb, 0, SYN);
        snapshot.services[0].backends.remove(1);
        snapshot.probes.pop();
        lb.publish(&snapshot);
        let (verdict, again) = ask(&mut lb, 0, SYN);
        assert_eq!(verdict, Verdict::Send(BACK));
        let growth = first.0.len() - 54;
        assert_eq!(first.0[14 + growth + 20..][..4], again.0[14 + growth + 20..][..4], "{forwarding:?}");
        assert_eq!(ask(&mut lb, 1, SYN).0, Verdict::Drop(DropReason::NotOurs), "it is nobody's any more");
    }
}

#[test]
fn answers_come_to_the_worker_that_asked() {
    for forwarding in [Forwarding::Nat, Forwarding::Dr] {
        let mut asked = None;
        for worker in 0..3 {
            let mut lb = with_tap(Lb::as_worker(&probed(forwarding), worker, 3));
            match ask(&mut lb, 0, SYN) {
                (Verdict::Send(to), out) => {
                    assert_eq!(to, BACK);
                    assert_eq!(hear(&mut lb, &out, SYN | ACK).0, Verdict::Send(TAP));
                    asked = Some((worker, out));
                }
                (verdict, _) => assert!(matches!(verdict, Verdict::Handoff(_)), "{verdict:?}"),
            }
        }
        let (owner, out) = asked.unwrap();
        for worker in (0..3).filter(|worker| *worker != owner) {
            let mut lb = with_tap(Lb::as_worker(&probed(forwarding), worker, 3));
            assert_eq!(hear(&mut lb, &out, SYN | ACK).0, Verdict::Handoff(owner), "{forwarding:?}");
        }
    }
}

#[test]
fn a_virtual_ip_that_answers_uninvited_is_the_kernels() {
    let mut lb = lb(&probed(Forwarding::Nat));
    let stray = Frame::tcp((VIP, 80), (BACK_HOST, 40_000), SYN | ACK, b"").arriving_at(BACK_MAC);
    assert_eq!(lb.send(stray.clone()).0, Verdict::Punt, "by NAT nobody is asked past us");
    lb.publish(&probed(Forwarding::Dr));
    assert_eq!(lb.send(stray).0, Verdict::Drop(DropReason::NoFlow), "a late answer");
}

#[test]
fn a_way_that_is_none_is_refused() {
    let mut snapshot = probed(Forwarding::Nat);
    snapshot.probes[0].service = VirtualServiceId(Uuid::from_u128(5));
    let (service, member) = (snapshot.probes[0].service, snapshot.probes[0].member);
    assert_eq!(Planner::new(1).publish(&snapshot), Err(TablesError::NoWay { service, member }));
    let mut snapshot = probed(Forwarding::Nat);
    snapshot.probes[1].at = snapshot.probes[0].at;
    assert!(matches!(Planner::new(1).publish(&snapshot), Err(TablesError::Conflict { .. })));
}
