//! Network address translation: given, packet, outcome.

mod support;

use std::net::Ipv4Addr;

use lb_engine::network::Strangers;
use lb_engine::{Awaited, Verdict};
use lb_model::MacAddr;
use lb_model::config::ChecksumMode;
use lb_model::counters::DropReason;
use support::*;

const DROP: fn(DropReason) -> Verdict = Verdict::Drop;

#[test]
fn a_connection_is_translated_both_ways() {
    let mut lb = Lb::new(&two_members());
    let (verdict, syn) = lb.send(from_client(40_000, SYN, b""));
    assert_eq!(verdict, Verdict::Send(BACK));
    assert_eq!((syn.src(), syn.dst()), ((CLIENT, 40_000), (MEMBER_1, 8080)));
    assert_eq!(syn.0[..12], [2, 0, 0, 2, 2, 11, 2, 0, 0, 0, 0, 2]);
    assert_eq!(syn.ttl(), 63);
    assert!(syn.checksums_hold());

    let (verdict, answer) = lb.send(from_member((MEMBER_1, 8080), 40_000, SYN | ACK, b""));
    assert_eq!(verdict, Verdict::Send(FRONT));
    assert_eq!((answer.src(), answer.dst()), ((VIP, 80), (CLIENT, 40_000)));
    assert_eq!(answer.0[..12], [2, 0, 0, 1, 1, 9, 2, 0, 0, 0, 0, 1]);
    assert!(answer.checksums_hold());

    let (verdict, data) = lb.send(from_client(40_000, ACK, b"GET / HTTP/1.1\r\n\r\nx"));
    assert_eq!(verdict, Verdict::Send(BACK));
    assert_eq!(data.dst(), (MEMBER_1, 8080));
    assert!(data.checksums_hold());
}

#[test]
fn members_take_turns() {
    let mut lb = Lb::new(&two_members());
    let members: Vec<_> = (0..100).map(|index| lb.open(40_000 + index).0).collect();
    assert_eq!(members.iter().filter(|member| **member == MEMBER_1).count(), 50);
    assert_eq!(members[0], members[2]);
    assert_ne!(members[0], members[1]);
}

#[test]
fn a_flow_that_begins_and_goes_on_within_one_burst_is_one_flow() {
    let mut lb = Lb::new(&two_members());
    let mut frames = [from_client(1, SYN, b""), from_client(1, SYN, b""), from_client(1, ACK, b"x")];
    assert_eq!(lb.burst(FRONT, &mut frames), [Verdict::Send(BACK); 3]);
    assert!(frames.iter().all(|frame| frame.dst() == (MEMBER_1, 8080)));
    assert_eq!(lb.flows(), 1);
}

#[test]
fn adding_and_removing_members_leaves_other_flows_alone() {
    let mut lb = Lb::new(&two_members());
    let (first, second) = (lb.open(1).0, lb.open(2).0);
    assert_eq!((first, second), (MEMBER_1, MEMBER_2));

    lb.publish(&web(vec![backend(2, MEMBER_2, 8080)]));
    assert_eq!(lb.send(from_client(2, ACK, b"x")).1.dst(), (MEMBER_2, 8080));
    assert_eq!(lb.send(from_client(1, ACK, b"x")).0, DROP(DropReason::MemberGone));
    assert_eq!(lb.send(from_member((MEMBER_1, 8080), 1, ACK, b"x")).0, DROP(DropReason::MemberGone));

    // A client that tries again gets a member that is there.
    assert_eq!(lb.send(from_client(1, SYN, b"")).1.dst(), (MEMBER_2, 8080));

    lb.publish(&web(vec![backend(3, Ipv4Addr::new(198, 18, 2, 13), 8080), backend(2, MEMBER_2, 8080)]));
    assert_eq!(lb.send(from_client(2, ACK, b"x")).1.dst(), (MEMBER_2, 8080));
}

