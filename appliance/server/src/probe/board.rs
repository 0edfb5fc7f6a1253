//! What the checks came to, where everybody can read it: the API shows it, the compiler and the planes act on it.

use std::collections::{HashMap, VecDeque};
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lb_model::desired::{BelowMinHealthy, DesiredState, Member, MemberState, ProxiedService};
use lb_model::observed::{Health, Liveness, MemberHealth};
use lb_model::snapshot::Share;
use lb_model::{MemberId, MonitorId, PoolId, VirtualIpId, VirtualServiceId};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::Instant;

use super::judgement;
use super::kinds::Wish;
use super::rollup::{Below, Operating, PoolSeen, Tally, by_pools, by_services};
use crate::domain::{MonitorsNeeded, Timestamp};

/// How many results of each check are remembered.
const HISTORY: usize = 10;

/// One for the process.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    seen: Arc<RwLock<Everything>>,
    asks: UnboundedSender<Ask>,
    health: Arc<watch::Sender<Arc<Decided>>>,
}

/// What the checks came to for all members, and when that was decided.
#[derive(Debug)]
pub(crate) struct Decided {
    health: Health,
    /// When.
    pub(crate) at: Instant,
}

impl Default for Decided {
    fn default() -> Self {
        Self { health: Health::default(), at: Instant::now() }
    }
}

impl Deref for Decided {
    type Target = Health;

    fn deref(&self) -> &Health {
        &self.health
    }
}

#[derive(Debug, Default)]
struct Everything {
    members: HashMap<MemberId, MemberSeen>,
    topology: Topology,
    /// How each resource was when somebody last looked for changes.
    told: HashMap<Resource, Operating>,
}

/// What was seen of a member.
#[derive(Clone, Debug)]
pub(crate) struct MemberSeen {
    /// What its checks come to together.
    pub(crate) liveness: Liveness,
    /// Since when.
    pub(crate) since: Timestamp,
    /// How often it came up and went down since this process was started.
    pub(crate) transitions: Transitions,
    /// How often it was suspected since then because connections to it did not come about.
    pub(crate) suspicions: u64,
    /// How much of its weight it is given since it came back.
    pub(crate) warmth: Share,
    /// One for each monitor of its pool.
    pub(crate) checks: Vec<CheckSeen>,
    needed: MonitorsNeeded,
}

/// How often a member changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transitions {
    /// It came up.
    pub(crate) up: u64,
    /// It went down.
    pub(crate) down: u64,
}

/// What one monitor saw of a member.
#[derive(Clone, Debug)]
pub(crate) struct CheckSeen {
    /// Which monitor.
    pub(crate) monitor: MonitorId,
    /// What its results came to.
    pub(crate) liveness: Liveness,
    /// Why: the words of the result that decided it.
    pub(crate) words: String,
    /// The last results, the newest last.
    pub(crate) results: VecDeque<CheckResult>,
    /// What the member said of itself last.
    pub(crate) wish: Wish,
}

/// What somebody wants of those who check.
#[derive(Debug)]
pub(super) enum Ask {
    /// Check a member at once, and tell.
    Now { member: MemberId, told: UnboundedSender<Told> },
    /// Connections to it do not come about.
    Suspected { member: MemberId },
}

/// What is told to who wants a member checked at once.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// The check by this monitor has begun.
    Begun(MonitorId),
    /// It came to this.
    Ended(MonitorId, CheckResult, Liveness),
}

/// What a result changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Noted {
    /// What the member was and is, if that differs.
    pub(super) turned: Option<(Liveness, Liveness)>,
    /// The planes must know.
    pub(super) matters: bool,
    /// It says since now that it drains, or since now that it does not.
    pub(super) drains: Option<bool>,
    /// It is well and somebody should look, since now.
    pub(super) warns: bool,
}

