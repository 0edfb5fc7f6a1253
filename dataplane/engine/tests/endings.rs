//! Connections that nobody takes, and those of members that drain.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use lb_engine::{TICKS_PER_SECOND, Verdict};
use lb_model::counters::DropReason;
use lb_model::flow::FlowKey;
use lb_model::snapshot::{Ended, L4Protocol, L4Snapshot, Unserved};
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

/// The same members, and a service that tells both ends of connections that are ended.
fn telling() -> L4Snapshot {
    let mut snapshot = two_members();
    snapshot.services[0].ended = Ended::Reset;
    snapshot
}

fn key(port: u16) -> FlowKey {
    FlowKey { protocol: L4Protocol::Tcp, client: (CLIENT, port).into(), offered: (VIP, 80).into() }
}

fn numbered(mut frame: Frame, sequence: u32, acknowledged: u32) -> Frame {
    frame.0[38..42].copy_from_slice(&sequence.to_be_bytes());
    frame.0[42..46].copy_from_slice(&acknowledged.to_be_bytes());
    frame.fix_checksums();
    frame
}

#[test]
fn both_ends_of_a_flow_that_is_ended_are_asked_where_they_are() {
    let mut lb = Lb::new(&telling());
    let member = lb.open(1);
    assert!(lb.end(&key(1)).is_some());
    let made = std::mem::take(&mut lb.made);
    let [(FRONT, to_client), (BACK, to_member)] = &made[..] else { panic!("{made:02x?}") };
    assert_eq!((to_client.src(), to_client.dst()), ((VIP, 80), (CLIENT, 1)));
    assert_eq!((to_member.src(), to_member.dst()), ((CLIENT, 1), member));
    for question in [to_client, to_member] {
        assert!(question.checksums_hold() && question.0.len() == 54 && question.0[47] == ACK);
    }
    assert_eq!(to_client.0[..12], [[2, 0, 0, 1, 1, 9], FRONT_MAC.0].concat());
    assert_eq!(lb.end(&key(1)), None, "it is ended once");

    lb.sweep();
    assert_eq!(lb.made.len(), 2, "they are asked again");
    // One says where it is: it is told, and the other too.
    let (verdict, passed) = lb.send(numbered(from_member(member, 1, ACK, b""), 500, 900));
    assert_eq!((verdict, passed.0[47]), (Verdict::Send(FRONT), RST | ACK));
    assert_eq!(passed.0[38..42], 500u32.to_be_bytes());
    let [(BACK, told)] = &lb.made[..] else { panic!("{:02x?}", lb.made) };
    assert_eq!((told.src(), told.dst(), told.0[47]), ((CLIENT, 1), member, RST));
    assert_eq!(told.0[38..42], 900u32.to_be_bytes());
    assert!(told.checksums_hold() && passed.checksums_hold());
    assert_eq!(told.0[..12], [PEER_MAC.0, BACK_MAC.0].concat(), "back to where it came from");
    lb.sweep();
    assert_eq!((lb.made.len(), lb.flows()), (0, 1), "nobody is asked any more");
    lb.now += 16 * TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (1, 0));
}

#[test]
fn in_ipv6_they_are_asked_too() {
    let mut lb = Lb::new(&over_ipv6(telling()));
    let member = lb.send(Frame::tcp6((CLIENT_6, 1), (VIP_6, 80), SYN, b"")).1;
    let member: std::net::Ipv6Addr = <[u8; 16]>::try_from(&member.0[38..54]).unwrap().into();
    let from_member = |flags| Frame::tcp6((member, 8080), (CLIENT_6, 1), flags, b"").arriving_at(BACK_MAC);
    lb.send(from_member(SYN | ACK));
    lb.send(Frame::tcp6((CLIENT_6, 1), (VIP_6, 80), ACK, b""));
    lb.now += 301 * TICKS_PER_SECOND;
    assert_eq!(lb.sweep(), 0);
    let made = std::mem::take(&mut lb.made);
    let [(FRONT, to_client), (BACK, to_member)] = &made[..] else { panic!("{made:02x?}") };
    assert!(to_client.is_right() && to_member.is_right());
    assert_eq!(to_client.0[22..54], [VIP_6.octets(), CLIENT_6.octets()].concat());
    assert_eq!(to_member.0[22..54], [CLIENT_6.octets(), member.octets()].concat());
    lb.send(from_member(ACK));
    let [(BACK, told)] = &lb.made[..] else { panic!("{:02x?}", lb.made) };
    assert!(told.is_right() && told.0[67] == RST);
}

#[test]
fn flows_that_are_ended_count_for_nobody_and_outlive_their_backend() {
    let mut lb = Lb::new(&telling());
    lb.open(1);
    let active = |lb: &Lb| lb.counters.backends.iter().map(|cell| cell.active.get()).sum::<u64>();
    assert_eq!(active(&lb), 1);
    let mut without = telling();
    without.services[0].backends.remove(0);
    lb.publish(&without);
    assert_eq!((lb.sweep(), lb.flows(), active(&lb)), (0, 1, 0));
    // Another member has the slot now, and has nothing to do with it.
    let mut other = without;
    other.services[0].backends.push(backend(9, MEMBER_1, 9090));
    lb.publish(&other);
    assert_eq!((lb.sweep(), active(&lb)), (0, 0));
    let passed = |lb: &Lb| lb.counters.backends.iter().map(|cell| cell.packets[0].get()).sum::<u64>();
    let before = passed(&lb);
    assert_eq!(lb.send(from_client(1, ACK, b"")).1.dst(), (MEMBER_1, 8080));
    assert_eq!((active(&lb), passed(&lb)), (0, before));
}
