//! The control side: it takes publications and news of the network, builds tables, and hands them to the workers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use lb_engine::counters::{Counter, WorkerCounters};
use lb_engine::network::Network;
use lb_engine::tables::{Planner, TablesError};
use lb_model::MemberId;
use lb_model::contract::{BackendStatus, L4Status, PortStatus, WorkerStatus};
use lb_model::counters::{Accounting, BackendCounters, SynCookies};
use lb_model::snapshot::{Generation, HealthDelta, L4Service, L4Snapshot, Standing};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::kernel::Mirror;
use crate::ports::PortWatch;
use crate::shared::Shared;
use crate::sight::Errand;

/// A worker looks for new tables at least every half millisecond: who takes longer hangs.
const WORKERS_PATIENCE: Duration = Duration::from_secs(2);

/// Why a publication was not taken.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    /// The snapshot makes no tables.
    #[error("{0}")]
    Tables(#[from] TablesError),
    /// A delta of another generation: a snapshot is on its way, or was refused.
    #[error("a change of health in generation {delta}, while generation {forwarding} is forwarding")]
    Generation {
        /// That of the delta.
        delta: Generation,
        /// The one that is forwarding.
        forwarding: Generation,
    },
    /// A worker does not take up the new tables.
    #[error("a worker did not take up the new tables within {} s", WORKERS_PATIENCE.as_secs())]
    Workers,
}

/// One for the process.
pub(crate) struct Control {
    shared: Arc<Shared>,
    mirror: OnceLock<Arc<Mirror>>,
    kept_in: PathBuf,
    flows_attached: u64,
    state: Mutex<State>,
    /// Whoever asks the workers something.
    asking: Mutex<()>,
}

struct State {
    planner: Planner,
    network: Network,
    /// What is forwarded by: the last publication with the changes of health since.
    snapshot: L4Snapshot,
    /// Those changes.
    health: BTreeMap<MemberId, Standing>,
    ports: Vec<PortWatch>,
    /// What backend slots had counted when they were given to the backend that has them now.
    slots: BTreeMap<usize, Slot>,
}

#[derive(Clone, PartialEq, Eq)]
struct Slot {
    service: lb_model::VirtualServiceId,
    member: MemberId,
    before: BackendCounters,
}

impl Control {
    pub(crate) fn new(
        shared: Arc<Shared>,
        kept_in: PathBuf,
        ports: Vec<PortWatch>,
        flows_attached: u64,
    ) -> Self {
        // Other than the epoch of the process before, which attached flows remember.
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let epoch = u32::try_from((boot.tv_sec * 1000 + boot.tv_nsec / 1_000_000) & 0xffff_ffff).unwrap_or(1);
        let state = State {
            planner: Planner::new(epoch),
            network: Network::default(),
            snapshot: L4Snapshot::default(),
            health: BTreeMap::new(),
            ports,
            slots: BTreeMap::new(),
        };
        let state = Mutex::new(state);
        Self { shared, mirror: OnceLock::new(), kept_in, flows_attached, state, asking: Mutex::default() }
    }

    /// From now on the mirror is told which neighbours are wanted.
    pub(crate) fn attach_mirror(&self, mirror: Arc<Mirror>) {
        let state = self.state();
        mirror.want(state.planner.wanted(&state.network));
        // Set once, by the one who starts both.
        let _ = self.mirror.set(mirror);
    }

    /// The kernel's tables have changed.
    pub(crate) fn network_changed(&self, network: Network) {
        let mut state = self.state();
        state.network = network;
        self.rebuild(&mut state);
    }

    /// Forwards by a snapshot; returns when every worker does. On an error the one before it stays.
    pub(crate) fn publish(&self, snapshot: &L4Snapshot) -> Result<Generation, PublishError> {
        let version = {
            let mut state = self.state();
            state.planner.publish(snapshot)?;
            state.snapshot = snapshot.clone();
            state.health.clear();
            self.assign_slots(&mut state);
            self.rebuild(&mut state)
        };
        self.await_workers(version)?;
        keep(&self.snapshot_file(), snapshot);
        // The same generation can be published again, with other health than was kept beside it.
        keep(&self.health_file(), &HealthDelta { generation: snapshot.generation, members: Vec::new() });
        Ok(snapshot.generation)
    }

