//! Cycles of a thread's own time: what other processes take on a shared machine does not count.

use lb_dpdk::Eal;
use rustix::time::{ClockId, clock_gettime};

/// Measures in cycles of the TSC, while this thread runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopwatch {
    cycles_per_nano: f64,
    begun: f64,
}

impl Stopwatch {
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(super) fn start(eal: Eal) -> Self {
        Self { cycles_per_nano: eal.cycles_per_second() as f64 / 1e9, begun: own_nanos() }
    }

    /// Cycles since it was started.
    pub(super) fn cycles(self) -> f64 {
        (own_nanos() - self.begun) * self.cycles_per_nano
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn own_nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
