//! What a burst is forwarded by: one configuration and one view of the network, never a mixture.
//!
//! The [`Planner`] builds tables from what was published and what the kernel knows. It keeps the slots of services,
//! backends and next hops from one table to the next, so that flows and counters need not move.

mod check;
mod offer;
mod slots;

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use lb_mem::NOBODY;
use lb_model::snapshot::{
    Admission, Ended, Forwarding, Generation, L4Backend, L4Probe, L4Service, L4Snapshot, Scheduler, Share,
    Unserved, Weight,
};
use lb_model::{MemberId, Tunnel, VirtualServiceId};

pub(crate) use offer::Offer;

pub use self::check::TablesError;
use self::check::check;
use self::offer::{member_end, member_ranges};
use self::slots::Slots;
use crate::TICKS_PER_SECOND;
use crate::admission::Gate;
use crate::half_open::Guard;
use crate::hash::{FastMap, FastSet};
use crate::network::{NOWHERE, Network, NextHop, PortView, RouteTable, raw, words};
use crate::persistence::{Keeping, known_by};
use crate::ranges::Ranges;
use crate::rates::Metered;
use crate::rewrite::Mode;
use crate::schedule::{Schedule, Taker, mix, table_size};
use crate::state::Patience;
use crate::tunnel::{Family, Outer};
use crate::verdict::{Awaited, PortIndex};

/// How many virtual services the plane has room for.
pub const MAX_SERVICES: usize = 1 << 14;
/// How many backends, over all services.
pub const MAX_BACKENDS: usize = 1 << 17;
/// Slots for them: as many again, because those of a removed backend are free only after the change that removes it.
pub const BACKEND_SLOTS: usize = 2 * MAX_BACKENDS;

/// Everything that workers read and nobody changes.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// The configuration this was built from.
    pub generation: Generation,
    /// The ports.
    pub ports: Vec<PortView>,
    /// Changes when what flows remember of backends and next hops may be wrong. Never 0.
    pub epoch: u32,
    /// The epoch since which no backend has gone.
    pub(crate) backends_since: u32,
    /// By slot of the service.
    pub(crate) schedules: Arc<Vec<Arc<Schedule>>>,
    any_keeping: bool,
    configured: Arc<Configured>,
    pub(crate) next_hops: Vec<NextHop>,
    /// What packets to a backend are wrapped in, by its slot.
    outers: Vec<Option<Outer>>,
    /// By slot of a check's service the address of this host that its member answers to.
    answered_at: FastMap<u32, [IpAddr; 1]>,
    locals: FastSet<IpAddr>,
    by_neighbour: FastMap<Awaited, u32>,
    routes: RouteTable,
}

/// A member of a service's pool.
#[derive(Clone, Copy, Debug)]
pub struct Backend {
    /// How long its flows may be silent.
    pub(crate) patience: Patience,
    endpoint: Endpoint,
    /// How packets reach it.
    pub(crate) mode: Mode,
    /// The slot of its service.
    pub(crate) service: u32,
    /// Where `limits` has its member's, or [`NOBODY`].
    limit: u32,
}

/// The port of a member that gets packets on the port that clients sent them to. Nobody's own: port 0 is not used.
const AS_ASKED: u16 = 0;

impl Backend {
    /// Where packets go that clients sent to `offered`.
    #[inline]
    pub(crate) fn end(&self, offered: Endpoint) -> Endpoint {
        let port = if self.endpoint.port == AS_ASKED { offered.port } else { self.endpoint.port };
        Endpoint { port, ..self.endpoint }
    }
}

/// A backend that is reached by a tunnel.
#[derive(Clone, Copy, Debug)]
struct TunnelTo {
    slot: u32,
    member: IpAddr,
    tunnel: Tunnel,
    inner: Family,
}

/// How many connections a member or a service may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) most: NonZeroU32,
    /// The slots of all its backends.
    pub(crate) backends: Vec<u32>,
}

/// Who has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Limited {
    Member(MemberId),
    Service(VirtualServiceId),
}

