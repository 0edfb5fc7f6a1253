//! What requests meet: services with their pools and members, made when a snapshot is taken. What outlives a snapshot,
//! counters and members, is shared by the old state and the new.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderValue, StatusCode};
use lb_model::asking::{Breaker as BreakerTerms, Hedge, Outlier, PersistenceKind, Queue as Waiting, Retries};
use lb_model::contract::{L7MemberStatus, L7QueueStatus, L7ServiceStatus};
use lb_model::l7::{
    Hsts, HttpVersion, L7Limits, L7Member, L7Pool, L7Protocol, L7Service, L7Snapshot, L7Timeouts,
    ProxyProtocol,
};
use lb_model::policy::L7Policy;
use lb_model::snapshot::Scheduler;
use lb_model::{L4Port, MemberId, PoolId, Prefix, VirtualServiceId};
use thiserror::Error;
use tokio_rustls::rustls::ServerConfig;

use crate::balance::{Balancer, Taker};
use crate::breaker::{Breaker, Change};
use crate::compress::Compression;
use crate::conduct::{Budget, Conduct};
use crate::counters::{MemberCounters, ServiceCounters};
use crate::journal::Journal;
use crate::member_tls::MemberTls;
use crate::origin::Origin;
use crate::pace::Pace;
use crate::persistence::{Keeper, Kept, MarkKey};
use crate::policy::{Policies, PolicyError};
use crate::queue::Queue;
use crate::tls::{Configs, TlsError, TlsMaker};
use crate::visitors::Visitors;

/// A virtual service as of one snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) id: VirtualServiceId,
    /// What clients speak.
    pub(crate) protocol: L7Protocol,
    pub(crate) pool: Option<Arc<Pool>>,
    pub(crate) policies: Arc<Policies>,
    /// The pools that the policies name, by their places there.
    pub(crate) routed: Vec<Arc<Pool>>,
    pub(crate) timeouts: L7Timeouts,
    /// How TLS ends here, if it does.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Proxies that tell who the client is.
    pub(crate) proxy_protocol_from: Vec<Prefix>,
    pub(crate) counters: Arc<ServiceCounters>,
    /// Its last requests.
    pub(crate) journal: Arc<Journal>,
    pub(crate) limits: L7Limits,
    pub(crate) visitors: Arc<Visitors>,
    pub(crate) compression: Option<Compression>,
    /// What browsers are told with every answer.
    pub(crate) hsts: Option<HeaderValue>,
    /// It is offered no more: connections end with their current request.
    pub(crate) removed: bool,
}

/// What of a service outlives a snapshot.
#[derive(Debug)]
struct Lasting {
    counters: Arc<ServiceCounters>,
    journal: Arc<Journal>,
    visitors: Arc<Visitors>,
}

impl Lasting {
    /// For one of so many services.
    fn new(workers: usize, services: usize) -> Self {
        Self {
            counters: Arc::new(ServiceCounters::new(workers)),
            journal: Arc::new(Journal::new(workers, services)),
            visitors: Arc::default(),
        }
    }

    fn of(service: &Service) -> Self {
        let Service { counters, journal, visitors, .. } = service;
        let (counters, journal) = (Arc::clone(counters), Arc::clone(journal));
        Self { counters, journal, visitors: Arc::clone(visitors) }
    }
}

/// RFC 6797, 6.1.
fn hsts(of: Hsts) -> Option<HeaderValue> {
    let Hsts { max_age_s, include_subdomains, preload } = of;
    let below = if include_subdomains { "; includeSubDomains" } else { "" };
    let preload = if preload { "; preload" } else { "" };
    HeaderValue::try_from(format!("max-age={max_age_s}{below}{preload}")).ok()
}

/// Where listeners and connections find the newest state of their service.
pub(crate) type ServiceCell = ArcSwap<Service>;

/// A pool as of one snapshot.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) id: PoolId,
    pub(crate) balancer: Balancer,
    /// How clients keep their members.
    pub(crate) keeper: Option<Keeper>,
    pub(crate) retries: Retries,
    pub(crate) budget: Budget,
    /// What waits while all are full, if anything does.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) queue: Arc<Queue>,
    outlier: Option<Outlier>,
    /// When it is left alone as a whole, and how it does.
    breaks: Option<BreakerTerms>,
    breaker: Arc<Breaker>,
    /// What is asked of two members.
    pub(crate) hedging: Option<Hedging>,
    members: Vec<Arc<Member>>,
}

