//! The control side: it takes publications and news of the network, builds tables, and hands them to the workers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use lb_engine::network::Network;
use lb_engine::tables::{Planner, TablesError};
use lb_model::contract::{BackendStatus, L4Status, PortStatus};
use lb_model::counters::{Accounting, BackendCounters};
use lb_model::snapshot::{Generation, L4Snapshot};
use thiserror::Error;

use crate::kernel::Mirror;
use crate::ports::PortWatch;
use crate::shared::Shared;

/// A worker looks for new tables at least every half millisecond: who takes longer hangs.
const WORKERS_PATIENCE: Duration = Duration::from_secs(2);

/// Why a publication was not taken.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    /// The snapshot makes no tables.
    #[error("{0}")]
    Tables(#[from] TablesError),
    /// A worker does not take up the new tables.
    #[error("a worker did not take up the new tables within {} s", WORKERS_PATIENCE.as_secs())]
    Workers,
}

/// One for the process.
pub(crate) struct Control {
    shared: Arc<Shared>,
    mirror: OnceLock<Arc<Mirror>>,
    kept_at: PathBuf,
    flows_attached: u64,
    state: Mutex<State>,
}

struct State {
    planner: Planner,
    network: Network,
    generation: Generation,
    ports: Vec<PortWatch>,
    /// What backend slots had counted when they were given to the backend that has them now.
    slots: BTreeMap<usize, Slot>,
}

#[derive(Clone, PartialEq, Eq)]
struct Slot {
    service: lb_model::VirtualServiceId,
    member: lb_model::MemberId,
    before: BackendCounters,
}

impl Control {
    pub(crate) fn new(
        shared: Arc<Shared>,
        kept_at: PathBuf,
        ports: Vec<PortWatch>,
        flows_attached: u64,
    ) -> Self {
        // Other than the epoch of the process before, which attached flows remember.
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let epoch = u32::try_from((boot.tv_sec * 1000 + boot.tv_nsec / 1_000_000) & 0xffff_ffff).unwrap_or(1);
        let state = State {
            planner: Planner::new(epoch),
            network: Network::default(),
            generation: Generation::default(),
            ports,
            slots: BTreeMap::new(),
        };
        Self { shared, mirror: OnceLock::new(), kept_at, flows_attached, state: Mutex::new(state) }
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
            state.generation = snapshot.generation;
            self.assign_slots(&mut state);
            self.rebuild(&mut state)
        };
        if !self.shared.await_workers(version, WORKERS_PATIENCE) {
            return Err(PublishError::Workers);
        }
        if let Err(error) = keep(&self.kept_at, snapshot) {
            // It forwards all the same; only a restart without penstockd would begin with the one before.
            let path = self.kept_at.display();
            tracing::error!(%error, %path, "generation {} cannot be kept in {path}", snapshot.generation);
        }
        Ok(snapshot.generation)
    }

    /// Forwards by the last good snapshot that a process before this one kept, if there is one.
    pub(crate) fn resume(&self) {
        let bytes = match fs::read(&self.kept_at) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return tracing::error!(%error, "cannot read the last good snapshot"),
        };
        let mut state = self.state();
        let read = serde_json::from_slice::<L4Snapshot>(&bytes).map_err(|error| error.to_string());
        match read
            .and_then(|kept| state.planner.publish(&kept).map(|()| kept).map_err(|error| error.to_string()))
        {
            Ok(kept) => {
                state.generation = kept.generation;
                self.assign_slots(&mut state);
                tracing::info!(generation = %kept.generation, "resumed with generation {}", kept.generation);
            }
            Err(error) => tracing::error!(error, "the last good snapshot is of no use: {error}"),
        }
        self.rebuild(&mut state);
    }

    /// Lets go of the ports, so that their devices stop before the memory they write to is gone.
    pub(crate) fn close_ports(&self) {
        self.state().ports.clear();
    }

    pub(crate) fn status(&self) -> L4Status {
        let state = self.state();
        let mut accounting = Accounting::default();
        let mut flows = 0;
        for worker in &self.shared.workers {
            worker.counters.add_to(&mut accounting);
            flows += worker.counters.flows.get();
        }
        let ports =
            state.ports.iter().enumerate().map(|(at, port)| self.port_status(&state, at, port)).collect();
        let backends = state.slots.iter().map(|(at, slot)| self.backend_status(*at, slot)).collect();
        L4Status {
            generation: state.generation,
            ports,
            accounting,
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
        self.shared.publish(tables)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes beside, then moves into place: a reader finds the old one or the new one, whole.
fn keep(path: &Path, snapshot: &L4Snapshot) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(snapshot)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}
