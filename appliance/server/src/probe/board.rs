//! What the checks came to, where everybody can read it: the API shows it, the compiler and the planes act on it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use lb_model::desired::{DesiredState, Member, MemberState};
use lb_model::observed::{Health, Liveness};
use lb_model::{MemberId, MonitorId, PoolId, VirtualIpId, VirtualServiceId};
use tokio::sync::watch;

use super::judgement;
use crate::domain::Timestamp;

/// How many results of each check are remembered.
const HISTORY: usize = 10;

/// One for the process.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    seen: Arc<RwLock<Everything>>,
    health: Arc<watch::Sender<Arc<Health>>>,
}

#[derive(Debug, Default)]
struct Everything {
    members: HashMap<MemberId, MemberSeen>,
    topology: Topology,
}

/// What was seen of a member.
#[derive(Clone, Debug)]
pub(crate) struct MemberSeen {
    /// What its checks come to together.
    pub(crate) liveness: Liveness,
    /// Since when.
    pub(crate) since: Timestamp,
    /// One for each monitor of its pool.
    pub(crate) checks: Vec<CheckSeen>,
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
}

/// One result.
#[derive(Clone, Debug)]
pub(crate) struct CheckResult {
    /// When it came.
    pub(crate) at: Timestamp,
    /// Whether the member was well.
    pub(crate) passed: bool,
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
    pools: HashMap<PoolId, Vec<MemberId>>,
    services: HashMap<VirtualServiceId, PoolId>,
    virtual_ips: HashMap<VirtualIpId, Vec<VirtualServiceId>>,
}

/// So many members that would take connections, by what was seen of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Pass their checks.
    pub(crate) up: usize,
    /// Fail them.
    pub(crate) down: usize,
    /// Have not been checked yet.
    pub(crate) unknown: usize,
    /// Have no checks.
    pub(crate) unwatched: usize,
}

impl Board {
    /// Nothing was seen yet.
    pub(crate) fn new() -> Self {
        Self { seen: Arc::default(), health: Arc::new(watch::Sender::default()) }
    }

    /// What the compiler needs of it, whenever it changes.
    pub(crate) fn health(&self) -> watch::Receiver<Arc<Health>> {
        self.health.subscribe()
    }

    /// What was seen of a member, if anybody watches it.
    pub(crate) fn member(&self, id: MemberId) -> Option<MemberSeen> {
        self.read().members.get(&id).cloned()
    }

    /// How many members of a pool are how.
    pub(crate) fn pool(&self, id: PoolId) -> Tally {
        self.read().tally(id)
    }

    /// The same of the pool that serves a virtual service.
    pub(crate) fn service(&self, id: VirtualServiceId) -> Tally {
        let seen = self.read();
        seen.topology.services.get(&id).map_or_else(Tally::default, |pool| seen.tally(*pool))
    }

    /// The same of every service that is offered on an address.
    pub(crate) fn virtual_ip(&self, id: VirtualIpId) -> Vec<Tally> {
        let seen = self.read();
        let services = seen.topology.virtual_ips.get(&id).into_iter().flatten();
        let tally = |service| {
            seen.topology.services.get(service).map_or_else(Tally::default, |pool| seen.tally(*pool))
        };
        services.map(tally).collect()
    }

    /// Begins with what another process saw before.
    pub(super) fn resume(&self, members: HashMap<MemberId, MemberSeen>) {
        self.write().members = members;
        self.publish();
    }

    /// From now on these are wanted and these members are watched, each by these monitors.
    pub(super) fn watch(&self, want: &DesiredState, watched: &HashMap<MemberId, Vec<MonitorId>>) {
        let mut seen = self.write();
        seen.topology = Topology::of(want);
        seen.members.retain(|member, _| watched.contains_key(member));
        for (member, monitors) in watched {
            seen.members.entry(*member).or_insert_with(MemberSeen::new).watch(monitors);
        }
        drop(seen);
        self.publish();
    }

    /// Writes down a result, and what it led to. Says whether the member changed with it.
    pub(super) fn note(
        &self,
        member: MemberId,
        monitor: MonitorId,
        result: CheckResult,
        liveness: Liveness,
    ) -> Option<(Liveness, Liveness)> {
        let mut seen = self.write();
        let member = seen.members.get_mut(&member)?;
        let before = member.liveness;
        member.note(monitor, result, liveness);
        (member.liveness != before).then_some((before, member.liveness))
    }