/// When a second member is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hedging {
    /// After so long.
    pub(crate) delay: Duration,
}

impl Hedging {
    fn new(of: Hedge) -> Self {
        Self { delay: Duration::from_millis(of.delay_ms.into()) }
    }
}

impl Pool {
    /// Whom the client keeps.
    pub(crate) fn kept(&self, parts: &http::request::Parts, origin: &Origin) -> Kept<'_> {
        self.keeper.as_ref().map_or(Kept::Nobody, |keeper| keeper.find(parts, origin))
    }

    /// A place at a member that has room.
    pub(crate) fn claim(&self, origin: &Origin, kept: Kept<'_>) -> Option<OpenRequest> {
        self.balancer.claim(origin.ends, kept, &[])
    }

    /// The member that would be asked first.
    pub(crate) fn look<'p>(&'p self, origin: &Origin, kept: Kept<'p>) -> Option<&'p Arc<Member>> {
        if self.is_cut() { None } else { self.balancer.look(origin.ends, kept) }
    }

    /// Whether it is left alone, as it fails as a whole.
    pub(crate) fn is_cut(&self) -> bool {
        self.breaks.is_some() && self.breaker.is_open()
    }

    /// The same, by a request that comes now: one of many may try it.
    pub(crate) fn admits(&self) -> bool {
        self.breaks.as_ref().is_none_or(|terms| self.breaker.admits(terms))
    }

    /// A member answered with this, or not at all.
    pub(crate) fn judge(&self, member: &Member, status: Option<StatusCode>) {
        let failed = status.is_none_or(|status| status.is_server_error());
        if status.is_none() {
            member.pace.failed();
        }
        match self.breaks.as_ref().and_then(|terms| self.breaker.judge(terms, failed)) {
            Some(Change::Opened) => {
                tracing::warn!(pool = %self.id, "pool {} fails, and is left alone", self.id);
            }
            Some(Change::Closed) => tracing::info!(pool = %self.id, "pool {} is asked again", self.id),
            None => {}
        }
        let Some(outlier) = &self.outlier else { return };
        if !failed {
            return member.conduct.well(outlier);
        }
        member.conduct.ill(outlier, || {
            let out = 1 + self.members.iter().filter(|member| member.conduct.is_out()).count();
            out * 100 <= self.members.len() * outlier.max_percent as usize
        });
    }
}

/// A member, for as long as it has this address.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) id: MemberId,
    number: u64,
    pub(crate) address: IpAddr,
    pub(crate) port: L4Port,
    /// What it speaks.
    pub(crate) speaks: HttpVersion,
    /// How it is spoken to inside of TLS, if it is.
    pub(crate) tls: Option<Arc<MemberTls>>,
    /// Whether it is told who the client is.
    pub(crate) proxy_protocol: ProxyProtocol,
    counters: MemberCounters,
    pub(crate) conduct: Conduct,
    pub(crate) pace: Pace,
    /// Requests that it has now, from all workers.
    open: AtomicU32,
    /// Who waits for it to have fewer.
    queue: Arc<Queue>,
    gone: AtomicBool,
}

impl Member {
    pub(crate) fn new(of: &L7Member, manner: Manner, number: u64, workers: usize, queue: Arc<Queue>) -> Self {
        let L7Member { id, address, port, .. } = of;
        let Manner { speaks, tls, proxy_protocol } = manner;
        Self {
            id: *id,
            number,
            address: *address,
            port: *port,
            speaks,
            tls,
            proxy_protocol,
            counters: MemberCounters::new(workers),
            conduct: Conduct::default(),
            pace: Pace::default(),
            open: AtomicU32::new(0),
            queue,
            gone: AtomicBool::new(false),
        }
    }

    /// Whether it is still the same, and connections to it are.
    fn is(&self, of: &L7Member, manner: &Manner) -> bool {
        let Manner { speaks, tls, proxy_protocol } = manner;
        let same_tls = match (&self.tls, tls) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        (self.address, self.port) == (of.address, of.port)
            && (self.speaks, self.proxy_protocol) == (*speaks, *proxy_protocol)
            && same_tls
    }

