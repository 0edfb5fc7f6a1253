//! What is due when. Pure: the clock is given.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

/// Each key has at most one time.
#[derive(Debug)]
pub(super) struct Schedule<K> {
    queue: BTreeSet<(Instant, K)>,
    times: HashMap<K, Instant>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { queue: BTreeSet::new(), times: HashMap::new() }
    }
}

impl<K: Copy + Ord + Hash> Schedule<K> {
    /// Makes `key` due at a time, and at no other.
    pub(super) fn set(&mut self, key: K, at: Instant) {
        self.remove(key);
        self.times.insert(key, at);
        self.queue.insert((at, key));
    }

    /// It is not due any more.
    pub(super) fn remove(&mut self, key: K) {
        if let Some(at) = self.times.remove(&key) {
            self.queue.remove(&(at, key));
        }
    }

    /// Only these stay due.
    pub(super) fn retain(&mut self, stays: impl Fn(&K) -> bool) {
        self.queue.retain(|(_, key)| stays(key));
        self.times.retain(|key, _| stays(key));
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes what has been due for longest, if anything is due at `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.remove(key);
        Some(key)
    }
}

/// Where in its interval a check has its place: the same for the same key, and even over many keys.
pub(super) fn phase(key: &impl Hash, interval: Duration) -> Duration {
    interval.mul_f64(fraction(key))
}

/// From one check to the next: up to so many percent less than the interval, other each time, so that checks that began
/// together do not stay together.
pub(super) fn pause(key: &impl Hash, turn: u64, interval: Duration, jitter_percent: u32) -> Duration {
    interval.mul_f64(1.0 - fraction(&(key_hash(key), turn)) * f64::from(jitter_percent) / 100.0)
}

fn fraction(key: &impl Hash) -> f64 {
    f64::from((key_hash(key) >> 32) as u32) / f64::from(u32::MAX)
}

fn key_hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_the_order_of_time() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let mut schedule = Schedule::default();
        schedule.set('b', at(2));
        schedule.set('a', at(1));
        schedule.set('c', at(3));
        schedule.set('a', at(5));
        schedule.remove('c');
        assert_eq!(schedule.next(), Some(at(2)));
        assert_eq!(
            (schedule.pop(at(4)), schedule.pop(at(4)), schedule.pop(at(5))),
            (Some('b'), None, Some('a'))
        );
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn ten_thousand_checks_are_spread_over_their_interval() {
        let interval = Duration::from_secs(5);
        let mut slots = [0; 50];
        for key in 0..10_000_u32 {
            slots[(phase(&key, interval).as_millis() / 100).min(49) as usize] += 1;
        }
        assert!(slots.iter().all(|slot| (140..260).contains(slot)), "not 200 each: {slots:?}");
    }

    #[test]
    fn a_pause_is_never_longer_than_the_interval_and_at_most_a_tenth_shorter() {
        let interval = Duration::from_secs(5);
        let pauses = (0..1000).map(|turn| pause(&7, turn, interval, 10));
        assert!(pauses.clone().all(|pause| pause <= interval && pause >= interval.mul_f64(0.9)));
        assert_ne!(pauses.clone().min(), pauses.max());
    }
}
