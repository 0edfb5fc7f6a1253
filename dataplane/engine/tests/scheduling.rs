//! Who gets a new connection: every scheduler by its definition, members in every state, limits.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;

use lb_engine::{TICKS_PER_SECOND, Verdict};
use lb_model::counters::DropReason;
use lb_model::snapshot::{L4Backend, L4Snapshot, Scheduler, Share, Weight};
use support::*;

fn member(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 2, number)
}

/// Members 1, 2, … with these weights.
fn pool(scheduler: Scheduler, weights: &[u16]) -> L4Snapshot {
    let weighted = |(number, weight): (u8, &u16)| L4Backend {
        weight: Weight::new(*weight).unwrap(),
        ..backend(u128::from(number), member(number), 8080)
    };
    let mut snapshot = web((1..).zip(weights).map(weighted).collect());
    snapshot.services[0].scheduler = scheduler;
    snapshot
}

fn limited(mut snapshot: L4Snapshot, member: usize, limit: u32) -> L4Snapshot {
    snapshot.services[0].backends[member - 1].connection_limit = NonZeroU32::new(limit);
    snapshot
}

/// The member of a new connection, by its number; it stays open.
fn open(lb: &mut Lb, port: u16) -> u8 {
    lb.open(port).0.octets()[3]
}

fn close(lb: &mut Lb, port: u16) {
    lb.send(from_client(port, RST, b""));
}

fn sequence(lb: &mut Lb, ports: std::ops::Range<u16>) -> Vec<u8> {
    ports.map(|port| open(lb, port)).collect()
}

fn shares(members: Vec<u8>) -> BTreeMap<u8, usize> {
    let mut shares = BTreeMap::new();
    for member in members {
        *shares.entry(member).or_default() += 1;
    }
    shares
}

/// From a client of its own: another address each time.
fn syn_from(client: u32, port: u16) -> Frame {
    Frame::tcp((Ipv4Addr::from_bits(0x0a00_0000 + client), port), (VIP, 80), SYN, b"")
}

fn member_of(lb: &mut Lb, syn: Frame) -> u8 {
    let (verdict, out) = lb.send(syn);
    assert!(matches!(verdict, Verdict::Send(_) | Verdict::Hold(_)), "{verdict:?}");
    out.dst().0.octets()[3]
}

#[test]
fn round_robin_ignores_weights_but_zero() {
    let mut lb = Lb::new(&pool(Scheduler::RoundRobin, &[7, 0, 1]));
    assert_eq!(sequence(&mut lb, 1..7), [1, 3, 1, 3, 1, 3]);
}

#[test]
fn weighted_round_robin_is_smooth() {
    let mut lb = Lb::new(&pool(Scheduler::WeightedRoundRobin, &[5, 1, 1]));
    assert_eq!(sequence(&mut lb, 1..15), [1, 1, 2, 1, 3, 1, 1, 1, 1, 2, 1, 3, 1, 1]);
}

#[test]
fn least_connections_evens_out_and_equal_ones_take_turns() {
    let mut lb = Lb::new(&pool(Scheduler::LeastConnections, &[1, 9, 1]));
    assert_eq!(sequence(&mut lb, 1..7), [1, 2, 3, 1, 2, 3]);
    close(&mut lb, 2);
    close(&mut lb, 5);
    assert_eq!(sequence(&mut lb, 7..10), [2, 2, 1]);
}

#[test]
fn weighted_least_connections_keeps_to_the_weights() {
    let mut lb = Lb::new(&pool(Scheduler::WeightedLeastConnections, &[1, 3]));
    assert_eq!(shares(sequence(&mut lb, 1..81)), BTreeMap::from([(1, 20), (2, 60)]));
    // All of the second end: the next 60 are its own until it has three times as many again.
    let of_second: Vec<u16> =
        (1..81).filter(|port| lb.send(from_client(*port, ACK, b"x")).1.dst().0 == member(2)).collect();
    for port in of_second {
        close(&mut lb, port);
    }
    assert_eq!(shares(sequence(&mut lb, 101..161)), BTreeMap::from([(2, 60)]));
}