    /// Never that of another member, nor of the same under another address.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// How many requests it has now.
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::SeqCst)
    }

    /// Whether no pool has it any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    pub(crate) fn counters(&self) -> &MemberCounters {
        &self.counters
    }
}

/// How all members of a pool are spoken to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    pub(crate) speaks: HttpVersion,
    pub(crate) tls: Option<Arc<MemberTls>>,
    pub(crate) proxy_protocol: ProxyProtocol,
}

/// One of the requests that a member has at a time: from when it is chosen until it has answered.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<Member>);

impl OpenRequest {
    /// One more, unless it has as many as it may.
    pub(crate) fn begin(member: &Arc<Member>, limit: Option<NonZeroU32>) -> Option<Self> {
        match limit {
            None => member.open.fetch_add(1, Ordering::SeqCst),
            Some(limit) => {
                let more = |open| (open < limit.get()).then_some(open + 1);
                member.open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?
            }
        };
        Some(Self(Arc::clone(member)))
    }

    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.0
    }

    /// It was not answered, or not to its end.
    pub(crate) fn fail(self) {
        self.0.counters.failed();
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
        self.0.queue.left();
    }
}

/// The policies of each service, and what was made of them.
type MadePolicies = HashMap<VirtualServiceId, (Vec<L7Policy>, Arc<Policies>)>;

/// Why a snapshot cannot be worked by.
#[derive(Debug, Error)]
pub(crate) enum TakeError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// All that there is.
#[derive(Debug)]
pub(crate) struct State {
    workers: usize,
    tls: TlsMaker,
    policies: MadePolicies,
    members_made: AtomicU64,
    members: HashMap<(PoolId, MemberId), Arc<Member>>,
    services: BTreeMap<VirtualServiceId, Arc<ServiceCell>>,
    pools: HashMap<PoolId, Arc<Pool>>,
    queues: HashMap<PoolId, Arc<Queue>>,
}

impl State {
    pub(crate) fn new(workers: usize, tls: TlsMaker) -> Self {
        Self {
            workers,
            tls,
            policies: HashMap::new(),
            members_made: AtomicU64::new(0),
            members: HashMap::new(),
            services: BTreeMap::new(),
            pools: HashMap::new(),
            queues: HashMap::new(),
        }
    }

    /// Brings all services to what the snapshot says. Those who hold a cell meet it with their next request. Which are offered no more.
    pub(crate) fn take(&mut self, snapshot: &L7Snapshot) -> Result<Vec<VirtualServiceId>, TakeError> {
        // What can fail goes first: a refused snapshot has changed nothing.
        let configs = self.tls.take(snapshot)?;
        self.policies = self.made_policies(&snapshot.services)?;
        let key = self.mark_key(&snapshot.pools)?;
        self.take_pools(&snapshot.pools, &configs, key.as_ref());
        let mut services = BTreeMap::new();
        for of in &snapshot.services {
            let cell = self.services.remove(&of.id);
            let lasting = cell.as_ref().map(|cell| Lasting::of(&cell.load()));
            let lasting = lasting.unwrap_or_else(|| Lasting::new(self.workers, snapshot.services.len()));
            let service = Arc::new(self.service(of, lasting, configs.services.get(&of.id).cloned()));
            let cell = match cell {
                Some(cell) => {
                    cell.store(service);
                    cell
                }
                None => Arc::new(ServiceCell::new(service)),
            };
            services.insert(of.id, cell);
        }
        let retired = std::mem::replace(&mut self.services, services);
        for cell in retired.values() {
            retire(cell);
        }
        Ok(retired.into_keys().collect())
    }

    pub(crate) fn cell(&self, service: VirtualServiceId) -> Option<Arc<ServiceCell>> {
        self.services.get(&service).cloned()
    }

    /// What this service keeps of its requests, or each does.
    pub(crate) fn journals(&self, of: Option<VirtualServiceId>) -> Vec<(VirtualServiceId, Arc<Journal>)> {
        let wanted = self.services.iter().filter(|(id, _)| of.is_none_or(|of| of == **id));
        wanted.map(|(id, cell)| (*id, Arc::clone(&cell.load().journal))).collect()
    }

