//! Tunnels: packets reach the member as they came, wrapped in others.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot be set up has failed; numbers are made to fit"
)]

mod support;

use std::net::Ipv4Addr;

use lb_engine::wire::checksum;
use lb_engine::{Awaited, Verdict};
use lb_model::config::ChecksumMode;
use lb_model::counters::DropReason;
use lb_model::snapshot::{Forwarding, L4Snapshot};
use lb_model::{L4Port, Tunnel, Vni};
use support::v6::*;
use support::*;

fn kinds() -> [(Tunnel, usize); 5] {
    let port = L4Port::new(4789).unwrap();
    let vni = Vni::new(7).unwrap();
    [
        (Tunnel::Ipip {}, 20),
        (Tunnel::Gre {}, 24),
        (Tunnel::Gue { port }, 32),
        (Tunnel::Vxlan { port, vni }, 50),
        (Tunnel::Geneve { port, vni }, 50),
    ]
}

fn through(tunnel: Tunnel, mut snapshot: L4Snapshot) -> L4Snapshot {
    for service in &mut snapshot.services {
        (service.forwarding, service.tunnel) = (Forwarding::Tunnel, Some(tunnel));
    }
    snapshot
}

fn one_member() -> L4Snapshot {
    web(vec![backend(1, MEMBER_1, 80)])
}

fn ipip() -> L4Snapshot {
    through(Tunnel::Ipip {}, one_member())
}

fn outer_ends(frame: &Frame) -> [Ipv4Addr; 2] {
    [frame.src().0, frame.dst().0]
}

fn outer_sum_holds(frame: &Frame) -> bool {
    checksum::fold(checksum::sum(&frame.0[14..34])) == 0xffff
}

/// What is inside, as a frame of its own.
fn unwrapped(frame: &Frame, growth: usize) -> Frame {
    Frame([&frame.0[..14], &frame.0[14 + growth..]].concat())
}

/// A datagram to the service's port whose IP packet has so many bytes, and may be cut or not.
fn large(len: usize, may_be_cut: bool) -> Frame {
    let payload: Vec<u8> = (0..len - 28).map(|at| (at % 251) as u8).collect();
    let mut frame = Frame::udp((CLIENT, 1), (VIP, 80), &payload).with(20, if may_be_cut { 0 } else { 0x40 });
    frame.fix_checksums();
    frame
}

#[test]
fn a_packet_arrives_as_it_was_sent_whatever_it_is_wrapped_in() {
    for (tunnel, growth) in kinds() {
        for (snapshot, frame) in [
            (one_member(), from_client(1, SYN, b"data")),
            (by_udp(one_member()), Frame::udp((CLIENT, 1), (VIP, 80), b"a question of 20 by")),
        ] {
            let mut lb = Lb::new(&through(tunnel, snapshot));
            for _ in 0..2 {
                let (verdict, out) = lb.send(frame.clone());
                assert_eq!(verdict, Verdict::Send(BACK), "{tunnel:?}");
                assert_eq!(out.0[..14], [2, 0, 0, 2, 2, 11, 2, 0, 0, 0, 0, 2, 8, 0]);
                assert_eq!(outer_ends(&out), [BACK_HOST, MEMBER_1]);
                assert!(outer_sum_holds(&out), "{tunnel:?}");
                assert_eq!(out.0.len(), frame.0.len() + growth);
                assert_eq!(unwrapped(&out, growth).0[14..], frame.0[14..], "{tunnel:?}");
            }
        }
    }
}

#[test]
fn the_source_port_tells_flows_apart_and_stays() {
    let port = L4Port::new(6080).unwrap();
    let mut lb = Lb::new(&through(Tunnel::Gue { port }, one_member()));
    let mut source = |client_port: u16| lb.send(from_client(client_port, SYN, b"")).1.src().1;
    assert_eq!(source(1), source(1));
    let ports: std::collections::BTreeSet<_> = (1..=64).map(source).collect();
    assert!(ports.len() > 56 && ports.iter().all(|port| *port >= 0xc000), "{ports:?}");
}

#[test]
fn padding_stays_behind() {
    let mut lb = Lb::new(&ipip());
    let mut padded = from_client(1, SYN, b"");
    padded.0.extend([0; 6]);
    let (_, out) = lb.send(padded);
    assert_eq!(out.0.len(), 54 + 20);
    assert_eq!(out.0[16..18], [0, 60]);
}

#[test]
fn a_partial_checksum_is_made_whole() {
    let mut lb = Lb::new(&ipip());
    lb.network.ports[0].checksum = ChecksumMode::Full;
    lb.refresh();
    let (_, out) = lb.send(from_client(1, SYN, b"data").with(50, 0x12));
    assert!(unwrapped(&out, 20).checksums_hold());
}

#[test]
fn a_member_behind_a_router_is_reached() {
    let far = Ipv4Addr::new(203, 0, 113, 7);
    let mut lb = Lb::new(&through(Tunnel::Ipip {}, web(vec![backend(1, far, 80)])));
    let router = Awaited { port: FRONT, address: Ipv4Addr::new(198, 18, 1, 254).into() };
    let (verdict, out) = lb.send(from_client(1, SYN, b""));
    assert_eq!(verdict, Verdict::Hold(router));
    assert_eq!(outer_ends(&out), [HOST, far], "it waits wrapped");
}