/// One result.
#[derive(Clone, Debug)]
pub(crate) struct CheckResult {
    /// When it came.
    pub(crate) at: Timestamp,
    /// Whether the member was well.
    pub(crate) passed: bool,
    /// Whether somebody should look all the same.
    pub(crate) warns: bool,
    /// A number of the protocol, as an HTTP status.
    pub(crate) code: Option<u16>,
    /// What was seen.
    pub(crate) words: String,
    /// How long it took.
    pub(crate) took_ms: u32,
}

/// Who serves what: as much as is needed to say how a pool, a service or an address is.
#[derive(Debug, Default)]
struct Topology {
    pools: HashMap<PoolId, Serving>,
    services: HashMap<VirtualServiceId, Served>,
    virtual_ips: HashMap<VirtualIpId, Vec<VirtualServiceId>>,
}

/// Who answers the clients of a service.
#[derive(Debug, Default)]
struct Served {
    pool: Option<PoolId>,
    /// Other pools that its policies send requests to.
    routed: Vec<PoolId>,
    /// It has policies, which may answer without asking anybody.
    has_policies: bool,
}

/// A pool, as wanted.
#[derive(Debug)]
struct Serving {
    enabled: bool,
    /// Members that would take connections.
    takers: Vec<MemberId>,
    min_healthy: u32,
    below: BelowMinHealthy,
}

/// What can be better or worse by what was seen of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Resource {
    Pool(PoolId),
    Service(VirtualServiceId),
    VirtualIp(VirtualIpId),
}

/// A resource that is better or worse than before.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) of: Resource,
    pub(super) before: Operating,
    pub(super) after: Operating,
    pub(super) reason: Option<String>,
}

/// How everything is at one moment, for the statistics.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The pool that serves each service.
    pub(crate) pool_of_service: HashMap<VirtualServiceId, PoolId>,
    /// The pool of each member that would take connections.
    pub(crate) pool_of_member: HashMap<MemberId, PoolId>,
    /// How many members of each pool are how.
    pub(crate) pools: Vec<(PoolId, Tally)>,
    /// How each member that is watched is, and how long its last check took.
    pub(crate) members: HashMap<MemberId, (Liveness, Option<u32>)>,
}

impl Survey {
    /// The pool whose member serves a service: another one than the service's own where that has too few.
    pub(crate) fn pool_of(&self, service: VirtualServiceId, member: MemberId) -> Option<PoolId> {
        self.pool_of_member.get(&member).or_else(|| self.pool_of_service.get(&service)).copied()
    }
}

impl Board {
    /// Nothing was seen yet. What is asked of those who check comes out at the other end.
    pub(super) fn new() -> (Self, UnboundedReceiver<Ask>) {
        let (asks, asked) = mpsc::unbounded_channel();
        (Self { seen: Arc::default(), asks, health: Arc::new(watch::Sender::default()) }, asked)
    }

    /// Has a member checked at once by all its monitors; tells until the last of them has come to something.
    pub(crate) fn check_now(&self, member: MemberId) -> UnboundedReceiver<Told> {
        let (told, hears) = mpsc::unbounded_channel();
        // Where nobody checks any more, the other end hears that nothing comes.
        let _ = self.asks.send(Ask::Now { member, told });
        hears
    }

    /// Connections to a member do not come about: it is looked at before its time.
    pub(super) fn suspect(&self, member: MemberId) {
        if let Some(seen) = self.write().members.get_mut(&member) {
            seen.suspicions += 1;
            let _ = self.asks.send(Ask::Suspected { member });
        }
    }

    /// What the compiler needs of it, whenever it changes.
    pub(crate) fn health(&self) -> watch::Receiver<Arc<Decided>> {
        self.health.subscribe()
    }

    /// What was seen of a member, if anybody watches it.
    pub(crate) fn member(&self, id: MemberId) -> Option<MemberSeen> {
        self.read().members.get(&id).cloned()
    }

    /// How a pool is by its members.
    pub(crate) fn pool(&self, id: PoolId) -> (Operating, Option<String>) {
        self.read().pool(id).judged()
    }

    /// How a virtual service is by those who serve it.
    pub(crate) fn service(&self, id: VirtualServiceId) -> (Operating, Option<String>) {
        self.read().service(id)
    }