/// An address and port with their protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port, as it lies in memory.
    pub port: u16,
    /// The transport protocol.
    pub protocol: u8,
}

impl Hash for Endpoint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let rest = u64::from(self.port) << 32 | u64::from(self.protocol) << 48;
        match self.address {
            IpAddr::V4(address) => state.write_u64(u64::from(raw(address)) | rest),
            IpAddr::V6(address) => {
                let [first, second] = words(address);
                state.write_u64(first);
                state.write_u64(second ^ rest);
            }
        }
    }
}

/// An address in 32 bits: itself, or of IPv6 what it is mixed down to. The same on every appliance.
pub(crate) fn digest(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => raw(address),
        IpAddr::V6(address) => {
            let [first, second] = words(address);
            mix(first ^ mix(second)) as u32
        }
    }
}

impl Tables {
    /// The slot of the service that offers an endpoint: of those of one port, or else of those of several.
    #[inline]
    pub(crate) fn service(&self, endpoint: Endpoint) -> Option<u32> {
        let Configured { by_endpoint, ranges, .. } = &*self.configured;
        by_endpoint.get(&endpoint).or_else(|| ranges.find(endpoint)).copied()
    }

    /// The slot of a member within a service, if it still serves it.
    pub(crate) fn backend_slot(&self, offered: Endpoint, member: Endpoint) -> Option<u32> {
        let by_backend = &self.configured.by_backend;
        let service = self.service(offered)?;
        let as_asked = || {
            let key = (service, Endpoint { port: AS_ASKED, ..member });
            by_backend.get(&key).filter(|_| member.port == offered.port)
        };
        by_backend.get(&(service, member)).or_else(as_asked).copied()
    }

    /// The backend in a slot.
    #[inline]
    pub(crate) fn backend(&self, slot: u32) -> Option<&Backend> {
        self.configured.backends.get(slot as usize)
    }

    /// What packets to a backend are wrapped in; nothing without a way to it.
    #[inline]
    pub(crate) fn outer(&self, backend: u32) -> Option<&Outer> {
        self.outers.get(backend as usize)?.as_ref()
    }

    /// The limit of a backend's member, if it has one.
    pub(crate) fn limit(&self, backend: u32) -> Option<&Limit> {
        self.configured.limits.get(self.backend(backend)?.limit as usize)
    }

    /// Whether those who ask a service for a connection that nobody takes are told.
    pub(crate) fn refuses(&self, service: u32) -> bool {
        self.configured.unserved.get(service as usize) == Some(&Unserved::Reset)
    }

    /// Whether both ends of a service's flows are told when these are ended here.
    pub(crate) fn resets(&self, service: u32) -> bool {
        self.configured.ended.get(service as usize) == Some(&Ended::Reset)
    }

    /// The backends whose flows end some time, and after how many ticks.
    pub(crate) fn drains(&self) -> &[(u32, u32)] {
        &self.configured.drains
    }

    /// What members of a service see in the place of its clients.
    pub(crate) fn local_addresses(&self, service: u32) -> &[IpAddr] {
        if let Some(own) = self.answered_at.get(&service) {
            return own;
        }
        self.configured.local_addresses.get(service as usize).map_or(&[], |addresses| addresses)
    }

    /// Whether an address is one that members see in the place of clients.
    pub(crate) fn masks(&self, address: IpAddr) -> bool {
        self.configured.masks.contains(&address)
    }

    /// The service in a slot.
    pub(crate) fn service_id(&self, service: u32) -> Option<VirtualServiceId> {
        self.configured.service_ids.get(service as usize).copied().flatten()
    }

    /// The service and the member of a backend.
    pub(crate) fn parties(&self, backend: u32) -> Option<(VirtualServiceId, MemberId)> {
        self.configured.parties.get(backend as usize).copied().flatten()
    }

    /// How the clients of a backend's service keep their members, if they do.
    pub(crate) fn keeping(&self, backend: u32) -> Option<&Keeping> {
        self.schedules.get(self.backend(backend)?.service as usize)?.keeping.as_ref()
    }

