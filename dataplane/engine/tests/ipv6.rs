//! IPv6: given, packet, outcome.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use std::net::{IpAddr, Ipv6Addr};

use lb_engine::{Awaited, TICKS_PER_SECOND, Verdict};
use lb_mem::FlowFile;
use lb_model::MacAddr;
use lb_model::config::ChecksumMode;
use lb_model::counters::DropReason;
use lb_model::snapshot::{Admission, Forwarding, L4Snapshot, Scheduler};
use support::v6::*;
use support::*;

const DROP: fn(DropReason) -> Verdict = Verdict::Drop;
const UNREACHABLE: u8 = 1;
const TOO_BIG: u8 = 2;
const FAR_ROUTER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);

fn members() -> L4Snapshot {
    over_ipv6(two_members())
}

fn direct(mut snapshot: L4Snapshot) -> L4Snapshot {
    for service in &mut snapshot.services {
        service.forwarding = Forwarding::Dr;
        service.backends.iter_mut().for_each(|backend| backend.port = service.port);
    }
    snapshot
}

fn ask(port: u16, payload: &[u8]) -> Frame {
    Frame::udp6((CLIENT_6, port), (VIP_6, 80), payload)
}

fn answer(member: End6, port: u16, payload: &[u8]) -> Frame {
    Frame::udp6(member, (CLIENT_6, port), payload).arriving_at(BACK_MAC)
}

#[test]
fn a_connection_is_translated_both_ways() {
    let mut lb = Lb::new(&members());
    let (verdict, syn) = lb.send(from_client6(40_000, SYN, b""));
    assert_eq!(verdict, Verdict::Send(BACK));
    assert_eq!((syn.src6(), syn.dst6()), ((CLIENT_6, 40_000), (MEMBER_1_6, 8080)));
    assert_eq!(syn.0[..12], [2, 0, 0, 6, 2, 0x11, 2, 0, 0, 0, 0, 2]);
    assert_eq!(syn.hop_limit(), 63);
    assert!(syn.checksum_holds_6());

    let (verdict, answer) = lb.send(from_member6((MEMBER_1_6, 8080), 40_000, SYN | ACK, b""));
    assert_eq!(verdict, Verdict::Send(FRONT));
    assert_eq!((answer.src6(), answer.dst6()), ((VIP_6, 80), (CLIENT_6, 40_000)));
    assert_eq!(answer.0[..12], [2, 0, 0, 6, 1, 9, 2, 0, 0, 0, 0, 1]);
    assert!(answer.checksum_holds_6());

    lb.send(from_client6(40_000, ACK, b""));
    for payload in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"odd"] {
        let (verdict, data) = lb.send(from_client6(40_000, ACK, payload));
        assert_eq!((verdict, data.dst6()), (Verdict::Send(BACK), (MEMBER_1_6, 8080)));
        assert!(data.checksum_holds_6());
        let (verdict, data) = lb.send(from_member6((MEMBER_1_6, 8080), 40_000, ACK, payload));
        assert_eq!((verdict, data.src6()), (Verdict::Send(FRONT), (VIP_6, 80)));
        assert!(data.checksum_holds_6());
    }
    assert_eq!(lb.flows(), 1);
}

#[test]
fn a_datagram_has_a_checksum_whatever_it_sums_to() {
    let mut lb = Lb::new(&by_udp(members()));
    let mut seen = 0;
    for number in 0..=u16::MAX {
        let (verdict, out) = lb.send(ask(1, &number.to_be_bytes()));
        assert_eq!(verdict, Verdict::Send(BACK));
        assert!(out.checksum_holds_6(), "{number}");
        assert_ne!(out.0[60..62], [0, 0], "none is not allowed in IPv6");
        seen += usize::from(out.0[60..62] == [0xff, 0xff]);
    }
    assert_eq!(seen, 1);
    let (verdict, out) = lb.send(answer((MEMBER_1_6, 8080), 1, b"an answer"));
    assert_eq!((verdict, out.src6(), out.dst6()), (Verdict::Send(FRONT), (VIP_6, 80), (CLIENT_6, 1)));
    assert!(out.checksum_holds_6());
}

