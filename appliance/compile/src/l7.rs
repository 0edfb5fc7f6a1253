//! What the layer-7 plane is told: proxied services on their enabled addresses, and the pools that they name.

use std::collections::{BTreeMap, HashMap, HashSet};

use lb_model::desired::{DesiredState, Member, MemberState, Pool, ProxiedService};
use lb_model::l7::{L7Certificate, L7Member, L7Pool, L7Service};
use lb_model::policy::L7Policy;
use lb_model::snapshot::{L4Protocol, PortRange, Standing};
use lb_model::{Health, L7Snapshot, PoolId};

use crate::judge::{Rank, asked};
use crate::{CompileError, Offer, addresses};

pub(crate) fn snapshot(want: &DesiredState, seen: &Health) -> Result<L7Snapshot, CompileError> {
    let virtual_ips: HashMap<_, _> = want.virtual_ips.iter().map(|ip| (ip.id, ip)).collect();
    let pools: HashMap<_, _> = want.pools.iter().map(|pool| (pool.id, pool)).collect();
    let mut services = Vec::new();
    let mut named = BTreeMap::new();
    for wanted in want.proxied_services.iter().filter(|service| service.enabled) {
        let ProxiedService { id, virtual_ip_ids, protocol, port, default_pool_id, .. } = wanted;
        let ProxiedService {
            timeouts,
            tls,
            policies,
            proxy_protocol_from,
            limits,
            compression,
            enabled: _,
            ..
        } = wanted;
        let mut on = addresses(*id, virtual_ip_ids, &virtual_ips)?;
        if on.is_empty() {
            continue;
        }
        on.sort_unstable();
        for pool in default_pool_id.iter().copied().chain(policies.iter().flat_map(L7Policy::pools)) {
            let missing = CompileError::NoPool { service: *id, pool };
            named.insert(pool, *pools.get(&pool).ok_or(missing)?);
        }
        services.push(L7Service {
            id: *id,
            addresses: on,
            port: *port,
            protocol: *protocol,
            pool: *default_pool_id,
            timeouts: *timeouts,
            tls: tls.clone(),
            policies: policies.clone(),
            proxy_protocol_from: proxy_protocol_from.clone(),
            limits: *limits,
            compression: compression.clone(),
        });
    }
    services.sort_unstable_by_key(|service| service.id);
    let pools: Vec<_> = named.into_iter().map(|(id, of)| pool(id, of, &pools, seen)).collect();
    let certificates = shown(want, &services, &pools);
    Ok(L7Snapshot { generation: want.generation, services, pools, certificates })
}

/// The certificates that somebody shows, and no others: the plane need not know what nobody uses.
fn shown(want: &DesiredState, services: &[L7Service], pools: &[L7Pool]) -> Vec<L7Certificate> {
    let to_clients =
        services.iter().filter_map(|service| service.tls.as_ref()).flat_map(|tls| &tls.certificates);
    let to_members = pools.iter().filter_map(|pool| pool.manner.tls.as_ref()?.certificate.as_ref());
    let named: HashSet<_> = to_clients.chain(to_members).collect();
    let mut certificates: Vec<_> =
        want.certificates.iter().filter(|certificate| named.contains(&certificate.id)).cloned().collect();
    certificates.sort_unstable_by_key(|certificate| certificate.id);
    certificates
}

/// Every end that is offered.
pub(crate) fn offers(snapshot: &L7Snapshot) -> impl Iterator<Item = Offer> {
    snapshot.services.iter().flat_map(|service| {
        service.addresses.iter().map(|address| {
            let (first, last) = (service.port, service.port);
            (PortRange { address: *address, protocol: L4Protocol::Tcp, first, last }, service.id)
        })
    })
}

fn pool(id: PoolId, of: &Pool, pools: &HashMap<PoolId, &Pool>, seen: &Health) -> L7Pool {
    let members = asked(of, pools, seen).map(|(member, rank)| self::member(member, rank)).collect();
    L7Pool {
        id,
        scheduler: of.algorithm,
        persistence: of.persistence.clone(),
        retries: of.retries.clone(),
        outlier: of.outlier,
        queue: of.queue,
        breaker: of.breaker,
        hedge: of.hedge,
        members,
        manner: of.manner.clone(),
    }
}

fn member(of: &Member, rank: Rank) -> L7Member {
    let Member { id, address, port, state, weight, backup, connection_limit, drain_timeout_s: _ } = of;
    let Rank { reserve, standing: Standing { member: _, takes_new, keeps: _, share } } = rank;
    L7Member {
        id: *id,
        address: *address,
        port: *port,
        takes_new,
        keeps: *state == MemberState::Drain,
        weight: *weight,
        share,
        backup: *backup,
        reserve,
        // A member of this plane has connections that wait for their next request: what it has to do are requests.
        request_limit: *connection_limit,
    }
}