    pub(crate) fn service_statuses(&self) -> Vec<L7ServiceStatus> {
        let status = |(id, cell): (&VirtualServiceId, &Arc<ServiceCell>)| L7ServiceStatus {
            service: *id,
            counters: cell.load().counters.read(),
        };
        self.services.iter().map(status).collect()
    }

    pub(crate) fn member_statuses(&self) -> Vec<L7MemberStatus> {
        let status = |((pool, member), of): (&(PoolId, MemberId), &Arc<Member>)| L7MemberStatus {
            pool: *pool,
            member: *member,
            counters: of.counters.read(u64::from(of.open())),
            ejection: of.conduct.ejection(),
        };
        let mut statuses: Vec<_> = self.members.iter().map(status).collect();
        statuses.sort_unstable_by_key(|status| (status.pool, status.member));
        statuses
    }

    /// Connections of clients that are open now.
    pub(crate) fn open_connections(&self) -> u64 {
        self.services.values().map(|cell| cell.load().counters.open()).sum()
    }

    pub(crate) fn queue_statuses(&self) -> Vec<L7QueueStatus> {
        let pools = self.pools.values().filter(|pool| pool.waiting.is_some());
        let status = |pool: &Arc<Pool>| L7QueueStatus { pool: pool.id, waiting: pool.queue.waiting() };
        let mut statuses: Vec<_> = pools.map(status).collect();
        statuses.sort_unstable_by_key(|status| status.pool);
        statuses
    }

    fn service(&self, of: &L7Service, lasting: Lasting, tls: Option<Arc<ServerConfig>>) -> Service {
        let L7Service {
            id,
            addresses: _,
            port: _,
            protocol,
            pool,
            timeouts,
            tls: of_tls,
            policies: _,
            proxy_protocol_from,
            limits,
            compression,
        } = of;
        let Lasting { counters, journal, visitors } = lasting;
        let policies = self.policies.get(id).map(|(_, made)| Arc::clone(made)).unwrap_or_default();
        Service {
            id: *id,
            protocol: *protocol,
            pool: pool.and_then(|pool| self.pools.get(&pool).cloned()),
            routed: policies.pools().iter().filter_map(|pool| self.pools.get(pool).cloned()).collect(),
            policies,
            timeouts: *timeouts,
            tls,
            proxy_protocol_from: proxy_protocol_from.clone(),
            counters,
            journal,
            limits: *limits,
            visitors,
            compression: compression.as_ref().map(Compression::new),
            hsts: of_tls.as_ref().and_then(|tls| tls.hsts).and_then(hsts),
            removed: false,
        }
    }

    /// What did not change stays the same: patterns take their time.
    fn made_policies(&self, services: &[L7Service]) -> Result<MadePolicies, PolicyError> {
        let entry = |service: &L7Service| {
            let known = self.policies.get(&service.id).filter(|(of, _)| *of == service.policies);
            let made = match known {
                Some(known) => known.clone(),
                None => (service.policies.clone(), Arc::new(Policies::new(&service.policies)?)),
            };
            Ok((service.id, made))
        };
        services.iter().map(entry).collect()
    }

    /// The key by which members are marked, if any are.
    fn mark_key(&self, pools: &[L7Pool]) -> Result<Option<MarkKey>, TlsError> {
        let kinds = pools.iter().filter_map(|pool| Some(pool.persistence.as_ref()?.kind));
        let marked = kinds
            .into_iter()
            .any(|kind| matches!(kind, PersistenceKind::Cookie | PersistenceKind::AppCookie));
        if marked { Ok(Some(MarkKey::new(&self.tls.key()?))) } else { Ok(None) }
    }