#[test]
fn both_families_go_side_by_side() {
    let mut both = two_members();
    let mut six = members();
    both.services.append(&mut six.services);
    let mut lb = Lb::new(&both);
    let mut frames = [from_client(1, SYN, b""), from_client6(1, SYN, b""), from_client(1, SYN, b"")];
    assert_eq!(lb.burst(FRONT, &mut frames), [Verdict::Send(BACK); 3]);
    assert_eq!((frames[0].dst(), frames[1].dst6()), ((MEMBER_1, 8080), (MEMBER_1_6, 8080)));
    assert_eq!(lb.flows(), 2);
    assert_eq!(lb.open6(2), (MEMBER_2_6, 8080));
}

#[test]
fn with_direct_return_only_the_ethernet_addresses_change() {
    for (snapshot, frame) in [
        (direct(members()), from_client6(1, SYN, b"data")),
        (by_udp(direct(members())), ask(1, b"a question")),
    ] {
        let mut lb = Lb::new(&snapshot);
        for _ in 0..3 {
            let (verdict, out) = lb.send(frame.clone());
            assert_eq!(verdict, Verdict::Send(BACK));
            assert_eq!(out.0[..12], [2, 0, 0, 6, 2, 0x11, 2, 0, 0, 0, 0, 2]);
            assert_eq!(out.0[12..], frame.0[12..]);
        }
    }
}

#[test]
fn extension_headers_travel_along() {
    let mut lb = Lb::new(&members());
    let extensions: &[(u8, &[u8])] = &[(0, &[0; 8]), (60, &[0; 24]), (43, &[0; 8]), (44, &[0; 8])];
    let frame = from_client6(1, SYN, b"data").with_extensions(extensions);
    let (verdict, out) = lb.send(frame.clone());
    assert_eq!((verdict, out.dst6()), (Verdict::Send(BACK), (MEMBER_1_6, 8080)));
    assert!(out.checksum_holds_6());
    assert_eq!(out.0[PAYLOAD_6..PAYLOAD_6 + 48], frame.0[PAYLOAD_6..PAYLOAD_6 + 48]);
    let mut padded = frame;
    padded.0.extend([0x55; 9]);
    assert!(lb.send(padded).1.checksum_holds_6());
}

#[test]
fn broken_headers_are_dropped_by_name() {
    let mut lb = Lb::new(&members());
    let syn = || from_client6(1, SYN, b"");
    assert_eq!(lb.send(Frame(syn().0[..40].to_vec())).0, DROP(DropReason::Truncated));
    assert_eq!(lb.send(Frame(syn().0[..70].to_vec())).0, DROP(DropReason::Truncated));
    assert_eq!(lb.send(syn().with(14, 0x40)).0, DROP(DropReason::Malformed));
    assert_eq!(lb.send(syn().with(PAYLOAD_6 + 12, 0x40)).0, DROP(DropReason::Malformed));
    assert_eq!(lb.send(syn().with(PAYLOAD_6 + 12, 0x60)).0, DROP(DropReason::Malformed));
    assert_eq!(lb.send(syn().with(19, 10)).0, DROP(DropReason::Truncated));
    assert_eq!(lb.send(syn().with(21, 1)).0, DROP(DropReason::TtlExpired));
    let long = |count| syn().with_extensions(&vec![(60, &[0; 8][..]); count]);
    assert_eq!(lb.send(long(9)).0, DROP(DropReason::Malformed), "more than anybody needs");
    assert_eq!(lb.send(long(8)).0, Verdict::Send(BACK));
    let beyond = syn().with_extensions(&[(60, &[0; 8])]).with(PAYLOAD_6 + 1, 200);
    assert_eq!(lb.send(beyond).0, DROP(DropReason::Truncated));
}

