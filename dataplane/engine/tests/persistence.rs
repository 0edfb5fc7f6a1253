//! Clients that keep their member by their address: given, packet, outcome.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;

use lb_engine::{TICKS_PER_SECOND, Verdict};
use lb_model::snapshot::{L4Persistence, L4Snapshot};
use lb_model::{L4Port, VirtualServiceId};
use support::v6::*;
use support::*;
use uuid::Uuid;

const BY_ADDRESS: L4Persistence = L4Persistence { prefix: 32, prefix_v6: 128, timeout_s: 600, shared: false };

fn keeping(mut snapshot: L4Snapshot, persistence: L4Persistence) -> L4Snapshot {
    for service in &mut snapshot.services {
        service.persistence = Some(persistence);
    }
    snapshot
}

fn lb(persistence: L4Persistence) -> Lb {
    Lb::new(&keeping(two_members(), persistence))
}

fn client(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + number)
}

/// Who gets a connection from an address and port.
fn begin(lb: &mut Lb, from: Ipv4Addr, port: u16) -> (Ipv4Addr, u16) {
    begin_at(lb, from, port, 80)
}

fn begin_at(lb: &mut Lb, from: Ipv4Addr, port: u16, service: u16) -> (Ipv4Addr, u16) {
    let (verdict, out) = lb.send(Frame::tcp((from, port), (VIP, service), SYN, b""));
    assert!(matches!(verdict, Verdict::Send(BACK)), "{verdict:?}");
    out.dst()
}

#[test]
fn connections_of_a_client_have_one_member() {
    let mut lb = lb(BY_ADDRESS);
    for number in 1..=20 {
        let member = begin(&mut lb, client(number), 1);
        assert_eq!(member.0, [MEMBER_2, MEMBER_1][number as usize % 2], "new clients take turns");
        assert!((2..10).all(|port| begin(&mut lb, client(number), port) == member));
    }
}

#[test]
fn datagrams_likewise() {
    let mut lb = Lb::new(&by_udp(keeping(two_members(), BY_ADDRESS)));
    let mut ask = |number, port| lb.send(Frame::udp((client(number), port), (VIP, 80), b"ask")).1.dst();
    let members = [ask(1, 1), ask(2, 1)];
    assert_ne!(members[0], members[1]);
    assert_eq!([ask(1, 2), ask(1, 3), ask(2, 2)], [members[0], members[0], members[1]]);
}

#[test]
fn neighbours_count_as_one_as_far_as_the_prefix_says() {
    let mut lb = lb(L4Persistence { prefix: 24, ..BY_ADDRESS });
    let first = begin(&mut lb, client(1), 1);
    assert!((2..=255).all(|number| begin(&mut lb, client(number), 1) == first));
    assert_ne!(begin(&mut lb, client(256), 1), first, "the next network has its turn");
}

#[test]
fn ipv6_has_a_prefix_of_its_own() {
    let mut lb = Lb::new(&keeping(over_ipv6(two_members()), L4Persistence { prefix_v6: 64, ..BY_ADDRESS }));
    let mut ask = |network: u16, host: u16| {
        let from = Ipv6Addr::new(0x2001, 0xdb8, 7, network, 0, 0, 0, host);
        lb.send(Frame::tcp6((from, 1), (VIP_6, 80), SYN, b"")).1.0[38..54].to_vec()
    };
    let (one, other) = (ask(1, 1), ask(2, 1));
    assert_ne!(one, other);
    assert!((2..9).all(|host| ask(1, host) == one && ask(2, host) == other));
}

#[test]
fn a_client_that_was_away_for_long_is_a_new_one() {
    let mut lb = lb(L4Persistence { timeout_s: 90, ..BY_ADDRESS });
    let first = begin(&mut lb, client(1), 1);
    lb.now += 61 * TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (1, 0));
    assert_eq!(begin(&mut lb, client(1), 2), first, "the connection is over, the time is not");
    lb.now += 61 * TICKS_PER_SECOND;
    lb.sweep();
    lb.now += 30 * TICKS_PER_SECOND;
    assert_ne!(begin(&mut lb, client(1), 3), first);
}