    /// How an address is by the services that are offered on it.
    pub(crate) fn virtual_ip(&self, id: VirtualIpId) -> (Operating, Option<String>) {
        self.read().virtual_ip(id)
    }

    /// Which resources are better or worse than when this was asked last.
    pub(super) fn turns(&self) -> Vec<Turn> {
        self.write().turns()
    }

    /// How everything is now.
    pub(crate) fn survey(&self) -> Survey {
        let seen = self.read();
        let topology = &seen.topology;
        let pools = topology.pools.keys().map(|pool| (*pool, seen.tally(*pool))).collect();
        let services = topology.services.iter();
        let takers = topology.pools.iter();
        let took = |member: &MemberSeen| member.last().map(|result| result.took_ms);
        let members = seen.members.iter().map(|(id, member)| (*id, (member.liveness, took(member))));
        Survey {
            pool_of_service: services.filter_map(|(service, by)| Some((*service, by.pool?))).collect(),
            pool_of_member: takers
                .flat_map(|(id, pool)| pool.takers.iter().map(move |member| (*member, *id)))
                .collect(),
            pools,
            members: members.collect(),
        }
    }

    /// Begins with what another process saw before.
    pub(super) fn resume(&self, members: HashMap<MemberId, MemberSeen>) {
        self.write().members = members;
        self.publish();
    }

    /// From now on these are wanted and these members are watched, each by these monitors, of which so many are needed.
    pub(super) fn watch(
        &self,
        want: &DesiredState,
        watched: &HashMap<MemberId, (Vec<MonitorId>, MonitorsNeeded)>,
    ) {
        let mut seen = self.write();
        seen.topology = Topology::of(want);
        seen.members.retain(|member, _| watched.contains_key(member));
        for (member, (monitors, needed)) in watched {
            seen.members.entry(*member).or_insert_with(MemberSeen::new).watch(monitors, *needed);
        }
        drop(seen);
        self.publish();
    }

    /// A member that came back is given so much of its weight.
    pub(super) fn warm(&self, member: MemberId, warmth: Share) {
        if let Some(member) = self.write().members.get_mut(&member) {
            member.warmth = warmth;
        }
    }

    /// Writes down a result, and what it led to. Says what changed with it.
    pub(super) fn note(
        &self,
        member: MemberId,
        monitor: MonitorId,
        result: CheckResult,
        liveness: Liveness,
        wish: Wish,
    ) -> Noted {
        let mut seen = self.write();
        let Some(member) = seen.members.get_mut(&member) else { return Noted::default() };
        let (before, warned) = (member.health(), member.warning().is_some());
        member.note(monitor, result, liveness, wish);
        let after = member.health();
        Noted {
            turned: (before.liveness != after.liveness).then_some((before.liveness, after.liveness)),
            matters: before != after,
            drains: (before.drains != after.drains).then_some(after.drains),
            warns: !warned && member.warning().is_some(),
        }
    }