#[test]
fn pieces_of_packets_of_others_are_the_kernels() {
    let mut lb = Lb::new(&members());
    let piece = |field: [u8; 2], frame: Frame| {
        frame.with_extensions(&[(44, &[0, 0, field[0], field[1], 0, 0, 0, 7])])
    };
    for field in [[0, 1], [0, 8], [1, 1]] {
        let other = piece(field, Frame::tcp6((CLIENT_6, 1), (HOST_6, 80), SYN, b""));
        assert_eq!(lb.send(other).0, Verdict::Punt);
    }
}

#[test]
fn what_is_not_ours_is_the_kernels() {
    let mut lb = Lb::new(&members());
    let other_port = Frame::tcp6((CLIENT_6, 1), (VIP_6, 22), SYN, b"");
    assert_eq!(lb.send(other_port.clone()).0, Verdict::Punt);
    assert_eq!(lb.send(other_port.with(21, 1)).0, Verdict::Punt, "it has arrived");
    assert_eq!(lb.send(ask(1, b"x")).0, Verdict::Punt, "another protocol");
    let to_host = Frame::tcp6((MEMBER_1_6, 8080), (HOST_6, 5000), ACK, b"").arriving_at(BACK_MAC);
    assert_eq!(lb.send(to_host).0, Verdict::Punt);
    let echo = Frame::ip6(CLIENT_6, VIP_6, 58, &[128, 0, 0, 0, 0, 1, 0, 1]);
    assert_eq!(lb.send(echo).0, Verdict::Punt, "the kernel answers for the address");
    let solicited = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0x100);
    let discovery = Frame::ip6(CLIENT_6, solicited, 58, &[135, 0, 0, 0, 0, 0, 0, 0]);
    let discovery = discovery.arriving_at(MacAddr([0x33, 0x33, 0xff, 0, 1, 0]));
    assert_eq!(lb.send_at(FRONT, discovery).0, Verdict::Punt);
    assert_eq!(lb.send(Frame::ip6(CLIENT_6, VIP_6, 132, &[0; 12])).0, Verdict::Punt);
    assert_eq!(lb.send(Frame::ip6(CLIENT_6, VIP_6, 59, &[])).0, Verdict::Punt);
    let under_way = from_client6(1, SYN, b"").with_extensions(&[(43, &[0, 0, 0, 1, 0, 0, 0, 0])]);
    assert_eq!(lb.send(under_way).0, Verdict::Punt);
    let long = Frame::tcp6((CLIENT_6, 1), (HOST_6, 80), SYN, b"");
    assert_eq!(lb.send(long.with_extensions(&[(60, &[0; 8][..]); 9])).0, Verdict::Punt);
    // No service is on what an IPv4 address is written as in IPv6.
    let mut lb = Lb::new(&two_members());
    let mapped = Frame::tcp6((CLIENT.to_ipv6_mapped(), 1), (VIP.to_ipv6_mapped(), 80), SYN, b"");
    assert_eq!(lb.send(mapped).0, Verdict::Punt);
}

#[test]
fn a_partial_checksum_is_made_whole_where_the_port_says_so() {
    for snapshot in [members(), direct(members())] {
        let mut lb = Lb::new(&snapshot);
        lb.network.ports[0].checksum = ChecksumMode::Full;
        lb.refresh();
        let partial = from_client6(1, SYN, b"hello").with(PAYLOAD_6 + 16, 0x12);
        let (verdict, out) = lb.send(partial);
        assert_eq!(verdict, Verdict::Send(BACK));
        assert!(out.checksum_holds_6());
    }
}

