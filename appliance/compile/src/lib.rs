//! Pure: what the operator wants in, what the planes and the host are told out.
//!
//! The same desired state gives the same bytes, whatever order its rows came in; nothing is read, written or
//! remembered here. Whether a plane takes what was compiled, and when, is the reconciler's business.

mod judge;
mod l7;
mod probes;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use lb_model::asking::{Persistence, PersistenceKind};
use lb_model::desired::{DesiredState, Member, MemberState, Pool, VirtualIp, VirtualService};
use lb_model::snapshot::{
    Endpoint, Forwarding, L4Backend, L4Persistence, L4Probe, L4Protocol, L4Service, PortRange, Scheduler,
    Standing,
};
use lb_model::{Health, HostPlan, L4Port, L4Snapshot, L7Snapshot, PoolId, VirtualIpId, VirtualServiceId};
use thiserror::Error;

use judge::{Rank, asked};
pub use judge::{is_below_min_healthy, standings};

/// One generation, for each of those who act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// What the layer-4 plane forwards by.
    pub l4: L4Snapshot,
    /// What the layer-7 plane works by.
    pub l7: L7Snapshot,
    /// What the host holds and steers.
    pub host: HostPlan,
}

/// Why a desired state cannot be forwarded by.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CompileError {
    /// Two services would take the same packets.
    #[error("virtual services {first} and {second} are both offered on {address} port {port}/{protocol:?}")]
    Clash {
        /// The service with the smaller id.
        first: VirtualServiceId,
        /// The other.
        second: VirtualServiceId,
        /// The address both are offered on.
        address: IpAddr,
        /// The port of both.
        port: L4Port,
        /// The protocol of both.
        protocol: L4Protocol,
    },
    /// A service on a virtual IP that is not there.
    #[error("virtual service {service} names virtual IP {virtual_ip}, which does not exist")]
    NoVirtualIp {
        /// The service.
        service: VirtualServiceId,
        /// What it names.
        virtual_ip: VirtualIpId,
    },
    /// A service of a pool that is not there.
    #[error("virtual service {service} names pool {pool}, which does not exist")]
    NoPool {
        /// The service.
        service: VirtualServiceId,
        /// What it names.
        pool: PoolId,
    },
}

/// Compiles `want` in the light of what was `seen` of the members.
///
/// A service is offered once on each enabled virtual IP that it names. Disabled members are left out; those that drain
/// or are down take no new connections.
pub fn compile(want: &DesiredState, seen: &Health) -> Result<Compiled, CompileError> {
    let services = offered(want, seen)?;
    let l7 = l7::snapshot(want, seen)?;
    refuse_clashes(services.iter().map(offer).chain(l7::offers(&l7)))?;
    let probes = probes::probes(want, &services);
    let host = host_plan(want, &services, &probes);
    Ok(Compiled { l4: L4Snapshot { generation: want.generation, services, probes }, l7, host })
}

/// Every enabled service on every enabled address of its own, by id and address.
fn offered(want: &DesiredState, seen: &Health) -> Result<Vec<L4Service>, CompileError> {
    let virtual_ips: HashMap<_, _> = want.virtual_ips.iter().map(|ip| (ip.id, ip)).collect();
    let pools: HashMap<_, _> = want.pools.iter().map(|pool| (pool.id, pool)).collect();
    let mut services = Vec::with_capacity(want.virtual_services.len());
    for service in want.virtual_services.iter().filter(|service| service.enabled) {
        let served = Served::by(service, &pools, seen)?;
        for address in addresses(service.id, &service.virtual_ip_ids, &virtual_ips)? {
            services.push(served.on(address, service));
        }
    }
    services.sort_unstable_by_key(|service| (service.id, service.address));
    Ok(services)
}

/// How a service is served: the same on each of its addresses.
struct Served {
    scheduler: Scheduler,
    persistence: Option<L4Persistence>,
    backends: Vec<L4Backend>,
}

impl Served {
    fn by(
        service: &VirtualService,
        pools: &HashMap<PoolId, &Pool>,
        seen: &Health,
    ) -> Result<Self, CompileError> {
        let Some(id) = service.default_pool_id else {
            return Ok(Self { scheduler: Scheduler::RoundRobin, persistence: None, backends: Vec::new() });
        };
        let pool = pools.get(&id).ok_or(CompileError::NoPool { service: service.id, pool: id })?;
        let backends = asked(pool, pools, seen).map(|(member, rank)| backend(member, rank));
        let mut backends: Vec<_> = backends.collect();
        if service.port_end.is_some() {
            // By many ports a server is one member, whatever port it is checked on.
            let mut addresses = HashSet::new();
            backends.retain(|backend| addresses.insert(backend.address));
        }
        let persistence = pool.persistence.as_ref().and_then(persistence);
        Ok(Self { scheduler: pool.algorithm, persistence, backends })
    }

    fn on(&self, address: IpAddr, service: &VirtualService) -> L4Service {
        let VirtualService {
            id,
            virtual_ip_ids: _,
            protocol,
            port,
            port_end,
            forwarding,
            tunnel,
            local_addresses,
            default_pool_id: _,
            timeouts,
            admission,
            unserved,
            ended,
            enabled: _,
        } = service;
        L4Service {
            id: *id,
            address,
            port: *port,
            port_end: *port_end,
            protocol: *protocol,
            forwarding: *forwarding,
            tunnel: *tunnel,
            local_addresses: local_addresses.clone(),
            scheduler: self.scheduler,
            timeouts: *timeouts,
            admission: admission.clone(),
            unserved: *unserved,
            ended: *ended,
            persistence: self.persistence,
            backends: self.backends.clone(),
        }
    }
}

