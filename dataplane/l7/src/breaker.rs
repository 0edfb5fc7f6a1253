//! A pool that fails as a whole is left alone for a while. Whoever is asked then, of its members, would only be hindered from coming back, and
//! clients would wait for nothing. Single members are the matter of `conduct.rs` (ADR 0053).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lb_model::asking::Breaker as Terms;

use crate::clock::now;
use crate::conduct::Window;

/// How a pool does as a whole, seen from all workers. It stays the same for as long as there is the pool.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    window: Window,
    /// When the pool may be tried; 0: it is not left alone.
    until: AtomicU64,
    /// A request tries it.
    trying: AtomicBool,
}

impl Breaker {
    /// Whether nobody may be asked now.
    pub(crate) fn is_open(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until != 0 && now() < until
    }

    /// Whether this request may be asked: any, or one of many that tries. If nothing is heard of it, the next one does after as long again.
    pub(crate) fn admits(&self, of: &Terms) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return true;
        }
        let now = now();
        let next = now + seconds(of);
        let first = now >= until
            && self.until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if first {
            self.trying.store(true, Ordering::Relaxed);
        }
        first
    }

    /// A request was served, or not. What changed by it, if anything did.
    pub(crate) fn judge(&self, of: &Terms, failed: bool) -> Option<Change> {
        if self.until.load(Ordering::Relaxed) != 0 {
            // What was asked before tells nothing new.
            let tried = self.trying.swap(false, Ordering::Relaxed);
            return if tried { self.end_trial(of, failed) } else { None };
        }
        let now = now();
        let (asked, failures) = self.window.count(now, failed);
        let over = failed && asked >= of.requests && failures * 100 >= of.percent * asked;
        let first = over
            && self
                .until
                .compare_exchange(0, now + seconds(of), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        first.then_some(Change::Opened)
    }

    fn end_trial(&self, of: &Terms, failed: bool) -> Option<Change> {
        if failed {
            self.until.store(now() + seconds(of), Ordering::Relaxed);
            return None;
        }
        self.window.clear();
        self.until.store(0, Ordering::Relaxed);
        Some(Change::Closed)
    }
}

/// What became of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The pool is left alone from now on.
    Opened,
    /// It is asked again.
    Closed,
}

fn seconds(of: &Terms) -> u64 {
    u64::from(of.open_s) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::tests::set;

    const TERMS: Terms = Terms { percent: 50, requests: 10, open_s: 5 };

    /// One that has just opened, at time 1000.
    fn open() -> Breaker {
        set(1_000);
        let breaker = Breaker::default();
        let changes: Vec<_> = (0..10).filter_map(|_| breaker.judge(&TERMS, true)).collect();
        assert_eq!(changes, [Change::Opened]);
        breaker
    }

    #[test]
    fn it_opens_when_enough_of_enough_fails() {
        set(1_000);
        let breaker = Breaker::default();
        for number in 0..30 {
            let change = breaker.judge(&TERMS, number % 3 == 2);
            assert!(change.is_none() && breaker.admits(&TERMS), "{number}: less than a half");
        }
        // 10 of 30, 19 of 39, 20 of 40.
        assert!((0..9).all(|_| breaker.judge(&TERMS, true).is_none()));
        assert_eq!(breaker.judge(&TERMS, true), Some(Change::Opened));
        assert!(breaker.is_open() && !breaker.admits(&TERMS));
        let few = Breaker::default();
        assert!((0..9).all(|_| few.judge(&TERMS, true).is_none()) && few.admits(&TERMS));
        // What was long ago counts no more.
        set(12_000);
        assert!(few.judge(&TERMS, true).is_none());
    }

    #[test]
    fn one_request_tries_and_the_others_follow_it() {
        let breaker = open();
        assert!(breaker.judge(&TERMS, false).is_none() && breaker.is_open(), "it was asked before");
        set(6_000);
        assert!(!breaker.is_open());
        assert_eq!([breaker.admits(&TERMS), breaker.admits(&TERMS)], [true, false]);
        assert!(breaker.judge(&TERMS, true).is_none() && breaker.is_open());
        set(11_000);
        assert!(breaker.admits(&TERMS));
        assert_eq!(breaker.judge(&TERMS, false), Some(Change::Closed));
        assert!(breaker.admits(&TERMS) && breaker.admits(&TERMS));
        assert!((0..9).all(|_| breaker.judge(&TERMS, true).is_none()), "it begins anew");
    }

    #[test]
    fn a_trial_of_which_nothing_is_heard_is_followed_by_another() {
        let breaker = open();
        set(6_000);
        assert!(breaker.admits(&TERMS));
        set(10_999);
        assert!(!breaker.admits(&TERMS));
        set(11_000);
        assert!(breaker.admits(&TERMS));
    }
}
