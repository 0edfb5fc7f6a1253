//! What is seen of the engine from outside: flows listed and ended, and what would become of a packet.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot be set up has failed; numbers are made to fit"
)]

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use lb_engine::counters::BackendCell;
use lb_engine::{Explained, FlowPage, Sample, TICKS_PER_SECOND, Verdict};
use lb_model::counters::{Accounting, DropReason};
use lb_model::explain::{Choice, NetworkRule, PacketEnds};
use lb_model::flow::{FlowFilter, FlowKey, FlowState, SeenFlow};
use lb_model::snapshot::{L4Protocol, L4Rates, Scheduler};
use lb_model::{MemberId, VirtualServiceId};
use support::v6::*;
use support::*;
use uuid::Uuid;

const SERVICE: VirtualServiceId = VirtualServiceId(Uuid::from_u128(80));

fn member(number: u128) -> MemberId {
    MemberId(Uuid::from_u128(number))
}

fn end((address, port): (impl Into<std::net::IpAddr>, u16)) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}

fn key(port: u16) -> FlowKey {
    FlowKey { protocol: L4Protocol::Tcp, client: end((CLIENT, port)), offered: end((VIP, 80)) }
}

/// All flows that fit, `most` at a time, of slices of three entries.
fn list(lb: &mut Lb, filter: &FlowFilter, most: usize) -> Vec<SeenFlow> {
    let (mut all, mut next) = (Vec::new(), Some(0));
    while let Some(from) = next {
        let mut page = FlowPage::new(filter.clone(), most);
        next = lb.engine.list(&lb.tables, lb.now, from..from + 3, &mut page);
        assert!(page.seen.len() <= most);
        all.append(&mut page.seen);
    }
    all
}

/// What would become of a frame; afterwards all is as it was.
fn explain(lb: &mut Lb, frame: &Frame) -> Explained {
    let seen = |lb: &mut Lb| {
        let mut accounting = Accounting::default();
        lb.counters.add_to(&mut accounting);
        let backends: Vec<_> = lb.counters.backends[..16].iter().map(BackendCell::read).collect();
        (accounting, backends, list(lb, &FlowFilter::default(), 100), lb.engine.flows().used())
    };
    let before = seen(lb);
    let port = if frame.0[..6] == BACK_MAC.0 { BACK } else { FRONT };
    let told = lb.engine.explain(&lb.tables, lb.now, port, &mut Sample::new(&frame.0));
    assert_eq!(seen(lb), before);
    told
}

#[test]
fn flows_are_listed_once_each_whatever_the_pages() {
    let mut lb = Lb::new(&two_members());
    for port in 1..=50 {
        lb.open(port);
    }
    // Holes in the table, and flows that are not as the others.
    for port in [7, 8, 30] {
        lb.send(from_client(port, RST, b""));
    }
    lb.send(from_client(99, SYN, b""));
    lb.now += 3 * TICKS_PER_SECOND;
    for most in [1, 2, 5, 100] {
        let ports: Vec<u16> =
            list(&mut lb, &FlowFilter::default(), most).iter().map(|flow| flow.key.client.port()).collect();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), ports.len(), "none twice, {most} a page");
        assert_eq!(ports.iter().copied().collect::<BTreeSet<_>>(), (1..=50).chain([99]).collect());
    }
    let by = |filter: FlowFilter, lb: &mut Lb| list(lb, &filter, 100);
    let state = |state| FlowFilter { state: Some(state), ..FlowFilter::default() };
    assert_eq!(by(state(FlowState::Reset), &mut lb).len(), 3);
    assert_eq!(by(state(FlowState::Closing), &mut lb), []);
    let [opening] = &by(state(FlowState::Opening), &mut lb)[..] else { panic!("one has only begun") };
    let SeenFlow { key: of, service, idle_ms, timeout_ms, worker, local, .. } = *opening;
    assert_eq!((of, local, service, worker), (key(99), end((CLIENT, 99)), Some(SERVICE), 0));
    assert_eq!((idle_ms, timeout_ms), (3_000, 60_000));
    let of_first = by(FlowFilter { member: Some(member(1)), ..FlowFilter::default() }, &mut lb);
    assert_eq!(of_first.len(), 26, "the first has every second, and the last");
    assert!(of_first.iter().all(|flow| flow.member_end == end((MEMBER_1, 8080))));
    let client = |text: &str| FlowFilter { client: Some(text.parse().unwrap()), ..FlowFilter::default() };
    assert_eq!(by(client("198.18.1.0/24"), &mut lb).len(), 51);
    assert_eq!(by(client("198.18.2.0/24"), &mut lb).len(), 0);
    let other = FlowFilter { service: Some(VirtualServiceId(Uuid::nil())), ..FlowFilter::default() };
    assert_eq!(by(other, &mut lb).len(), 0);
    let udp = FlowFilter { protocol: Some(L4Protocol::Udp), ..FlowFilter::default() };
    assert_eq!(by(udp, &mut lb).len(), 0);
}