    /// Tells the planes.
    pub(super) fn publish(&self) {
        let seen = self.read();
        let health: Health = seen.members.iter().map(|(id, member)| (*id, member.health())).collect();
        drop(seen);
        self.health.send_if_modified(|published| {
            let differs = published.health != health;
            if differs {
                *published = Arc::new(Decided { health, at: Instant::now() });
            }
            differs
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, Everything> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Everything> {
        self.seen.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Everything {
    fn pool(&self, id: PoolId) -> PoolSeen {
        let Some(pool) = self.topology.pools.get(&id) else { return PoolSeen::default() };
        let below = match pool.below {
            BelowMinHealthy::Refuse => Below::Refuse,
            BelowMinHealthy::AllMembers => Below::AllMembers,
            BelowMinHealthy::BackupPool(id) => Below::BackupPool(self.tally(id)),
        };
        PoolSeen { tally: self.tally(id), min_healthy: pool.min_healthy as usize, below }
    }

    fn service(&self, id: VirtualServiceId) -> (Operating, Option<String>) {
        let Some(Served { pool, routed, has_policies }) = self.topology.services.get(&id) else {
            return PoolSeen::default().judged();
        };
        let pools: Vec<_> = pool.iter().chain(routed).map(|pool| self.pool(*pool).judged()).collect();
        by_pools(pools, *has_policies)
    }

    fn virtual_ip(&self, id: VirtualIpId) -> (Operating, Option<String>) {
        let services = self.topology.virtual_ips.get(&id).into_iter().flatten();
        by_services(services.map(|service| self.service(*service).0))
    }

    fn tally(&self, pool: PoolId) -> Tally {
        let Some(pool) = self.topology.pools.get(&pool).filter(|pool| pool.enabled) else {
            return Tally::default();
        };
        pool.takers.iter().fold(Tally::default(), |mut tally, member| {
            match self.members.get(member).map(MemberSeen::health) {
                Some(MemberHealth { drains: true, .. }) => tally.draining += 1,
                Some(MemberHealth { liveness: Liveness::Up, .. }) => tally.up += 1,
                Some(MemberHealth { liveness: Liveness::Down, .. }) => tally.down += 1,
                Some(MemberHealth { liveness: Liveness::Unknown, .. }) => tally.unknown += 1,
                None => tally.unwatched += 1,
            }
            tally
        })
    }

    fn turns(&mut self) -> Vec<Turn> {
        let mut now = HashMap::with_capacity(self.told.len());
        let mut turns = Vec::new();
        let enabled = self.topology.pools.iter().filter(|(_, pool)| pool.enabled);
        let pools = enabled.map(|(id, _)| (Resource::Pool(*id), self.pool(*id).judged()));
        let services = self.topology.services.keys().map(|id| (Resource::Service(*id), self.service(*id)));
        let addresses = self.topology.virtual_ips.keys();
        let addresses = addresses.map(|id| (Resource::VirtualIp(*id), self.virtual_ip(*id)));
        for (of, (after, reason)) in pools.chain(services).chain(addresses) {
            now.insert(of, after);
            if let Some(before) = self.told.get(&of).copied().filter(|before| *before != after) {
                turns.push(Turn { of, before, after, reason });
            }
        }
        self.told = now;
        turns
    }
}

impl MemberSeen {
    fn new() -> Self {
        Self {
            liveness: Liveness::Unknown,
            since: Timestamp::now(),
            transitions: Transitions::default(),
            suspicions: 0,
            warmth: Share::FULL,
            checks: Vec::new(),
            needed: MonitorsNeeded::All,
        }
    }

    /// With what was kept of its checks, of which so many are needed.
    pub(super) fn resumed(checks: Vec<(CheckSeen, Timestamp)>, needed: MonitorsNeeded) -> Self {
        let since = checks.iter().map(|(_, since)| *since).max().unwrap_or_else(Timestamp::now);
        let checks: Vec<CheckSeen> = checks.into_iter().map(|(check, _)| check).collect();
        let liveness = judgement::together(needed, checks.iter().map(|check| check.liveness));
        Self { liveness, since, checks, needed, ..Self::new() }
    }

    /// What the compiler needs of it.
    pub(crate) fn health(&self) -> MemberHealth {
        let wishes = || self.checks.iter().map(|check| check.wish);
        let share = wishes().map(|wish| wish.share).min().unwrap_or(Share::FULL);
        MemberHealth {
            liveness: self.liveness,
            drains: wishes().any(|wish| wish.drains),
            share: self.warmth.of(share),
        }
    }

    fn watch(&mut self, monitors: &[MonitorId], needed: MonitorsNeeded) {
        self.needed = needed;
        let mut before = std::mem::take(&mut self.checks);
        self.checks = monitors
            .iter()
            .map(|id| match before.iter().position(|check| check.monitor == *id) {
                Some(at) => before.swap_remove(at),
                None => CheckSeen::new(*id),
            })
            .collect();
        self.judge();
    }

    fn note(&mut self, monitor: MonitorId, result: CheckResult, liveness: Liveness, wish: Wish) {
        let Some(check) = self.checks.iter_mut().find(|check| check.monitor == monitor) else { return };
        if check.liveness != liveness || check.words.is_empty() {
            check.words.clone_from(&result.words);
        }
        check.liveness = liveness;
        check.wish = wish;
        if check.results.len() == HISTORY {
            check.results.pop_front();
        }
        check.results.push_back(result);
        self.judge();
    }

    fn judge(&mut self) {
        let liveness = judgement::together(self.needed, self.checks.iter().map(|check| check.liveness));
        if liveness != self.liveness {
            self.liveness = liveness;
            self.since = Timestamp::now();
            match liveness {
                Liveness::Up => self.transitions.up += 1,
                Liveness::Down => self.transitions.down += 1,
                Liveness::Unknown => {}
            }
        }
    }

    /// Why it is as it is: the words of the first check that decides it.
    pub(crate) fn reason(&self) -> Option<&str> {
        let deciding = self.checks.iter().find(|check| check.liveness == self.liveness)?;
        let last = deciding.results.back().filter(|last| last.passed == (self.liveness == Liveness::Up));
        Some(last.map_or(deciding.words.as_str(), |last| &last.words)).filter(|words| !words.is_empty())
    }

    /// Why somebody should look although it is well.
    pub(crate) fn warning(&self) -> Option<&str> {
        let last = self.checks.iter().filter_map(|check| check.results.back());
        last.filter(|last| last.passed && last.warns).map(|last| last.words.as_str()).next()
    }

    /// In which words it asks for no new connections.
    pub(crate) fn draining(&self) -> Option<&str> {
        let drains = self.checks.iter().find(|check| check.wish.drains)?;
        drains.results.back().map(|last| last.words.as_str())
    }

    /// The newest result of all its checks.
    pub(crate) fn last(&self) -> Option<&CheckResult> {
        self.checks.iter().filter_map(|check| check.results.back()).max_by_key(|result| result.at)
    }
}

impl CheckSeen {
    fn new(monitor: MonitorId) -> Self {
        Self::resumed(monitor, Liveness::Unknown, String::new())
    }

    /// With what was kept of it.
    pub(super) fn resumed(monitor: MonitorId, liveness: Liveness, words: String) -> Self {
        Self { monitor, liveness, words, results: VecDeque::with_capacity(HISTORY), wish: Wish::default() }
    }
}

impl Served {
    fn of(service: &ProxiedService) -> Self {
        let shares = service.policies.iter().flat_map(|policy| &policy.pools);
        let named = shares.filter(|share| share.weight.get() > 0).map(|share| share.pool_id);
        let mut routed: Vec<_> = named.filter(|pool| Some(*pool) != service.default_pool_id).collect();
        routed.sort_unstable();
        routed.dedup();
        Self { pool: service.default_pool_id, routed, has_policies: !service.policies.is_empty() }
    }
}

impl Topology {
    fn of(want: &DesiredState) -> Self {
        let mut topology = Self::default();
        for pool in &want.pools {
            let willing = |member: &&Member| member.state == MemberState::Enabled && member.weight.get() > 0;
            let takers = pool.members.iter().filter(willing).map(|member| member.id).collect();
            let (min_healthy, below) = (pool.min_healthy, pool.below_min_healthy);
            topology.pools.insert(pool.id, Serving { enabled: pool.enabled, takers, min_healthy, below });
        }
        for service in want.virtual_services.iter().filter(|service| service.enabled) {
            let served = Served { pool: service.default_pool_id, ..Served::default() };
            topology.offer(service.id, served, &service.virtual_ip_ids);
        }
        for service in want.proxied_services.iter().filter(|service| service.enabled) {
            topology.offer(service.id, Served::of(service), &service.virtual_ip_ids);
        }
        topology
    }

    fn offer(&mut self, service: VirtualServiceId, served: Served, on: &[VirtualIpId]) {
        self.services.insert(service, served);
        for virtual_ip in on {
            self.virtual_ips.entry(*virtual_ip).or_default().push(service);
        }
    }
}
