//! The control side: it takes publications, opens and leaves listening sockets, and brings services to their new state.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lb_model::contract::L7Status;
use lb_model::explain::{DescribedRequest, Explanation};
use lb_model::record::{RequestCursor, RequestFilter, RequestRecord};
use lb_model::snapshot::HealthDelta;
use lb_model::{Generation, L7Snapshot, VirtualServiceId};
use thiserror::Error;

use crate::explain::explain;
use crate::listen::{self, ListenError};
use crate::service::{State, TakeError};
use crate::takeover::Sockets;
use crate::tls::TlsMaker;
use crate::worker::{Order, Worker};

/// Why a publication was not taken.
#[derive(Debug, Error)]
pub(crate) enum PublishError {
    /// An address is taken by somebody else.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A certificate cannot be shown, or a policy not worked by.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// A change of another generation than the one that is worked by.
    #[error("generation {0} is worked by, not {1}")]
    OtherGeneration(Generation, Generation),
}

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to.
    Signal,
    /// Another one accepts connections in its place.
    HandedOver,
}

/// What comes from a process before this one, and what becomes of this one when there is another.
#[derive(Debug)]
pub(crate) struct Handing {
    /// Sockets that are listening already.
    pub(crate) sockets: Sockets,
    /// How long connections may stay that another process does not have.
    pub(crate) time: Duration,
    /// Who is told when that begins.
    pub(crate) left: Sender<End>,
}

/// One for the process.
#[derive(Debug)]
pub(crate) struct Control {
    workers: Vec<Worker>,
    kept_at: PathBuf,
    inner: Mutex<Inner>,
    handover: Duration,
    left: Sender<End>,
    has_left: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    /// What is worked by, changes of health included.
    snapshot: L7Snapshot,
    state: State,
    listening: BTreeMap<SocketAddr, VirtualServiceId>,
    /// Handed over, and not in use yet.
    handed: Sockets,
    /// The sockets at which workers listen, to be handed over in turn.
    sockets: Sockets,
}

impl Control {
    pub(crate) fn new(workers: Vec<Worker>, kept_at: PathBuf, key_file: PathBuf, handing: Handing) -> Self {
        let state = State::new(workers.len(), TlsMaker::new(key_file));
        let Handing { sockets: handed, time: handover, left } = handing;
        let snapshot = L7Snapshot::default();
        let (listening, sockets) = (BTreeMap::new(), Sockets::new());
        let inner = Mutex::new(Inner { snapshot, state, listening, handed, sockets });
        Self { workers, kept_at, inner, handover, left, has_left: AtomicBool::new(false) }
    }

    /// Has `give` give the listening sockets to another process. While that goes on nothing is published; if it fails all is as it was.
    pub(crate) fn hand_over<E>(&self, give: impl FnOnce(&Sockets) -> Result<bool, E>) -> Result<bool, E> {
        let mut inner = self.inner();
        let taken = give(&inner.sockets)?;
        if taken {
            self.has_left.store(true, Ordering::Release);
            inner.sockets.clear();
            self.workers.iter().for_each(|worker| worker.tell(Order::HandOver { time: self.handover }));
            // Nobody hears it who has ended already.
            let _ = self.left.send(End::HandedOver);
        }
        Ok(taken)
    }

    /// Whether another process has taken over.
    pub(crate) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    /// Connections of clients that are open now.
    pub(crate) fn open_connections(&self) -> u64 {
        self.inner().state.open_connections()
    }

    /// Works by a snapshot. On an error the one before it stays.
    pub(crate) fn publish(&self, snapshot: L7Snapshot) -> Result<Generation, PublishError> {
        let generation = snapshot.generation;
        let mut inner = self.inner();
        self.work_by(&mut inner, snapshot)?;
        self.keep(&inner.snapshot);
        Ok(generation)
    }

    /// Changes who takes new requests.
    pub(crate) fn change_health(&self, delta: &HealthDelta) -> Result<Generation, PublishError> {
        let mut inner = self.inner();
        let generation = inner.snapshot.generation;
        if generation != delta.generation {
            return Err(PublishError::OtherGeneration(generation, delta.generation));
        }
        let mut snapshot = inner.snapshot.clone();
        for member in snapshot.pools.iter_mut().flat_map(|pool| &mut pool.members) {
            if let Some(standing) = delta.members.iter().find(|standing| standing.member == member.id) {
                (member.takes_new, member.share) = (standing.takes_new, standing.share);
            }
        }
        self.work_by(&mut inner, snapshot)?;
        self.keep(&inner.snapshot);
        Ok(generation)
    }