    /// Whether the clients of any service keep their members.
    pub(crate) fn any_keeping(&self) -> bool {
        self.any_keeping
    }

    /// What a service asks of its clients, if anything.
    pub(crate) fn gate(&self, service: u32) -> Option<&Gate> {
        self.configured.gates.get(service as usize)?.as_deref()
    }

    /// What a service's rates are, if it has any.
    pub(crate) fn metered(&self, service: u32) -> Option<&Metered> {
        self.gate(service)?.metered()
    }

    /// When a service answers floods with cookies, if ever.
    pub(crate) fn guard(&self, service: u32) -> Option<Guard> {
        self.gate(service)?.guard()
    }

    /// Whether any service does.
    pub(crate) fn any_guarded(&self) -> bool {
        self.configured.any_guarded
    }

    /// Those of all services.
    pub(crate) fn all_metered(&self) -> &[Metered] {
        &self.configured.metered
    }

    /// The limit of a service, if it has one.
    pub(crate) fn service_limit(&self, gate: &Gate) -> Option<&Limit> {
        self.configured.limits.get(gate.limit as usize)
    }

    /// Whether replies of members come from there.
    pub(crate) fn is_member(&self, endpoint: Endpoint) -> bool {
        self.configured.members.contains(&endpoint) || self.is_one_of_many(endpoint)
    }

    /// Whether replies of members come from there only because they come from any port of many: of what a member sends by these, not
    /// all is a reply.
    pub(crate) fn is_one_of_many(&self, endpoint: Endpoint) -> bool {
        let Configured { members, member_ranges, .. } = &*self.configured;
        member_ranges.find(endpoint).is_some() && !members.contains(&endpoint)
    }

    /// Whether members answer checks from there, as if they were asked by a client.
    pub(crate) fn is_answered_by(&self, endpoint: Endpoint) -> bool {
        self.configured.answers.contains(&endpoint)
    }

    /// The address of the member that a check by this backend is for.
    pub(crate) fn probed(&self, backend: u32) -> Option<IpAddr> {
        self.configured.probed.get(&backend).copied()
    }

    /// Whether checks come by way of this plane.
    pub fn has_probes(&self) -> bool {
        !self.configured.probed.is_empty()
    }

    /// Whether a piece of a packet between these addresses can be one of a service's.
    pub(crate) fn may_be_ours(&self, source: IpAddr, destination: IpAddr) -> bool {
        self.configured.service_addresses.contains(&destination)
            || (self.configured.member_addresses.contains(&source) && !self.is_local(destination))
    }

    /// Whether the host itself has this address.
    pub(crate) fn is_local(&self, address: IpAddr) -> bool {
        self.locals.contains(&address)
    }

    /// The slot of the next hop towards an address; what is awaited if it is not known yet; nothing without a route.
    pub(crate) fn next_hop_towards(&self, address: IpAddr) -> Option<Result<u32, Awaited>> {
        let (port, address) = self.routes.neighbour(address)?;
        let awaited = Awaited { port, address };
        Some(self.by_neighbour.get(&awaited).copied().ok_or(awaited))
    }

    /// The most bytes that an IP packet may have at a port.
    pub(crate) fn mtu(&self, port: PortIndex) -> u16 {
        self.ports.get(usize::from(port.0)).map_or(u16::MAX, |view| view.mtu)
    }

    /// Whether a next hop is the destination itself, and no router.
    pub(crate) fn is_neighbour(&self, next_hop: u32, destination: IpAddr) -> bool {
        self.next_hops.get(next_hop as usize).is_some_and(|hop| hop.address == destination)
    }

    /// The next hop that was awaited, once it is there.
    pub fn resolved(&self, awaited: Awaited) -> Option<&NextHop> {
        let slot = *self.by_neighbour.get(&awaited)?;
        self.next_hops.get(slot as usize).filter(|hop| hop.resolved)
    }
}

