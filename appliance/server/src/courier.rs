//! The short road: a change of health goes to the planes as a delta on the generation that they forward by, past reading
//! and compiling everything again.
//!
//! What the plane was told last is written down under a lock that is held while it is told, so that a snapshot and a
//! delta are known in the order in which the plane took them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lb_compile::standings;
use lb_model::contract::{PlaneAnswer, PlaneRequest};
use lb_model::snapshot::{HealthDelta, Standing};
use lb_model::{DesiredState, Generation, Health, MemberId};
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::timeout;

use crate::peer::{Peer, Plane};
use crate::probe::Decided;

/// How long to wait after a delta was not taken. What leads to that, a plane that is away or works by another
/// generation, ends with a new snapshot, which wakes the courier earlier.
const RETRY: Duration = Duration::from_secs(1);

/// What a plane was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    want: Arc<DesiredState>,
    standings: BTreeMap<MemberId, Standing>,
}

impl Told {
    /// It was given a snapshot that was compiled from these.
    pub(crate) fn new(want: Arc<DesiredState>, seen: &Health) -> Self {
        let standings = standings(&want, seen);
        Self { want, standings }
    }

    /// The snapshot's generation.
    pub(crate) fn generation(&self) -> Generation {
        self.want.generation
    }

    fn delta(&self, seen: &Health) -> HealthDelta {
        let now = standings(&self.want, seen).into_iter();
        let changed = now.filter(|(member, standing)| self.standings.get(member) != Some(standing));
        HealthDelta {
            generation: self.want.generation,
            members: changed.map(|(_, standing)| standing).collect(),
        }
    }

    fn took(&mut self, delta: HealthDelta) {
        self.standings.extend(delta.members.into_iter().map(|standing| (standing.member, standing)));
    }
}

/// What the plane was last told, and news of it.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    told: Mutex<Option<Told>>,
    published: Notify,
    deliveries: Deliveries,
}

/// How long changes of health were on their way: from the decision until the plane worked by it.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    count: AtomicU64,
    micros: AtomicU64,
    last_micros: AtomicU64,
}

impl Deliveries {
    fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(took, Ordering::Relaxed);
        self.last_micros.store(took, Ordering::Relaxed);
    }

    /// How many there were, how many seconds all of them took together, and the last one.
    pub(crate) fn numbers(&self) -> (u64, f64, f64) {
        let seconds =
            |micros: &AtomicU64| Duration::from_micros(micros.load(Ordering::Relaxed)).as_secs_f64();
        (self.count.load(Ordering::Relaxed), seconds(&self.micros), seconds(&self.last_micros))
    }
}

impl Ledger {
    /// How long changes were on their way.
    pub(crate) fn deliveries(&self) -> &Deliveries {
        &self.deliveries
    }

    /// Keeps deltas away while a snapshot is published. What it was is written down by [`Entry::published`].
    pub(crate) async fn open(&self) -> Entry<'_> {
        Entry { told: self.told.lock().await, published: &self.published }
    }
}

/// The ledger, while the plane is told something.
pub(crate) struct Entry<'ledger> {
    told: tokio::sync::MutexGuard<'ledger, Option<Told>>,
    published: &'ledger Notify,
}

impl Entry<'_> {
    /// The plane took this.
    pub(crate) fn published(mut self, told: Told) {
        *self.told = Some(told);
        self.published.notify_one();
    }
}

/// Carries changes of health for ever.
pub(crate) async fn run<P: Plane>(
    ledger: Arc<Ledger>,
    plane: Peer<P>,
    mut health: watch::Receiver<Arc<Decided>>,
) {
    loop {
        let pause = match carry(&ledger, &plane, &mut health).await {
            Ok(()) => Duration::MAX,
            Err(reason) => {
                tracing::debug!(reason, "a change of health waits: {reason}");
                RETRY
            }
        };
        let woken = async {
            tokio::select! {
                changed = health.changed() => changed.is_ok(),
                () = ledger.published.notified() => true,
            }
        };
        if let Ok(false) = timeout(pause, woken).await {
            return;
        }
    }
}

async fn carry<P: Plane>(
    ledger: &Ledger,
    plane: &Peer<P>,
    health: &mut watch::Receiver<Arc<Decided>>,
) -> Result<(), String> {
    let mut entry = ledger.open().await;
    let Some(told) = entry.told.as_mut() else { return Ok(()) };
    let seen = Arc::clone(&health.borrow_and_update());
    let delta = told.delta(&seen);
    if delta.members.is_empty() {
        return Ok(());
    }
    match plane.ask(PlaneRequest::Health { delta: delta.clone() }, None).await {
        Ok(PlaneAnswer::Forwarding { generation }) if generation == delta.generation => {
            told.took(delta);
            ledger.deliveries.note(seen.at.elapsed());
            Ok(())
        }
        Ok(PlaneAnswer::Refused { reason, .. }) => Err(reason),
        Ok(_) => Err("it answered another question".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
