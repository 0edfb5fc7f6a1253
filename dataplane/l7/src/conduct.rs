//! How members conduct themselves: who fails is left out for a while, and how many requests may be asked again.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

use lb_model::asking::{Ejection, EjectionReason, Outlier, Retries};

use crate::clock::now;

/// In which time a rate is taken, in milliseconds.
const WINDOW: u64 = 10_000;
/// How many requests there must be for a rate.
const ENOUGH: u32 = 20;
/// The longest time for which a member is left out.
const LONGEST: u64 = 600_000;

/// What was asked and failed lately, seen from all workers.
#[derive(Debug, Default)]
pub(crate) struct Window {
    began: AtomicU64,
    asked: AtomicU32,
    failed: AtomicU32,
}

impl Window {
    /// One more. How many there were, and how many of them failed.
    pub(crate) fn count(&self, now: u64, failed: bool) -> (u32, u32) {
        if now.saturating_sub(self.began.load(Ordering::Relaxed)) > WINDOW {
            self.began.store(now, Ordering::Relaxed);
            self.clear();
        }
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        (asked, self.failed.fetch_add(u32::from(failed), Ordering::Relaxed) + u32::from(failed))
    }

    /// Forgets all of it.
    pub(crate) fn clear(&self) {
        self.asked.store(0, Ordering::Relaxed);
        self.failed.store(0, Ordering::Relaxed);
    }
}

/// How one member does, seen from all workers. What is counted by two at once may be off by one.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    /// Failures in a row.
    row: AtomicU32,
    window: Window,
    /// Until when it is left out; 0: it never was.
    until: AtomicU64,
    times: AtomicU32,
    by_rate: AtomicU32,
}

impl Conduct {
    /// Whether it is left out now.
    pub(crate) fn is_out(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until != 0 && now() < until
    }

    /// It answered well.
    pub(crate) fn well(&self, of: &Outlier) {
        if self.row.load(Ordering::Relaxed) != 0 {
            self.row.store(0, Ordering::Relaxed);
        }
        if of.percent.is_some() {
            self.window.count(now(), false);
        }
    }

    /// It failed; it is left out if that was once too often and `may_go` allows it.
    pub(crate) fn ill(&self, of: &Outlier, may_go: impl FnOnce() -> bool) {
        let now = now();
        let row = self.row.fetch_add(1, Ordering::Relaxed) + 1;
        let (asked, failed) = self.window.count(now, true);
        let by_rate = of.percent.is_some_and(|percent| asked >= ENOUGH && failed * 100 >= percent * asked);
        if (row >= of.consecutive || by_rate) && !self.is_out() && may_go() {
            self.eject(of, now, by_rate && row < of.consecutive);
        }
    }

    fn eject(&self, of: &Outlier, now: u64, by_rate: bool) {
        let first = u64::from(of.ejection_s) * 1000;
        // Who did well for ten times as long begins anew.
        let long_ago = now.saturating_sub(self.until.load(Ordering::Relaxed)) > 10 * first;
        let times = if long_ago { 0 } else { self.times.load(Ordering::Relaxed) };
        let time = first.saturating_mul(1 << times.min(16)).min(LONGEST);
        self.times.store(times + 1, Ordering::Relaxed);
        self.by_rate.store(u32::from(by_rate), Ordering::Relaxed);
        self.row.store(0, Ordering::Relaxed);
        self.window.clear();
        self.until.store(now + time, Ordering::Relaxed);
    }

    /// What penstockd is told of it.
    pub(crate) fn ejection(&self) -> Option<Ejection> {
        let left = self.until.load(Ordering::Relaxed).checked_sub(now()).filter(|left| *left > 0)?;
        let reason = match self.by_rate.load(Ordering::Relaxed) {
            0 => EjectionReason::Consecutive,
            _ => EjectionReason::Rate,
        };
        Some(Ejection {
            seconds_left: u32::try_from(left.div_ceil(1000)).unwrap_or(u32::MAX),
            times: self.times.load(Ordering::Relaxed),
            reason,
        })
    }
}