    /// Changes who takes new flows; returns when every worker knows. On an error nothing has changed.
    pub(crate) fn change_health(&self, delta: &HealthDelta) -> Result<Generation, PublishError> {
        let (version, since) = {
            let mut state = self.state();
            state.apply(delta)?;
            (self.rebuild(&mut state), state.health_since())
        };
        self.await_workers(version)?;
        keep(&self.health_file(), &since);
        Ok(delta.generation)
    }

    fn await_workers(&self, version: u64) -> Result<(), PublishError> {
        let taken_up = self.shared.await_workers(version, WORKERS_PATIENCE);
        taken_up.then_some(()).ok_or(PublishError::Workers)
    }

    fn snapshot_file(&self) -> PathBuf {
        self.kept_in.join("snapshot.json")
    }

    /// Its changes of health: apart from the snapshot, which is large and changes less often.
    fn health_file(&self) -> PathBuf {
        self.kept_in.join("health.json")
    }

    /// Forwards by the last good snapshot that a process before this one kept, if there is one, with the health it knew.
    pub(crate) fn resume(&self) {
        let mut state = self.state();
        match self.resume_snapshot(&mut state) {
            Ok(Some(generation)) => {
                self.resume_health(&mut state);
                tracing::info!(%generation, "resumed with generation {generation}");
            }
            Ok(None) => return,
            Err(error) => tracing::error!(error, "the last good snapshot is of no use: {error}"),
        }
        self.rebuild(&mut state);
    }

    fn resume_snapshot(&self, state: &mut State) -> Result<Option<Generation>, String> {
        let Some(kept) = kept::<L4Snapshot>(&self.snapshot_file())? else { return Ok(None) };
        state.planner.publish(&kept).map_err(|error| error.to_string())?;
        let generation = kept.generation;
        state.snapshot = kept;
        self.assign_slots(state);
        Ok(Some(generation))
    }

    /// Without what was kept of it, members stand as in the snapshot.
    fn resume_health(&self, state: &mut State) {
        let known = kept::<HealthDelta>(&self.health_file()).and_then(|delta| match delta {
            // Of another generation: its snapshot had all of it.
            Some(delta) if delta.generation == state.snapshot.generation => {
                state.apply(&delta).map_err(|error| error.to_string())
            }
            _ => Ok(()),
        });
        if let Err(error) = known {
            tracing::error!(error, "what was known of the members' health is of no use: {error}");
        }
    }

    /// Lets go of the ports, so that their devices stop before the memory they write to is gone.
    pub(crate) fn close_ports(&self) {
        self.state().ports.clear();
    }

    pub(crate) fn generation(&self) -> Generation {
        self.state().snapshot.generation
    }

    /// The names of the ports, and the network that they are in.
    pub(crate) fn surroundings(&self) -> (Vec<String>, Network) {
        let state = self.state();
        (state.ports.iter().map(|port| port.name.clone()).collect(), state.network.clone())
    }

    pub(crate) fn worker_count(&self) -> usize {
        self.shared.workers.len()
    }

    /// Has a worker do something between two bursts; nothing if it hangs.
    pub(crate) fn ask_worker(&self, worker: u16, errand: Errand) -> Option<Errand> {
        let desk = &self.shared.workers.get(usize::from(worker))?.desk;
        let _alone = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        desk.ask(errand)
    }

    pub(crate) fn status(&self) -> L4Status {
        let state = self.state();
        let mut accounting = Accounting::default();
        let mut syn_cookies = SynCookies::default();
        for worker in &self.shared.workers {
            worker.counters.add_to(&mut accounting);
            syn_cookies.given += worker.counters.cookies_given.get();
            syn_cookies.taken += worker.counters.cookies_taken.get();
        }
        let workers: Vec<_> =
            self.shared.workers.iter().map(|worker| worker_status(&worker.counters)).collect();
        let flows = workers.iter().map(|worker| worker.flows).sum();
        let ports =
            state.ports.iter().enumerate().map(|(at, port)| self.port_status(&state, at, port)).collect();
        let backends = state.slots.iter().map(|(at, slot)| self.backend_status(*at, slot)).collect();
        L4Status {
            generation: state.snapshot.generation,
            ports,
            accounting,
            syn_cookies,
            workers,
            flows,
            flows_attached: self.flows_attached,
            backends,
        }
    }