#[test]
fn frames_wait_for_neighbours_also_for_routers_of_the_link() {
    let mut lb = Lb::new(&members());
    lb.network.neighbours.remove(&(BACK, MEMBER_1_6.into()));
    lb.network.neighbours.remove(&(FRONT, ROUTER_6.into()));
    lb.refresh();
    let awaited = |port, address: Ipv6Addr| Verdict::Hold(Awaited { port, address: address.into() });
    let far = Ipv6Addr::new(0x2001, 0xdb8, 9, 9, 0, 0, 0, 9);
    let syn = Frame::tcp6((far, 1), (VIP_6, 80), SYN, b"");
    assert_eq!(lb.send(syn).0, awaited(BACK, MEMBER_1_6));
    let reply = || Frame::tcp6((MEMBER_1_6, 8080), (far, 1), SYN | ACK, b"").arriving_at(BACK_MAC);
    assert_eq!(lb.send(reply()).0, awaited(FRONT, ROUTER_6));
    lb.network = support::network();
    lb.refresh();
    let (verdict, out) = lb.send(reply());
    assert_eq!(verdict, Verdict::Send(FRONT));
    assert_eq!(out.0[..6], [2, 0, 0, 6, 1, 0xfe]);
    lb.network.routes.retain(|route| route.to.network().is_ipv4());
    lb.refresh();
    assert_eq!(lb.send(reply()).0, DROP(DropReason::NoRoute), "a default route of IPv4 is none");
}

/// Both protocols, and how much of the packet is quoted: with the transport's checksum or without.
fn quotations() -> [(bool, usize); 4] {
    [(false, 48), (false, 60), (true, 48), (true, 51)]
}

/// What the sender had sent, one hop later.
fn as_seen(original: &Frame, len: usize) -> Vec<u8> {
    let mut seen = original.clone();
    seen.0[21] -= 1;
    seen.0[14..(14 + len).min(seen.0.len())].to_vec()
}

#[test]
fn an_error_from_the_clients_side_reaches_the_member_as_about_its_own_packet() {
    for (udp, len) in quotations() {
        for extended in [false, true] {
            let mut lb = Lb::new(&if udp { by_udp(members()) } else { members() });
            lb.send(if udp { ask(1, b"x") } else { from_client6(1, SYN, b"") });
            let original = if udp {
                answer((MEMBER_1_6, 8080), 1, b"abcd")
            } else {
                from_member6((MEMBER_1_6, 8080), 1, ACK, b"abcd")
            };
            let extensions: &[(u8, &[u8])] = if extended { &[(60, &[0; 16])] } else { &[] };
            let original = original.with_extensions(extensions);
            let len = len + if extended { 16 } else { 0 };
            let sent = lb.send(original.clone()).1;
            let (verdict, error) = lb.send(Frame::error6(FAR_ROUTER, VIP_6, TOO_BIG, &sent, len));
            assert_eq!(verdict, Verdict::Send(BACK), "{udp} {len}");
            assert_eq!((error.src6().0, error.dst6().0), (FAR_ROUTER, MEMBER_1_6));
            assert_eq!(error.hop_limit(), 63);
            assert!(error.checksum_holds_6());
            assert_eq!(error.0[PAYLOAD_6 + 4..PAYLOAD_6 + 8], [0, 0, 5, 0x78], "the MTU is the router's");
            assert_eq!(error.quoted6().0[14..], as_seen(&original, len), "{udp} {len}");
        }
    }
}

#[test]
fn an_error_from_the_members_side_reaches_the_client_as_from_the_virtual_ip() {
    for (udp, len) in quotations() {
        let mut lb = Lb::new(&if udp { by_udp(members()) } else { members() });
        let original = if udp { ask(1, b"abcd") } else { from_client6(1, SYN, b"abcd") };
        let sent = lb.send(original.clone()).1;
        let error = Frame::error6(MEMBER_1_6, CLIENT_6, UNREACHABLE, &sent, len).arriving_at(BACK_MAC);
        let (verdict, error) = lb.send(error);
        assert_eq!(verdict, Verdict::Send(FRONT), "{udp} {len}");
        assert_eq!((error.src6().0, error.dst6().0), (VIP_6, CLIENT_6));
        assert!(error.checksum_holds_6());
        assert_eq!(error.quoted6().0[14..], as_seen(&original, len), "{udp} {len}");
    }
}