#[test]
fn shortest_expected_delay_prefers_the_fast_one_first() {
    // The example of LVS's documentation: of weights 1, 2, 3 with one connection each, the third is next.
    let mut lb = Lb::new(&pool(Scheduler::ShortestExpectedDelay, &[1, 2, 3]));
    assert_eq!(sequence(&mut lb, 1..7), [3, 2, 3, 1, 2, 3]);
}

#[test]
fn never_queue_fills_the_idle_before_the_fast() {
    let mut lb = Lb::new(&pool(Scheduler::NeverQueue, &[1, 2, 30]));
    assert_eq!(sequence(&mut lb, 1..6), [3, 2, 1, 3, 3]);
    close(&mut lb, 3);
    assert_eq!(open(&mut lb, 6), 1);
}

#[test]
fn loads_count_what_is_open_on_each_worker() {
    let mut lb = Lb::new(&pool(Scheduler::LeastConnections, &[1, 1]));
    sequence(&mut lb, 1..5);
    let active = |lb: &Lb| -> Vec<u64> {
        let mut slots: Vec<_> = lb.planner.backend_slots().map(|(slot, ..)| slot).collect();
        slots.sort_unstable();
        slots.into_iter().map(|slot| lb.counters.backends[slot].read().active).collect()
    };
    assert_eq!(active(&lb), [2, 2]);
    close(&mut lb, 1);
    close(&mut lb, 1);
    assert_eq!(active(&lb), [1, 2], "a flow ends once");
    lb.now += 301 * TICKS_PER_SECOND;
    lb.sweep();
    assert_eq!(active(&lb), [0, 0]);
}

#[test]
fn loads_move_with_the_backends() {
    let mut lb = Lb::new(&pool(Scheduler::LeastConnections, &[1, 1, 1]));
    sequence(&mut lb, 1..10);
    let mut without_second = pool(Scheduler::LeastConnections, &[1, 1, 1]);
    without_second.services[0].backends.remove(1);
    lb.publish(&without_second);
    lb.sweep();
    assert_eq!(lb.flows(), 6, "the flows of the removed member are gone");
    lb.publish(&pool(Scheduler::LeastConnections, &[1, 1, 1]));
    assert_eq!(sequence(&mut lb, 10..13), [2, 2, 2], "who comes back has nothing to do");
    assert_eq!(shares(sequence(&mut lb, 13..16)), BTreeMap::from([(1, 1), (2, 1), (3, 1)]));
}

#[test]
fn a_tournament_of_many_finds_the_least() {
    let mut lb = Lb::new(&pool(Scheduler::LeastConnections, &[1; 100]));
    let first = sequence(&mut lb, 1..501);
    assert_eq!(shares(first).into_values().collect::<Vec<_>>(), [5; 100]);
    for port in [17u16, 217, 317] {
        close(&mut lb, port);
    }
    assert_eq!(sequence(&mut lb, 501..504), [17, 17, 17]);
}

#[test]
fn source_hash_gives_a_client_the_same_member_whatever_its_port() {
    let mut lb = Lb::new(&pool(Scheduler::SourceHash, &[1, 1, 1]));
    for client in 1..100 {
        let first = member_of(&mut lb, syn_from(client, 1));
        assert!((2..20).all(|port| member_of(&mut lb, syn_from(client, port)) == first));
    }
}

#[test]
fn hashes_spread_clients_by_weight() {
    for scheduler in [Scheduler::SourceHash, Scheduler::SourcePortHash, Scheduler::Maglev] {
        let mut lb = Lb::with_capacity(&pool(scheduler, &[1, 2, 1]), 1 << 15);
        let members = (0..20_000).map(|client| member_of(&mut lb, syn_from(client, 1000))).collect();
        let shares = shares(members);
        for (member, wanted) in [(1, 5000), (2, 10_000), (3, 5000)] {
            let off = shares[&member].abs_diff(wanted);
            assert!(off < 400, "{scheduler:?}: {shares:?}");
        }
    }
}

#[test]
fn the_port_counts_where_it_should() {
    for (scheduler, spread) in
        [(Scheduler::SourceHash, 1), (Scheduler::SourcePortHash, 3), (Scheduler::Maglev, 3)]
    {
        let mut lb = Lb::new(&pool(scheduler, &[1, 1, 1]));
        let members = (1..200).map(|port| member_of(&mut lb, syn_from(1, port))).collect();
        assert_eq!(shares(members).len(), spread, "{scheduler:?}");
    }
}