#[test]
fn a_member_in_drain_keeps_its_flows_and_gets_no_new_ones() {
    let mut lb = Lb::new(&two_members());
    assert_eq!(lb.open(1).0, MEMBER_1);
    let mut snapshot = two_members();
    snapshot.services[0].backends[0].takes_new = false;
    lb.publish(&snapshot);
    assert_eq!(lb.send(from_client(1, ACK, b"x")).1.dst(), (MEMBER_1, 8080));
    assert!((2..10).all(|port| lb.open(port).0 == MEMBER_2));
}

#[test]
fn without_members_a_syn_is_dropped_and_named() {
    let mut lb = Lb::new(&web(vec![]));
    assert_eq!(lb.send(from_client(1, SYN, b"")).0, DROP(DropReason::NoMember));
}

#[test]
fn a_stray_segment_of_a_service_is_dropped_never_punted() {
    let mut lb = Lb::new(&two_members());
    assert_eq!(lb.send(from_client(1, ACK, b"x")).0, DROP(DropReason::NoFlow));
    assert_eq!(lb.send(from_client(1, RST, b"")).0, DROP(DropReason::NoFlow));
    assert_eq!(lb.send(from_member((MEMBER_1, 8080), 1, ACK, b"x")).0, DROP(DropReason::NoFlow));
}

#[test]
fn what_is_not_ours_is_the_kernels() {
    let mut lb = Lb::new(&two_members());
    let other_port = Frame::tcp((CLIENT, 1), (VIP, 22), SYN, b"");
    assert_eq!(lb.send(other_port.clone()).0, Verdict::Punt);
    let to_host = Frame::tcp((MEMBER_1, 8080), (HOST, 5000), ACK, b"").arriving_at(BACK_MAC);
    assert_eq!(lb.send(to_host).0, Verdict::Punt);
    assert_eq!(lb.send(Frame::udp((CLIENT, 1), (VIP, 80), b"")).0, Verdict::Punt);
    let gre = from_client(1, SYN, b"").with(23, 47);
    assert_eq!(lb.send(gre).0, Verdict::Punt);
    let arp = from_client(1, SYN, b"").with(13, 6).arriving_at(MacAddr([0xff; 6]));
    assert_eq!(lb.send_at(FRONT, arp).0, Verdict::Punt);

    lb.network.ports[0].strangers = Strangers::Drop;
    lb.refresh();
    assert_eq!(lb.send(other_port).0, DROP(DropReason::NotOurs));
}

#[test]
fn frames_of_others_and_our_own_echo_are_told_apart() {
    let mut lb = Lb::new(&two_members());
    let flooded = from_client(1, SYN, b"").arriving_at(MacAddr([2, 9, 9, 9, 9, 9]));
    assert_eq!(lb.send_at(FRONT, flooded.clone()).0, DROP(DropReason::NotOurs));
    let mut echo = flooded;
    echo.0[6..12].copy_from_slice(&FRONT_MAC.0);
    assert_eq!(lb.send_at(FRONT, echo).0, DROP(DropReason::OwnEcho));
}

#[test]
fn broken_headers_are_dropped_by_name() {
    let mut lb = Lb::new(&two_members());
    let syn = || from_client(1, SYN, b"");
    assert_eq!(lb.send(Frame(syn().0[..20].to_vec())).0, DROP(DropReason::Truncated));
    assert_eq!(lb.send(Frame(syn().0[..13].to_vec())).0, DROP(DropReason::Truncated));
    assert_eq!(lb.send(Frame(syn().0[..50].to_vec())).0, DROP(DropReason::Truncated));
    assert_eq!(lb.send(syn().with(14, 0x44)).0, DROP(DropReason::Malformed));
    assert_eq!(lb.send(syn().with(14, 0x65)).0, DROP(DropReason::Malformed));
    assert_eq!(lb.send(syn().with(46, 0x40)).0, DROP(DropReason::Malformed));
    assert_eq!(lb.send(syn().with(22, 1)).0, DROP(DropReason::TtlExpired));
}

