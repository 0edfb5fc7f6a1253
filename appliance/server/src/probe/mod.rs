//! Health: checks are repeated, judged, shown, and acted upon.
//!
//! A thread of its own does all of it on a runtime of its own, so that neither a slow request nor a slow plane delays a
//! check. It re-reads what is wanted after every change; what is due when is in `schedule.rs`, what results come to in
//! `judgement.rs`, how each kind of check is done in `kinds/`. What was seen is on the `Board`.

#[cfg(test)]
mod bench;
mod board;
mod judgement;
mod kinds;
#[cfg(test)]
mod relay;
mod rollup;
mod schedule;
#[cfg(test)]
mod servers;
pub(crate) mod suspicion;
mod terms;
mod ways;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lb_model::desired::{Member, MemberState, Pool};
use lb_model::observed::Liveness;
use lb_model::snapshot::Share;
use lb_model::{Generation, MemberId, MonitorId, PoolId};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use board::{Ask, CheckSeen, Noted, Resource, Turn};
pub(crate) use board::{Board, CheckResult, Decided, MemberSeen, Survey, Told};
use judgement::{Judgement, Rule, warming_step, warmth};
use kinds::Outcome;
pub(crate) use rollup::Operating;
use schedule::{Schedule, pause, phase};
use terms::Terms;
use ways::{Plane, Way, Ways};

use crate::domain::{Check as KindOfCheck, Monitor, MonitorsNeeded, NewEvent, Timestamp};
use crate::events::Events;
use crate::observed::Observation;
use crate::store::{CheckState, PoolWatch, Store, StoreError, Watched};

/// Checks that run at once, if there are descriptors for as many: thousands of hung members must not take them all.
const CONCURRENCY_MAX: usize = 4096;
/// Results may wait so long to be acted on together.
const BATCH: usize = 256;
/// A check that began so lately answers for a suspicion, too; one that confirms a suspicion is repeated after this time.
const SUSPICIONS_APART: Duration = Duration::from_millis(200);
/// First checks of many members begin so far apart.
const APART: Duration = Duration::from_micros(100);
/// How long to wait after the database failed.
const RETRY: Duration = Duration::from_secs(1);

/// A check: of which member, by which monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct CheckId {
    member: MemberId,
    monitor: MonitorId,
}

/// Where and how a check is done.
#[derive(Debug, PartialEq)]
struct Target {
    at: SocketAddr,
    /// All members of a pool share it.
    monitor: Arc<Monitor>,
    /// By way of which services, if it is not done directly.
    ways: Option<Vec<Way>>,
}

impl Target {
    fn new(member: &Member, monitor: &Arc<Monitor>, ways: &Ways) -> Self {
        let address = monitor.address.unwrap_or(member.address);
        let port = monitor.port.unwrap_or(member.port);
        let ways = monitor.via_forwarding.then(|| ways.of(member.id, &monitor.check));
        Self { at: SocketAddr::new(address, port.get()), monitor: Arc::clone(monitor), ways }
    }

    fn rule(&self) -> Rule {
        Rule { rise: self.monitor.rise, fall: self.monitor.fall }
    }

    /// From one check to the next of who is in this state.
    fn interval(&self, liveness: Liveness) -> Duration {
        let Monitor { interval_ms, down_interval_ms, .. } = &*self.monitor;
        let slower = down_interval_ms.filter(|_| liveness == Liveness::Down);
        Duration::from_millis(u64::from(slower.unwrap_or(*interval_ms)))
    }
}

/// A check that goes on.
#[derive(Debug)]
struct Check {
    target: Arc<Target>,
    judgement: Judgement,
    turn: u64,
    begun: Instant,
    running: bool,
    /// Somebody suspects the member, and no check has passed since.
    doubted: bool,
}

/// The result of one check.
struct Finished {
    id: CheckId,
    /// What was checked: the result is of no use if that changed meanwhile.
    target: Arc<Target>,
    outcome: Outcome,
}

/// Reads what was seen before, then watches for ever, in a thread of its own.
pub(crate) async fn start(store: Store, events: Events, observed: Observation) -> Result<Board, StoreError> {
    let (board, asked) = Board::new();
    let kept = store.check_states().await?;
    board.resume(resumed(&kept, &store.watched().await?));
    let known = kept.into_iter().map(|state| (CheckId::of(&state), state.liveness)).collect();
    let told = board.clone();
    let thread = thread::Builder::new().name("probe".into());
    let plane = Plane::seen_in(observed);
    let started = thread.spawn(move || run(store, events, told, plane, asked, known));
    if let Err(error) = started {
        tracing::error!(%error, "members are not checked: no thread could be started");
    }
    Ok(board)
}