#[test]
fn with_direct_return_an_error_reaches_its_member_as_it_came() {
    let mut lb = Lb::new(&direct(members()));
    lb.send(from_client6(1, SYN, b""));
    let reply = Frame::tcp6((VIP_6, 80), (CLIENT_6, 1), ACK, b"long");
    let error = Frame::error6(FAR_ROUTER, VIP_6, TOO_BIG, &reply, 64);
    let (verdict, out) = lb.send(error.clone());
    assert_eq!(verdict, Verdict::Send(BACK));
    assert_eq!(out.0[..6], [2, 0, 0, 6, 2, 0x11]);
    assert_eq!(out.0[12..], error.0[12..]);
}

#[test]
fn errors_that_fit_no_flow_are_dropped_and_others_are_the_kernels() {
    let mut lb = Lb::new(&members());
    let to_client = Frame::tcp6((VIP_6, 80), (CLIENT_6, 9), ACK, b"");
    let about = |quoted: &Frame| Frame::error6(FAR_ROUTER, VIP_6, UNREACHABLE, quoted, 48);
    assert_eq!(lb.send(about(&to_client)).0, DROP(DropReason::NoFlow));
    assert_eq!(lb.send(about(&to_client).with(PAYLOAD_6 + 2, 9)).0, DROP(DropReason::BadChecksum));
    assert_eq!(lb.send(about(&to_client).with(21, 1)).0, DROP(DropReason::TtlExpired));
    let other_port = Frame::tcp6((VIP_6, 22), (CLIENT_6, 9), ACK, b"");
    assert_eq!(lb.send(about(&other_port)).0, Verdict::Punt);
    let redirect = Frame::error6(CLIENT_6, VIP_6, 137, &to_client, 48);
    assert_eq!(lb.send(redirect).0, Verdict::Punt);
    let later_piece = to_client.clone().with_extensions(&[(44, &[0, 0, 0, 8, 0, 0, 0, 1])]);
    assert_eq!(lb.send(Frame::error6(FAR_ROUTER, VIP_6, UNREACHABLE, &later_piece, 60)).0, Verdict::Punt);
    assert_eq!(lb.send(about(&from_client(9, ACK, b""))).0, Verdict::Punt, "an IPv4 packet, quoted in IPv6");
    for len in [0, 7, 39, 40, 43] {
        let error = Frame::error6(FAR_ROUTER, VIP_6, UNREACHABLE, &to_client, len);
        assert_eq!(lb.send(error).0, Verdict::Punt, "{len}");
    }
    let cut = Frame::ip6(FAR_ROUTER, VIP_6, 58, &[1, 0, 0, 0]);
    assert_eq!(lb.send(cut).0, Verdict::Punt);
}

#[test]
fn networks_of_ipv6_say_who_may_connect() {
    let mut snapshot = members();
    snapshot.services[0].admission = Admission {
        allowed_cidrs: vec!["2001:db8:0:1::/64".parse().unwrap()],
        denied_cidrs: vec!["2001:db8:0:1::8/125".parse().unwrap()],
        ..Admission::default()
    };
    let mut lb = Lb::new(&snapshot);
    let from = |text: &str| Frame::tcp6((text.parse().unwrap(), 1), (VIP_6, 80), SYN, b"");
    assert_eq!(lb.send(from("2001:db8:0:1::9")).0, DROP(DropReason::Denied));
    assert_eq!(lb.send(from("2001:db8:0:3::1")).0, DROP(DropReason::Denied));
    assert_eq!(lb.send(from("2001:db8:0:1::10")).0, Verdict::Send(BACK));
}

#[test]
fn a_client_keeps_its_member_by_its_whole_address() {
    let mut snapshot = members();
    snapshot.services[0].scheduler = Scheduler::SourceHash;
    let mut lb = Lb::new(&snapshot);
    let mut share = [0; 2];
    for client in 0..400u128 {
        // The halves of the address change in turn.
        let bits = 0x2001_0db8_0000_0001_u128 << 64 | client << if client % 2 == 0 { 0 } else { 64 };
        let member = |lb: &mut Lb, port| {
            lb.send(Frame::tcp6((Ipv6Addr::from(bits), port), (VIP_6, 80), SYN, b"")).1.dst6().0
        };
        let first = member(&mut lb, 1);
        assert_eq!(member(&mut lb, 2), first);
        share[usize::from(first == MEMBER_2_6)] += 1;
    }
    assert!(share.iter().all(|count| (150..250).contains(count)), "{share:?}");
}

