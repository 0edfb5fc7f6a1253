//! Direct return: packets reach the member as they came, replies take another way.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::net::Ipv4Addr;

use lb_engine::{TICKS_PER_SECOND, Verdict};
use lb_model::config::ChecksumMode;
use lb_model::counters::DropReason;
use lb_model::snapshot::{Forwarding, L4Snapshot};
use support::*;

fn direct(mut snapshot: L4Snapshot) -> L4Snapshot {
    for service in &mut snapshot.services {
        service.forwarding = Forwarding::Dr;
    }
    snapshot
}

/// Two members on the service's port.
fn members() -> L4Snapshot {
    direct(web(vec![backend(1, MEMBER_1, 80), backend(2, MEMBER_2, 80)]))
}

#[test]
fn only_the_ethernet_addresses_change() {
    for (snapshot, frame) in [
        (members(), from_client(1, SYN, b"data")),
        (by_udp(members()), Frame::udp((CLIENT, 1), (VIP, 80), b"a question of 20 by")),
    ] {
        let mut lb = Lb::new(&snapshot);
        for _ in 0..3 {
            let (verdict, out) = lb.send(frame.clone());
            assert_eq!(verdict, Verdict::Send(BACK));
            assert_eq!(out.0[..12], [2, 0, 0, 2, 2, 11, 2, 0, 0, 0, 0, 2]);
            assert_eq!(out.0[12..], frame.0[12..]);
        }
    }
}

#[test]
fn a_partial_checksum_is_made_whole() {
    let mut lb = Lb::new(&members());
    lb.network.ports[0].checksum = ChecksumMode::Full;
    lb.refresh();
    assert!(lb.send(from_client(1, SYN, b"data").with(50, 0x12)).1.checksums_hold());
}

#[test]
fn the_clients_half_tells_how_long_a_flow_lives() {
    let mut lb = Lb::new(&members());
    lb.send(from_client(1, SYN, b""));
    lb.send(from_client(2, SYN, b""));
    lb.send(from_client(1, ACK, b""));
    lb.now += 61 * TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (1, 1), "the handshake that was not finished");
    lb.send(from_client(1, FIN | ACK, b""));
    lb.send(from_client(1, ACK, b""));
    lb.now += 61 * TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (1, 0), "the one that the client closed");
}

#[test]
fn what_members_send_is_not_ours() {
    let mut lb = Lb::new(&members());
    lb.send(from_client(1, SYN, b""));
    let own = Frame::tcp((MEMBER_1, 80), (Ipv4Addr::new(198, 18, 1, 7), 9), ACK, b"").arriving_at(BACK_MAC);
    assert_eq!(lb.send(own).0, Verdict::Punt);
}

#[test]
fn a_member_behind_a_router_cannot_be_reached() {
    let far = Ipv4Addr::new(203, 0, 113, 7);
    let mut lb = Lb::new(&direct(web(vec![backend(1, far, 80)])));
    assert_eq!(lb.send(from_client(1, SYN, b"")).0, Verdict::Drop(DropReason::NoRoute));
}

#[test]
fn a_member_that_has_not_answered_is_awaited() {
    let mut lb = Lb::new(&members());
    lb.network.neighbours.remove(&(BACK, MEMBER_1.into()));
    lb.refresh();
    let (verdict, held) = lb.send(from_client(1, SYN, b""));
    assert!(matches!(verdict, Verdict::Hold(_)), "{verdict:?}");
    assert_eq!(held, from_client(1, SYN, b""));
}

#[test]
fn an_error_about_a_reply_reaches_its_member_as_it_came() {
    let mut lb = Lb::new(&members());
    lb.send(from_client(1, SYN, b""));
    let reply = Frame::tcp((VIP, 80), (CLIENT, 1), ACK, b"long");
    let error = Frame::error(Ipv4Addr::new(203, 0, 113, 1), VIP, 3, &reply, 28);
    let (verdict, out) = lb.send(error.clone());
    assert_eq!(verdict, Verdict::Send(BACK));
    assert_eq!(out.0[..6], [2, 0, 0, 2, 2, 11]);
    assert_eq!(out.0[12..], error.0[12..]);
}

#[test]
fn flows_of_another_forwarding_end_and_begin_anew() {
    let mut lb = Lb::new(&web(vec![backend(1, MEMBER_1, 80)]));
    lb.open(1);
    lb.publish(&direct(web(vec![backend(1, MEMBER_1, 80)])));
    assert_eq!(lb.send(from_client(1, ACK, b"x")).0, Verdict::Drop(DropReason::MemberGone));
    let (verdict, syn) = lb.send(from_client(1, SYN, b""));
    assert_eq!((verdict, syn.dst()), (Verdict::Send(BACK), (VIP, 80)));
}
