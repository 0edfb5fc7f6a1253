//! What a desired state becomes, case by case.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use lb_compile::{CompileError, compile, standings};
use lb_model::asking::{Persistence, PersistenceKind, Retries};
use lb_model::desired::{
    BelowMinHealthy, DesiredState, Member, MemberState, Pool, ProxiedService, VirtualIp, VirtualService,
};
use lb_model::l7::{L7Limits, L7Protocol, L7Timeouts, Manner};
use lb_model::observed::{Liveness, MemberHealth};
use lb_model::snapshot::{
    Admission, Ended, Endpoint, Forwarding, L4Persistence, L4Protocol, Scheduler, Share, Timeouts, Unserved,
    Weight,
};
use lb_model::{Generation, Health, L4Port, MemberId, PoolId, VirtualIpId, VirtualServiceId};
use uuid::Uuid;

fn uuid(number: usize) -> Uuid {
    Uuid::from_u128(number as u128)
}

fn address(last: usize) -> IpAddr {
    let [_, _, .., b, c, d] = last.to_be_bytes();
    IpAddr::from([10, b, c, d])
}

fn port(number: u16) -> L4Port {
    L4Port::new(number).unwrap()
}

fn virtual_ip(number: usize) -> VirtualIp {
    VirtualIp { id: VirtualIpId(uuid(number)), address: address(number), enabled: true }
}

fn service(number: usize, on: &[usize], listen: u16, pool: Option<usize>) -> VirtualService {
    VirtualService {
        id: VirtualServiceId(uuid(number)),
        virtual_ip_ids: on.iter().map(|ip| VirtualIpId(uuid(*ip))).collect(),
        protocol: L4Protocol::Tcp,
        port: port(listen),
        port_end: None,
        forwarding: Forwarding::Nat,
        tunnel: None,
        local_addresses: vec![],
        default_pool_id: pool.map(|pool| PoolId(uuid(pool))),
        timeouts: Timeouts { opening_s: 60, idle_s: 300, closing_s: 60 },
        admission: Admission::default(),
        unserved: Unserved::default(),
        ended: Ended::default(),
        enabled: true,
    }
}

fn member(number: usize, state: MemberState) -> Member {
    Member {
        id: MemberId(uuid(number)),
        address: address(number),
        port: port(8080),
        state,
        weight: Weight::default(),
        backup: false,
        connection_limit: None,
        drain_timeout_s: None,
    }
}

fn pool(number: usize, members: Vec<Member>) -> Pool {
    Pool {
        id: PoolId(uuid(number)),
        algorithm: Scheduler::RoundRobin,
        enabled: true,
        members,
        min_healthy: 1,
        below_min_healthy: BelowMinHealthy::Refuse,
        persistence: None,
        retries: Retries::default(),
        outlier: None,
        queue: None,
        breaker: None,
        hedge: None,
        manner: Manner::default(),
        probed: false,
    }
}

/// Two addresses, one service on both, a pool with a member in each state.
fn example() -> DesiredState {
    let members = vec![
        member(900, MemberState::Enabled),
        member(700, MemberState::Drain),
        member(800, MemberState::Disabled),
    ];
    DesiredState {
        generation: Generation(7),
        virtual_ips: vec![virtual_ip(2), virtual_ip(1)],
        virtual_services: vec![service(10, &[2, 1], 80, Some(20))],
        proxied_services: vec![],
        pools: vec![pool(20, members)],
        certificates: vec![],
    }
}

#[test]
fn a_service_is_offered_on_each_of_its_addresses() {
    let compiled = compile(&example(), &Health::default()).unwrap();
    assert_eq!(compiled.l4.generation, Generation(7));
    let offered: Vec<_> = compiled.l4.services.iter().map(|service| service.address).collect();
    assert_eq!(offered, [address(1), address(2)]);
    assert_eq!(compiled.host.generation, Generation(7));
    assert_eq!(compiled.host.addresses, [address(1), address(2)]);
}

#[test]
fn draining_members_take_no_new_connections_and_disabled_ones_are_absent() {
    let compiled = compile(&example(), &Health::default()).unwrap();
    let backends: Vec<_> =
        compiled.l4.services[0].backends.iter().map(|backend| (backend.address, backend.takes_new)).collect();
    assert_eq!(backends, [(address(900), true), (address(700), false)], "in the order they were added");
    let endpoint =
        |number| Endpoint { address: address(number), port: port(8080), protocol: L4Protocol::Tcp };
    assert_eq!(compiled.host.members, [endpoint(700), endpoint(900)]);
}