#[test]
fn without_an_address_of_our_own_there_is_no_way() {
    let mut lb = Lb::new(&ipip());
    lb.network.ports[1].addresses.clear();
    lb.refresh();
    assert_eq!(lb.send(from_client(1, SYN, b"")).0, Verdict::Drop(DropReason::NoRoute));
}

#[test]
fn an_error_about_a_reply_reaches_its_member_wrapped() {
    let mut lb = Lb::new(&ipip());
    lb.send(from_client(1, SYN, b""));
    let reply = Frame::tcp((VIP, 80), (CLIENT, 1), ACK, b"long");
    let error = Frame::error(Ipv4Addr::new(203, 0, 113, 1), VIP, 3, &reply, 28);
    let (verdict, out) = lb.send(error.clone());
    assert_eq!(verdict, Verdict::Send(BACK));
    assert_eq!(outer_ends(&out), [BACK_HOST, MEMBER_1]);
    assert_eq!(unwrapped(&out, 20).0[14..], error.0[14..]);
}

#[test]
fn another_tunnel_disturbs_no_flow() {
    let mut lb = Lb::new(&ipip());
    lb.send(from_client(1, SYN, b""));
    lb.publish(&through(Tunnel::Gre {}, one_member()));
    let (verdict, out) = lb.send(from_client(1, ACK, b""));
    assert_eq!((verdict, out.0[23]), (Verdict::Send(BACK), 47));
    assert_eq!(lb.flows(), 1);
}

#[test]
fn a_tunnel_that_is_not_named_is_refused() {
    let mut snapshot = ipip();
    snapshot.services[0].tunnel = None;
    let refused = Lb::new(&one_member()).planner.publish(&snapshot).unwrap_err().to_string();
    assert!(refused.contains("by a tunnel, and has none"), "{refused}");
}

#[test]
fn whoever_sends_more_than_fits_is_told_how_much_does() {
    for (tunnel, growth) in kinds() {
        let mut lb = Lb::new(&through(tunnel, by_udp(one_member())));
        let most = 1500 - growth;
        assert_eq!(lb.send(large(most, false)).0, Verdict::Send(BACK), "{tunnel:?}");
        let packet = large(most + 1, false);
        let (verdict, answer) = lb.send(packet.clone());
        assert_eq!(verdict, Verdict::Reply(FRONT), "{tunnel:?}");
        assert!(answer.checksums_hold());
        assert_eq!(answer.0[..12], [PEER_MAC.0, FRONT_MAC.0].concat());
        assert_eq!((answer.src().0, answer.dst().0), (VIP, CLIENT));
        let most = u16::try_from(most).unwrap().to_be_bytes();
        assert_eq!(answer.0[34..36], [3, 4]);
        assert_eq!(answer.0[38..42], [0, 0, most[0], most[1]]);
        assert_eq!(answer.quoted().0[14..], packet.0[14..14 + 548]);
        assert_eq!(answer.0.len(), 14 + 576);
    }
}

#[test]
fn what_may_be_cut_is_cut_and_arrives_whole() {
    for mtu in [1280, 1400, 1500] {
        let mut lb = Lb::new(&through(Tunnel::Ipip {}, by_udp(one_member())));
        lb.network.ports[1].mtu = mtu;
        lb.refresh();
        let packet = large(1500, true);
        let (verdict, first) = lb.send(packet.clone());
        assert_eq!(verdict, Verdict::Send(BACK));
        let mut whole = packet.0[..34].to_vec();
        let mut pieces = vec![first];
        pieces.extend(lb.made.iter().map(|(to, piece)| {
            assert_eq!(*to, BACK);
            piece.clone()
        }));
        for (number, piece) in pieces.iter().enumerate() {
            assert!(piece.0.len() <= 14 + usize::from(mtu));
            assert_eq!(piece.0[..12], pieces[0].0[..12]);
            assert!(outer_sum_holds(piece) && outer_ends(piece) == [BACK_HOST, MEMBER_1]);
            assert_eq!(usize::from(u16::from_be_bytes([piece.0[16], piece.0[17]])), piece.0.len() - 14);
            let inner = unwrapped(piece, 20);
            assert!(outer_sum_holds(&inner));
            let offset = usize::from(u16::from_be_bytes([inner.0[20] & 0x1f, inner.0[21]])) * 8;
            assert_eq!(offset, whole.len() - 34);
            assert_eq!(inner.0[20] & 0x20 != 0, number + 1 < pieces.len(), "whether more follow");
            whole.extend(&inner.0[34..]);
        }
        assert_eq!(pieces.len(), 2);
        assert_eq!(whole[34..], packet.0[34..]);
    }
}

