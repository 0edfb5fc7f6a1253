//! Connections that nobody takes, and those of members that drain.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use lb_engine::{TICKS_PER_SECOND, Verdict};
use lb_model::counters::DropReason;
use lb_model::snapshot::{L4Snapshot, Unserved};
use support::v6::*;
use support::*;

/// A service without anybody who takes connections, that says so.
fn deserted() -> L4Snapshot {
    let mut snapshot = two_members();
    for service in &mut snapshot.services {
        service.unserved = Unserved::Reset;
        for backend in &mut service.backends {
            backend.takes_new = false;
        }
    }
    snapshot
}

fn draining(seconds: u32) -> L4Snapshot {
    let mut snapshot = two_members();
    let backend = &mut snapshot.services[0].backends[0];
    (backend.takes_new, backend.drain_timeout_s) = (false, Some(seconds));
    snapshot
}

#[test]
fn a_syn_that_nobody_takes_is_reset() {
    let mut lb = Lb::new(&deserted());
    // Sequence 0x01020304, with options and three bytes of data.
    let options = [2, 4, 5, 0xb4];
    let mut syn = from_client(1, SYN, &[&options[..], b"abc"].concat()).with(46, 0x60);
    syn.0[38..42].copy_from_slice(&[1, 2, 3, 4]);
    syn.fix_checksums();
    let (verdict, reset) = lb.send(syn);
    assert_eq!(verdict, Verdict::Reply(FRONT));
    assert!(reset.checksums_hold());
    assert_eq!(reset.0.len(), 54);
    assert_eq!(reset.0[..12], [PEER_MAC.0, FRONT_MAC.0].concat());
    assert_eq!((reset.src(), reset.dst()), ((VIP, 80), (CLIENT, 1)));
    assert_eq!(reset.0[38..48], [0, 0, 0, 0, 1, 2, 3, 8, 0x50, RST | ACK]);
    assert_eq!(lb.flows(), 0);
}

#[test]
fn in_ipv6_too() {
    let mut lb = Lb::new(&over_ipv6(deserted()));
    let (verdict, reset) = lb.send(Frame::tcp6((CLIENT_6, 1), (VIP_6, 80), SYN, b""));
    assert_eq!(verdict, Verdict::Reply(FRONT));
    assert!(reset.is_right());
    assert_eq!(reset.0[22..54], [VIP_6.octets(), CLIENT_6.octets()].concat());
    assert_eq!(reset.0[54..68], [0, 80, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x50, RST | ACK]);
}

#[test]
fn a_datagram_that_nobody_takes_is_said_to_have_no_port() {
    let mut lb = Lb::new(&by_udp(deserted()));
    let datagram = Frame::udp((CLIENT, 1), (VIP, 80), b"ask");
    let (verdict, answer) = lb.send(datagram.clone());
    assert_eq!(verdict, Verdict::Reply(FRONT));
    assert!(answer.checksums_hold());
    assert_eq!((answer.src().0, answer.dst().0, &answer.0[34..36]), (VIP, CLIENT, &[3, 3][..]));
    assert_eq!(answer.quoted().0[14..], datagram.0[14..]);
    let mut lb = Lb::new(&over_ipv6(by_udp(deserted())));
    let (verdict, answer) = lb.send(Frame::udp6((CLIENT_6, 1), (VIP_6, 80), b"ask"));
    assert_eq!(verdict, Verdict::Reply(FRONT));
    assert!(answer.is_right());
    assert_eq!(answer.0[54..56], [1, 4]);
}

#[test]
fn those_who_may_not_and_those_in_the_middle_hear_nothing() {
    let mut snapshot = deserted();
    assert_eq!(Lb::new(&snapshot).send(from_client(1, ACK, b"")).0, Verdict::Drop(DropReason::NoFlow));
    snapshot.services[0].admission.denied_cidrs = vec!["198.18.0.0/16".parse().unwrap()];
    assert_eq!(Lb::new(&snapshot).send(from_client(1, SYN, b"")).0, Verdict::Drop(DropReason::Denied));
    snapshot = deserted();
    snapshot.services[0].unserved = Unserved::Silence;
    assert_eq!(Lb::new(&snapshot).send(from_client(1, SYN, b"")).0, Verdict::Drop(DropReason::NoMember));
}

#[test]
fn flows_of_a_draining_member_end_in_time() {
    let mut lb = Lb::new(&two_members());
    let members = [lb.open(1), lb.open(2)];
    assert_eq!(members, [(MEMBER_1, 8080), (MEMBER_2, 8080)]);
    lb.publish(&draining(30));
    assert_eq!(lb.sweep(), 0);
    lb.now += 29 * TICKS_PER_SECOND;
    assert_eq!(lb.send(from_client(1, ACK, b"more")).0, Verdict::Send(BACK));
    // Another publication, and another view of the network, change nothing about when it began.
    lb.publish(&draining(30));
    assert_eq!(lb.sweep(), 0);
    lb.now += TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (1, 1));
    assert_eq!(lb.send(from_client(1, ACK, b"more")).0, Verdict::Drop(DropReason::NoFlow));
    assert_eq!(lb.send(from_client(2, ACK, b"more")).0, Verdict::Send(BACK));
}

#[test]
fn a_member_that_is_wanted_again_keeps_its_flows() {
    let mut lb = Lb::new(&two_members());
    lb.open(1);
    lb.publish(&draining(30));
    lb.sweep();
    lb.publish(&two_members());
    lb.now += 60 * TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (0, 1));
    lb.publish(&draining(30));
    assert_eq!(lb.sweep(), 0, "it begins anew");
}