#[test]
fn maglev_moves_few_clients_when_a_member_leaves() {
    let snapshot = pool(Scheduler::Maglev, &[1; 100]);
    let mut lb = Lb::with_capacity(&snapshot, 1 << 15);
    let before: Vec<u8> = (0..10_000).map(|client| member_of(&mut lb, syn_from(client, 1))).collect();
    let mut without = snapshot;
    // In drain it takes nothing new, and the table keeps its size.
    without.services[0].backends[41].takes_new = false;
    let mut lb = Lb::with_capacity(&without, 1 << 15);
    let after: Vec<u8> = (0..10_000).map(|client| member_of(&mut lb, syn_from(client, 1))).collect();
    let others = before.iter().zip(&after).filter(|(before, _)| **before != 42);
    let moved = others.filter(|(before, after)| before != after).count();
    assert!(moved < 300, "{moved} of 9,900 others moved");
}

#[test]
fn power_of_two_stays_close_to_even() {
    let mut lb = Lb::new(&pool(Scheduler::PowerOfTwo, &[1; 10]));
    let shares = shares(sequence(&mut lb, 1..1001));
    assert!(shares.values().all(|share| (95..=105).contains(share)), "{shares:?}");
    let mut lb = Lb::new(&pool(Scheduler::PowerOfTwo, &[1, 3]));
    let shares = self::shares(sequence(&mut lb, 1..401));
    assert!(shares[&1].abs_diff(100) < 10, "{shares:?}");
}

#[test]
fn ordered_takes_the_heaviest_and_overflows_to_the_next() {
    let snapshot = limited(limited(pool(Scheduler::Ordered, &[1, 9, 5]), 2, 3), 3, 2);
    let mut lb = Lb::new(&snapshot);
    assert_eq!(sequence(&mut lb, 1..8), [2, 2, 2, 3, 3, 1, 1]);
    close(&mut lb, 2);
    assert_eq!(sequence(&mut lb, 8..10), [2, 1]);
    let mut failed = snapshot;
    failed.services[0].backends[1].takes_new = false;
    let mut lb = Lb::new(&failed);
    assert_eq!(sequence(&mut lb, 1..4), [3, 3, 1]);
}

#[test]
fn backups_serve_only_when_nobody_else_does() {
    let mut snapshot = pool(Scheduler::RoundRobin, &[1, 1, 1]);
    snapshot.services[0].backends[2].backup = true;
    let mut lb = Lb::new(&snapshot);
    assert_eq!(sequence(&mut lb, 1..5), [1, 2, 1, 2]);
    snapshot.services[0].backends[0].takes_new = false;
    snapshot.services[0].backends[1].weight = Weight::new(0).unwrap();
    lb.publish(&snapshot);
    assert_eq!(sequence(&mut lb, 5..7), [3, 3]);
    assert_eq!(lb.send(from_client(1, ACK, b"x")).1.dst().0, member(1), "flows stay where they are");
}

#[test]
fn the_backup_pool_serves_when_nobody_of_the_pool_does() {
    let mut snapshot = pool(Scheduler::RoundRobin, &[1, 1, 1, 1]);
    let backends = &mut snapshot.services[0].backends;
    (backends[1].backup, backends[2].reserve) = (true, true);
    (backends[3].reserve, backends[3].backup) = (true, true);
    let mut lb = Lb::new(&snapshot);
    for serving in 1..=4 {
        let port = u16::from(serving) * 10;
        assert_eq!(sequence(&mut lb, port..port + 2), [serving, serving]);
        snapshot.services[0].backends[usize::from(serving) - 1].takes_new = false;
        lb.publish(&snapshot);
    }
}

#[test]
fn who_warms_up_is_given_its_share_by_every_scheduler_but_ordered() {
    use Scheduler::*;
    let quarter = |scheduler, weights: &[u16]| {
        let mut snapshot = pool(scheduler, weights);
        snapshot.services[0].backends[0].share = Share::new(25).unwrap();
        shares(sequence(&mut Lb::new(&snapshot), 1..501))[&1]
    };
    for scheduler in [RoundRobin, WeightedRoundRobin, LeastConnections, WeightedLeastConnections] {
        assert_eq!(quarter(scheduler, &[1, 1]), 100, "{scheduler:?}");
    }
    for scheduler in [ShortestExpectedDelay, PowerOfTwo, Maglev, SourcePortHash] {
        let share = quarter(scheduler, &[1, 1]);
        assert!(share.abs_diff(100) <= 25, "{scheduler:?}: {share}");
    }
    assert_eq!((quarter(WeightedRoundRobin, &[4, 1]), quarter(RoundRobin, &[4, 1])), (250, 100));
    assert_eq!(quarter(Ordered, &[2, 1]), 500, "an order is no matter of shares");
}