impl CheckId {
    fn of(state: &CheckState) -> Self {
        Self { member: state.member, monitor: state.monitor }
    }
}

/// Raises the limit of descriptors as far as this process may, and leaves half of them to all else.
fn concurrency() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    limit.map_or(CONCURRENCY_MAX, |limit| CONCURRENCY_MAX.min(limit / 2))
}

fn resumed(kept: &[CheckState], watched: &Watched) -> HashMap<MemberId, MemberSeen> {
    let mut checks: HashMap<MemberId, Vec<(CheckSeen, Timestamp)>> = HashMap::new();
    for CheckState { member, monitor, liveness, since, words } in kept {
        let check = CheckSeen::resumed(*monitor, *liveness, words.clone());
        checks.entry(*member).or_default().push((check, *since));
    }
    let mut members = HashMap::new();
    for pool in &watched.want.pools {
        let Some(watch) = watched.of_pool.get(&pool.id) else { continue };
        for member in &pool.members {
            if let Some(checks) = checks.remove(&member.id) {
                members.insert(member.id, MemberSeen::resumed(checks, watch.needed));
            }
        }
    }
    members
}

fn run(
    store: Store,
    events: Events,
    board: Board,
    plane: Plane,
    asked: UnboundedReceiver<Ask>,
    known: HashMap<CheckId, Liveness>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "members are not checked: there is no runtime"),
    };
    let watching = async move { Engine::new(store, events, board, plane, asked, known).run().await };
    LocalSet::new().block_on(&runtime, watching);
}

/// What the thread works with.
struct Engine {
    store: Store,
    commits: watch::Receiver<()>,
    events: Events,
    board: Board,
    /// Who carries checks by way of forwarding.
    plane: Plane,
    /// The configuration that is watched.
    generation: Generation,
    asked: UnboundedReceiver<Ask>,
    /// Who wants to hear what a check comes to next.
    hearers: HashMap<CheckId, Vec<UnboundedSender<Told>>>,
    terms: Terms,
    /// What was known before, of checks that have not begun in this process.
    known: HashMap<CheckId, Liveness>,
    checks: HashMap<CheckId, Check>,
    schedule: Schedule<CheckId>,
    /// How long members of pools that want it take to warm up.
    slow_starts: HashMap<MemberId, Duration>,
    /// Since when those who are warming up are back, and when each is given more.
    warming: HashMap<MemberId, Instant>,
    steps: Schedule<MemberId>,
    names: HashMap<String, String>,
    running: usize,
    /// So many may run at once.
    concurrency: usize,
    finished: UnboundedReceiver<Finished>,
    finish: UnboundedSender<Finished>,
    keep: UnboundedSender<Vec<CheckState>>,
}

impl Engine {
    fn new(
        store: Store,
        events: Events,
        board: Board,
        plane: Plane,
        asked: UnboundedReceiver<Ask>,
        known: HashMap<CheckId, Liveness>,
    ) -> Self {
        let mut commits = store.commits();
        // What is wanted is read at the beginning, too.
        commits.mark_changed();
        let (finish, finished) = mpsc::unbounded_channel();
        let (keep, kept) = mpsc::unbounded_channel();
        tokio::task::spawn_local(keep_states(store.clone(), kept));
        Self {
            store,
            commits,
            events,
            board,
            plane,
            generation: Generation::default(),
            asked,
            hearers: HashMap::new(),
            terms: Terms::default(),
            known,
            checks: HashMap::new(),
            schedule: Schedule::default(),
            slow_starts: HashMap::new(),
            warming: HashMap::new(),
            steps: Schedule::default(),
            names: HashMap::new(),
            running: 0,
            concurrency: concurrency(),
            finished,
            finish,
            keep,
        }
    }