/// How many requests may be asked again: each request adds a part of one, each repetition takes one away.
#[derive(Debug)]
pub(crate) struct Budget {
    /// In hundredths of a repetition.
    left: AtomicI64,
    each: i64,
    most: i64,
}

/// What is there to begin with.
const BEGINNING: i64 = 1000;
/// What so many requests have added is kept: when a member dies, all that it was just being asked is asked again at once.
const REMEMBERED: i64 = 10_000;

impl Budget {
    pub(crate) fn new(of: &Retries) -> Self {
        let each = i64::from(of.budget_percent);
        Self { left: AtomicI64::new(BEGINNING), each, most: (each * REMEMBERED).max(BEGINNING) }
    }

    /// A request came.
    pub(crate) fn earn(&self) {
        if self.left.load(Ordering::Relaxed) < self.most {
            self.left.fetch_add(self.each, Ordering::Relaxed);
        }
    }

    /// Whether one may be asked again.
    pub(crate) fn spend(&self) -> bool {
        let enough = |left: i64| (left >= 100).then_some(left - 100);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTLIER: Outlier = Outlier { consecutive: 3, percent: None, ejection_s: 60, max_percent: 50 };

    #[test]
    fn failures_in_a_row_leave_a_member_out_and_others_do_not() {
        let conduct = Conduct::default();
        for _ in 0..10 {
            conduct.ill(&OUTLIER, || true);
            conduct.ill(&OUTLIER, || true);
            conduct.well(&OUTLIER);
        }
        assert!(!conduct.is_out());
        (0..2).for_each(|_| conduct.ill(&OUTLIER, || true));
        conduct.ill(&OUTLIER, || false);
        assert!(!conduct.is_out(), "too many others are");
        conduct.ill(&OUTLIER, || true);
        assert!(conduct.is_out());
        let ejection = conduct.ejection().unwrap();
        assert_eq!((ejection.times, ejection.reason), (1, EjectionReason::Consecutive));
        assert!((55..=60).contains(&ejection.seconds_left));
    }

    #[test]
    fn a_rate_counts_once_there_is_enough_of_it() {
        let outlier = Outlier { consecutive: 1000, percent: Some(40), ..OUTLIER };
        let conduct = Conduct::default();
        for request in 0..25 {
            assert!(!conduct.is_out() || request >= 20, "{request}");
            if request % 2 == 0 { conduct.ill(&outlier, || true) } else { conduct.well(&outlier) }
        }
        assert_eq!(conduct.ejection().map(|ejection| ejection.reason), Some(EjectionReason::Rate));
    }

    #[test]
    fn it_is_twice_as_long_each_time() {
        let conduct = Conduct::default();
        let lengths: Vec<u64> = (0..5)
            .map(|_| {
                let before = now();
                conduct.eject(&OUTLIER, before, false);
                (conduct.until.load(Ordering::Relaxed) - before) / 1000
            })
            .collect();
        assert_eq!(lengths, [60, 120, 240, 480, 600]);
    }

    #[test]
    fn repetitions_are_a_part_of_all_requests() {
        let budget = Budget::new(&Retries { budget_percent: 20, ..Retries::default() });
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
        (0..50).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 10);
    }

    #[test]
    fn whatever_a_member_is_asked_when_it_dies_can_be_asked_again() {
        let budget = Budget::new(&Retries::default());
        (0..100_000).for_each(|_| budget.earn());
        assert_eq!((0..20_000).filter(|_| budget.spend()).count(), 10_000);
        let never = Budget::new(&Retries { budget_percent: 0, ..Retries::default() });
        (0..100).for_each(|_| never.earn());
        assert_eq!((0..100).filter(|_| never.spend()).count(), 10);
    }
}
