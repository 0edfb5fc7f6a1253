//! Members that go down and come back between two publications: given, packet, outcome.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use lb_engine::Verdict;
use lb_model::counters::DropReason;
use support::*;

/// The members of [`two_members`] that take new connections, as a plane is told of a change of health.
fn restate(lb: &mut Lb, takes_new: [bool; 2]) {
    let mut service = two_members().services.remove(0);
    for (backend, takes_new) in service.backends.iter_mut().zip(takes_new) {
        backend.takes_new = takes_new;
    }
    lb.planner.restate(&service);
    lb.refresh();
}

#[test]
fn a_member_that_is_down_gets_nothing_new_and_keeps_what_it_has() {
    let mut lb = Lb::new(&two_members());
    let (first, second) = (lb.open(1), lb.open(2));
    let epoch = lb.tables.epoch;
    restate(&mut lb, [false, true]);
    assert_eq!(lb.tables.epoch, epoch, "no flow has to look anything up again");
    assert!((3..20).all(|port| lb.open(port) == second));
    let (verdict, data) = lb.send(from_client(1, ACK, b"x"));
    assert_eq!((verdict, data.dst()), (Verdict::Send(BACK), first));

    restate(&mut lb, [true, true]);
    assert!((20..30).any(|port| lb.open(port) == first), "it is back");
}

#[test]
fn without_a_live_member_new_connections_are_dropped_with_the_reason() {
    let mut lb = Lb::new(&two_members());
    restate(&mut lb, [false, false]);
    assert_eq!(lb.send(from_client(1, SYN, b"")).0, Verdict::Drop(DropReason::NoMember));
}

#[test]
fn openings_that_fail_are_counted_for_the_member_and_others_are_not() {
    let mut lb = Lb::new(&two_members());
    let unopened = |lb: &Lb| lb.counters.backends.iter().map(|cell| cell.unopened.get()).sum::<u64>();
    let member = lb.send(from_client(1, SYN, b"")).1.dst();
    assert_eq!(unopened(&lb), 0);
    lb.send(from_client(1, SYN, b""));
    assert_eq!(unopened(&lb), 1, "the client asks again");
    lb.send(from_member(member, 1, RST | ACK, b""));
    assert_eq!(unopened(&lb), 2, "the member refuses");
    let member = lb.open(2);
    lb.send(from_member(member, 2, RST, b""));
    assert_eq!(unopened(&lb), 2, "what was open may end as it likes");
}
