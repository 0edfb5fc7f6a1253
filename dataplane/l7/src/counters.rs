//! What is counted, each worker in cells of its own so that none waits for another's cache line.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use lb_model::l7::{Ending, L7MemberCounters, L7ServiceCounters};

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// From now on this thread counts as this worker.
pub(crate) fn be_worker(number: usize) {
    WORKER.set(number);
}

/// On lines of its own (two: processors fetch pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

fn lines<T: Default>(workers: usize) -> Box<[Line<T>]> {
    (0..workers).map(|_| Line::default()).collect()
}

fn own<T>(lines: &[Line<T>]) -> Option<&T> {
    lines.get(WORKER.get()).map(|line| &line.0)
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}

/// What a service counts.
#[derive(Debug)]
pub(crate) struct ServiceCounters {
    lines: Box<[Line<ServiceLine>]>,
}

#[derive(Debug, Default)]
struct ServiceLine {
    connections: AtomicU64,
    closed: AtomicU64,
    requests: AtomicU64,
    answers: [AtomicU64; 5],
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    endings: [AtomicU64; Ending::COUNT],
}

impl ServiceCounters {
    pub(crate) fn new(workers: usize) -> Self {
        Self { lines: lines(workers) }
    }

    pub(crate) fn accepted(&self) {
        self.own(|line| add(&line.connections, 1));
    }

    pub(crate) fn closed(&self) {
        self.own(|line| add(&line.closed, 1));
    }

    /// How many connections are open now.
    pub(crate) fn open(&self) -> u64 {
        let sum = |of: fn(&ServiceLine) -> &AtomicU64| {
            self.lines.iter().map(|line| of(&line.0).load(Ordering::Relaxed)).sum::<u64>()
        };
        sum(|line| &line.connections).saturating_sub(sum(|line| &line.closed))
    }

    pub(crate) fn requested(&self) {
        self.own(|line| add(&line.requests, 1));
    }

    /// An answer was sent, or as much of it as could be.
    pub(crate) fn answered(&self, status: StatusCode, bytes_in: u64, bytes_out: u64) {
        self.own(|line| {
            if let Some(class) = line.answers.get(usize::from(status.as_u16() / 100).wrapping_sub(1)) {
                add(class, 1);
            }
        });
        self.passed(bytes_in, bytes_out);
    }

    /// So many bytes passed.
    pub(crate) fn passed(&self, bytes_in: u64, bytes_out: u64) {
        self.own(|line| {
            add(&line.bytes_in, bytes_in);
            add(&line.bytes_out, bytes_out);
        });
    }

    pub(crate) fn ended(&self, ending: Ending) {
        self.own(|line| add(&line.endings[ending as usize], 1));
    }

    pub(crate) fn read(&self) -> L7ServiceCounters {
        let sum = |of: &dyn Fn(&ServiceLine) -> &AtomicU64| {
            self.lines.iter().map(|line| of(&line.0).load(Ordering::Relaxed)).sum::<u64>()
        };
        let closed = sum(&|line| &line.closed);
        let connections = sum(&|line| &line.connections);
        let mut endings = BTreeMap::new();
        for (at, ending) in Ending::ALL.iter().enumerate() {
            let count = sum(&|line| &line.endings[at]);
            if count > 0 {
                endings.insert(ending.as_str().to_owned(), count);
            }
        }
        L7ServiceCounters {
            connections,
            connections_open: connections.saturating_sub(closed),
            requests: sum(&|line| &line.requests),
            answers: std::array::from_fn(|class| sum(&|line| &line.answers[class])),
            bytes_in: sum(&|line| &line.bytes_in),
            bytes_out: sum(&|line| &line.bytes_out),
            endings,
        }
    }

    fn own(&self, count: impl FnOnce(&ServiceLine)) {
        if let Some(line) = own(&self.lines) {
            count(line);
        }
    }
}

/// What is counted of a member.
#[derive(Debug)]
pub(crate) struct MemberCounters {
    lines: Box<[Line<MemberLine>]>,
}

#[derive(Debug, Default)]
struct MemberLine {
    connections: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
}

impl MemberCounters {
    pub(crate) fn new(workers: usize) -> Self {
        Self { lines: lines(workers) }
    }

    pub(crate) fn connected(&self) {
        self.own(|line| add(&line.connections, 1));
    }

    pub(crate) fn began(&self) {
        self.own(|line| add(&line.requests, 1));
    }

    pub(crate) fn failed(&self) {
        self.own(|line| add(&line.failures, 1));
    }

    /// All of them, beside the requests that are open now.
    pub(crate) fn read(&self, requests_open: u64) -> L7MemberCounters {
        let sum = |of: fn(&MemberLine) -> &AtomicU64| {
            self.lines.iter().map(|line| of(&line.0).load(Ordering::Relaxed)).sum::<u64>()
        };
        L7MemberCounters {
            connections: sum(|line| &line.connections),
            requests: sum(|line| &line.requests),
            requests_open,
            failures: sum(|line| &line.failures),
        }
    }

    fn own(&self, count: impl FnOnce(&MemberLine)) {
        if let Some(line) = own(&self.lines) {
            count(line);
        }
    }
}