#[test]
fn ipv6_flows_are_listed_beside_others_and_after_a_change_of_tables() {
    let mut both = two_members();
    both.services.extend(over_ipv6(web(vec![backend(1, MEMBER_1, 8080)])).services);
    let mut lb = Lb::new(&both);
    lb.open(1);
    lb.send(Frame::tcp6((CLIENT_6, 2), (VIP_6, 80), SYN, b""));
    lb.open(3);
    both.services[0].backends.remove(0);
    lb.publish(&both);
    let flows = list(&mut lb, &FlowFilter::default(), 100);
    let clients: BTreeSet<_> = flows.iter().map(|flow| flow.key.client).collect();
    assert_eq!(clients, [end((CLIENT, 1)), end((CLIENT, 3)), end((CLIENT_6, 2))].into());
    let gone: Vec<_> = flows.iter().filter(|flow| flow.member.is_none()).map(|flow| flow.key).collect();
    assert_eq!(gone, [key(1)], "its member was removed");
}

#[test]
fn a_flow_that_is_ended_is_gone_and_counts_no_more() {
    let mut lb = Lb::new(&two_members());
    lb.open(1);
    lb.open(2);
    assert_eq!(lb.end(&key(3)), None);
    let from_member = FlowKey { client: end((MEMBER_1, 8080)), offered: end((CLIENT, 1)), ..key(1) };
    assert_eq!(lb.end(&from_member), None, "a flow has one name");
    let ended = lb.end(&key(1)).unwrap();
    assert_eq!((ended.key, ended.member, ended.state), (key(1), Some(member(1)), FlowState::Established));
    assert_eq!(lb.flows(), 1);
    let active: Vec<u64> = lb.counters.backends[..2].iter().map(|cell| cell.active.get()).collect();
    assert_eq!(active.iter().sum::<u64>(), 1);
    assert_eq!(lb.send(from_client(1, ACK, b"x")).0, Verdict::Drop(DropReason::NoFlow));
    assert_eq!(lb.send(from_client(2, ACK, b"x")).0, Verdict::Send(BACK));
    let v6 = FlowKey { protocol: L4Protocol::Tcp, client: end((CLIENT_6, 1)), offered: end((VIP_6, 80)) };
    let mut lb = Lb::new(&over_ipv6(web(vec![backend(1, MEMBER_1, 8080)])));
    lb.send(Frame::tcp6((CLIENT_6, 1), (VIP_6, 80), SYN, b""));
    assert!(lb.end(&v6).is_some());
    assert_eq!(lb.flows(), 0);
}

