//! A growing delay for accounts whose password somebody guesses.
//!
//! Kept in memory: strangers must not be able to make the appliance write to its disk. Names that nobody has are
//! treated alike, so that the delay tells nothing about who exists.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest delay.
const LONGEST: Duration = Duration::from_mins(5);
/// As many names are remembered; a guesser cannot fill the memory.
const NAMES: usize = 4096;

/// Who failed how often.
#[derive(Debug)]
pub(super) struct Throttle {
    /// Failures without consequence: people mistype.
    free: u32,
    names: Mutex<HashMap<String, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    blocked_until: Instant,
}

impl Throttle {
    /// So many failures have no consequence.
    pub(super) fn new(free: u32) -> Self {
        Self { free, names: Mutex::default() }
    }

    /// Begins an attempt, or tells how long to wait. It counts as failed until it is forgiven, so that many attempts
    /// at once gain nothing.
    pub(super) fn attempt(&self, name: &str, now: Instant) -> Result<(), Duration> {
        let mut names = self.lock();
        let before = names.get(name).copied().unwrap_or(Failures { count: 0, blocked_until: now });
        if let Some(wait) = before.blocked_until.checked_duration_since(now).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        if names.len() >= NAMES && !names.contains_key(name) {
            forget_one(&mut names);
        }
        let count = before.count.saturating_add(1);
        names.insert(name.to_owned(), Failures { count, blocked_until: now + delay(count, self.free) });
        Ok(())
    }

    /// The password was right.
    pub(super) fn forgive(&self, name: &str) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Failures>> {
        // The map is whole after every statement, so a panic elsewhere leaves nothing half done.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn delay(count: u32, free: u32) -> Duration {
    match count.checked_sub(free) {
        None | Some(0) => Duration::ZERO,
        Some(excess) => LONGEST.min(Duration::from_secs(1 << excess.min(16))),
    }
}

/// The one whose delay ended first: the least suspicious.
fn forget_one(names: &mut HashMap<String, Failures>) {
    let oldest =
        names.iter().min_by_key(|(_, failures)| failures.blocked_until).map(|(name, _)| name.clone());
    if let Some(oldest) = oldest {
        names.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_and_ends_with_the_right_password() {
        let throttle = Throttle::new(4);
        let mut now = Instant::now();
        for _ in 0..=4 {
            assert_eq!(throttle.attempt("eve", now), Ok(()));
        }
        assert_eq!(throttle.attempt("eve", now), Err(Duration::from_secs(2)));
        assert_eq!(throttle.attempt("adam", now), Ok(()), "others are not concerned");
        now += Duration::from_secs(2);
        assert_eq!(throttle.attempt("eve", now), Ok(()));
        assert_eq!(throttle.attempt("eve", now), Err(Duration::from_secs(4)));
        throttle.forgive("eve");
        assert_eq!(throttle.attempt("eve", now), Ok(()));
    }

    #[test]
    fn the_delay_has_an_end_and_the_memory_too() {
        assert_eq!(delay(u32::MAX, 4), LONGEST);
        let throttle = Throttle::new(4);
        let now = Instant::now();
        for number in 0..NAMES + 10 {
            throttle.attempt(&number.to_string(), now).unwrap();
        }
        assert_eq!(throttle.lock().len(), NAMES);
    }
}