/// Builds tables, each from the one before.
#[derive(Debug, Default)]
pub struct Planner {
    services: Slots<(VirtualServiceId, Offer)>,
    backends: Slots<(VirtualServiceId, MemberId, Offer, Endpoint, Mode)>,
    next_hops: Slots<Awaited>,
    meters: Slots<VirtualServiceId>,
    guards: Slots<VirtualServiceId>,
    epoch: u32,
    backends_since: u32,
    last_routes: RouteTable,
    configured: Arc<Configured>,
    schedules: Arc<Vec<Arc<Schedule>>>,
}

/// The part of the tables that only a publication changes.
#[derive(Clone, Debug, Default)]
struct Configured {
    generation: Generation,
    /// By slot of the service.
    service_ids: Vec<Option<VirtualServiceId>>,
    backends: Vec<Backend>,
    /// By slot of the backend: whose it is. Apart, as only people ask.
    parties: Vec<Option<(VirtualServiceId, MemberId)>>,
    tunnels: Vec<TunnelTo>,
    limits: Vec<Limit>,
    limit_of: FastMap<Limited, u32>,
    /// By slot of the service; none where everybody may and no limit is set.
    gates: Vec<Option<Arc<Gate>>>,
    metered: Vec<Metered>,
    any_guarded: bool,
    /// Services of which each packet is looked at.
    policed: FastSet<VirtualServiceId>,
    /// By slot of the service.
    unserved: Vec<Unserved>,
    /// Likewise.
    ended: Vec<Ended>,
    drains: Vec<(u32, u32)>,
    /// By slot of the service.
    local_addresses: Vec<Arc<[IpAddr]>>,
    /// Those of all services.
    masks: FastSet<IpAddr>,
    by_endpoint: FastMap<Endpoint, u32>,
    /// The services of several ports.
    ranges: Ranges<u32>,
    /// By slot of the service and the member's end.
    by_backend: FastMap<(u32, Endpoint), u32>,
    members: FastSet<Endpoint>,
    /// Members that serve on several.
    member_ranges: Ranges<()>,
    service_addresses: FastSet<IpAddr>,
    member_addresses: FastSet<IpAddr>,
    /// Addresses that packets are sent to.
    targets: FastSet<IpAddr>,
    /// By slot of a backend that only checks use, the address of its member.
    probed: FastMap<u32, IpAddr>,
    /// Slots of services that only checks use and whose members answer to an address of this host, and these members.
    answered: Vec<(u32, IpAddr)>,
    /// Where they answer from.
    answers: FastSet<Endpoint>,
}

impl Planner {
    /// A planner whose first epoch is `epoch`: other than that of the process before, whose flows are attached.
    pub fn new(epoch: u32) -> Self {
        Self { epoch: epoch.max(1), backends_since: epoch.max(1), ..Self::default() }
    }

    fn next_epoch(&mut self) {
        self.epoch = self.epoch.wrapping_add(1).max(1);
    }

    /// Takes a publication. On an error nothing has changed.
    pub fn publish(&mut self, snapshot: &L4Snapshot) -> Result<(), TablesError> {
        check(snapshot)?;
        let mut next = Configured { generation: snapshot.generation, ..Configured::default() };
        let mut schedules = Vec::new();
        self.services.begin();
        self.backends.begin();
        self.meters.begin();
        self.guards.begin();
        for service in &snapshot.services {
            let (slot, schedule) = self.place_service(&mut next, service);
            put(&mut schedules, slot, schedule, Arc::default);
        }
        let offered: HashMap<_, _> =
            snapshot.services.iter().map(|service| ((service.id, service.address), service)).collect();
        next.member_ranges = member_ranges(snapshot);
        for probe in &snapshot.probes {
            let Some(service) = offered.get(&(probe.service, probe.address)) else { continue };
            let Some(backend) = service.backends.iter().find(|backend| backend.member == probe.member) else {
                continue;
            };
            let (slot, schedule) = self.place_probe(&mut next, probe, service, backend);
            put(&mut schedules, slot, schedule, Arc::default);
        }
        self.services.end();
        self.meters.end();
        self.guards.end();
        if !next.policed.is_subset(&self.configured.policed) {
            // Flows that just pass must notice that they may not any more.
            self.next_epoch();
        }
        let unmasked = self.configured.masks.iter().any(|address| !next.masks.contains(address));
        if self.backends.end() | unmasked {
            // Flows of a backend or a local address that is gone must notice.
            self.next_epoch();
            self.backends_since = self.epoch;
        }
        (self.configured, self.schedules) = (Arc::new(next), Arc::new(schedules));
        Ok(())
    }