#[test]
fn a_first_packet_is_explained_by_whose_turn_it_is() {
    let mut lb = Lb::new(&two_members());
    for port in 1..=4 {
        let told = explain(&mut lb, &from_client(port, SYN, b""));
        assert_eq!((told.verdict, told.service, told.flow), (Verdict::Send(BACK), Some(SERVICE), None));
        let by = Choice::Scheduler { scheduler: Scheduler::RoundRobin, instead_of: None };
        assert_eq!(told.choice, Some(by));
        let leaving = told.leaving.unwrap();
        let (address, _) = lb.open(port);
        assert_eq!(leaving.next_hop, address);
        assert_eq!(leaving.packet.unwrap().destination, end((address, 8080)));
        assert_eq!(told.member, Some(member(if address == MEMBER_1 { 1 } else { 2 })));
    }
    let told = explain(&mut lb, &from_client(1, ACK, b"x"));
    let flow = told.flow.unwrap();
    assert_eq!((told.choice, flow.key, flow.member), (Some(Choice::Flow), key(1), told.member));
    let back = explain(&mut lb, &from_member((MEMBER_1, 8080), 1, ACK, b"y"));
    assert_eq!(
        (back.verdict, back.service, back.member),
        (Verdict::Send(FRONT), Some(SERVICE), Some(member(1)))
    );
    let PacketEnds { source, destination, .. } = back.leaving.unwrap().packet.unwrap();
    assert_eq!((source, destination), (end((VIP, 80)), end((CLIENT, 1))));
}

#[test]
fn a_full_member_is_named_beside_who_stands_in() {
    let mut snapshot = two_members();
    snapshot.services[0].scheduler = Scheduler::Ordered;
    snapshot.services[0].backends[0].connection_limit = NonZeroU32::new(1);
    let mut lb = Lb::new(&snapshot);
    lb.open(1);
    let told = explain(&mut lb, &from_client(2, SYN, b""));
    let by = Choice::Scheduler { scheduler: Scheduler::Ordered, instead_of: Some(member(1)) };
    assert_eq!((told.member, told.choice), (Some(member(2)), Some(by)));
    snapshot.services[0].backends[1].connection_limit = NonZeroU32::new(1);
    lb.publish(&snapshot);
    lb.open(2);
    let told = explain(&mut lb, &from_client(3, SYN, b""));
    assert_eq!((told.reason, told.member), (Some(DropReason::MembersFull), None));
}

#[test]
fn the_network_that_decides_is_named() {
    let mut snapshot = two_members();
    snapshot.services[0].admission.allowed_cidrs = vec!["198.18.0.0/15".parse().unwrap()];
    snapshot.services[0].admission.denied_cidrs = vec!["198.18.1.9/32".parse().unwrap()];
    let mut lb = Lb::new(&snapshot);
    let told = explain(&mut lb, &from_client(1, SYN, b""));
    let denied = NetworkRule { network: Some("198.18.1.9/32".parse().unwrap()), allowed: false };
    assert_eq!((told.network, told.reason), (Some(denied), Some(DropReason::Denied)));
    assert_eq!((told.verdict, told.service), (Verdict::Drop(DropReason::Denied), Some(SERVICE)));
    let other = Frame::tcp((std::net::Ipv4Addr::new(10, 0, 0, 1), 1), (VIP, 80), SYN, b"");
    let told = explain(&mut lb, &other);
    assert_eq!(told.network, Some(NetworkRule { network: None, allowed: false }));
}

#[test]
fn what_is_not_balanced_is_said_to_be_the_kernels() {
    let mut lb = Lb::new(&two_members());
    let told = explain(&mut lb, &Frame::tcp((CLIENT, 1), (VIP, 22), SYN, b""));
    assert_eq!((told.verdict, told.service, told.reason), (Verdict::Punt, None, None));
    assert_eq!(told.packet.unwrap().destination, end((VIP, 22)));
    let told = explain(&mut lb, &from_client(1, SYN, b"").with(22, 1));
    assert_eq!(told.reason, Some(DropReason::TtlExpired));
    let told = explain(&mut lb, &from_client(1, ACK, b""));
    assert_eq!((told.reason, told.service), (Some(DropReason::NoFlow), Some(SERVICE)));
}

