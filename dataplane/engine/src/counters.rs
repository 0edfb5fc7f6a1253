//! What a worker counts. It alone writes, with plain loads and stores; others read whenever they like.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use lb_model::counters::{Accounting, BackendCounters, DropReason};

use crate::persistence::Marks;
use crate::tables::{BACKEND_SLOTS, Tables};

/// A number that one thread raises and others read.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Raises it. Only the owner may: two writers would lose counts.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(amount), Relaxed);
    }

    /// Replaces it, for a gauge.
    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Reads it.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The counters of one backend slot, in one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct BackendCell {
    /// Connections given to it.
    pub connections: Counter,
    /// Connections that it has now.
    pub active: Counter,
    /// Packets and bytes of each direction: from clients, to clients.
    pub packets: [Counter; 2],
    /// Bytes of the IP packets.
    pub bytes: [Counter; 2],
    /// Openings that it reset or left unanswered.
    pub unopened: Counter,
}

impl BackendCell {
    /// What it holds now.
    pub fn read(&self) -> BackendCounters {
        BackendCounters {
            connections: self.connections.get(),
            active: self.active.get(),
            packets_in: self.packets[0].get(),
            bytes_in: self.bytes[0].get(),
            packets_out: self.packets[1].get(),
            bytes_out: self.bytes[1].get(),
            unopened: self.unopened.get(),
        }
    }
}

/// All that one worker counts.
#[derive(Debug)]
pub struct WorkerCounters {
    /// Frames taken from ports.
    pub received: Counter,
    /// Frames taken from twins.
    pub from_twin: Counter,
    /// Frames that were made here.
    pub originated: Counter,
    /// Frames given to ports.
    pub sent: Counter,
    /// Frames given to the kernel.
    pub punted: Counter,
    /// Frames that were taken in.
    pub consumed: Counter,
    /// Frames that wait now.
    pub held: Counter,
    /// Frames on their way to another worker: left here, not yet arrived there.
    pub handed_over: Counter,
    /// Frames that arrived from other workers.
    pub taken_over: Counter,
    /// Live flows.
    pub flows: Counter,
    /// Cookies given to who asked, …
    pub cookies_given: Counter,
    /// … and taken from who brought them back.
    pub cookies_taken: Counter,
    /// Frames dropped, by reason.
    pub drops: [Counter; DropReason::COUNT],
    /// By slot of the tables.
    pub backends: Box<[BackendCell]>,
    /// Which members clients keep, once a service is there whose clients do: no count, but read by the others as these are.
    pub(crate) marks: OnceLock<Marks>,
    /// For how many of them there is room, and by what they are placed: known when the worker's engine is there.
    pub(crate) marks_for: OnceLock<(u32, u64)>,
}

impl Default for WorkerCounters {
    fn default() -> Self {
        Self::for_backends(BACKEND_SLOTS)
    }
}

impl WorkerCounters {
    /// With room for so many slots of backends; what others do is not counted.
    pub fn for_backends(slots: usize) -> Self {
        Self {
            received: Counter::default(),
            from_twin: Counter::default(),
            originated: Counter::default(),
            sent: Counter::default(),
            punted: Counter::default(),
            consumed: Counter::default(),
            held: Counter::default(),
            handed_over: Counter::default(),
            taken_over: Counter::default(),
            flows: Counter::default(),
            cookies_given: Counter::default(),
            cookies_taken: Counter::default(),
            drops: std::array::from_fn(|_| Counter::default()),
            backends: (0..slots).map(|_| BackendCell::default()).collect(),
            marks: OnceLock::new(),
            marks_for: OnceLock::new(),
        }
    }

    /// Makes what the worker needs for tables and is too large to be made between two bursts: for whoever publishes them, before.
    pub fn prepare(&self, tables: &Tables) {
        if tables.any_keeping()
            && let Some((room, secret)) = self.marks_for.get()
        {
            self.marks.get_or_init(|| Marks::new(*room, *secret));
        }
    }

    /// Counts a dropped frame.
    #[inline]
    pub fn dropped(&self, reason: DropReason) {
        self.drops[reason as usize].add(1);
    }

    /// Adds what this worker counted. Frames between two workers count as held.
    pub fn add_to(&self, sum: &mut Accounting) {
        sum.received += self.received.get();
        sum.from_twin += self.from_twin.get();
        sum.originated += self.originated.get();
        sum.sent += self.sent.get();
        sum.punted += self.punted.get();
        sum.consumed += self.consumed.get();
        sum.held = (sum.held + self.held.get() + self.handed_over.get()).wrapping_sub(self.taken_over.get());
        for reason in DropReason::ALL {
            let count = self.drops[*reason as usize].get();
            if count > 0 {
                *sum.drops.entry(reason.as_str().to_owned()).or_default() += count;
            }
        }
    }
}