#[test]
fn a_limit_is_kept_by_every_scheduler() {
    use Scheduler::*;
    for scheduler in [
        RoundRobin,
        WeightedRoundRobin,
        LeastConnections,
        WeightedLeastConnections,
        ShortestExpectedDelay,
        NeverQueue,
        SourceHash,
        SourcePortHash,
        Maglev,
        PowerOfTwo,
        PeakEwma,
        Ordered,
    ] {
        let snapshot = (1..=3).fold(pool(scheduler, &[1, 1, 1]), |all, member| limited(all, member, 2));
        let mut lb = Lb::new(&snapshot);
        let shares = shares(sequence(&mut lb, 1..7));
        assert_eq!(shares, BTreeMap::from([(1, 2), (2, 2), (3, 2)]), "{scheduler:?}");
        assert_eq!(lb.send(from_client(7, SYN, b"")).0, Verdict::Drop(DropReason::MembersFull));
        close(&mut lb, 1);
        open(&mut lb, 8);
    }
}

#[test]
fn a_limit_spans_all_services_of_the_member() {
    let mut snapshot = limited(pool(Scheduler::RoundRobin, &[1]), 1, 2);
    let mut other = snapshot.services[0].clone();
    other.port = lb_model::L4Port::new(81).unwrap();
    other.id = lb_model::VirtualServiceId(uuid::Uuid::from_u128(81));
    snapshot.services.push(other);
    let mut lb = Lb::new(&snapshot);
    open(&mut lb, 1);
    assert_eq!(lb.send(Frame::tcp((CLIENT, 2), (VIP, 81), SYN, b"")).0, Verdict::Send(BACK));
    assert_eq!(lb.send(from_client(3, SYN, b"")).0, Verdict::Drop(DropReason::MembersFull));
}

#[test]
fn a_service_takes_so_many_connections_and_only_from_whom_it_may() {
    let mut snapshot = pool(Scheduler::RoundRobin, &[1, 1]);
    snapshot.services[0].admission.connection_limit = NonZeroU32::new(3);
    snapshot.services[0].admission.denied_cidrs = vec!["10.0.0.0/8".parse().unwrap()];
    let mut lb = Lb::new(&snapshot);
    assert_eq!(sequence(&mut lb, 1..4), [1, 2, 1]);
    assert_eq!(lb.send(from_client(4, SYN, b"")).0, Verdict::Drop(DropReason::ServiceFull));
    close(&mut lb, 2);
    assert_eq!(open(&mut lb, 5), 2);
    close(&mut lb, 1);
    assert_eq!(lb.send(syn_from(7, 1)).0, Verdict::Drop(DropReason::Denied));
    // Who is denied later keeps the flows that there are.
    snapshot.services[0].admission.allowed_cidrs = vec!["192.0.2.0/24".parse().unwrap()];
    lb.publish(&snapshot);
    assert_eq!(lb.send(from_client(3, ACK, b"x")).0, Verdict::Send(BACK));
    assert_eq!(lb.send(from_client(6, SYN, b"")).0, Verdict::Drop(DropReason::Denied));
}

#[test]
fn workers_begin_their_turns_in_different_places() {
    let snapshot = pool(Scheduler::RoundRobin, &[1, 1, 1, 1]);
    let first = |worker| {
        let mut lb = Lb::as_worker(&snapshot, worker, 2);
        let ports = 1..200;
        ports.map(|port| lb.send(from_client(port, SYN, b""))).find_map(|(verdict, out)| {
            matches!(verdict, Verdict::Send(_) | Verdict::Hold(_)).then(|| out.dst().0.octets()[3])
        })
    };
    assert_eq!((first(0), first(1)), (Some(1), Some(3)));
}
