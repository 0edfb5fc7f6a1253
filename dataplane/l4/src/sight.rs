//! What is asked of the workers beside forwarding: to list flows, to end one, to say what would become of a packet. They do it
//! between two bursts, a slice at a time, without waiting for anybody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lb_engine::{Engine, Explained, FlowPage, Outbox, PortIndex, Sample, Tables};
use lb_model::flow::{FlowKey, SeenFlow};
use lb_model::snapshot::Generation;

/// Entries of the flow table that are looked at between two bursts: some microseconds.
const SLICE: u32 = 256;
/// How long whoever asks waits before it looks again. A worker looks at least every half millisecond.
const PAUSE: Duration = Duration::from_micros(100);
/// Who takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where a worker finds what it is asked.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// Whether something lies here that is not done.
    waiting: AtomicBool,
    errand: Mutex<Option<Errand>>,
}

/// What is asked, and what came of it so far.
#[derive(Debug)]
pub(crate) enum Errand {
    /// To list flows.
    List(Listing),
    /// To end one.
    End { key: FlowKey, ended: Option<SeenFlow> },
    /// To say what would become of a frame.
    Explain(Box<Explaining>),
}

/// A frame from a port, and what is said of it.
#[derive(Debug)]
pub(crate) struct Explaining {
    pub(crate) port: PortIndex,
    pub(crate) sample: Sample,
    pub(crate) told: Option<(Generation, Explained)>,
}

/// A part of the list of a worker's flows.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) page: FlowPage,
    /// The entry that is looked at next; none at the end of the table.
    pub(crate) next: Option<u32>,
    /// How many entries may still be looked at.
    pub(crate) left: u32,
}

impl Desk {
    /// Lays an errand there and waits until it is done; nothing if the worker does not come. One at a time may ask.
    pub(crate) fn ask(&self, errand: Errand) -> Option<Errand> {
        *self.errand.lock().unwrap_or_else(PoisonError::into_inner) = Some(errand);
        self.waiting.store(true, Ordering::Release);
        let deadline = Instant::now() + PATIENCE;
        while self.is_waiting() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        let errand = self.errand.lock().unwrap_or_else(PoisonError::into_inner).take();
        let given_up = self.waiting.swap(false, Ordering::AcqRel);
        errand.filter(|_| !given_up)
    }

    /// Whether a worker should [attend](Self::attend).
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    /// Does a slice of what lies there. What has to be sent for it goes to the outbox.
    #[cold]
    pub(crate) fn attend(&self, engine: &mut Engine, tables: &Tables, now: u32, outbox: &mut impl Outbox) {
        // Who has the lock gives up just now.
        let Ok(mut errand) = self.errand.try_lock() else { return };
        if errand.as_mut().is_none_or(|errand| errand.proceed(engine, tables, now, outbox)) {
            self.waiting.store(false, Ordering::Release);
        }
    }
}

impl Errand {
    /// Says whether it is done.
    fn proceed(&mut self, engine: &mut Engine, tables: &Tables, now: u32, outbox: &mut impl Outbox) -> bool {
        match self {
            Self::List(listing) => return listing.proceed(engine, tables, now),
            Self::End { key, ended } => *ended = engine.end(tables, now, key, outbox),
            Self::Explain(explaining) => {
                let Explaining { port, sample, told } = &mut **explaining;
                *told = Some((tables.generation, engine.explain(tables, now, *port, sample)));
            }
        }
        true
    }
}

impl Listing {
    fn proceed(&mut self, engine: &mut Engine, tables: &Tables, now: u32) -> bool {
        let Self { page, next, left } = self;
        let Some(from) = *next else { return true };
        let count = SLICE.min(*left);
        *next = engine.list(tables, now, from..from.saturating_add(count), page);
        *left -= count;
        next.is_none() || *left == 0 || page.is_full()
    }
}
