//! Packets that come in pieces: given, pieces in any order, outcome.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot be set up has failed; numbers are made to fit"
)]

mod support;

use std::net::IpAddr;

use lb_engine::Verdict;
use lb_model::config::ChecksumMode;
use lb_model::counters::DropReason;
use lb_model::snapshot::{Forwarding, L4Snapshot};
use lb_model::{Tunnel, Vni};
use support::v6::*;
use support::*;

/// All orders of three.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

fn question() -> Vec<u8> {
    (0..3000u16).map(|number| number as u8).collect()
}

/// An IPv4 packet in pieces of 1,480 bytes, as its sender cuts it.
fn cut(frame: &Frame, id: u16) -> Vec<Frame> {
    let (head, payload) = frame.0.split_at(34);
    let last = payload.len().div_ceil(1480) - 1;
    let piece = |(number, part): (usize, &[u8])| {
        let mut piece = Frame([head, part].concat());
        piece.0[16..18].copy_from_slice(&(20 + part.len() as u16).to_be_bytes());
        piece.0[18..20].copy_from_slice(&id.to_be_bytes());
        let more = if number == last { 0 } else { 0x2000 };
        piece.0[20..22].copy_from_slice(&(more | (number * 185) as u16).to_be_bytes());
        piece.fix_header();
        piece
    };
    payload.chunks(1480).enumerate().map(piece).collect()
}

/// What they are together; their headers must be right.
fn join(mut pieces: Vec<Frame>) -> Frame {
    assert!(pieces.iter().all(Frame::header_holds));
    let offset = |piece: &Frame| u16::from_be_bytes([piece.0[20] & 0x1f, piece.0[21]]) as usize * 8;
    pieces.sort_by_key(offset);
    let mut whole = pieces[0].0[..34].to_vec();
    for (at, piece) in pieces.iter().enumerate() {
        assert_eq!(offset(piece), whole.len() - 34, "nothing is missing");
        assert_eq!(piece.0[20] & 0x20 == 0, at + 1 == pieces.len(), "the last one says so");
        whole.extend(&piece.0[34..]);
    }
    let len = (whole.len() - 14) as u16;
    whole[16..18].copy_from_slice(&len.to_be_bytes());
    whole[20..22].fill(0);
    let mut whole = Frame(whole);
    whole.fix_header();
    whole
}

/// The same in IPv6, in pieces of 1,448 bytes.
fn cut6(frame: &Frame, id: u8) -> Vec<Frame> {
    let (head, payload) = frame.0.split_at(PAYLOAD_6);
    let last = payload.len().div_ceil(1448) - 1;
    let piece = |(number, part): (usize, &[u8])| {
        let mut piece = Frame(head.to_vec());
        let [high, low] = ((number * 1448) as u16 | u16::from(number < last)).to_be_bytes();
        piece.0.extend([piece.0[20], 0, high, low, 0, 0, 0, id]);
        piece.0[20] = 44;
        piece.0.extend(part);
        piece.0[18..20].copy_from_slice(&(8 + part.len() as u16).to_be_bytes());
        piece
    };
    payload.chunks(1448).enumerate().map(piece).collect()
}

fn join6(mut pieces: Vec<Frame>) -> Frame {
    let offset = |piece: &Frame| usize::from(u16::from_be_bytes([piece.0[56], piece.0[57] & 0xf8]));
    pieces.sort_by_key(offset);
    let mut whole = pieces[0].0[..PAYLOAD_6].to_vec();
    whole[20] = pieces[0].0[PAYLOAD_6];
    for piece in &pieces {
        assert_eq!(offset(piece), whole.len() - PAYLOAD_6, "nothing is missing");
        whole.extend(&piece.0[PAYLOAD_6 + 8..]);
    }
    let len = (whole.len() - PAYLOAD_6) as u16;
    whole[18..20].copy_from_slice(&len.to_be_bytes());
    Frame(whole)
}

/// Sends pieces; returns those that left, and how many were taken in meanwhile.
fn send_all(lb: &mut Lb, pieces: impl IntoIterator<Item = Frame>, to: Verdict) -> (Vec<Frame>, usize) {
    let (mut left, mut waited) = (Vec::new(), 0);
    for piece in pieces {
        match lb.send(piece) {
            (Verdict::Consume, _) => waited += 1,
            (verdict, out) => {
                assert_eq!(verdict, to);
                left.push(out);
            }
        }
        for (verdict, out) in std::mem::take(&mut lb.again) {
            assert_eq!(verdict, to);
            left.push(out);
        }
    }
    (left, waited)
}

fn udp() -> L4Snapshot {
    by_udp(web(vec![backend(1, MEMBER_1, 8080)]))
}

