//! What holds for every desired state.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use lb_compile::{CompileError, compile};
use lb_model::asking::Retries;
use lb_model::desired::{
    BelowMinHealthy, DesiredState, Member, MemberState, Pool, VirtualIp, VirtualService,
};
use lb_model::l7::Manner;
use lb_model::snapshot::{
    Admission, Ended, Endpoint, Forwarding, L4Protocol, Scheduler, Timeouts, Unserved, Weight,
};
use lb_model::{Generation, Health, L4Port, MemberId, PoolId, VirtualIpId, VirtualServiceId};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use uuid::Uuid;

fn id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn member() -> impl Strategy<Value = Member> {
    let states = vec![MemberState::Enabled, MemberState::Drain, MemberState::Disabled];
    (id(), any::<u32>(), 1..=u16::MAX, select(states)).prop_map(|(id, address, port, state)| Member {
        id: MemberId(id),
        address: IpAddr::V4(Ipv4Addr::from_bits(address)),
        port: L4Port::new(port).unwrap(),
        state,
        weight: Weight::default(),
        backup: false,
        connection_limit: None,
        drain_timeout_s: None,
    })
}

fn pool() -> impl Strategy<Value = Pool> {
    (id(), any::<bool>(), prop::collection::vec(member(), 0..5)).prop_map(|(id, enabled, members)| Pool {
        id: PoolId(id),
        algorithm: Scheduler::RoundRobin,
        enabled,
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
    })
}

/// Few addresses and ports, so that clashes are as likely as their absence.
fn virtual_ips() -> impl Strategy<Value = Vec<VirtualIp>> {
    prop::collection::vec((id(), any::<bool>()), 1..6).prop_map(|all| {
        let numbered = (1..).zip(all);
        let held = |(last, (id, enabled))| VirtualIp {
            id: VirtualIpId(id),
            address: IpAddr::from([192, 0, 2, last]),
            enabled,
        };
        numbered.map(held).collect()
    })
}

fn desired() -> impl Strategy<Value = DesiredState> {
    let wish = (id(), any::<Index>(), 1..20u16, prop::option::of(any::<Index>()), any::<bool>());
    let parts = (virtual_ips(), prop::collection::vec(pool(), 1..5), prop::collection::vec(wish, 0..8));
    (any::<u64>(), parts).prop_map(|(generation, (virtual_ips, pools, wishes))| {
        let service =
            |(id, ip, port, pool, enabled): (Uuid, Index, u16, Option<Index>, bool)| VirtualService {
                id: VirtualServiceId(id),
                virtual_ip_ids: vec![ip.get(&virtual_ips).id],
                protocol: L4Protocol::Tcp,
                port: L4Port::new(port).unwrap(),
                port_end: None,
                forwarding: Forwarding::Nat,
                tunnel: None,
                local_addresses: vec![],
                default_pool_id: pool.map(|pool| pool.get(&pools).id),
                timeouts: Timeouts { opening_s: 60, idle_s: 300, closing_s: 60 },
                admission: Admission::default(),
                unserved: Unserved::default(),
                ended: Ended::default(),
                enabled,
            };
        let virtual_services = wishes.into_iter().map(service).collect();
        DesiredState {
            generation: Generation(generation),
            virtual_ips,
            virtual_services,
            proxied_services: vec![],
            pools,
            certificates: vec![],
        }
    })
}

fn is_sorted_set<T: Ord>(items: &[T]) -> bool {
    items.windows(2).all(|pair| pair[0] < pair[1])
}

proptest! {
    #[test]
    fn no_packet_has_two_services(want in desired()) {
        match compile(&want, &Health::default()) {
            Ok(compiled) => {
                let mut taken = HashSet::new();
                for service in &compiled.l4.services {
                    prop_assert!(taken.insert((service.address, service.port, service.protocol)));
                }
            }
            Err(CompileError::Clash { first, second, port, .. }) => {
                let offered: Vec<_> = want.virtual_services.iter()
                    .filter(|service| [first, second].contains(&service.id))
                    .collect();
                prop_assert_eq!(offered.len(), 2);
                prop_assert!(offered.iter().all(|service| service.enabled && service.port == port));
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn the_host_steers_what_the_plane_forwards(want in desired()) {
        let Ok(compiled) = compile(&want, &Health::default()) else { return Ok(()) };
        prop_assert!(is_sorted_set(&compiled.host.addresses));
        prop_assert!(is_sorted_set(&compiled.host.services));
        prop_assert!(is_sorted_set(&compiled.host.members));
        for service in &compiled.l4.services {
            let (address, port, protocol) = (service.address, service.port, service.protocol);
            let service_steered = compiled.host.services.contains(&Endpoint { address, port, protocol });
            prop_assert!(service_steered);
            prop_assert!(compiled.host.addresses.contains(&address));
            for backend in &service.backends {
                let (address, port) = (backend.address, backend.port);
                let member_steered = compiled.host.members.contains(&Endpoint { address, port, protocol });
                prop_assert!(member_steered);
            }
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter(want in desired()) {
        let mut turned = want.clone();
        turned.virtual_ips.reverse();
        turned.virtual_services.reverse();
        turned.pools.reverse();
        let (Ok(one), Ok(other)) = (compile(&want, &Health::default()), compile(&turned, &Health::default())) else { return Ok(()) };
        prop_assert_eq!(serde_json::to_vec(&one.l4).unwrap(), serde_json::to_vec(&other.l4).unwrap());
        prop_assert_eq!(serde_json::to_vec(&one.host).unwrap(), serde_json::to_vec(&other.host).unwrap());
    }
}