#[test]
fn a_packet_without_a_frame_is_one_that_its_sender_would_send() {
    let ends = |source, destination, protocol| PacketEnds { protocol, source, destination };
    let tcp = ends(end((CLIENT, 1)), end((VIP, 80)), L4Protocol::Tcp);
    let made = Frame(Sample::of(&tcp, SYN, FRONT_MAC).unwrap().frame().to_vec());
    assert_eq!((made.src(), made.dst(), made.0[47]), ((CLIENT, 1), (VIP, 80), SYN));
    assert!(made.checksums_hold());
    let udp = ends(end((CLIENT, 1)), end((VIP, 80)), L4Protocol::Udp);
    assert!(Frame(Sample::of(&udp, 0, FRONT_MAC).unwrap().frame().to_vec()).checksums_hold());
    for protocol in [L4Protocol::Tcp, L4Protocol::Udp] {
        let wide = ends(end((CLIENT_6, 1)), end((VIP_6, 80)), protocol);
        assert!(Frame(Sample::of(&wide, SYN, FRONT_MAC).unwrap().frame().to_vec()).is_right());
    }
    assert_eq!(Sample::of(&ends(end((CLIENT, 1)), end((VIP_6, 80)), L4Protocol::Tcp), SYN, FRONT_MAC), None);
    let mut lb = Lb::new(&two_members());
    assert_eq!(explain(&mut lb, &made).verdict, Verdict::Send(BACK));
}

#[test]
fn a_full_table_is_foreseen() {
    let mut lb = Lb::with_capacity(&two_members(), 4);
    for port in 1..=4 {
        lb.open(port);
    }
    assert_eq!(explain(&mut lb, &from_client(5, SYN, b"")).reason, Some(DropReason::FlowTableFull));
    assert_eq!(lb.send(from_client(5, SYN, b"")).0, Verdict::Drop(DropReason::FlowTableFull));
    lb.now += 301 * TICKS_PER_SECOND;
    let told = explain(&mut lb, &from_client(5, SYN, b""));
    assert_eq!(told.verdict, Verdict::Send(BACK), "one that is over gives way");
    assert_eq!(lb.flows(), 4);
}

#[test]
fn who_owns_a_client_is_asked() {
    let owner_of = |port| {
        let mut lb = Lb::as_worker(&two_members(), 0, 2);
        match lb.engine.explain(&lb.tables, lb.now, FRONT, &mut Sample::new(&from_client(port, SYN, b"").0)) {
            Explained { verdict: Verdict::Handoff(owner), .. } => owner,
            Explained { verdict, .. } => {
                assert_eq!(verdict, Verdict::Send(BACK));
                0
            }
        }
    };
    let owners: BTreeSet<u16> = (1..=20).map(owner_of).collect();
    assert_eq!(owners, [0, 1].into());
}

#[test]
fn what_is_over_a_rate_is_explained_and_takes_nothing() {
    let mut snapshot = two_members();
    let rates = |of: u32| NonZeroU32::new(of);
    let limits = L4Rates { connections_per_s: rates(1), packets_per_s: rates(10), ..L4Rates::default() };
    snapshot.services[0].admission.rates = Some(limits);
    let mut lb = Lb::new(&snapshot);
    for _ in 0..3 {
        assert_eq!(explain(&mut lb, &from_client(1, SYN, b"")).verdict, Verdict::Send(BACK));
    }
    assert_eq!(lb.send(from_client(1, SYN, b"")).0, Verdict::Send(BACK));
    let told = explain(&mut lb, &from_client(2, SYN, b""));
    assert_eq!(told.reason, Some(DropReason::ConnectionRate));
    for _ in 0..3 {
        assert_eq!(explain(&mut lb, &from_client(1, ACK, b"x")).verdict, Verdict::Send(BACK));
    }
    assert_eq!(lb.send(from_client(1, ACK, b"x")).0, Verdict::Send(BACK));
    let told = explain(&mut lb, &from_client(1, ACK, b"x"));
    assert_eq!(
        (told.verdict, told.reason),
        (Verdict::Drop(DropReason::PacketRate), Some(DropReason::PacketRate))
    );
    assert!(told.service.is_some() && told.flow.is_some());
}
