//! UDP, and ICMP errors about either protocol: given, packet, outcome.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::net::Ipv4Addr;

use lb_engine::{TICKS_PER_SECOND, Verdict};
use lb_model::config::ChecksumMode;
use lb_model::counters::DropReason;
use support::*;

const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const UNREACHABLE: u8 = 3;

fn ask(port: u16, payload: &[u8]) -> Frame {
    Frame::udp((CLIENT, port), (VIP, 80), payload)
}

fn answer(member: (Ipv4Addr, u16), port: u16, payload: &[u8]) -> Frame {
    Frame::udp(member, (CLIENT, port), payload).arriving_at(BACK_MAC)
}

#[test]
fn datagrams_are_translated_both_ways_whatever_their_length() {
    let mut lb = Lb::new(&by_udp(two_members()));
    for payload in [&b""[..], b"x", b"twelve bytes", &[7; 1400]] {
        let (verdict, question) = lb.send(ask(5000, payload));
        assert_eq!(verdict, Verdict::Send(BACK));
        assert_eq!((question.src(), question.dst()), ((CLIENT, 5000), (MEMBER_1, 8080)));
        assert!(question.checksums_hold());
        let (verdict, reply) = lb.send(answer((MEMBER_1, 8080), 5000, payload));
        assert_eq!(verdict, Verdict::Send(FRONT));
        assert_eq!((reply.src(), reply.dst()), ((VIP, 80), (CLIENT, 5000)));
        assert!(reply.checksums_hold());
    }
    assert_eq!(lb.flows(), 1);
}

#[test]
fn a_datagram_without_a_checksum_keeps_none() {
    for mode in [ChecksumMode::Incremental, ChecksumMode::Full] {
        let mut lb = Lb::new(&by_udp(two_members()));
        lb.network.ports[0].checksum = mode;
        lb.refresh();
        let (verdict, out) = lb.send(ask(5000, b"a question of 20 by").with(40, 0).with(41, 0));
        assert_eq!(verdict, Verdict::Send(BACK));
        assert_eq!(out.0[40..42], [0, 0]);
    }
}

#[test]
fn a_checksum_is_never_sent_as_none() {
    let mut lb = Lb::new(&by_udp(two_members()));
    // Some payload makes the sum zero, which RFC 768 sends as all ones.
    let mut seen = 0;
    for filler in 0..=u16::MAX {
        let (_, out) = lb.send(ask(5000, &[&filler.to_be_bytes()[..], &[0; 12]].concat()));
        assert_ne!(out.0[40..42], [0, 0]);
        seen += usize::from(out.0[40..42] == [0xff, 0xff]);
    }
    assert_eq!(seen, 1);
}

#[test]
fn services_of_two_protocols_on_one_port_are_two() {
    let mut snapshot = two_members();
    let mut datagrams = by_udp(web(vec![backend(3, Ipv4Addr::new(198, 18, 2, 13), 53)]));
    datagrams.services[0].id = lb_model::VirtualServiceId(uuid::Uuid::from_u128(81));
    snapshot.services.append(&mut datagrams.services);
    let mut lb = Lb::new(&snapshot);
    assert_eq!(lb.send(from_client(1, SYN, b"")).1.dst(), (MEMBER_1, 8080));
    assert_eq!(lb.send(ask(1, b"x")).1.dst(), (Ipv4Addr::new(198, 18, 2, 13), 53));
    assert_eq!(lb.flows(), 2);
}

#[test]
fn one_datagram_is_remembered_shortly_and_an_exchange_for_longer() {
    let mut lb = Lb::new(&by_udp(two_members()));
    lb.send(ask(1, b"x"));
    lb.send(ask(2, b"x"));
    lb.send(answer((MEMBER_2, 8080), 2, b"x"));
    lb.now += 31 * TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (1, 1));
    lb.now += 90 * TICKS_PER_SECOND;
    assert_eq!((lb.sweep(), lb.flows()), (1, 0));
}

#[test]
fn a_client_of_a_member_that_is_gone_gets_another_at_once() {
    let mut lb = Lb::new(&by_udp(two_members()));
    assert_eq!(lb.send(ask(1, b"x")).1.dst().0, MEMBER_1);
    lb.publish(&by_udp(web(vec![backend(2, MEMBER_2, 8080)])));
    assert_eq!(lb.send(ask(1, b"x")).1.dst().0, MEMBER_2);
    assert_eq!(lb.send(answer((MEMBER_1, 8080), 1, b"x")).0, Verdict::Punt, "it is nobody's member");
}

#[test]
fn a_member_asks_nothing_of_clients() {
    let mut lb = Lb::new(&by_udp(two_members()));
    assert_eq!(lb.send(answer((MEMBER_1, 8080), 1, b"x")).0, Verdict::Drop(DropReason::NoFlow));
}

#[test]
fn broken_datagrams_are_dropped_by_name() {
    let mut lb = Lb::new(&by_udp(two_members()));
    let question = || ask(1, b"a question of 20 by");
    assert_eq!(lb.send(question().with(39, 7)).0, Verdict::Drop(DropReason::Malformed));
    assert_eq!(lb.send(question().with(39, 28)).0, Verdict::Drop(DropReason::Malformed));
    assert_eq!(lb.send(question().with(17, 27)).0, Verdict::Drop(DropReason::Truncated));
    assert_eq!(lb.send(question().with(22, 1)).0, Verdict::Drop(DropReason::TtlExpired));
}

