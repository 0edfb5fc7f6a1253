//! What is counted, each worker in cells of its own so that none waits for another's cache line.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use lb_model::l7::{Ending, L7MemberCounters, L7ServiceCounters, LATENCY_BOUNDS_US, Latencies};

use crate::journal::micros;

thread_local! {
    static WORKER: Cell<usize> = const { Cell::new(0) };
}

/// From now on this thread counts as this worker.
pub(crate) fn be_worker(number: usize) {
    WORKER.set(number);
}

/// The number of the worker that this thread is.
pub(crate) fn worker() -> usize {
    WORKER.get()
}

/// On lines of its own (two: processors fetch pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Line<T>(pub(crate) T);

pub(crate) fn lines<T: Default>(workers: usize) -> Box<[Line<T>]> {
    (0..workers).map(|_| Line::default()).collect()
}

fn own<T>(lines: &[Line<T>]) -> Option<&T> {
    lines.get(worker()).map(|line| &line.0)
}

/// Nobody else writes there, which spares the processor a lock.
fn add(counter: &AtomicU64, number: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(number), Ordering::Relaxed);
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
    answer_times: LatencyCells,
    request_times: LatencyCells,
}

/// How often something took how long.
#[derive(Debug, Default)]
struct LatencyCells {
    /// By the first bound that is not exceeded, and at last the rest.
    counts: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl LatencyCells {
    fn took(&self, time: Duration) {
        let time = micros(time);
        add(&self.counts[LATENCY_BOUNDS_US.partition_point(|bound| *bound < time)], 1);
        add(&self.sum_us, time);
    }
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

    /// A request was over after so long, the head of a member's answer there after so long.
    pub(crate) fn took(&self, answer: Option<Duration>, total: Duration) {
        self.own(|line| {
            if let Some(answer) = answer {
                line.answer_times.took(answer);
            }
            line.request_times.took(total);
        });
    }

    pub(crate) fn read(&self) -> L7ServiceCounters {
        let sum = |of: &dyn Fn(&ServiceLine) -> &AtomicU64| {
            self.lines.iter().map(|line| of(&line.0).load(Ordering::Relaxed)).sum::<u64>()
        };
        let latencies = |of: fn(&ServiceLine) -> &LatencyCells| Latencies {
            counts: (0..=LATENCY_BOUNDS_US.len()).map(|at| sum(&|line| &of(line).counts[at])).collect(),
            sum_us: sum(&|line| &of(line).sum_us),
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
            answer_times: latencies(|line| &line.answer_times),
            request_times: latencies(|line| &line.request_times),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_by_the_first_bound_that_they_do_not_exceed() {
        let counters = ServiceCounters::new(1);
        counters.took(Some(Duration::from_micros(250)), Duration::from_micros(251));
        counters.took(None, Duration::from_hours(1));
        let L7ServiceCounters { answer_times, request_times, .. } = counters.read();
        let mut expected = Latencies { counts: vec![0; LATENCY_BOUNDS_US.len() + 1], sum_us: 250 };
        expected.counts[0] = 1;
        assert_eq!(answer_times, expected);
        let last = LATENCY_BOUNDS_US.len();
        assert_eq!((request_times.counts[1], request_times.counts[last]), (1, 1));
        assert_eq!((request_times.count(), request_times.sum_us), (2, 3_600_000_251));
    }
}