#[test]
fn what_is_disabled_is_not_offered() {
    let mut want = example();
    want.virtual_ips[0].enabled = false;
    let compiled = compile(&want, &Health::default()).unwrap();
    assert_eq!(compiled.host.addresses, [address(1)]);
    assert_eq!(compiled.l4.services.len(), 1);

    want.pools[0].enabled = false;
    let compiled = compile(&want, &Health::default()).unwrap();
    assert_eq!(compiled.l4.services[0].backends, []);
    assert_eq!(compiled.host.members, []);

    want.virtual_services[0].enabled = false;
    let compiled = compile(&want, &Health::default()).unwrap();
    assert_eq!(compiled.l4.services, []);
    assert_eq!(compiled.host.services, []);
    assert_eq!(compiled.host.addresses, [address(1)], "an address is held also without a service");
}

#[test]
fn a_service_without_a_pool_is_offered_and_serves_nothing() {
    let mut want = example();
    want.virtual_services[0].default_pool_id = None;
    let compiled = compile(&want, &Health::default()).unwrap();
    assert_eq!(compiled.l4.services[0].backends, []);
    assert_eq!(compiled.host.services.len(), 2);
}

#[test]
fn two_services_on_one_address_and_port_are_refused_by_name() {
    let mut want = example();
    want.virtual_services.push(service(11, &[1], 80, None));
    let clash = compile(&want, &Health::default()).unwrap_err();
    let (first, second) = (VirtualServiceId(uuid(10)), VirtualServiceId(uuid(11)));
    let (address, port, protocol) = (address(1), port(80), L4Protocol::Tcp);
    assert_eq!(clash, CompileError::Clash { first, second, address, port, protocol });

    want.virtual_services[1].enabled = false;
    assert!(compile(&want, &Health::default()).is_ok());
}

#[test]
fn a_name_without_its_object_is_refused() {
    let mut want = example();
    want.pools.clear();
    let (service, pool) = (VirtualServiceId(uuid(10)), PoolId(uuid(20)));
    assert_eq!(compile(&want, &Health::default()), Err(CompileError::NoPool { service, pool }));

    let mut want = example();
    want.virtual_ips.pop();
    let virtual_ip = VirtualIpId(uuid(1));
    assert_eq!(compile(&want, &Health::default()), Err(CompileError::NoVirtualIp { service, virtual_ip }));
}

