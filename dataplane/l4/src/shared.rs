//! What the workers and the control thread share: one pointer to tables, and counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use lb_engine::{Tables, WorkerCounters};

use crate::sight::Desk;

/// One for the process.
#[derive(Debug)]
pub(crate) struct Shared {
    tables: ArcSwap<Tables>,
    version: AtomicU64,
    stop: AtomicBool,
    pub(crate) workers: Vec<WorkerView>,
}

/// What others see of a worker.
#[derive(Debug, Default)]
pub(crate) struct WorkerView {
    /// The version of the tables that it forwards by.
    seen: AtomicU64,
    pub(crate) counters: Arc<WorkerCounters>,
    /// What it is asked beside forwarding.
    pub(crate) desk: Arc<Desk>,
}

impl Shared {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            tables: ArcSwap::default(),
            version: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            workers: (0..workers).map(|_| WorkerView::default()).collect(),
        }
    }

    /// Every worker's counters.
    pub(crate) fn counters(&self) -> Box<[Arc<WorkerCounters>]> {
        self.workers.iter().map(|worker| Arc::clone(&worker.counters)).collect()
    }

    /// Makes tables the ones to forward by, from each worker's next burst on. Returns their version.
    pub(crate) fn publish(&self, tables: Tables) -> u64 {
        self.tables.store(Arc::new(tables));
        self.version.fetch_add(1, Ordering::Release) + 1
    }

    /// Waits until every worker forwards by `version` or a later one; says whether they did in time.
    pub(crate) fn await_workers(&self, version: u64, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let all_have_it = || self.workers.iter().all(|worker| worker.seen.load(Ordering::Acquire) >= version);
        while !all_have_it() {
            if Instant::now() > deadline {
                return false;
            }
            // A worker looks at least every half millisecond.
            std::thread::sleep(Duration::from_micros(100));
        }
        true
    }

    /// The tables, if their version is another than `seen`; then the worker forwards by them.
    #[inline]
    pub(crate) fn newer(&self, worker: usize, seen: &mut u64) -> Option<Arc<Tables>> {
        let version = self.version.load(Ordering::Acquire);
        if version == *seen {
            return None;
        }
        *seen = version;
        let tables = self.tables.load_full();
        self.workers[worker].seen.store(version, Ordering::Release);
        Some(tables)
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
