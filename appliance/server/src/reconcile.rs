//! The one way from what is wanted to what is done: wake, read everything, compile, publish, await the acknowledgement.
//!
//! A wake carries no data, so nothing is lost when two become one. The planes are told first and the host second: packets
//! are steered to a plane only when it knows what to do with them. What fails waits for the next tick; the last good
//! generation forwards meanwhile, and no write ever waits for any of this.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lb_compile::{Compiled, compile};
use lb_link::LinkError;
use lb_model::Generation;
use lb_model::contract::{
    HostAnswer, HostRequest, L4Status, L7Status, PlaneAnswer, PlaneRequest, PlaneStatus,
};
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::courier::{self, Ledger, Told};
use crate::domain::NewEvent;
use crate::events::Events;
use crate::observed::{Failure, Observation, Observed, PlaneState, ProcessState, Reported};
use crate::peer::{Contract, Host, L4, L7, Peer, PeerError, Plane, Watcher};
use crate::probe::Decided;
use crate::store::{Store, StoreError};

/// How long something that failed waits before it is tried again, if nothing changes before.
const TICK: Duration = Duration::from_secs(2);

/// Why what is wanted is not done.
#[derive(Debug, Error)]
enum Unsettled {
    #[error("cannot read what is wanted")]
    Read(#[from] StoreError),
    #[error(transparent)]
    Compile(#[from] lb_compile::CompileError),
    #[error("cannot hand over what was compiled")]
    Seal(#[from] LinkError),
    #[error("{process} refused: {reason}")]
    Refused { process: &'static str, reason: String },
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("{0} answered another question")]
    Confused(&'static str),
    #[error("compiling was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl Unsettled {
    /// Whether it was tried and cannot be done, in contrast to: it could not be tried yet.
    fn is_failure(&self) -> bool {
        !matches!(self, Self::Peer(PeerError::NotConnected(_)))
    }
}

/// A generation on its way: sealed for each of those who act on it.
struct Sealed {
    l4: OwnedFd,
    l7: OwnedFd,
    /// Whether the layer-7 plane has anything to do.
    proxies: bool,
    host: OwnedFd,
}

/// Where the other processes listen.
#[derive(Clone, Debug)]
pub(crate) struct Sockets {
    /// penstock-l4.
    pub(crate) l4: PathBuf,
    /// penstock-l7.
    pub(crate) l7: PathBuf,
    /// penstock-host.
    pub(crate) host: PathBuf,
}

/// Brings what is done to what is wanted.
#[derive(Debug)]
pub(crate) struct Reconciler {
    store: Store,
    wake: Arc<Notify>,
    l4: Peer<L4>,
    l7: Peer<L7>,
    host: Peer<Host>,
    observed: Arc<watch::Sender<Observed>>,
    events: Events,
    health: watch::Receiver<Arc<Decided>>,
    /// What the layer-4 plane was told of health, and the layer-7 plane.
    ledgers: [Arc<Ledger>; 2],
}

impl Reconciler {
    /// Connects to the processes that listen at these sockets. `wake` is notified when there may be something to do; what is done is
    /// seen in `observed`.
    pub(crate) fn start(
        store: Store,
        wake: Arc<Notify>,
        events: Events,
        health: watch::Receiver<Arc<Decided>>,
        observed: Arc<watch::Sender<Observed>>,
        sockets: &Sockets,
    ) -> std::io::Result<Self> {
        let watcher =
            || Watch { observed: Arc::clone(&observed), wake: Arc::clone(&wake), events: events.clone() };
        let l4 = Peer::start(sockets.l4.clone(), watcher())?;
        let l7 = Peer::start(sockets.l7.clone(), watcher())?;
        let host = Peer::start(sockets.host.clone(), watcher())?;
        Ok(Self { store, wake, l4, l7, host, observed, events, health, ledgers: Default::default() })
    }

    /// Where it is seen what is done.
    pub(crate) fn observation(&self) -> Observation {
        self.observed.subscribe()
    }

    /// What the layer-4 plane was told of health, and the layer-7 plane.
    pub(crate) fn ledgers(&self) -> [Arc<Ledger>; 2] {
        self.ledgers.clone()
    }

    /// The layer-4 plane, for those who ask for numbers.
    pub(crate) fn l4(&self) -> Peer<L4> {
        self.l4.clone()
    }

    /// The layer-7 plane, for those who ask for numbers.
    pub(crate) fn l7(&self) -> Peer<L7> {
        self.l7.clone()
    }

    /// Reconciles for ever. Changes of health alone go their own way beside it.
    pub(crate) async fn run(self) {
        let [of_l4, of_l7] = self.ledgers.clone();
        let to_l4 = courier::run(of_l4, self.l4(), self.health.clone());
        let to_l7 = courier::run(of_l7, self.l7(), self.health.clone());
        tokio::join!(to_l4, to_l7, self.settle());
    }

    async fn settle(&self) {
        let mut told = None;
        loop {
            let error = self.reconcile().await.err();
            let failure = error.as_ref().map(|error| chain(error));
            // The same failure at every tick is one line, not thousands.
            if failure != told {
                tell(failure.as_deref());
                if let (Some(reason), true) = (&failure, error.is_some_and(|error| error.is_failure())) {
                    let message = format!("what is wanted cannot be done: {reason}");
                    self.events.append(NewEvent::error("configuration.refused", message));
                }
            }
            if failure.is_some() {
                // Whichever is first: a change, a peer that came back, or the tick.
                let _ = tokio::time::timeout(TICK, self.wake.notified()).await;
            } else {
                self.wake.notified().await;
            }
            told = failure;
        }
    }

    async fn reconcile(&self) -> Result<(), Unsettled> {
        let want = Arc::new(self.store.desired().await?);
        let generation = want.generation;
        let seen = Arc::clone(&self.health.borrow());
        let result = async {
            let (compiled_from, seen_then) = (Arc::clone(&want), Arc::clone(&seen));
            let compiled = move || seal(&compile(&compiled_from, &seen_then)?);
            let sealed = tokio::task::spawn_blocking(compiled).await??;
            self.concern(sealed.proxies);
            let told = Told::new(want, &seen);
            let [of_l4, of_l7] = &self.ledgers;
            let (l4, l7) = tokio::join!(
                self.publish(&self.l4, of_l4, told.clone(), sealed.l4),
                self.publish(&self.l7, of_l7, told, sealed.l7)
            );
            // Steering is of the layer-4 plane's packets alone: it waits for nobody else.
            l4?;
            self.apply(generation, sealed.host).await?;
            l7
        }
        .await;
        self.observed.send_modify(|observed| match &result {
            Ok(()) => {
                observed.generation = generation;
                observed.failure = None;
            }
            Err(error) if error.is_failure() => {
                observed.failure = Some(Failure { generation, reason: chain(error) });
            }
            Err(_) => {}
        });
        result
    }

    /// Notes which planes the generation concerns. One that has nothing to do is told all the same if it is there, so
    /// that it forgets what it did before; if it is not, nobody waits for it.
    fn concern(&self, proxies: bool) {
        self.observed.send_modify(|observed| {
            observed.l4.concerned = true;
            observed.l7.concerned = proxies || observed.l7.process.is_connected();
        });
    }

    async fn publish<P: Observable>(
        &self,
        peer: &Peer<P>,
        ledger: &Ledger,
        told: Told,
        snapshot: OwnedFd,
    ) -> Result<(), Unsettled> {
        let generation = told.generation();
        {
            let observed = self.observed.borrow();
            let plane = P::state(&observed);
            if !plane.concerned || plane.process.acknowledged == Some(generation) {
                return Ok(());
            }
        }
        let entry = ledger.open().await;
        match peer.ask(PlaneRequest::Publish { generation }, Some(snapshot)).await? {
            PlaneAnswer::Forwarding { generation: forwarding } if forwarding == generation => {
                entry.published(told);
                self.observed.send_modify(|observed| P::state_mut(observed).process.acknowledged(generation));
                Ok(())
            }
            PlaneAnswer::Refused { generation: _, reason } => {
                let noted = Some(reason.clone());
                self.observed.send_modify(|observed| P::state_mut(observed).process.error = noted);
                Err(Unsettled::Refused { process: P::PROCESS, reason })
            }
            _ => Err(Unsettled::Confused(P::PROCESS)),
        }
    }

    async fn apply(&self, generation: Generation, plan: OwnedFd) -> Result<(), Unsettled> {
        if self.observed.borrow().host.acknowledged == Some(generation) {
            return Ok(());
        }
        match self.host.ask(HostRequest::Apply { generation }, Some(plan)).await? {
            HostAnswer::Applied { generation: applied, off_link } if applied == generation => {
                self.observed.send_modify(|observed| {
                    observed.host.acknowledged(generation);
                    observed.off_link = off_link;
                });
                Ok(())
            }
            HostAnswer::Refused { generation: _, reason } => {
                self.observed.send_modify(|observed| observed.host.error = Some(reason.clone()));
                Err(Unsettled::Refused { process: Host::PROCESS, reason })
            }
            HostAnswer::Applied { .. }
            | HostAnswer::Machine(_)
            | HostAnswer::Settings(_)
            | HostAnswer::Diagnosis { .. }
            | HostAnswer::Unable { .. } => Err(Unsettled::Confused(Host::PROCESS)),
        }
    }
}

fn seal(compiled: &Compiled) -> Result<Sealed, Unsettled> {
    Ok(Sealed {
        l4: lb_link::seal(&compiled.l4)?,
        l7: lb_link::seal(&compiled.l7)?,
        proxies: !compiled.l7.services.is_empty(),
        host: lb_link::seal(&compiled.host)?,
    })
}

fn tell(failure: Option<&str>) {
    if let Some(reason) = failure {
        tracing::warn!("what is wanted is not done: {reason}");
    } else {
        tracing::info!("what is wanted is done");
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Writes down what becomes of a connection, and wakes the reconciler where that gives it something to do.
struct Watch {
    observed: Arc<watch::Sender<Observed>>,
    wake: Arc<Notify>,
    events: Events,
}

impl Watch {
    fn connected<C: Contract>(
        &self,
        version: String,
        pid: Option<u32>,
        process: impl Fn(&mut Observed) -> &mut ProcessState,
    ) {
        let event = NewEvent::info("process.connected", format!("{} {version} is connected", C::PROCESS));
        self.observed.send_modify(|observed| process(observed).connected(version, pid));
        self.events.append(event);
        self.wake.notify_one();
    }

    fn lost<C: Contract>(&self, error: &PeerError, process: impl Fn(&mut Observed) -> &mut ProcessState) {
        let mut was_connected = false;
        self.observed.send_if_modified(|observed| {
            let before = process(observed).clone();
            was_connected = before.is_connected();
            process(observed).lost(chain(error));
            *process(observed) != before
        });
        if was_connected {
            let message = format!("{} is not connected any more: {}", C::PROCESS, chain(error));
            self.events.append(NewEvent::warning("process.lost", message));
        }
    }
}

/// A plane, and where it is written down what is known of it.
trait Observable: Plane {
    fn state(observed: &Observed) -> &PlaneState<Self::Status>;
    fn state_mut(observed: &mut Observed) -> &mut PlaneState<Self::Status>;
}

impl Observable for L4 {
    fn state(observed: &Observed) -> &PlaneState<L4Status> {
        &observed.l4
    }

    fn state_mut(observed: &mut Observed) -> &mut PlaneState<L4Status> {
        &mut observed.l4
    }
}

impl Observable for L7 {
    fn state(observed: &Observed) -> &PlaneState<L7Status> {
        &observed.l7
    }

    fn state_mut(observed: &mut Observed) -> &mut PlaneState<L7Status> {
        &mut observed.l7
    }
}

impl<P: Observable> Watcher<P> for Watch {
    fn connected(&self, version: String, pid: Option<u32>) {
        self.connected::<P>(version, pid, |observed| &mut P::state_mut(observed).process);
    }

    fn lost(&self, error: &PeerError) {
        self.lost::<P>(error, |observed| &mut P::state_mut(observed).process);
    }

    fn status(&self, answer: PlaneAnswer<P::Status>) {
        let PlaneAnswer::Status(status) = answer else { return };
        let mut taken_back = false;
        self.observed.send_modify(|observed| {
            let plane = P::state_mut(observed);
            taken_back = plane.process.reported(status.generation());
            plane.report = Some(Reported { status, at: Instant::now() });
        });
        if taken_back {
            self.wake.notify_one();
        }
    }
}

impl Watcher<Host> for Watch {
    fn connected(&self, version: String, pid: Option<u32>) {
        self.connected::<Host>(version, pid, |observed| &mut observed.host);
    }

    fn lost(&self, error: &PeerError) {
        self.lost::<Host>(error, |observed| &mut observed.host);
    }

    fn status(&self, answer: HostAnswer) {
        let HostAnswer::Applied { generation, off_link: _ } = answer else { return };
        let mut taken_back = false;
        self.observed.send_modify(|observed| taken_back = observed.host.reported(generation));
        if taken_back {
            self.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