    /// Takes a service of the last publication again, whose backends are the same and stand otherwise. Flows keep
    /// theirs: nothing that they remember has changed.
    pub fn restate(&mut self, service: &L4Service) {
        let Some(slot) = self.services.by_key.get(&(service.id, Offer::of(service))).copied() else { return };
        let mut placed = Vec::with_capacity(service.backends.len());
        for backend in &service.backends {
            let key = (slot, member_end(service, backend));
            placed.push(self.configured.by_backend.get(&key).copied().unwrap_or(NOBODY));
        }
        let schedule = self.schedule(slot, service, &placed);
        put(Arc::make_mut(&mut self.schedules), slot, schedule, Arc::default);
    }

    fn place_service(&mut self, next: &mut Configured, service: &L4Service) -> (u32, Arc<Schedule>) {
        let offered = Offer::of(service);
        let slot = self.services.keep((service.id, offered));
        let patience = Patience::from(service.timeouts);
        let mut placed = Vec::with_capacity(service.backends.len());
        for backend in &service.backends {
            placed.push(self.place_backend(next, (service, slot), offered, backend, patience));
        }
        let rates = service.admission.rates;
        let metered = rates.map(|rates| Metered::new(rates, service.id, self.meters.keep(service.id)));
        if metered.is_some_and(|metered| metered.polices()) {
            next.policed.insert(service.id);
        }
        next.metered.extend(metered);
        let from = service.admission.syn_cookies_from;
        let guard = from.map(|from| Guard { slot: self.guards.keep(service.id), from });
        next.any_guarded |= guard.is_some();
        let gate = next.gate(service, &placed, metered, guard);
        put(&mut next.service_ids, slot, Some(service.id), || None);
        put(&mut next.gates, slot, gate, || None);
        put(&mut next.local_addresses, slot, service.local_addresses.as_slice().into(), Arc::default);
        next.masks.extend(&service.local_addresses);
        put(&mut next.unserved, slot, service.unserved, Unserved::default);
        put(&mut next.ended, slot, service.ended, Ended::default);
        match service.port_end {
            None => drop(next.by_endpoint.insert(offered.first, slot)),
            Some(_) => next.ranges.insert(offered, slot),
        }
        next.service_addresses.insert(service.address);
        (slot, self.schedule(slot, service, &placed))
    }