/// Both protocols, and whether the checksum of the quoted packet is among what is quoted.
fn quotations() -> impl Iterator<Item = (bool, usize)> {
    [(false, 28), (false, 40), (true, 28), (true, 31)].into_iter()
}

#[test]
fn an_error_from_the_clients_side_reaches_the_member_as_about_its_own_packet() {
    for (udp, len) in quotations() {
        let mut lb = Lb::new(&if udp { by_udp(two_members()) } else { two_members() });
        let reply = |payload: &[u8]| {
            if udp {
                answer((MEMBER_1, 8080), 1, payload)
            } else {
                from_member((MEMBER_1, 8080), 1, ACK, payload)
            }
        };
        lb.send(if udp { ask(1, b"x") } else { from_client(1, SYN, b"") });
        let sent = lb.send(reply(b"abc")).1;
        let (verdict, error) = lb.send(Frame::error(ROUTER, VIP, UNREACHABLE, &sent, len));
        assert_eq!(verdict, Verdict::Send(BACK), "{udp} {len}");
        assert_eq!((error.src().0, error.dst().0), (ROUTER, MEMBER_1));
        assert!(error.checksums_hold());
        assert_eq!(error.0[..6], [2, 0, 0, 2, 2, 11]);
        assert_eq!(error.0[38..42], [0, 0, 5, 0x78], "the MTU is the router's");
        let original = reply(b"abc");
        assert_eq!((error.quoted().src(), error.quoted().dst()), (original.src(), original.dst()));
        // What the router saw was one hop older; all else is what the member sent.
        let mut seen = error.quoted();
        seen.0[22] += 1;
        seen.0[24..26].copy_from_slice(&original.0[24..26]);
        assert_eq!(seen.0[14..], original.0[14..14 + len], "{udp} {len}");
        let header = lb_engine::wire::checksum::sum(&error.quoted().0[14..34]);
        assert_eq!(lb_engine::wire::checksum::fold(header), 0xffff);
    }
}

#[test]
fn an_error_from_the_members_side_reaches_the_client_as_from_the_virtual_ip() {
    for (udp, len) in quotations() {
        let mut lb = Lb::new(&if udp { by_udp(two_members()) } else { two_members() });
        let original = if udp { ask(1, b"abc") } else { from_client(1, SYN, b"abc") };
        let sent = lb.send(original.clone()).1;
        let error = Frame::error(MEMBER_1, CLIENT, UNREACHABLE, &sent, len).arriving_at(BACK_MAC);
        let (verdict, error) = lb.send(error);
        assert_eq!(verdict, Verdict::Send(FRONT), "{udp} {len}");
        assert_eq!((error.src().0, error.dst().0), (VIP, CLIENT));
        assert!(error.checksums_hold());
        assert_eq!((error.quoted().src(), error.quoted().dst()), (original.src(), original.dst()));
        let mut seen = error.quoted();
        seen.0[22] += 1;
        seen.0[24..26].copy_from_slice(&original.0[24..26]);
        assert_eq!(seen.0[14..], original.0[14..14 + len], "{udp} {len}");
    }
}

#[test]
fn errors_that_fit_no_flow_are_dropped_and_others_are_the_kernels() {
    let mut lb = Lb::new(&two_members());
    let to_client = Frame::tcp((VIP, 80), (CLIENT, 9), ACK, b"");
    let about = |quoted: &Frame| Frame::error(ROUTER, VIP, UNREACHABLE, quoted, 28);
    assert_eq!(lb.send(about(&to_client)).0, Verdict::Drop(DropReason::NoFlow));
    assert_eq!(lb.send(about(&to_client).with(36, 9)).0, Verdict::Drop(DropReason::BadChecksum));
    let mut last_hop = about(&to_client).with(22, 1);
    last_hop.fix_checksums();
    assert_eq!(lb.send(last_hop).0, Verdict::Drop(DropReason::TtlExpired));

    let other_port = Frame::tcp((VIP, 22), (CLIENT, 9), ACK, b"");
    assert_eq!(lb.send(about(&other_port)).0, Verdict::Punt);
    let echo = Frame::error(CLIENT, VIP, 8, &to_client, 28);
    assert_eq!(lb.send(echo).0, Verdict::Punt);
    let later_piece = to_client.clone().with(21, 1);
    assert_eq!(lb.send(about(&later_piece)).0, Verdict::Punt);
    for len in [0, 7, 19, 20, 23] {
        assert_eq!(
            lb.send(Frame::error(ROUTER, VIP, UNREACHABLE, &to_client, len)).0,
            Verdict::Punt,
            "{len}"
        );
    }
}

#[test]
fn an_error_changes_nothing_about_its_flow() {
    let mut lb = Lb::new(&two_members());
    lb.open(1);
    lb.now += 200 * TICKS_PER_SECOND;
    let quoted = Frame::tcp((VIP, 80), (CLIENT, 1), ACK, b"");
    assert_eq!(lb.send(Frame::error(ROUTER, VIP, UNREACHABLE, &quoted, 28)).0, Verdict::Send(BACK));
    lb.now += 101 * TICKS_PER_SECOND;
    assert_eq!(lb.sweep(), 1, "it does not keep a silent flow alive");
}