fn masked(mut snapshot: L4Snapshot, local: IpAddr) -> L4Snapshot {
    snapshot.services[0].forwarding = Forwarding::FullNat;
    snapshot.services[0].local_addresses = vec![local];
    snapshot
}

#[test]
fn pieces_follow_the_first_one_in_all_orders() {
    let whole = Frame::udp((CLIENT, 7), (VIP, 80), &question());
    let expected = Lb::new(&udp());
    let mut expected = expected;
    expected.network.ports[1].mtu = 9000;
    expected.refresh();
    let (_, mut expected) = expected.send(whole.clone());
    assert!(expected.checksums_hold());
    expected.0[18..20].copy_from_slice(&[0, 9]);
    expected.fix_header();
    for order in ORDERS {
        let mut lb = Lb::new(&udp());
        let pieces = cut(&whole, 9);
        let sent = order.map(|at| pieces[at].clone());
        let (left, waited) = send_all(&mut lb, sent, Verdict::Send(BACK));
        assert_eq!(waited, order.iter().position(|at| *at == 0).unwrap(), "{order:?}");
        assert_eq!(join(left), expected, "{order:?}");
        assert_eq!(lb.flows(), 1);
    }
}

#[test]
fn in_ipv6_too() {
    let whole = Frame::udp6((CLIENT_6, 7), (VIP_6, 80), &question());
    for order in ORDERS {
        let mut lb = Lb::new(&over_ipv6(udp()));
        let pieces = cut6(&whole, 9);
        let sent = order.map(|at| pieces[at].clone());
        let (left, waited) = send_all(&mut lb, sent, Verdict::Send(BACK));
        assert_eq!(waited, order.iter().position(|at| *at == 0).unwrap(), "{order:?}");
        let out = join6(left);
        assert_eq!(out.0[38..54], MEMBER_1_6.octets());
        assert!(out.is_right(), "{order:?}");
    }
}

#[test]
fn answers_come_back_in_pieces() {
    for order in ORDERS {
        let mut lb = Lb::new(&udp());
        lb.send(Frame::udp((CLIENT, 7), (VIP, 80), b"ask"));
        let answer = Frame::udp((MEMBER_1, 8080), (CLIENT, 7), &question()).arriving_at(BACK_MAC);
        let pieces = cut(&answer, 9);
        let sent = order.map(|at| pieces[at].clone());
        let (left, _) = send_all(&mut lb, sent, Verdict::Send(FRONT));
        let out = join(left);
        assert_eq!((out.src(), out.dst()), ((VIP, 80), (CLIENT, 7)));
        assert!(out.checksums_hold());
    }
}

#[test]
fn full_nat_and_tunnels_take_pieces() {
    let whole = Frame::udp((CLIENT, 7), (VIP, 80), &question());
    let mut lb = Lb::new(&masked(udp(), BACK_HOST.into()));
    let (left, _) = send_all(&mut lb, cut(&whole, 9), Verdict::Send(BACK));
    let out = join(left);
    assert_eq!((out.src().0, out.dst()), (BACK_HOST, (MEMBER_1, 8080)));
    assert!(out.checksums_hold());

    let mut wrapped = by_udp(web(vec![backend(1, MEMBER_1, 80)]));
    wrapped.services[0].forwarding = Forwarding::Tunnel;
    wrapped.services[0].tunnel = Some(Tunnel::Vxlan {
        port: lb_model::L4Port::new(Tunnel::VXLAN_PORT).unwrap(),
        vni: Vni::new(7).unwrap(),
    });
    let mut lb = Lb::new(&wrapped);
    // There is room for what is wrapped.
    lb.network.ports[1].mtu = 1600;
    lb.refresh();
    let (left, _) = send_all(&mut lb, cut(&whole, 9), Verdict::Send(BACK));
    let unwrapped = left.into_iter().map(|frame| Frame(frame.0[50..].to_vec())).collect();
    assert_eq!(join(unwrapped).0[34..], whole.0[34..]);
}

#[test]
fn pieces_that_do_not_fit_are_cut_again() {
    let mut lb = Lb::new(&udp());
    lb.network.ports[1].mtu = 1000;
    lb.refresh();
    let whole = Frame::udp((CLIENT, 7), (VIP, 80), &question());
    let mut left = Vec::new();
    for piece in cut(&whole, 9) {
        let (verdict, out) = lb.send(piece);
        assert_eq!(verdict, Verdict::Send(BACK));
        left.push(out);
        left.extend(lb.made.drain(..).map(|(_, frame)| frame));
    }
    assert!(left.len() == 5 && left.iter().all(|piece| piece.0.len() <= 1014), "{}", left.len());
    let out = join(left);
    assert_eq!(out.dst(), (MEMBER_1, 8080));
    assert!(out.checksums_hold());
}