#[test]
fn each_flow_has_one_owner_whichever_end_a_packet_comes_from() {
    let mut share = [0; 2];
    let mut workers = [0, 1].map(|worker| Lb::as_worker(&members(), worker, 2));
    for port in 1..200 {
        let owner = match workers[0].send(from_client6(port, SYN, b"")).0 {
            Verdict::Handoff(owner) => owner,
            verdict => {
                assert_eq!(verdict, Verdict::Send(BACK));
                0
            }
        };
        share[usize::from(owner)] += 1;
        let other = 1 - owner;
        let answer = from_member6((MEMBER_2_6, 8080), port, SYN | ACK, b"");
        assert_eq!(workers[usize::from(other)].send(answer).0, Verdict::Handoff(owner));
    }
    assert!(share.iter().all(|count| *count > 60), "{share:?}");
}

#[test]
fn flows_outlive_their_process() {
    let dir = std::env::temp_dir().join(format!("penstock-ipv6-flows-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let open = || FlowFile::open(&dir.join("flows"), 4096, [7; 16], [11, 13]).unwrap().0;
    let mut before = Lb::on_file(&members(), open());
    let given: Vec<_> = (1..=100).map(|port| before.open6(port)).collect();
    drop(before);
    let mut after = Lb::on_file(&members(), open());
    assert_eq!(after.flows(), 100);
    for (port, member) in (1..=100).zip(given) {
        assert_eq!(after.send(from_client6(port, ACK, b"x")).1.dst6(), member);
        assert_eq!(after.send(from_member6(member, port, ACK, b"x")).0, Verdict::Send(FRONT));
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_member_that_is_removed_ends_its_flows() {
    let mut lb = Lb::new(&members());
    assert_eq!((lb.open6(1).0, lb.open6(2).0), (MEMBER_1_6, MEMBER_2_6));
    let mut snapshot = members();
    snapshot.services[0].backends.remove(0);
    lb.publish(&snapshot);
    assert_eq!(lb.send(from_client6(2, ACK, b"x")).1.dst6(), (MEMBER_2_6, 8080));
    assert_eq!(lb.send(from_client6(1, ACK, b"x")).0, DROP(DropReason::MemberGone));
    assert_eq!((lb.sweep(), lb.flows()), (1, 1));
    assert_eq!(lb.send(from_client6(1, SYN, b"")).1.dst6(), (MEMBER_2_6, 8080));
}

#[test]
fn unfinished_handshakes_make_room_and_established_flows_stay() {
    let mut lb = Lb::with_capacity(&members(), 64);
    let kept: Vec<_> = (1..=16).map(|port| (port, lb.open6(port))).collect();
    for port in 1000..1200 {
        assert_eq!(lb.send(from_client6(port, SYN, b"")).0, Verdict::Send(BACK));
    }
    assert_eq!(lb.flows(), 32, "of two entries each");
    for (port, member) in kept {
        assert_eq!(lb.send(from_client6(port, ACK, b"x")).1.dst6(), member);
    }
    let mut full = Lb::with_capacity(&members(), 64);
    for port in 1..=32 {
        full.open6(port);
    }
    assert_eq!(full.send(from_client6(99, SYN, b"")).0, DROP(DropReason::FlowTableFull));
    full.now += 301 * TICKS_PER_SECOND;
    assert_eq!((full.sweep(), full.flows()), (32, 0));
}

#[test]
fn a_service_and_its_members_are_of_one_family() {
    let mut mixed = members();
    mixed.services[0].backends[1].address = MEMBER_2.into();
    let mut lb = Lb::new(&members());
    let refused = lb.planner.publish(&mixed).unwrap_err().to_string();
    assert!(refused.contains(&IpAddr::from(MEMBER_2).to_string()), "{refused}");
}
