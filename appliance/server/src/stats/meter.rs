//! From what a plane has counted since it was started to what it counted since it was last asked.

use std::collections::HashMap;
use std::hash::Hash;

/// What was counted when it was last asked, source by source: sums of several would fall when one goes.
#[derive(Debug)]
pub(super) struct Meter<K, const N: usize> {
    before: HashMap<K, [u64; N]>,
}

impl<K, const N: usize> Default for Meter<K, N> {
    fn default() -> Self {
        Self { before: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash, const N: usize> Meter<K, N> {
    /// By how much each rose. What was not there before is new, or was not looked at: it begins with nothing.
    pub(super) fn rise(&mut self, now: impl Iterator<Item = (K, [u64; N])>) -> Vec<(K, [u64; N])> {
        let mut after = HashMap::with_capacity(self.before.len());
        let mut rises = Vec::with_capacity(self.before.len());
        for (key, counted) in now {
            let rise = match self.before.get(&key) {
                None => [0; N],
                Some(before) => std::array::from_fn(|at| rise(before[at], counted[at])),
            };
            rises.push((key.clone(), rise));
            after.insert(key, counted);
        }
        self.before = after;
        rises
    }
}

/// A counter that fell was begun anew: what it has counted since then is all that it can tell.
fn rise(before: u64, now: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_no_fall() {
        let mut meter = Meter::<u8, 1>::default();
        let mut rise = |counted| meter.rise(std::iter::once((7, [counted])))[0].1[0];
        assert_eq!([rise(100), rise(130), rise(5), rise(5)], [0, 30, 5, 0]);
        assert!(meter.rise(std::iter::empty()).is_empty());
        assert_eq!(meter.rise(std::iter::once((7, [9])))[0].1[0], 0);
    }
}