#[test]
fn a_large_configuration_compiles_in_a_moment() {
    const SERVICES: usize = 10_000;
    let ids = 1..=SERVICES;
    let members = |of: usize| (0..10).map(|n| member(of * 10 + n, MemberState::Enabled)).collect();
    let want = DesiredState {
        generation: Generation(1),
        virtual_ips: ids.clone().map(virtual_ip).collect(),
        virtual_services: ids.clone().map(|n| service(n, &[n], 443, Some(n))).collect(),
        proxied_services: vec![],
        pools: ids.map(|n| pool(n, members(n))).collect(),
        certificates: vec![],
    };
    let started = Instant::now();
    let compiled = compile(&want, &Health::default()).unwrap();
    let took = started.elapsed();
    assert_eq!((compiled.l4.services.len(), compiled.host.members.len()), (SERVICES, SERVICES * 10));
    // Far above what a busy machine needs even without optimisation, far below what a quadratic join would take.
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// A pool of three that serves, of which so much was seen.
fn takers(seen: [Option<Liveness>; 3]) -> [bool; 3] {
    let members = [1, 2, 3].map(|number| member(number, MemberState::Enabled));
    let health: Health =
        members.iter().zip(seen).filter_map(|(member, seen)| Some((member.id, seen?))).collect();
    let want = DesiredState { pools: vec![pool(20, members.to_vec())], ..example() };
    let compiled = compile(&want, &health).unwrap();
    let takes_new = compiled.l4.services[0].backends.iter().map(|backend| backend.takes_new);
    assert_eq!(compiled.l4.standings(), standings(&want, &health), "delta and snapshot say the same");
    takes_new.collect::<Vec<_>>().try_into().unwrap()
}

/// Who of a pool is given new connections of clients that keep it, being in these states and seen so.
fn keepers<const N: usize>(members: [(MemberState, Liveness); N]) -> [bool; N] {
    let numbers = || 1..=N;
    let all = numbers().zip(members).map(|(number, (state, _))| member(number, state)).collect();
    let seen = numbers().zip(members).map(|(number, (_, seen))| (MemberId(uuid(number)), seen)).collect();
    let want = DesiredState { pools: vec![pool(20, all)], ..example() };
    let backends = compile(&want, &seen).unwrap().l4.services.remove(0).backends;
    backends.iter().map(|backend| backend.keeps).collect::<Vec<_>>().try_into().unwrap()
}

#[test]
fn members_that_drain_keep_their_clients_as_long_as_they_are_well() {
    use Liveness::{Down, Up};
    use MemberState::{Drain, Enabled};
    assert_eq!(
        keepers([(Enabled, Up), (Enabled, Down), (Drain, Up), (Drain, Down)]),
        [true, false, true, false]
    );
    assert_eq!(keepers([(Drain, Up), (Drain, Up)]), [true, true], "nobody takes others");
    assert_eq!(keepers([(Enabled, Down), (Drain, Up)]), [false, true], "too few are well");
}

#[test]
fn by_packets_clients_are_known_by_their_address_alone() {
    let keeping = |persistence: Persistence| {
        let of = Pool { persistence: Some(persistence), ..pool(20, vec![member(1, MemberState::Enabled)]) };
        let want = DesiredState { pools: vec![of], ..example() };
        compile(&want, &Health::default()).unwrap().l4.services.remove(0).persistence
    };
    let by = |kind, timeout_s| Persistence {
        kind,
        name: Some("sid".into()),
        timeout_s,
        prefix: 24,
        prefix_v6: 56,
        shared: true,
    };
    let expected = L4Persistence { prefix: 24, prefix_v6: 56, timeout_s: 300, shared: true };
    assert_eq!(keeping(by(PersistenceKind::Source, None)), Some(expected));
    let longer = L4Persistence { timeout_s: 3600, ..expected };
    assert_eq!(keeping(by(PersistenceKind::Source, Some(3600))), Some(longer));
    assert_eq!(keeping(by(PersistenceKind::Cookie, None)), None);
}

#[test]
fn members_that_are_down_take_nothing_new_but_stay() {
    let (up, down) = (Some(Liveness::Up), Some(Liveness::Down));
    assert_eq!(takers([up, down, up]), [true, false, true]);
    assert_eq!(takers([down, down, down]), [false, false, false]);
    assert_eq!(takers([None, None, None]), [true, true, true], "nobody watches");
}

#[test]
fn members_of_whom_nothing_is_known_wait_for_their_first_check_while_others_serve() {
    let (up, down, unknown) = (Some(Liveness::Up), Some(Liveness::Down), Some(Liveness::Unknown));
    assert_eq!(takers([up, unknown, down]), [true, false, false]);
    assert_eq!(takers([unknown, unknown, down]), [true, true, false], "a pool just given its first monitor");
}

/// A pool of three of which one is up, of which two are wanted; behind it a pool of two. Who takes new connections of the
/// first pool's service, and who of them is of the second.
fn below(choice: BelowMinHealthy) -> ([bool; 5], Vec<bool>) {
    let members = |numbers: &[usize]| -> Vec<_> {
        numbers.iter().map(|number| member(*number, MemberState::Enabled)).collect()
    };
    let first = Pool { min_healthy: 2, below_min_healthy: choice, ..pool(20, members(&[1, 2, 3])) };
    let want = DesiredState { pools: vec![first, pool(21, members(&[4, 3, 5]))], ..example() };
    let seen = [(1, Liveness::Up), (2, Liveness::Down), (3, Liveness::Down)];
    let health: Health = seen.into_iter().map(|(number, seen)| (MemberId(uuid(number)), seen)).collect();
    let backends = compile(&want, &health).unwrap().l4.services.remove(0).backends;
    let takes_new =
        |number| backends.iter().any(|backend| backend.address == address(number) && backend.takes_new);
    ([1, 2, 3, 4, 5].map(takes_new), backends.iter().map(|backend| backend.reserve).collect())
}

#[test]
fn too_few_members_refuse_or_all_serve_or_another_pool_does() {
    let own = vec![false; 3];
    assert_eq!(below(BelowMinHealthy::Refuse), ([false; 5], own.clone()));
    assert_eq!(below(BelowMinHealthy::AllMembers), ([true, true, true, false, false], own));
    let other = below(BelowMinHealthy::BackupPool(PoolId(uuid(21))));
    // Member 3 is in both: it is asked as one of the first pool.
    assert_eq!(other, ([false, false, false, true, true], vec![false, false, false, true, true]));
}

#[test]
fn who_drains_by_its_own_wish_takes_nothing_new_and_who_warms_up_a_share() {
    let members = [1, 2].map(|number| member(number, MemberState::Enabled));
    let share = Share::new(25).unwrap();
    let seen = |drains, share| MemberHealth { liveness: Liveness::Up, drains, share };
    let seen = [(members[0].id, seen(true, Share::FULL)), (members[1].id, seen(false, share))];
    let want = DesiredState { pools: vec![pool(20, members.to_vec())], ..example() };
    let compiled = compile(&want, &seen.into_iter().collect()).unwrap();
    let stands: Vec<_> =
        compiled.l4.services[0].backends.iter().map(|backend| (backend.takes_new, backend.share)).collect();
    assert_eq!(stands, [(false, Share::FULL), (true, share)]);
}

#[test]
fn health_never_lifts_what_the_operator_wants() {
    let want = example();
    let all_up: Health = want.pools[0].members.iter().map(|member| (member.id, Liveness::Up)).collect();
    assert_eq!(compile(&want, &all_up), compile(&want, &Health::default()));
}

fn proxied(number: usize, on: &[usize], listen: u16, pool: Option<usize>) -> ProxiedService {
    ProxiedService {
        id: VirtualServiceId(uuid(number)),
        virtual_ip_ids: on.iter().map(|ip| VirtualIpId(uuid(*ip))).collect(),
        protocol: L7Protocol::Http,
        port: port(listen),
        default_pool_id: pool.map(|pool| PoolId(uuid(pool))),
        timeouts: L7Timeouts::default(),
        tls: None,
        proxy_protocol_from: vec![],
        limits: L7Limits::default(),
        compression: None,
        policies: vec![],
        enabled: true,
    }
}

#[test]
fn what_the_appliance_answers_itself_is_not_steered() {
    let mut want = example();
    want.virtual_services.clear();
    want.proxied_services = vec![proxied(11, &[2, 1], 8080, Some(20))];
    let compiled = compile(&want, &Health::default()).unwrap();
    assert_eq!((compiled.host.services, compiled.host.members), (vec![], vec![]));
    assert_eq!(compiled.host.addresses, [address(1), address(2)]);
    assert_eq!(compiled.l4.services, []);

    assert_eq!(compiled.l7.generation, Generation(7));
    assert_eq!(compiled.l7.services[0].addresses, [address(1), address(2)]);
    let members = compiled.l7.pools[0].members.iter().map(|member| (member.address, member.takes_new));
    assert_eq!(members.collect::<Vec<_>>(), [(address(900), true), (address(700), false)]);
}

#[test]
fn both_planes_share_an_address_and_no_port() {
    let mut want = example();
    want.proxied_services = vec![proxied(11, &[1], 8080, None)];
    let compiled = compile(&want, &Health::default()).unwrap();
    assert_eq!((compiled.l4.services.len(), compiled.l7.services.len()), (2, 1));
    want.proxied_services = vec![proxied(11, &[1], 80, None)];
    assert!(matches!(compile(&want, &Health::default()), Err(CompileError::Clash { .. })));
}

/// The example's service, forwarding like this, with its members checked that way.
fn probed(forwarding: Forwarding) -> DesiredState {
    let mut want = example();
    want.virtual_services[0].forwarding = forwarding;
    want.virtual_services[0].local_addresses = match forwarding {
        Forwarding::FullNat => vec![address(50)],
        _ => vec![],
    };
    want.pools[0].probed = true;
    want
}

#[test]
fn members_that_are_checked_by_way_of_their_services_have_a_place_on_each_address() {
    let want = probed(Forwarding::Dr);
    let compiled = compile(&want, &Health::default()).unwrap();
    let ways: Vec<_> = compiled.l4.probes.iter().map(|probe| (probe.address, probe.member)).collect();
    let (taking, draining) = (MemberId(uuid(900)), MemberId(uuid(700)));
    let wanted = [(address(1), taking), (address(1), draining), (address(2), taking), (address(2), draining)];
    assert_eq!(ways, wanted, "the disabled one is not forwarded to");
    let places: std::collections::HashSet<_> = compiled.l4.probes.iter().map(|probe| probe.at).collect();
    assert_eq!(places.len(), 4);
    assert!(places.iter().all(|at| lb_model::probes::holds(at.address) && at.protocol == L4Protocol::Tcp));

    let mut other = want.clone();
    other.pools[0].members.swap(0, 1);
    other.pools[0].members.push(member(600, MemberState::Enabled));
    other.generation = Generation(8);
    let later = compile(&other, &Health::default()).unwrap().l4.probes;
    assert!(compiled.l4.probes.iter().all(|probe| later.contains(probe)), "places stay");
}

#[test]
fn what_members_answer_to_checks_is_left_to_the_plane() {
    let local = |want: &DesiredState| compile(want, &Health::default()).unwrap().host.local_addresses;
    assert_eq!(local(&probed(Forwarding::Nat)), [address(1), address(2)], "they answer the virtual IPs");
    assert_eq!(local(&example()), [] as [IpAddr; 0]);
    assert_eq!(local(&probed(Forwarding::FullNat)), [address(50)]);
    assert_eq!(
        local(&probed(Forwarding::Dr)),
        [] as [IpAddr; 0],
        "they answer past the plane, from the virtual IP"
    );
}