    /// Checks find a service of their own, with one backend: the same way to the member, and nobody else's turn or count.
    fn place_probe(
        &mut self,
        next: &mut Configured,
        probe: &L4Probe,
        service: &L4Service,
        backend: &L4Backend,
    ) -> (u32, Arc<Schedule>) {
        let protocol = service.protocol.number();
        let at = endpoint(probe.at.address, probe.at.port.get(), protocol);
        let offer = Offer { first: at, last: probe.at.port.get() };
        let slot = self.services.keep((service.id, offer));
        let returns = service.forwarding.replies_return();
        let member = endpoint(backend.address, backend.port.get(), protocol);
        // Of several ports the one is checked that its member has.
        let port = if service.port_end.is_some() { backend.port } else { service.port };
        let offered = endpoint(service.address, port.get(), protocol);
        let asked = if returns { member } else { offered };
        let mode = Mode::of_probe(service.forwarding);
        let placed = self.backends.keep((service.id, backend.member, offer, asked, mode));
        let patience = Patience::from(service.timeouts);
        put(
            &mut next.backends,
            placed,
            Backend { patience, endpoint: asked, mode, service: slot, limit: NOBODY },
            Backend::nobody,
        );
        next.by_backend.insert((slot, asked), placed);
        next.by_endpoint.insert(at, slot);
        next.probed.insert(placed, backend.address);
        put(&mut next.service_ids, slot, Some(service.id), || None);
        put(&mut next.parties, placed, Some((service.id, backend.member)), || None);
        if let Some(tunnel) = service.tunnel.filter(|_| mode.wraps()) {
            let inner = Family::of(service.address);
            next.tunnels.push(TunnelTo { slot: placed, member: backend.address, tunnel, inner });
        }
        let locals = match service.forwarding {
            // Nobody's client: its answers come back only if what the member answers to others does.
            Forwarding::Nat => std::slice::from_ref(&service.address),
            _ => &service.local_addresses,
        };
        put(&mut next.gates, slot, None, || None);
        put(&mut next.unserved, slot, Unserved::Silence, Unserved::default);
        put(&mut next.ended, slot, Ended::Silence, Ended::default);
        put(&mut next.local_addresses, slot, locals.into(), Arc::default);
        next.masks.extend(locals);
        if !returns {
            next.answered.push((slot, backend.address));
            next.answers.insert(asked);
        }
        let alone =
            L4Backend { takes_new: true, weight: Weight::default(), share: Share::FULL, ..backend.clone() };
        let lone = L4Service {
            scheduler: Scheduler::RoundRobin,
            backends: vec![alone],
            persistence: None,
            ..service.clone()
        };
        (slot, self.schedule(slot, &lone, &[placed]))
    }

    /// The schedule of a service, whose backends were given these slots: the one it has, if that is still right.
    fn schedule(&self, slot: u32, service: &L4Service, placed: &[u32]) -> Arc<Schedule> {
        let weights = service.backends.iter().map(|backend| u32::from(backend.weight.get()));
        let size = table_size(weights);
        let takers = takers(service.scheduler, &service.backends, placed);
        let keeping = keeping(service, placed);
        match self.schedules.get(slot as usize) {
            Some(before) if before.is_of(service.scheduler, size, &takers) && before.keeping == keeping => {
                Arc::clone(before)
            }
            _ => Arc::new(Schedule::new(service.scheduler, size, takers).keeping(keeping)),
        }
    }

    fn place_backend(
        &mut self,
        next: &mut Configured,
        (service, service_slot): (&L4Service, u32),
        offered: Offer,
        backend: &L4Backend,
        patience: Patience,
    ) -> u32 {
        let member = member_end(service, backend);
        let mode = Mode::from(service.forwarding);
        let slot = self.backends.keep((service.id, backend.member, offered, member, mode));
        let limit = backend
            .connection_limit
            .map_or(NOBODY, |most| next.limit(Limited::Member(backend.member), most, &[slot]));
        let entry = Backend { patience, endpoint: member, mode, service: service_slot, limit };
        put(&mut next.backends, slot, entry, Backend::nobody);
        put(&mut next.parties, slot, Some((service.id, backend.member)), || None);
        next.by_backend.insert((service_slot, member), slot);
        if let Some(seconds) = backend.drain_timeout_s {
            next.drains.push((slot, seconds.saturating_mul(TICKS_PER_SECOND)));
        }
        if let Some(tunnel) = service.tunnel.filter(|_| mode == Mode::Wrapped) {
            let inner = Family::of(service.address);
            next.tunnels.push(TunnelTo { slot, member: backend.address, tunnel, inner });
        }
        next.targets.insert(member.address);
        if service.forwarding.replies_return() {
            if member.port != AS_ASKED {
                next.members.insert(member);
            }
            next.member_addresses.insert(member.address);
        }
        slot
    }

