//! The clock of the flow tables, read from the processor's without a system call.

use lb_dpdk::cycles;
use lb_engine::TICKS_PER_SECOND;

/// Tells the ticks since boot, so that a process reads on where the one before it stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    now: u32,
    cycles_per_tick: u64,
    next_tick_at: u64,
}

impl Clock {
    pub(crate) fn start(cycles_per_second: u64) -> Self {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let tenths = boot.tv_sec * i64::from(TICKS_PER_SECOND) + boot.tv_nsec / 100_000_000;
        let cycles_per_tick = (cycles_per_second / u64::from(TICKS_PER_SECOND)).max(1);
        // Ticks wrap after 13 years; the tables compare differences.
        let now = u32::try_from(tenths & i64::from(u32::MAX)).unwrap_or(0);
        Self { now, cycles_per_tick, next_tick_at: cycles() + cycles_per_tick }
    }

    /// The tick at the time `cycles`.
    #[inline]
    pub(crate) fn at(&mut self, cycles: u64) -> u32 {
        if cycles >= self.next_tick_at {
            let late = cycles - self.next_tick_at;
            let ticks = 1 + late / self.cycles_per_tick;
            self.next_tick_at += ticks * self.cycles_per_tick;
            self.skip(u32::try_from(ticks).unwrap_or(u32::MAX));
        }
        self.now
    }

    /// Lets time pass, for a measurement.
    pub(crate) fn skip(&mut self, ticks: u32) {
        self.now = self.now.wrapping_add(ticks);
    }
}