    fn port_status(&self, state: &State, at: usize, port: &PortWatch) -> PortStatus {
        let up = self.mirror.get().is_some_and(|mirror| mirror.is_up(at)) && at < state.ports.len();
        PortStatus {
            name: port.name.clone(),
            driver: port.driver.clone(),
            up,
            driver_counters: port.counters(),
        }
    }

    fn backend_status(&self, at: usize, slot: &Slot) -> BackendStatus {
        let counters = self.counted(at).since(&slot.before);
        BackendStatus { service: slot.service, member: slot.member, counters }
    }

    /// What all workers together counted for a backend slot.
    fn counted(&self, at: usize) -> BackendCounters {
        let mut sum = BackendCounters::default();
        for cell in self.shared.workers.iter().filter_map(|worker| worker.counters.backends.get(at)) {
            sum.add(&cell.read());
        }
        sum
    }

    /// Notes what slots had counted for others before they came to the backends that have them now.
    fn assign_slots(&self, state: &mut State) {
        let mut slots = BTreeMap::new();
        for (at, service, member) in state.planner.backend_slots() {
            let kept =
                state.slots.remove(&at).filter(|slot| (slot.service, slot.member) == (service, member));
            let slot = kept.unwrap_or_else(|| Slot { service, member, before: self.counted(at) });
            slots.insert(at, slot);
        }
        state.slots = slots;
    }

    fn rebuild(&self, state: &mut State) -> u64 {
        let tables = state.planner.tables(&state.network);
        if let Some(mirror) = self.mirror.get() {
            mirror.want(state.planner.wanted(&state.network));
        }
        for worker in &self.shared.workers {
            worker.counters.prepare(&tables);
        }
        self.shared.publish(tables)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Members that are not here are none of this plane's.
    fn apply(&mut self, delta: &HealthDelta) -> Result<(), PublishError> {
        let HealthDelta { generation: delta, members } = delta;
        if *delta != self.snapshot.generation {
            return Err(PublishError::Generation { delta: *delta, forwarding: self.snapshot.generation });
        }
        let changed: BTreeMap<_, _> = members.iter().map(|standing| (standing.member, *standing)).collect();
        for service in &mut self.snapshot.services {
            if stand(service, &changed) {
                self.planner.restate(service);
            }
        }
        self.health.extend(changed);
        Ok(())
    }

    /// All changes since the publication, as one.
    fn health_since(&self) -> HealthDelta {
        HealthDelta { generation: self.snapshot.generation, members: self.health.values().copied().collect() }
    }
}

/// What one worker counted.
fn worker_status(counters: &WorkerCounters) -> WorkerStatus {
    let dropped = counters.drops.iter().map(Counter::get).sum();
    WorkerStatus {
        received: counters.received.get(),
        sent: counters.sent.get(),
        dropped,
        flows: counters.flows.get(),
    }
}

/// Lets a service's backends stand as they do now. Says whether any stood otherwise.
fn stand(service: &mut L4Service, now: &BTreeMap<MemberId, Standing>) -> bool {
    let mut changed = false;
    for backend in &mut service.backends {
        if let Some(&Standing { member: _, takes_new, keeps, share }) = now.get(&backend.member) {
            changed |= (backend.takes_new, backend.keeps, backend.share) != (takes_new, keeps, share);
            (backend.takes_new, backend.keeps, backend.share) = (takes_new, keeps, share);
        }
    }
    changed
}

/// What is in a file, if it is there.
fn kept<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| error.to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Keeps what is forwarded by for the next process. Without it everything goes on all the same; only a restart without
/// penstockd would begin with what was kept before.
fn keep<T: Serialize>(path: &Path, forwarding: &T) {
    if let Err(error) = replace(path, forwarding) {
        let path = path.display();
        tracing::error!(%error, %path, "what is forwarded by cannot be kept in {path}");
    }
}

/// Writes beside, then moves into place: a reader finds the old one or the new one, whole.
fn replace<T: Serialize>(path: &Path, content: &T) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(content)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}