#[test]
fn as_long_as_a_client_has_a_connection_it_keeps_its_member() {
    let mut lb = lb(L4Persistence { timeout_s: 90, ..BY_ADDRESS });
    let first = lb.open(1);
    for _ in 0..10 {
        lb.now += 60 * TICKS_PER_SECOND;
        assert_eq!(lb.send(from_client(1, ACK, b"still here")).0, Verdict::Send(BACK));
        assert_eq!(lb.sweep(), 0);
    }
    assert_eq!(lb.open(2), first);
}

#[test]
fn a_member_that_drains_gets_the_new_connections_of_its_clients_alone() {
    let mut lb = lb(BY_ADDRESS);
    let (first, second) = (begin(&mut lb, client(1), 1), begin(&mut lb, client(2), 1));
    let mut draining = keeping(two_members(), BY_ADDRESS);
    draining.services[0].backends[0].takes_new = false;
    lb.publish(&draining);
    assert_eq!(begin(&mut lb, client(1), 2), first, "it keeps it");
    assert!((3..20).all(|number| begin(&mut lb, client(number), 1) == second));
    // As a plane is told that it is down.
    draining.services[0].backends[0].keeps = false;
    lb.planner.restate(&draining.services[0]);
    lb.refresh();
    assert_eq!(begin(&mut lb, client(1), 3), second);
    draining.services[0].backends[0].keeps = true;
    draining.services[0].backends[0].takes_new = true;
    lb.planner.restate(&draining.services[0]);
    lb.refresh();
    assert_eq!(begin(&mut lb, client(1), 4), second, "and has another now");
}

#[test]
fn who_finds_its_member_full_comes_back_to_it() {
    let mut snapshot = keeping(two_members(), BY_ADDRESS);
    snapshot.services[0].backends[0].connection_limit = NonZeroU32::new(2);
    let mut lb = Lb::new(&snapshot);
    let [first, again, other] = [1, 2, 3].map(|port| begin(&mut lb, client(1), port));
    assert_eq!((again, other), (first, (MEMBER_2, 8080)));
    lb.now += 61 * TICKS_PER_SECOND;
    lb.sweep();
    assert_eq!(begin(&mut lb, client(1), 4), first);
}

#[test]
fn services_of_a_virtual_ip_share_if_they_say_so() {
    for shared in [false, true] {
        let mut snapshot = keeping(two_members(), L4Persistence { shared, ..BY_ADDRESS });
        let mut secure = snapshot.services[0].clone();
        (secure.id, secure.port) = (VirtualServiceId(Uuid::from_u128(443)), L4Port::new(443).unwrap());
        secure.backends = vec![backend(3, MEMBER_2, 8443), backend(4, MEMBER_1, 8443)];
        snapshot.services.push(secure);
        let mut lb = Lb::new(&snapshot);
        for number in 1..=8 {
            let (plain, secure) =
                (begin_at(&mut lb, client(number), 1, 80), begin_at(&mut lb, client(number), 1, 443));
            assert_eq!((plain.1, secure.1), (8080, 8443));
            assert_eq!(plain.0 == secure.0, shared, "client {number}");
        }
    }
}

#[test]
fn workers_know_of_each_others_clients() {
    let mut workers = Lb::workers(&keeping(two_members(), BY_ADDRESS), 2);
    let mut met = [0, 0];
    for number in 1..=10 {
        let mut members = Vec::new();
        for port in 1..=10 {
            for (at, lb) in workers.iter_mut().enumerate() {
                let (verdict, out) = lb.send(Frame::tcp((client(number), port), (VIP, 80), SYN, b""));
                if verdict == Verdict::Send(BACK) {
                    met[at] += 1;
                    members.push(out.dst());
                }
            }
        }
        assert_eq!(members.len(), 10, "each flow has one owner");
        members.dedup();
        assert_eq!(members.len(), 1, "client {number}");
    }
    assert!(met.iter().all(|count| *count > 20), "{met:?}");
}
