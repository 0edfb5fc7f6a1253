//! Not burning a core when nothing comes: AF_XDP and AF_PACKET have no receive interrupts in DPDK, so a worker naps,
//! the longer the longer it has been quiet, and never for longer than half a millisecond.

use std::time::Duration;

/// The longest nap.
pub(crate) const LONGEST: Duration = Duration::from_micros(500);

/// How long it was quiet (in µs), and the nap that follows from it. Right after a frame the answer is likely near: the worker
/// keeps polling.
const NAPS: [(u64, Duration); 4] = [
    (100_000, LONGEST),
    (5_000, Duration::from_micros(250)),
    (500, Duration::from_micros(50)),
    (50, Duration::from_micros(10)),
];

/// When the last frame was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    cycles_per_micro: u64,
    last_busy: u64,
}

impl Idle {
    pub(crate) fn new(cycles_per_second: u64, now: u64) -> Self {
        Self { cycles_per_micro: (cycles_per_second / 1_000_000).max(1), last_busy: now }
    }

    /// Something came.
    #[inline]
    pub(crate) fn busy(&mut self, now: u64) {
        self.last_busy = now;
    }

    /// How long to nap, if at all.
    #[inline]
    pub(crate) fn nap(&self, now: u64) -> Option<Duration> {
        let quiet = now.saturating_sub(self.last_busy) / self.cycles_per_micro;
        NAPS.iter().find(|(after, _)| quiet >= *after).map(|(_, nap)| *nap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naps_grow_with_quiet_and_end_with_a_frame() {
        let mut idle = Idle::new(1_000_000_000, 0);
        assert_eq!(idle.nap(10_000), None);
        assert_eq!(idle.nap(60_000), Some(Duration::from_micros(10)));
        assert_eq!(idle.nap(200_000_000), Some(Duration::from_micros(500)));
        idle.busy(200_000_000);
        assert_eq!(idle.nap(200_000_001), None);
    }
}