    fn take_pools(&mut self, pools: &[L7Pool], configs: &Configs, key: Option<&MarkKey>) {
        let mut members = HashMap::new();
        let mut made = HashMap::new();
        let mut queues = HashMap::new();
        for pool in pools {
            let queue = self.queues.remove(&pool.id).unwrap_or_default();
            let manner = Manner {
                speaks: pool.manner.http_version,
                tls: configs.pools.get(&pool.id).cloned(),
                proxy_protocol: pool.manner.proxy_protocol,
            };
            let all: Vec<_> =
                pool.members.iter().map(|of| (of, self.member(pool.id, of, &manner, &queue))).collect();
            let taking = all.iter().filter_map(|(of, member)| {
                let member = Arc::clone(member);
                member.pace.watch(pool.scheduler == Scheduler::PeakEwma);
                members.insert((pool.id, of.id), Arc::clone(&member));
                let taker = Taker {
                    member,
                    weight: u32::from(of.weight.get()),
                    share: of.share,
                    limit: of.request_limit,
                    backup: of.backup,
                    reserve: of.reserve,
                };
                of.takes_new.then_some(taker)
            });
            let balancer = Balancer::new(pool.scheduler, taking.collect());
            let before = self.pools.get(&pool.id);
            if let Some(before) = before {
                balancer.follow(&before.balancer);
            }
            // Who takes a breaker out closes it.
            let breaking = before.filter(|before| before.breaks.is_some() && pool.breaker.is_some());
            let kept = all.iter().filter(|(of, _)| of.takes_new || of.keeps);
            let kept: Vec<_> = kept.map(|(of, member)| (of.id, Arc::clone(member))).collect();
            let keeper = pool.persistence.as_ref();
            let pool_made = Pool {
                id: pool.id,
                balancer,
                keeper: keeper.and_then(|of| Keeper::new(of, pool.id, &kept, key)),
                retries: pool.retries.clone(),
                budget: Budget::new(&pool.retries),
                waiting: pool.queue,
                queue: Arc::clone(&queue),
                outlier: pool.outlier,
                breaks: pool.breaker,
                breaker: breaking.map(|before| Arc::clone(&before.breaker)).unwrap_or_default(),
                hedging: pool.hedge.map(Hedging::new),
                members: all.into_iter().map(|(_, member)| member).collect(),
            };
            queues.insert(pool.id, queue);
            made.insert(pool.id, Arc::new(pool_made));
        }
        for queue in std::mem::replace(&mut self.queues, queues).into_values() {
            queue.change(None);
        }
        for (id, pool) in &made {
            if let Some(queue) = self.queues.get(id) {
                queue.change(Some(Arc::clone(pool)));
            }
        }
        self.pools = made;
        for (key, member) in std::mem::replace(&mut self.members, members) {
            if !self.members.get(&key).is_some_and(|now| Arc::ptr_eq(now, &member)) {
                member.gone.store(true, Ordering::Relaxed);
            }
        }
    }

    fn member(&self, pool: PoolId, of: &L7Member, manner: &Manner, queue: &Arc<Queue>) -> Arc<Member> {
        let known = self.members.get(&(pool, of.id));
        let same = known.filter(|known| known.is(of, manner));
        same.cloned().unwrap_or_else(|| {
            let number = self.members_made.fetch_add(1, Ordering::Relaxed);
            Arc::new(Member::new(of, manner.clone(), number, self.workers, Arc::clone(queue)))
        })
    }
}

/// Tells those who hold the cell that the service is offered no more.
fn retire(cell: &ServiceCell) {
    let last = cell.load_full();
    cell.store(Arc::new(Service { removed: true, ..(*last).clone() }));
}

#[cfg(test)]
impl Pool {
    /// One with a member that takes requests.
    pub(crate) fn of_one() -> Self {
        use lb_model::snapshot::{Share, Weight};

        let of = L7Member {
            id: MemberId::generate(),
            address: [192, 0, 2, 1].into(),
            port: L4Port::new(80).unwrap(),
            takes_new: true,
            keeps: false,
            weight: Weight::new(1).unwrap(),
            share: Share::FULL,
            backup: false,
            reserve: false,
            request_limit: None,
        };
        let queue = Arc::<Queue>::default();
        let member = Arc::new(Member::new(&of, Manner::default(), 1, 1, Arc::clone(&queue)));
        let (members, share) = (vec![Arc::clone(&member)], of.share);
        let taker = Taker { member, weight: 1, share, limit: None, backup: false, reserve: false };
        Self {
            id: PoolId::generate(),
            balancer: Balancer::new(Scheduler::RoundRobin, vec![taker]),
            keeper: None,
            retries: Retries::default(),
            budget: Budget::new(&Retries::default()),
            waiting: None,
            queue,
            outlier: None,
            breaks: None,
            breaker: Arc::default(),
            hedging: None,
            members,
        }
    }
}