#[test]
fn options_and_padding_are_no_obstacle() {
    let mut lb = Lb::new(&two_members());
    let mut frame = from_client(1, SYN, b"");
    frame.0.splice(34..34, [1, 1, 1, 0]);
    frame.0[14] = 0x46;
    frame.0[17] = 44;
    frame.0.extend_from_slice(&[0; 6]);
    let (verdict, out) = lb.send(frame);
    assert_eq!(verdict, Verdict::Send(BACK));
    assert_eq!(u16::from_be_bytes([out.0[40], out.0[41]]), 8080);
}

#[test]
fn a_partial_checksum_is_made_whole_where_the_port_says_so() {
    // What a veth with offload hands over: the sum of the pseudo header only.
    let partial = || {
        let mut syn = from_client(1, SYN, b"hello");
        syn.0[50..52].copy_from_slice(&[0x12, 0x34]);
        syn
    };
    let mut lb = Lb::new(&two_members());
    assert!(!lb.send(partial()).1.checksums_hold());

    let mut lb = Lb::new(&two_members());
    lb.network.ports[0].checksum = ChecksumMode::Full;
    lb.refresh();
    let (verdict, syn) = lb.send(partial());
    assert_eq!(verdict, Verdict::Send(BACK));
    assert!(syn.checksums_hold());
}

#[test]
fn frames_wait_for_neighbours_that_have_not_answered() {
    let mut lb = Lb::new(&two_members());
    lb.network.neighbours.remove(&(BACK, MEMBER_1.into()));
    lb.network.neighbours.remove(&(FRONT, CLIENT.into()));
    lb.refresh();
    let awaited = |port, address: Ipv4Addr| Awaited { port, address: address.into() };
    assert_eq!(lb.send(from_client(1, SYN, b"")).0, Verdict::Hold(awaited(BACK, MEMBER_1)));
    let answer = from_member((MEMBER_1, 8080), 1, SYN | ACK, b"");
    assert_eq!(lb.send(answer.clone()).0, Verdict::Hold(awaited(FRONT, CLIENT)));
    assert!(lb.tables.resolved(awaited(FRONT, CLIENT)).is_none());

    lb.network = support::network();
    lb.refresh();
    assert_eq!(lb.send(answer).0, Verdict::Send(FRONT));
    assert!(lb.tables.resolved(awaited(FRONT, CLIENT)).is_some());
}

#[test]
fn a_changed_route_is_followed_by_flows_that_live() {
    let mut lb = Lb::new(&two_members());
    let member = lb.open(1);
    lb.network.routes.retain(|route| route.to.to_string() != "198.18.1.0/24");
    lb.refresh();
    let router = Awaited { port: FRONT, address: Ipv4Addr::new(198, 18, 1, 254).into() };
    assert_eq!(lb.send(from_member(member, 1, ACK, b"x")).0, Verdict::Hold(router));
    lb.network.routes.clear();
    lb.refresh();
    assert_eq!(lb.send(from_member(member, 1, ACK, b"x")).0, DROP(DropReason::NoRoute));
}

#[test]
fn a_new_mac_of_the_next_hop_is_used_at_once() {
    let mut lb = Lb::new(&two_members());
    let member = lb.open(1);
    lb.network.neighbours.insert((FRONT, CLIENT.into()), MacAddr([2, 7, 7, 7, 7, 7]));
    lb.refresh();
    let (_, frame) = lb.send(from_member(member, 1, ACK, b"x"));
    assert_eq!(frame.0[..6], [2, 7, 7, 7, 7, 7]);
}

#[test]
fn counters_tell_what_each_member_was_given() {
    let mut lb = Lb::new(&two_members());
    let member = lb.open(1);
    lb.send(from_member(member, 1, ACK, b"0123456789"));
    let (slot, ..) = lb.planner.backend_slots().min().unwrap();
    let seen = lb.counters.backends[slot].read();
    assert_eq!((seen.connections, seen.packets_in, seen.packets_out), (1, 2, 2));
    assert_eq!((seen.bytes_in, seen.bytes_out), (80, 90));
}