    async fn run(mut self) {
        let mut results = Vec::with_capacity(BATCH);
        loop {
            let due = self.schedule.next().filter(|_| self.running < self.concurrency);
            let step = self.steps.next();
            tokio::select! {
                _ = self.finished.recv_many(&mut results, BATCH) => self.hear(results.drain(..)),
                changed = self.commits.changed() => match changed {
                    Ok(()) => self.read_again().await,
                    Err(_) => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.begin_due(),
                Some(ask) = self.asked.recv() => self.follow(ask),
                () = sleep_until(step.unwrap_or_else(Instant::now)), if step.is_some() => self.warm_up(),
            }
        }
    }

    async fn read_again(&mut self) {
        match self.store.watched().await {
            Ok(watched) => self.watch(&watched),
            Err(error) => {
                tracing::error!(error = %error, "cannot read who is to be checked");
                tokio::time::sleep(RETRY).await;
                self.commits.mark_changed();
            }
        }
    }

    /// From now on these are checked and no others.
    fn watch(&mut self, watched: &Watched) {
        self.generation = watched.want.generation;
        let mut targets = targets(watched);
        let mut monitors: HashMap<MemberId, (Vec<MonitorId>, MonitorsNeeded)> = HashMap::new();
        self.slow_starts.clear();
        for (id, _, watch) in &targets {
            monitors.entry(id.member).or_insert((Vec::new(), watch.needed)).0.push(id.monitor);
            if !watch.slow_start.is_zero() {
                self.slow_starts.insert(id.member, watch.slow_start);
            }
        }
        self.board.watch(&watched.want, &monitors);
        // Who warms up goes on as its pool wants now.
        for member in self.warming.keys() {
            self.steps.set(*member, Instant::now());
        }
        self.names.clone_from(&watched.names);
        self.tell_turns();
        let wanted: std::collections::HashSet<CheckId> = targets.iter().map(|(id, ..)| *id).collect();
        self.terms.watch(pools(watched), &wanted);
        self.checks.retain(|id, _| wanted.contains(id));
        self.schedule.retain(|id| wanted.contains(id));
        self.hearers.retain(|id, _| wanted.contains(id));
        let news = u32::try_from(targets.iter().filter(|(id, target, _)| self.is_news(id, target)).count());
        let spread = APART * news.unwrap_or(u32::MAX);
        for (id, target, _) in targets.drain(..) {
            self.watch_one(id, target, spread);
        }
        self.known.clear();
    }

    fn is_news(&self, id: &CheckId, target: &Target) -> bool {
        self.checks.get(id).is_none_or(|check| *check.target != *target)
    }

    /// Watches one from now on. Those of whom nothing is known are checked within `spread`.
    fn watch_one(&mut self, id: CheckId, target: Target, spread: Duration) {
        let now = Instant::now();
        if let Some(check) = self.checks.get_mut(&id) {
            if *check.target != target {
                check.target = Arc::new(target);
                check.running = false;
                check.turn = 0;
                self.schedule.set(id, now + phase(&id, spread));
            }
            return;
        }
        let liveness = self.known.get(&id).copied().unwrap_or(Liveness::Unknown);
        // Who is not known is checked at once; who is keeps its state and waits for its place in the interval.
        let wait = match liveness {
            Liveness::Unknown => phase(&id, spread),
            // What a member says of itself is not kept.
            _ if matches!(target.monitor.check, KindOfCheck::Agent(_)) => phase(&id, spread),
            Liveness::Up | Liveness::Down => phase(&id, target.interval(liveness)),
        };
        self.schedule.set(id, now + wait);
        let judgement = Judgement::resume(liveness);
        let check = Check {
            target: Arc::new(target),
            judgement,
            turn: 0,
            begun: now,
            running: false,
            doubted: false,
        };
        self.checks.insert(id, check);
    }

    /// Does what somebody asked for.
    fn follow(&mut self, ask: Ask) {
        let now = Instant::now();
        let (member, told) = match ask {
            Ask::Now { member, told } => (member, Some(told)),
            Ask::Suspected { member } => (member, None),
        };
        let of_member: Vec<_> = self.checks.keys().filter(|id| id.member == member).copied().collect();
        for id in of_member {
            let Some(check) = self.checks.get_mut(&id) else { continue };
            check.doubted |= told.is_none();
            // Many connections fail at once: one check answers for all of them.
            let is_recent = now.saturating_duration_since(check.begun) < SUSPICIONS_APART;
            let is_needed = told.is_some() || (check.judgement.liveness() == Liveness::Up && !is_recent);
            if !check.running && is_needed {
                self.schedule.remove(id);
                self.begin(id, now);
            }
            if let Some(told) = &told {
                // Who does not listen any more need not be told.
                let _ = told.send(Told::Begun(id.monitor));
                self.hearers.entry(id).or_default().push(told.clone());
            }
        }
    }

    fn begin_due(&mut self) {
        let now = Instant::now();
        while self.running < self.concurrency {
            let Some(id) = self.schedule.pop(now) else { return };
            self.begin(id, now);
        }
    }

    fn begin(&mut self, id: CheckId, now: Instant) {
        let Some(check) = self.checks.get_mut(&id) else { return };
        check.begun = now;
        check.turn += 1;
        check.running = true;
        self.running += 1;
        let (target, finish) = (Arc::clone(&check.target), self.finish.clone());
        let carried = target.ways.is_some().then(|| (self.plane.clone(), self.generation));
        tokio::task::spawn_local(async move {
            let outcome = match carried {
                Some((plane, generation)) => plane.carry(generation, &target).await,
                None => kinds::check(&target).await,
            };
            // Nobody listens only when the thread ends.
            let _ = finish.send(Finished { id, target, outcome });
        });
    }

    fn hear(&mut self, results: impl Iterator<Item = Finished>) {
        let mut decided = Vec::new();
        let mut changed = false;
        for result in results {
            self.running -= 1;
            changed |= self.hear_one(result, &mut decided);
        }
        if changed {
            self.board.publish();
            self.tell_turns();
        }
        if !decided.is_empty() {
            // Kept by a task that lives as long as this one.
            let _ = self.keep.send(decided);
        }
    }

    /// Says whether a member changed.
    fn hear_one(&mut self, finished: Finished, decided: &mut Vec<CheckState>) -> bool {
        let Finished { id, target, mut outcome } = finished;
        let Some(check) = self.checks.get_mut(&id).filter(|check| Arc::ptr_eq(&check.target, &target)) else {
            return false;
        };
        check.running = false;
        let now = Instant::now();
        if outcome.ours {
            tracing::warn!("member {} at {} could not be checked: {}", id.member, target.at, outcome.words);
        }
        self.terms.judge(id, &mut outcome);
        let judged = !outcome.ours && check.judgement.hear(outcome.passed, target.rule(), now);
        let liveness = check.judgement.liveness();
        let jitter = target.monitor.jitter_percent;
        let interval = target.interval(liveness);
        check.doubted &= !outcome.passed && liveness == Liveness::Up;
        let pause = match check.turn {
            _ if check.doubted => interval.min(SUSPICIONS_APART),
            // Checks that began together go apart with the first pause, and stay apart.
            1 => phase(&id, interval),
            turn => pause(&id, turn, interval, jitter),
        };
        self.schedule.set(id, check.begun + pause);
        let Outcome { passed, code, words, took, ours: _, warns, wish, term: _ } = outcome;
        let took_ms = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        let result = CheckResult { at: Timestamp::now(), passed, warns, code, words, took_ms };
        let told = Told::Ended(id.monitor, result.clone(), liveness);
        if judged {
            let (since, words) = (result.at, result.words.clone());
            decided.push(CheckState { member: id.member, monitor: id.monitor, liveness, since, words });
        }
        let words = result.words.clone();
        let noted = self.board.note(id.member, id.monitor, result, liveness, wish);
        // Who hears of it finds it on the board.
        for hearer in self.hearers.remove(&id).into_iter().flatten() {
            let _ = hearer.send(told.clone());
        }
        self.tell_more(id, &target, noted, &words);
        if let Some((before, after)) = noted.turned {
            self.come_back(id.member, before, after, now);
            self.tell(id, &target, before, after, &words);
        }
        noted.matters
    }

    /// What a member says of itself, and what one should look at.
    fn tell_more(&self, id: CheckId, target: &Target, noted: Noted, words: &str) {
        let at = target.at;
        let event = match noted {
            Noted { drains: Some(true), .. } => {
                NewEvent::info("member.draining", format!("member {at} takes no new connections: {words}"))
            }
            Noted { drains: Some(false), .. } => {
                NewEvent::info("member.ready", format!("member {at} takes new connections again: {words}"))
            }
            Noted { warns: true, .. } => {
                NewEvent::warning("member.warned", format!("member {at} is up, but: {words}"))
            }
            _ => return,
        };
        let data = serde_json::json!({ "monitor_id": id.monitor });
        self.events.append(NewEvent { about: Some(("members", id.member.to_string())), ..event.with(data) });
    }

    /// A member that was down and is up warms up, if its pool wants that.
    fn come_back(&mut self, member: MemberId, before: Liveness, after: Liveness, now: Instant) {
        self.warming.remove(&member);
        self.steps.remove(member);
        let slow =
            self.slow_starts.get(&member).filter(|_| (before, after) == (Liveness::Down, Liveness::Up));
        let Some(whole) = slow else { return self.board.warm(member, Share::FULL) };
        self.warming.insert(member, now);
        self.steps.set(member, now + warming_step(*whole));
        self.board.warm(member, warmth(Duration::ZERO, *whole));
    }

    /// Gives those who warm up more.
    fn warm_up(&mut self) {
        let now = Instant::now();
        while let Some(member) = self.steps.pop(now) {
            let since = self.warming.get(&member).map(|begun| now.saturating_duration_since(*begun));
            let share = match (since, self.slow_starts.get(&member)) {
                (Some(since), Some(whole)) => warmth(since, *whole),
                _ => Share::FULL,
            };
            match self.slow_starts.get(&member) {
                Some(whole) if share < Share::FULL => self.steps.set(member, now + warming_step(*whole)),
                _ => drop(self.warming.remove(&member)),
            }
            self.board.warm(member, share);
        }
        self.board.publish();
    }

    /// Says which pools, services and addresses are better or worse than before.
    fn tell_turns(&self) {
        for Turn { of, before, after, reason } in self.board.turns() {
            let (noun, table, id, [online, degraded, offline]) = words(of);
            let name = self.names.get(&id).map_or("", String::as_str);
            let because = reason.map_or_else(String::new, |reason| format!(": {reason}"));
            let message = |state| format!("{noun} `{name}` is {state}{because}");
            let event = match after {
                Operating::Online => NewEvent::info(online, message("online")),
                Operating::Degraded => NewEvent::warning(degraded, message("degraded")),
                Operating::Offline => NewEvent::error(offline, message("offline")),
                // Only a change of what is wanted makes something unknown; nothing drains by what is seen of others.
                Operating::Unknown | Operating::Draining => continue,
            };
            let data = serde_json::json!({ "before": before, "after": after });
            self.events.append(NewEvent { about: Some((table, id)), ..event.with(data) });
        }
    }

    fn tell(&self, id: CheckId, target: &Target, before: Liveness, after: Liveness, words: &str) {
        let CheckId { member, monitor } = id;
        tracing::info!(%member, %monitor, ?before, ?after, "member {member} at {} is {after:?}: {words}", target.at);
        let at = target.at;
        let event = match after {
            Liveness::Up => NewEvent::info("member.up", format!("member {at} is up: {words}")),
            Liveness::Down => NewEvent::warning("member.down", format!("member {at} is down: {words}")),
            // Only another monitor makes somebody unknown.
            Liveness::Unknown => return,
        };
        let data = serde_json::json!({ "monitor_id": monitor, "before": before, "after": after });
        self.events.append(NewEvent { about: Some(("members", member.to_string())), ..event.with(data) });
    }
}

/// What a resource is called, its table and identifier, and the events that say how it is.
fn words(of: Resource) -> (&'static str, &'static str, String, [&'static str; 3]) {
    match of {
        Resource::Pool(id) => {
            ("pool", "pools", id.to_string(), ["pool.online", "pool.degraded", "pool.offline"])
        }
        Resource::Service(id) => {
            let kinds = ["virtual_service.online", "virtual_service.degraded", "virtual_service.offline"];
            ("virtual service", "virtual_services", id.to_string(), kinds)
        }
        Resource::VirtualIp(id) => {
            let kinds = ["virtual_ip.online", "virtual_ip.degraded", "virtual_ip.offline"];
            ("virtual IP", "virtual_ips", id.to_string(), kinds)
        }
    }
}

/// Every check that is wanted.
fn targets(watched: &Watched) -> Vec<(CheckId, Target, &PoolWatch)> {
    let mut targets = Vec::new();
    let ways = Ways::of_all(watched);
    let monitors: HashMap<MonitorId, Arc<Monitor>> =
        watched.monitors.iter().map(|(id, monitor)| (*id, Arc::new(monitor.clone()))).collect();
    for pool in watched.want.pools.iter().filter(|pool| pool.enabled) {
        let Some(watch) = watched.of_pool.get(&pool.id) else { continue };
        for id in &watch.monitors {
            let Some(monitor) = monitors.get(id) else { continue };
            let members = pool.members.iter().filter(|member| member.state != MemberState::Disabled);
            let of_member = |member: &Member| {
                (CheckId { member: member.id, monitor: *id }, Target::new(member, monitor, &ways), watch)
            };
            targets.extend(members.map(of_member));
        }
    }
    targets
}

/// Whose member each is.
fn pools(watched: &Watched) -> HashMap<MemberId, PoolId> {
    let of_pool = |pool: &Pool| pool.members.iter().map(|member| (member.id, pool.id)).collect::<Vec<_>>();
    watched.want.pools.iter().flat_map(of_pool).collect()
}

/// Writes down what was decided, for the next process; what comes meanwhile is written together.
async fn keep_states(store: Store, mut decided: UnboundedReceiver<Vec<CheckState>>) {
    let mut batches = Vec::new();
    while decided.recv_many(&mut batches, BATCH).await > 0 {
        let states: Vec<CheckState> = batches.drain(..).flatten().collect();
        if let Err(error) = store.keep_check_states(&states).await {
            tracing::error!(error = %error, "what was seen of {} checks cannot be kept", states.len());
        }
    }
}

#[cfg(test)]
mod tests;