    /// The tables of the last publication in this network.
    pub fn tables(&mut self, network: &Network) -> Tables {
        let routes = RouteTable::new(&network.routes);
        let next_hops = self.place_neighbours(network, &routes);
        if routes != self.last_routes {
            self.next_epoch();
            self.last_routes = routes.clone();
        }
        Tables {
            generation: self.configured.generation,
            ports: network.ports.clone(),
            epoch: self.epoch,
            backends_since: self.backends_since,
            schedules: Arc::clone(&self.schedules),
            any_keeping: self.schedules.iter().any(|schedule| schedule.keeping.is_some()),
            outers: self.configured.outers(network, &routes),
            answered_at: self.configured.answered_at(network, &routes),
            configured: Arc::clone(&self.configured),
            next_hops,
            // What is sent to a local address of full NAT is not for the host.
            locals: network
                .locals
                .iter()
                .filter(|it| !self.configured.masks.contains(*it))
                .copied()
                .collect(),
            by_neighbour: self.next_hops.by_key.clone(),
            routes,
        }
    }

    /// Every neighbour that packets to a member go by: to be kept resolved.
    pub fn wanted(&self, network: &Network) -> HashSet<(PortIndex, IpAddr)> {
        let routes = RouteTable::new(&network.routes);
        let targets = self.configured.targets.iter();
        targets.filter_map(|address| routes.neighbour(*address)).collect()
    }

    /// Which service and member each backend slot in use belongs to, but for those of checks.
    pub fn backend_slots(&self) -> impl Iterator<Item = (usize, VirtualServiceId, MemberId)> + '_ {
        let of_clients = |slot: &u32| !self.configured.probed.contains_key(slot);
        self.backends
            .by_key
            .iter()
            .filter(move |(_, slot)| of_clients(slot))
            .map(|(key, slot)| (*slot as usize, key.0, key.1))
    }

    fn place_neighbours(&mut self, network: &Network, routes: &RouteTable) -> Vec<NextHop> {
        self.next_hops.begin();
        let mut hops = Vec::new();
        let targets = self.configured.targets.iter();
        let wanted = targets.filter_map(|address| routes.neighbour(*address));
        let known = network.neighbours.keys().copied();
        for (port, address) in wanted.chain(known) {
            let Some(view) = network.ports.get(usize::from(port.0)) else { continue };
            let mac = network.neighbours.get(&(port, address));
            let awaited = Awaited { port, address };
            let slot = self.next_hops.keep(awaited);
            let mut macs = [0; 12];
            macs[..6].copy_from_slice(&mac.copied().unwrap_or_default().0);
            macs[6..].copy_from_slice(&view.mac.0);
            let (resolved, mtu) = (mac.is_some(), view.mtu);
            let hop = NextHop { macs, port, resolved, mtu, address: awaited.address };
            put(&mut hops, slot, hop, NextHop::nobody);
        }
        if self.next_hops.end() {
            // A slot became free and may soon stand for another neighbour.
            self.next_epoch();
        }
        hops
    }
}

impl Configured {
    /// The number of a limit, which these backends have a part in.
    fn limit(&mut self, of: Limited, most: NonZeroU32, backends: &[u32]) -> u32 {
        let at = *self.limit_of.entry(of).or_insert_with(|| {
            self.limits.push(Limit { most, backends: Vec::new() });
            self.limits.len() as u32 - 1
        });
        self.limits[at as usize].backends.extend(backends);
        at
    }

    /// What packets to each backend are wrapped in, as the network is now.
    fn outers(&self, network: &Network, routes: &RouteTable) -> Vec<Option<Outer>> {
        let mut outers = Vec::new();
        for TunnelTo { slot, member, tunnel, inner } in &self.tunnels {
            let port = routes.neighbour(*member).and_then(|(port, _)| network.ports.get(usize::from(port.0)));
            let outer = port.and_then(|port| {
                let mut own = port.addresses.iter().filter(|own| own.is_ipv4() == member.is_ipv4());
                Outer::new(*tunnel, *own.next()?, *member, *inner, port.mac)
            });
            put(&mut outers, *slot, outer, || None);
        }
        outers
    }

