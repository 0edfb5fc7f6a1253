//! The mirror: a thread that reads the kernel's tables again whenever they change, and keeps neighbours alive.
//!
//! DPDK's traffic does not refresh the kernel's neighbours, so somebody must: those of members and routers are managed by
//! the kernel itself; those of clients on a port's own network are asked for when a frame waits for them and asked again
//! when they turn stale, until they stop answering.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_queue::ArrayQueue;
use lb_engine::network::{Network, PortView};
use lb_engine::verdict::{Awaited, PortIndex};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::OwnedFd;

use super::netlink::{Events, Netlink, NetlinkError};
use super::tables::{Ask, Freshness, Reading, ask, read};

/// How many neighbours may be waited for at a time and not yet be asked for.
const REQUESTS: usize = 4096;
/// Events that come closer together are answered by one reading.
const SETTLE: Duration = Duration::from_millis(5);

type Neighbour = (PortIndex, IpAddr);

/// The other threads' end.
#[derive(Debug)]
pub(crate) struct Mirror {
    requests: ArrayQueue<Awaited>,
    wanted: Mutex<HashSet<Neighbour>>,
    /// A bit for each port whose link is up.
    up: AtomicU64,
    bell: OwnedFd,
}

impl Mirror {
    /// Reads once, then keeps reading in a thread of its own; every change is passed to `changed`.
    pub(crate) fn start(
        interfaces: Vec<String>,
        views: Vec<PortView>,
        mut changed: impl FnMut(Network) + Send + 'static,
    ) -> Result<Arc<Self>, NetlinkError> {
        let bell =
            eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let mirror = Arc::new(Self {
            requests: ArrayQueue::new(REQUESTS),
            wanted: Mutex::default(),
            up: AtomicU64::new(0),
            bell,
        });
        // Subscribed before the first reading, so that nothing is missed between the two.
        let events = Events::subscribe()?;
        let netlink = Netlink::open()?;
        let mut reader = Reader {
            netlink,
            events,
            interfaces,
            views,
            last: Reading::default(),
            managed: HashSet::new(),
            asked: HashSet::new(),
        };
        reader.refresh(&mirror, &mut changed)?;
        let shared = Arc::clone(&mirror);
        thread::Builder::new().name("mirror".into()).spawn(move || reader.run(&shared, &mut changed))?;
        Ok(mirror)
    }

    /// A frame waits for a neighbour. Never blocks: on a full queue the frame's successors will ask again.
    pub(crate) fn await_neighbour(&self, awaited: Awaited) {
        if self.requests.push(awaited).is_ok() {
            self.ring();
        }
    }

    /// From now on these neighbours are kept resolved.
    pub(crate) fn want(&self, neighbours: HashSet<Neighbour>) {
        *self.wanted() = neighbours;
        self.ring();
    }

    /// Whether the link of a port is up.
    pub(crate) fn is_up(&self, port: usize) -> bool {
        self.up.load(Ordering::Relaxed) >> port & 1 == 1
    }

    fn wanted(&self) -> MutexGuard<'_, HashSet<Neighbour>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // It can only fail when the bell has been rung 2^64 times.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }
}

struct Reader {
    netlink: Netlink,
    events: Events,
    interfaces: Vec<String>,
    views: Vec<PortView>,
    last: Reading,
    /// Neighbours that the kernel keeps fresh because we said so.
    managed: HashSet<Neighbour>,
    /// Neighbours that were asked for once because a frame waited, and have answered.
    asked: HashSet<Neighbour>,
}

impl Reader {
    fn run(mut self, shared: &Mirror, changed: &mut impl FnMut(Network)) {
        loop {
            if let Err(error) = self.turn(shared, changed) {
                tracing::error!(%error, "cannot follow the kernel's tables; trying again in a second");
                thread::sleep(Duration::from_secs(1));
            }
        }
    }

    fn turn(&mut self, shared: &Mirror, changed: &mut impl FnMut(Network)) -> Result<(), NetlinkError> {
        {
            let mut waiting =
                [PollFd::new(&self.events, PollFlags::IN), PollFd::new(&shared.bell, PollFlags::IN)];
            poll(&mut waiting, None).map_err(std::io::Error::from)?;
        }
        let mut count = [0; 8];
        let rung = rustix::io::read(&shared.bell, &mut count).is_ok();
        while let Some(awaited) = shared.requests.pop() {
            self.ask_once((awaited.port, awaited.address))?;
        }
        if self.events.drain()? {
            thread::sleep(SETTLE);
            self.events.drain()?;
            self.refresh(shared, changed)?;
        } else if !rung {
            return Ok(());
        }
        self.keep_alive(&shared.wanted())
    }

    fn refresh(&mut self, shared: &Mirror, changed: &mut impl FnMut(Network)) -> Result<(), NetlinkError> {
        let reading = read(&mut self.netlink, &self.interfaces, &self.views)?;
        for (before, now, interface) in zip3(&self.last.links, &reading.links, &self.interfaces) {
            if before.map(|link| link.up) != now.map(|link| link.up) {
                tracing::info!(
                    interface,
                    up = now.is_some_and(|link| link.up),
                    "link of {interface} changed"
                );
            }
        }
        let up = reading.links.iter().enumerate().filter(|(_, link)| link.is_some_and(|link| link.up));
        shared.up.store(up.fold(0, |bits, (port, _)| bits | 1 << port), Ordering::Relaxed);
        let news = reading.network != self.last.network;
        self.last = reading;
        if news {
            changed(self.last.network.clone());
        }
        Ok(())
    }

    fn keep_alive(&mut self, wanted: &HashSet<Neighbour>) -> Result<(), NetlinkError> {
        let missing: Vec<_> = wanted.difference(&self.last.managed).copied().collect();
        for neighbour in missing {
            self.ask(neighbour, Ask::Managed)?;
            self.managed.insert(neighbour);
        }
        let unwanted: Vec<_> = self.managed.difference(wanted).copied().collect();
        for neighbour in unwanted {
            // Asked for once more, now without the wish to be kept.
            self.ask(neighbour, Ask::Once)?;
            self.managed.remove(&neighbour);
        }
        let freshness = &self.last.freshness;
        self.asked.retain(|neighbour| freshness.get(neighbour) != Some(&Freshness::Failed));
        let stale = |neighbour: &&Neighbour| freshness.get(*neighbour) == Some(&Freshness::Stale);
        for neighbour in self.asked.iter().filter(stale).copied().collect::<Vec<_>>() {
            self.ask(neighbour, Ask::Once)?;
        }
        Ok(())
    }

    fn ask_once(&mut self, neighbour: Neighbour) -> Result<(), NetlinkError> {
        self.asked.insert(neighbour);
        if self.last.freshness.get(&neighbour) == Some(&Freshness::Asked) {
            return Ok(());
        }
        self.ask(neighbour, Ask::Once)
    }

    fn ask(&mut self, (port, address): Neighbour, how: Ask) -> Result<(), NetlinkError> {
        let Some(Some(link)) = self.last.links.get(usize::from(port.0)) else { return Ok(()) };
        match ask(&mut self.netlink, link.index, address, how) {
            // An address that the kernel will not look for (its own, say) is no reason to stop.
            Err(NetlinkError::Refused(error)) => {
                tracing::warn!(%address, %error, "the kernel does not look for neighbour {address}");
                Ok(())
            }
            other => other,
        }
    }
}

fn zip3<'a, A, B, C>(a: &'a [A], b: &'a [B], c: &'a [C]) -> impl Iterator<Item = (&'a A, &'a B, &'a C)> {
    a.iter().zip(b).zip(c).map(|((a, b), c)| (a, b, c))
}