/// How clients keep their members where nothing but their address is known.
fn persistence(of: &Persistence) -> Option<L4Persistence> {
    let Persistence { kind, name: _, timeout_s, prefix, prefix_v6, shared } = of;
    let timeout_s = timeout_s.unwrap_or(Persistence::SOURCE_TIMEOUT_S);
    (*kind == PersistenceKind::Source).then_some(L4Persistence {
        prefix: *prefix,
        prefix_v6: *prefix_v6,
        timeout_s,
        shared: *shared,
    })
}

fn backend(member: &Member, rank: Rank) -> L4Backend {
    let Member { id, address, port, state, weight, backup, connection_limit, drain_timeout_s } = member;
    let Rank { reserve, standing: Standing { member: _, takes_new, keeps, share } } = rank;
    L4Backend {
        member: *id,
        address: *address,
        port: *port,
        takes_new,
        keeps,
        weight: *weight,
        share,
        backup: *backup,
        reserve,
        connection_limit: *connection_limit,
        drain_timeout_s: drain_timeout_s.filter(|_| *state == MemberState::Drain),
    }
}

/// The enabled addresses of a service's virtual IPs.
fn addresses(
    service: VirtualServiceId,
    virtual_ip_ids: &[VirtualIpId],
    virtual_ips: &HashMap<VirtualIpId, &VirtualIp>,
) -> Result<Vec<IpAddr>, CompileError> {
    let mut addresses = Vec::with_capacity(virtual_ip_ids.len());
    for id in virtual_ip_ids {
        let missing = CompileError::NoVirtualIp { service, virtual_ip: *id };
        let virtual_ip = virtual_ips.get(id).ok_or(missing)?;
        if virtual_ip.enabled {
            addresses.push(virtual_ip.address);
        }
    }
    Ok(addresses)
}

/// A service, and ports of it that no other may have.
type Offer = (PortRange, VirtualServiceId);

fn refuse_clashes(offers: impl Iterator<Item = Offer>) -> Result<(), CompileError> {
    let mut offers: Vec<_> = offers.collect();
    let Some([(_, one), (next, other)]) = PortRange::clash(&mut offers) else { return Ok(()) };
    let PortRange { address, protocol, first: port, last: _ } = next;
    Err(CompileError::Clash { first: one.min(other), second: one.max(other), address, port, protocol })
}

fn offer(service: &L4Service) -> Offer {
    (service.ports_at(service.address), service.id)
}

/// The addresses of services by NAT whose members are checked that way: to them what the checks' members answer comes back.
fn probed_by_nat<'a>(services: &'a [L4Service], probes: &'a [L4Probe]) -> impl Iterator<Item = IpAddr> + 'a {
    let by_nat = services.iter().filter(|service| service.forwarding == Forwarding::Nat);
    let by_nat: HashSet<_> = by_nat.map(|service| (service.id, service.address)).collect();
    let ways = probes.iter().filter(move |probe| by_nat.contains(&(probe.service, probe.address)));
    ways.map(|probe| probe.address)
}

fn host_plan(want: &DesiredState, services: &[L4Service], probes: &[L4Probe]) -> HostPlan {
    let held = want.virtual_ips.iter().filter(|ip| ip.enabled).map(|ip| ip.address);
    let (single, several): (Vec<_>, Vec<_>) = services.iter().partition(|service| service.port_end.is_none());
    let checked: HashSet<_> =
        probes.iter().map(|probe| (probe.service, probe.address, probe.member)).collect();
    // Of those that answer by several ports the one that they are checked on may be another.
    let answers = |service: &L4Service, backend: &L4Backend| {
        service.port_end.is_none() || checked.contains(&(service.id, service.address, backend.member))
    };
    let backends =
        services.iter().filter(|service| service.forwarding.replies_return()).flat_map(|service| {
            let backends = service.backends.iter().filter(move |backend| answers(service, backend));
            backends.map(|backend| Endpoint {
                address: backend.address,
                port: backend.port,
                protocol: service.protocol,
            })
        });
    let member_ranges = several
        .iter()
        .filter(|service| service.forwarding.replies_return())
        .flat_map(|service| service.backends.iter().map(|backend| service.ports_at(backend.address)));
    let local = || services.iter().flat_map(|service| &service.local_addresses).copied();
    HostPlan {
        generation: want.generation,
        addresses: sorted(held.chain(local())),
        local_addresses: sorted(local().chain(probed_by_nat(services, probes))),
        services: sorted(single.iter().map(|service| offered_on(service))),
        service_ranges: PortRange::merged(several.iter().map(|service| service.ports_at(service.address))),
        members: sorted(backends),
        member_ranges: PortRange::merged(member_ranges),
    }
}

fn offered_on(service: &L4Service) -> Endpoint {
    Endpoint { address: service.address, port: service.port, protocol: service.protocol }
}

/// Each once, in order.
fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = items.collect();
    all.sort_unstable();
    all.dedup();
    all
}