#[test]
fn sums_that_were_made_before_cutting_are_kept_up() {
    let mut lb = Lb::new(&udp());
    lb.network.ports[0].checksum = ChecksumMode::Full;
    lb.refresh();
    let pieces = cut(&Frame::udp((CLIENT, 7), (VIP, 80), &question()), 9);
    assert!(join(send_all(&mut lb, pieces, Verdict::Send(BACK)).0).checksums_hold());
}

#[test]
fn packets_are_told_apart_by_their_identification() {
    let mut lb = Lb::new(&udp());
    let [one, other] = [7, 8].map(|port| Frame::udp((CLIENT, port), (VIP, 80), &question()));
    let (ones, others) = (cut(&one, 1), cut(&other, 2));
    let mixed = ones.iter().rev().zip(others.iter().rev()).flat_map(|(a, b)| [a.clone(), b.clone()]);
    let (left, waited) = send_all(&mut lb, mixed.collect::<Vec<_>>(), Verdict::Send(BACK));
    assert_eq!((left.len(), waited), (6, 4));
    let of = |id| left.iter().filter(|piece| piece.0[19] == id).cloned().collect::<Vec<_>>();
    assert_eq!((join(of(1)).src(), join(of(2)).src()), ((CLIENT, 7), (CLIENT, 8)));
}

#[test]
fn who_waits_for_too_long_or_finds_no_room_is_dropped() {
    let mut lb = Lb::new(&udp());
    let later = |id| cut(&Frame::udp((CLIENT, 7), (VIP, 80), &question()), id)[1].clone();
    for id in 0..64 {
        assert_eq!(lb.send(later(id)).0, Verdict::Consume);
    }
    assert_eq!(lb.send(later(64)).0, Verdict::Drop(DropReason::Fragment));
    lb.now += 21;
    assert_eq!(lb.send(later(65)).0, Verdict::Consume, "it has the place of one whose turn is over");
}

#[test]
fn pieces_of_what_is_not_ours_are_the_kernels() {
    let mut lb = Lb::new(&udp());
    let to = |address, port| cut(&Frame::udp((CLIENT, 7), (address, port), &question()), 9);
    for piece in to(HOST, 80) {
        assert_eq!(lb.send(piece).0, Verdict::Punt);
    }
    // To a port of the virtual IP that no service has: the first one tells.
    let pieces = to(VIP, 81);
    assert_eq!(lb.send(pieces[1].clone()).0, Verdict::Consume);
    assert_eq!(lb.send(pieces[0].clone()).0, Verdict::Punt);
    assert_eq!(lb.again[0], (Verdict::Punt, pieces[1].clone()));
    assert_eq!(lb.send(pieces[2].clone()).0, Verdict::Punt);
}

#[test]
fn pieces_without_a_flow_or_hops_are_dropped_by_name() {
    let mut lb = Lb::new(&web(vec![backend(1, MEMBER_1, 8080)]));
    let whole = from_client(1, ACK, &question());
    let pieces = cut(&whole, 9);
    assert_eq!(lb.send(pieces[0].clone()).0, Verdict::Drop(DropReason::NoFlow));
    assert_eq!(lb.send(pieces[1].clone()).0, Verdict::Drop(DropReason::NoFlow));
    assert_eq!(lb.send(pieces[2].clone().with(22, 1)).0, Verdict::Drop(DropReason::TtlExpired));
    let mut short = pieces[0].clone();
    short.0.truncate(14 + 20 + 16);
    short.0[16..18].copy_from_slice(&36u16.to_be_bytes());
    assert_eq!(lb.send(short).0, Verdict::Drop(DropReason::Truncated), "too little of the header to tell");
}

#[test]
fn pieces_meet_at_one_worker_and_go_on_to_the_flows_own() {
    let whole = Frame::udp((CLIENT, 7), (VIP, 80), &question());
    let pieces = cut(&whole, 9);
    for order in ORDERS {
        let mut workers = Lb::workers(&udp(), 3);
        let mut left = Vec::new();
        let mut handed: Vec<(usize, Frame, bool)> =
            order.iter().rev().map(|at| (*at, pieces[*at].clone(), false)).collect();
        let mut steps = 0;
        while let Some((at, frame, handed_over)) = handed.pop() {
            steps += 1;
            assert!(steps < 20, "frames go round in circles");
            workers[at].handed_over = handed_over;
            let first = workers[at].send(frame);
            let again = std::mem::take(&mut workers[at].again);
            for (verdict, out) in again.into_iter().chain([first]) {
                match verdict {
                    Verdict::Handoff(worker) => handed.push((worker.into(), out, true)),
                    Verdict::Consume => {}
                    verdict => {
                        assert_eq!(verdict, Verdict::Send(BACK), "{order:?}");
                        left.push(out);
                    }
                }
            }
        }
        assert_eq!(join(left).dst(), (MEMBER_1, 8080), "{order:?}");
    }
}
