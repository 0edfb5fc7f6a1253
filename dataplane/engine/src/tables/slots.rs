//! Slots, which flows and counters know services and backends by.

use std::hash::Hash;

use crate::hash::FastMap;

/// Numbers for keys that stay the same for as long as the key is there.
#[derive(Debug)]
pub(super) struct Slots<K> {
    pub(super) by_key: FastMap<K, u32>,
    before: FastMap<K, u32>,
    free: Vec<u32>,
    next: u32,
}

impl<K> Default for Slots<K> {
    fn default() -> Self {
        Self { by_key: FastMap::default(), before: FastMap::default(), free: Vec::new(), next: 0 }
    }
}

impl<K: Copy + Eq + Hash> Slots<K> {
    /// Begins a new round: keys that are not kept until its end give up their slots.
    pub(super) fn begin(&mut self) {
        self.before = std::mem::take(&mut self.by_key);
    }

    pub(super) fn keep(&mut self, key: K) -> u32 {
        if let Some(slot) = self.by_key.get(&key) {
            return *slot;
        }
        let slot = self.before.remove(&key).or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        self.by_key.insert(key, slot);
        slot
    }

    /// Ends the round. Says whether a slot became free; it is given to another key in a later round only.
    pub(super) fn end(&mut self) -> bool {
        let gone = !self.before.is_empty();
        self.free.extend(self.before.drain().map(|(_, slot)| slot));
        gone
    }
}