    /// Tells the planes.
    pub(super) fn publish(&self) {
        let seen = self.read();
        let health: Health = seen.members.iter().map(|(id, member)| (*id, member.liveness)).collect();
        drop(seen);
        self.health.send_if_modified(|published| {
            let differs = **published != health;
            if differs {
                *published = Arc::new(health);
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
    fn tally(&self, pool: PoolId) -> Tally {
        let members = self.topology.pools.get(&pool).into_iter().flatten();
        members.fold(Tally::default(), |mut tally, member| {
            match self.members.get(member).map(|member| member.liveness) {
                Some(Liveness::Up) => tally.up += 1,
                Some(Liveness::Down) => tally.down += 1,
                Some(Liveness::Unknown) => tally.unknown += 1,
                None => tally.unwatched += 1,
            }
            tally
        })
    }
}

impl MemberSeen {
    fn new() -> Self {
        Self { liveness: Liveness::Unknown, since: Timestamp::now(), checks: Vec::new() }
    }

    /// With what was kept of one check.
    pub(super) fn resumed(check: CheckSeen, since: Timestamp) -> Self {
        Self { liveness: check.liveness, since, checks: vec![check] }
    }

    /// With what was kept of another one.
    pub(super) fn also(&mut self, check: CheckSeen, since: Timestamp) {
        self.checks.push(check);
        self.since = self.since.max(since);
        self.liveness = judgement::all(self.checks.iter().map(|check| check.liveness));
    }

    fn watch(&mut self, monitors: &[MonitorId]) {
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

    fn note(&mut self, monitor: MonitorId, result: CheckResult, liveness: Liveness) {
        let Some(check) = self.checks.iter_mut().find(|check| check.monitor == monitor) else { return };
        if check.liveness != liveness || check.words.is_empty() {
            check.words.clone_from(&result.words);
        }
        check.liveness = liveness;
        if check.results.len() == HISTORY {
            check.results.pop_front();
        }
        check.results.push_back(result);
        self.judge();
    }

    fn judge(&mut self) {
        let liveness = judgement::all(self.checks.iter().map(|check| check.liveness));
        if liveness != self.liveness {
            self.liveness = liveness;
            self.since = Timestamp::now();
        }
    }

    /// Why it is as it is: the words of the first check that decides it.
    pub(crate) fn reason(&self) -> Option<&str> {
        let deciding = self.checks.iter().find(|check| check.liveness == self.liveness)?;
        let last = deciding.results.back().filter(|last| last.passed == (self.liveness == Liveness::Up));
        Some(last.map_or(deciding.words.as_str(), |last| &last.words)).filter(|words| !words.is_empty())
    }

    /// The newest result of all its checks.
    pub(crate) fn last(&self) -> Option<&CheckResult> {
        self.checks.iter().filter_map(|check| check.results.back()).max_by_key(|result| result.at)
    }
}

impl CheckSeen {
    fn new(monitor: MonitorId) -> Self {
        Self { monitor, liveness: Liveness::Unknown, words: String::new(), results: VecDeque::new() }
    }
}

impl Topology {
    fn of(want: &DesiredState) -> Self {
        let mut topology = Self::default();
        for pool in &want.pools {
            let takes = |member: &&Member| member.state == MemberState::Enabled && member.weight.get() > 0;
            let enabled = pool.members.iter().filter(takes);
            topology.pools.insert(pool.id, enabled.map(|member| member.id).collect());
        }
        for service in want.virtual_services.iter().filter(|service| service.enabled) {
            topology.offer(service.id, service.default_pool_id, &service.virtual_ip_ids);
        }
        for service in want.proxied_services.iter().filter(|service| service.enabled) {
            topology.offer(service.id, service.default_pool_id, &service.virtual_ip_ids);
        }
        topology
    }

    fn offer(&mut self, service: VirtualServiceId, pool: Option<PoolId>, on: &[VirtualIpId]) {
        if let Some(pool) = pool {
            self.services.insert(service, pool);
        }
        for virtual_ip in on {
            self.virtual_ips.entry(*virtual_ip).or_default().push(service);
        }
    }
}