    /// Which address of this host the members of checks' services answer to: its own on the way there.
    fn answered_at(&self, network: &Network, routes: &RouteTable) -> FastMap<u32, [IpAddr; 1]> {
        let own = |member: IpAddr| {
            let (port, _) = routes.neighbour(member)?;
            let addresses = &network.ports.get(usize::from(port.0))?.addresses;
            addresses.iter().find(|own| own.is_ipv4() == member.is_ipv4()).copied()
        };
        self.answered.iter().filter_map(|(slot, member)| Some((*slot, [own(*member)?]))).collect()
    }

    /// What a service with these backends asks of its clients.
    fn gate(
        &mut self,
        service: &L4Service,
        backends: &[u32],
        metered: Option<Metered>,
        guard: Option<Guard>,
    ) -> Option<Arc<Gate>> {
        let admission = &service.admission;
        let limit = admission.connection_limit;
        let limit = limit.map_or(NOBODY, |most| self.limit(Limited::Service(service.id), most, backends));
        (*admission != Admission::default()).then(|| Arc::new(Gate::new(admission, limit, metered, guard)))
    }
}

impl Backend {
    fn nobody() -> Self {
        Self {
            patience: Patience::default(),
            endpoint: Endpoint { address: NOWHERE, port: AS_ASKED, protocol: 0 },
            mode: Mode::default(),
            service: NOBODY,
            limit: NOBODY,
        }
    }
}

/// Who takes new flows: of all that may and have a weight those that are no backups, or if there are none the backups, or if
/// there are none of these either the backup pool's.
fn takers(scheduler: Scheduler, backends: &[L4Backend], slots: &[u32]) -> Vec<Taker> {
    let willing = || {
        let pairs = backends.iter().zip(slots);
        pairs.filter(|(backend, _)| backend.takes_new && backend.weight.get() > 0)
    };
    let rank = |backend: &L4Backend| (backend.reserve, backend.backup);
    let first = willing().map(|(backend, _)| rank(backend)).min();
    let chosen = || willing().filter(|(backend, _)| Some(rank(backend)) == first);
    let some_have_less = chosen().any(|(backend, _)| backend.share < Share::FULL);
    let weight = |backend: &L4Backend| {
        let weight = match scheduler {
            Scheduler::RoundRobin | Scheduler::LeastConnections => 1,
            _ => u32::from(backend.weight.get()),
        };
        // An order of precedence is no matter of shares.
        let share = some_have_less && scheduler != Scheduler::Ordered;
        if share { weight * u32::from(backend.share.get()) } else { weight }
    };
    let taker = |(backend, slot): (&L4Backend, &u32)| Taker {
        slot: *slot,
        weight: weight(backend),
        seed: seed(backend),
    };
    chosen().map(taker).collect()
}

/// How a service's clients keep their members: those that may be given flows of clients that have them, whatever their weight.
fn keeping(service: &L4Service, slots: &[u32]) -> Option<Keeping> {
    let keepers = service.backends.iter().zip(slots).filter(|(backend, _)| backend.keeps);
    let members = keepers.map(|(backend, slot)| (*slot, backend.address, backend.port.get()));
    Some(Keeping::new(service.persistence?, service.id, service.address, members))
}

/// The same number for the same address and port on every appliance.
fn seed(backend: &L4Backend) -> u64 {
    known_by(backend.address, backend.port.get(), false)
}

impl NextHop {
    fn nobody() -> Self {
        Self { macs: [0; 12], port: PortIndex(0), resolved: false, mtu: 0, address: NOWHERE }
    }
}

fn endpoint(address: IpAddr, port: u16, protocol: u8) -> Endpoint {
    Endpoint { address, port: u16::from_ne_bytes(port.to_be_bytes()), protocol }
}

fn put<T>(table: &mut Vec<T>, slot: u32, value: T, filler: impl FnMut() -> T) {
    let at = slot as usize;
    if table.len() <= at {
        table.resize_with(at + 1, filler);
    }
    table[at] = value;
}