#[test]
fn translated_packets_are_cut_too_and_their_senders_told() {
    let mut lb = Lb::new(&by_udp(web(vec![backend(1, MEMBER_1, 8080)])));
    lb.network.ports[1].mtu = 1280;
    lb.refresh();
    let (verdict, first) = lb.send(large(1400, true));
    assert_eq!((verdict, first.dst()), (Verdict::Send(BACK), (MEMBER_1, 8080)));
    let [(BACK, second)] = &lb.made[..] else { panic!("{:?}", lb.made) };
    assert_eq!(second.dst().0, MEMBER_1);
    assert_eq!(second.0[..14], first.0[..14]);
    assert_eq!(first.0.len() + second.0.len(), 14 + 1400 + 34);
    let (verdict, answer) = lb.send(large(1400, false));
    assert_eq!(verdict, Verdict::Reply(FRONT));
    assert_eq!(answer.0[38..42], [0, 0, 5, 0]);
}

#[test]
fn options_that_are_not_for_every_piece_are_in_the_first_only() {
    let mut lb = Lb::new(&through(Tunnel::Ipip {}, by_udp(one_member())));
    lb.network.ports[1].mtu = 1300;
    lb.refresh();
    let packet = large(1400, true);
    // A timestamp, which is not copied, and a security label, which is.
    let options = [68, 4, 5, 0, 130, 4, 1, 1];
    let mut bytes = [&packet.0[..34], &options, &packet.0[34..]].concat();
    bytes[14] = 0x47;
    bytes[16..18].copy_from_slice(&1408u16.to_be_bytes());
    bytes[24..26].fill(0);
    let sum = !checksum::fold(checksum::sum(&bytes[14..42]));
    bytes[24..26].copy_from_slice(&sum.to_ne_bytes());
    let (verdict, first) = lb.send(Frame(bytes));
    assert_eq!(verdict, Verdict::Send(BACK));
    assert_eq!(unwrapped(&first, 20).0[34..42], options);
    assert_eq!(unwrapped(&lb.made[0].1, 20).0[34..42], [1, 1, 1, 1, 130, 4, 1, 1]);
}

#[test]
fn what_cannot_be_cut_small_enough_is_dropped() {
    let mut lb = Lb::new(&through(Tunnel::Ipip {}, by_udp(one_member())));
    lb.network.ports[1].mtu = 40;
    lb.refresh();
    assert_eq!(lb.send(large(1400, true)).0, Verdict::Drop(DropReason::TooBig));
}

#[test]
fn segments_are_to_fit_into_the_tunnel() {
    // MSS 1460, aligned; and after one byte of padding.
    for options in [&[2, 4, 5, 0xb4][..], &[1, 2, 4, 5, 0xb4, 0, 0, 0]] {
        let mut lb = Lb::new(&ipip());
        let mut syn = Frame::tcp((CLIENT, 1), (VIP, 80), SYN, options)
            .with(46, 0x50 + 0x10 * (options.len() / 4) as u8);
        syn.fix_checksums();
        let out = unwrapped(&lb.send(syn.clone()).1, 20);
        assert!(out.checksums_hold());
        let at = 54 + options.iter().position(|byte| *byte == 2).unwrap() + 2;
        assert_eq!(out.0[at..at + 2], 1440u16.to_be_bytes());
        lb.network.ports[1].mtu = 9000;
        lb.refresh();
        assert_eq!(unwrapped(&lb.send(syn.clone()).1, 20).0[14..], syn.0[14..], "what fits stays");
    }
}

#[test]
fn packets_of_ipv6_are_wrapped_in_ipv6() {
    for (tunnel, growth) in kinds() {
        // The outer header is 20 bytes longer.
        let growth = growth + 20;
        let mut lb = Lb::new(&through(tunnel, over_ipv6(by_udp(one_member()))));
        let datagram = |len: usize| Frame::udp6((CLIENT_6, 1), (VIP_6, 80), &vec![0x5a; len - 48]);
        let packet = datagram(1500 - growth);
        let (verdict, out) = lb.send(packet.clone());
        assert_eq!(verdict, Verdict::Send(BACK), "{tunnel:?}");
        assert_eq!(out.0.len(), 14 + 1500);
        assert_eq!(out.0[22..38], BACK_HOST_6.octets());
        assert_eq!(out.0[38..54], MEMBER_1_6.octets());
        assert_eq!(unwrapped(&out, growth).0[14..], packet.0[14..], "{tunnel:?}");
        // RFC 8201: whoever sends more is told, whatever it says of being cut.
        let packet = datagram(1501 - growth);
        let (verdict, answer) = lb.send(packet.clone());
        assert_eq!(verdict, Verdict::Reply(FRONT), "{tunnel:?}");
        assert!(answer.is_right());
        assert_eq!(answer.0[..12], [PEER_MAC.0, FRONT_MAC.0].concat());
        assert_eq!(answer.0[22..54], [VIP_6.octets(), CLIENT_6.octets()].concat());
        let most = u16::try_from(1500 - growth).unwrap().to_be_bytes();
        assert_eq!(answer.0[54..56], [2, 0]);
        assert_eq!(answer.0[58..62], [0, 0, most[0], most[1]]);
        assert_eq!(answer.0.len(), 14 + 1280);
        assert_eq!(answer.0[62..], packet.0[14..14 + 1280 - 48]);
    }
}