    /// Works by the last good snapshot that a process before this one kept; whether there is one.
    pub(crate) fn resume(&self) -> bool {
        let bytes = match fs::read(&self.kept_at) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
            Err(error) => {
                tracing::error!(%error, "cannot read the last good snapshot");
                return false;
            }
        };
        let read = serde_json::from_slice::<L7Snapshot>(&bytes).map_err(|error| error.to_string());
        let generation = read.as_ref().map(|kept| kept.generation).unwrap_or_default();
        let resumed = read.and_then(|kept| {
            self.work_by(&mut self.inner(), kept).map_err(|error| crate::serve::chain(&error))
        });
        match &resumed {
            Ok(()) => tracing::info!(%generation, "resumed with generation {generation}"),
            Err(error) => tracing::error!(error, "the last good snapshot is of no use: {error}"),
        }
        // What is listened at no more is closed.
        self.inner().handed.clear();
        resumed.is_ok()
    }

    pub(crate) fn status(&self) -> L7Status {
        let inner = self.inner();
        L7Status {
            generation: inner.snapshot.generation,
            services: inner.state.service_statuses(),
            members: inner.state.member_statuses(),
            queues: inner.state.queue_statuses(),
        }
    }

    /// The last requests, the newest first, and where the list goes on.
    pub(crate) fn requests(
        &self,
        filter: &RequestFilter,
        before: Option<RequestCursor>,
        limit: usize,
    ) -> (Vec<RequestRecord>, Option<RequestCursor>) {
        let journals = self.inner().state.journals(filter.service);
        let mut found: Vec<_> = journals
            .into_iter()
            .flat_map(|(service, journal)| journal.read(service, filter, before, limit + 1))
            .collect();
        found.sort_unstable_by_key(|(cursor, _)| Reverse(*cursor));
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(|(cursor, _)| *cursor).filter(|_| more);
        (found.into_iter().map(|(_, record)| record).collect(), next)
    }

    /// What would become of a request to this service.
    pub(crate) fn explain(
        &self,
        service: VirtualServiceId,
        request: &DescribedRequest,
    ) -> Result<Explanation, String> {
        let inner = self.inner();
        let (generation, cell) = (inner.snapshot.generation, inner.state.cell(service));
        let here = inner.listening.iter().find(|(_, listening)| **listening == service);
        let (Some(cell), Some((here, _))) = (cell, here) else {
            return Err(format!("virtual service {service} is not served by the layer-7 plane"));
        };
        let (cell, here) = (cell.load_full(), *here);
        drop(inner);
        explain(&cell, generation, here, request).map_err(|error| crate::serve::chain(&error))
    }

    fn work_by(&self, inner: &mut Inner, snapshot: L7Snapshot) -> Result<(), PublishError> {
        let wanted = addresses(&snapshot);
        let changed =
            |address: &SocketAddr, service: &VirtualServiceId| inner.listening.get(address) != Some(service);
        // All of them before anything changes, so that a refused snapshot has changed nothing.
        let fresh: Vec<_> = wanted
            .iter()
            .filter(|(address, service)| changed(address, service))
            .map(|(address, service)| (*address, *service))
            .collect();
        let mut opened = Vec::with_capacity(fresh.len());
        for (address, service) in fresh {
            let handed = inner.handed.remove(&address).unwrap_or_default();
            let sockets = listen::open(address, self.workers.len(), handed)?;
            opened.push((address, service, Pair::each(sockets, address)?));
        }
        let retired = inner.state.take(&snapshot)?;
        for (address, service, sockets) in opened {
            let Some(cell) = inner.state.cell(service) else { continue };
            let mut shares: Vec<Vec<TcpListener>> = self.workers.iter().map(|_| Vec::new()).collect();
            let mut own = Vec::with_capacity(sockets.len());
            for (number, Pair { one, other }) in sockets.into_iter().enumerate() {
                shares[number % self.workers.len()].push(one);
                own.push(other);
            }
            // Those of before are let go only now: the address was never without a listener.
            inner.sockets.insert(address, own);
            for (worker, sockets) in self.workers.iter().zip(shares) {
                worker.tell(Order::Listen { address, sockets, cell: cell.clone() });
            }
        }
        for address in inner.listening.keys().filter(|address| !wanted.contains_key(address)) {
            inner.sockets.remove(address);
            self.workers.iter().for_each(|worker| worker.tell(Order::Leave { address: *address }));
        }
        for service in retired {
            self.workers.iter().for_each(|worker| worker.tell(Order::Retire { service }));
        }
        inner.listening = wanted;
        inner.snapshot = snapshot;
        Ok(())
    }

    fn keep(&self, snapshot: &L7Snapshot) {
        if let Err(error) = keep(&self.kept_at, snapshot) {
            // It works all the same; only a restart without penstockd would begin with the one before.
            let path = self.kept_at.display();
            tracing::error!(%error, %path, "generation {} cannot be kept in {path}", snapshot.generation);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket twice: for the worker that accepts, and for another process in its time.
struct Pair {
    one: TcpListener,
    other: TcpListener,
}

impl Pair {
    fn each(sockets: Vec<TcpListener>, address: SocketAddr) -> Result<Vec<Self>, ListenError> {
        let pair = |one: TcpListener| Ok(Self { other: one.try_clone()?, one });
        let pairs = sockets.into_iter().map(pair).collect::<std::io::Result<_>>();
        pairs.map_err(|source| ListenError { address, source })
    }
}

fn addresses(snapshot: &L7Snapshot) -> BTreeMap<SocketAddr, VirtualServiceId> {
    let of_service = |service: &lb_model::l7::L7Service| {
        let (id, port) = (service.id, service.port.get());
        service.addresses.iter().map(move |address| (SocketAddr::new(*address, port), id)).collect::<Vec<_>>()
    };
    snapshot.services.iter().flat_map(of_service).collect()
}

/// Writes beside, then moves into place: a reader finds the old one or the new one, whole.
fn keep(path: &Path, snapshot: &L7Snapshot) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(snapshot)?)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}
