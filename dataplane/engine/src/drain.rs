//! When the flows of members that drain end.

use std::collections::HashMap;

/// What one worker knows of it.
#[derive(Debug, Default)]
pub(crate) struct Drains {
    by_backend: HashMap<u32, Drain>,
    /// Whether some have not begun yet: nobody has told the time since.
    fresh: bool,
}

#[derive(Clone, Copy, Debug)]
struct Drain {
    since: Option<u32>,
    timeout: u32,
}

impl Drains {
    /// From now on these backends drain, and their flows end after so many ticks; those that did before have begun.
    pub(crate) fn adopt(&mut self, drains: &[(u32, u32)]) {
        let before = std::mem::take(&mut self.by_backend);
        let since = |slot| before.get(slot).and_then(|drain| drain.since);
        self.by_backend = drains
            .iter()
            .map(|(slot, timeout)| (*slot, Drain { since: since(slot), timeout: *timeout }))
            .collect();
        self.fresh = self.by_backend.values().any(|drain| drain.since.is_none());
    }

    /// Whether any backend drains; those that were told of since the last time begin now.
    #[inline]
    pub(crate) fn are_any(&mut self, now: u32) -> bool {
        if self.fresh {
            self.begin(now);
        }
        !self.by_backend.is_empty()
    }

    #[cold]
    fn begin(&mut self, now: u32) {
        self.fresh = false;
        for drain in self.by_backend.values_mut() {
            drain.since.get_or_insert(now);
        }
    }

    /// Whether the time of a backend's flows is over.
    pub(crate) fn is_over(&self, backend: u32, now: u32) -> bool {
        let drain = self.by_backend.get(&backend);
        drain.is_some_and(|drain| drain.since.is_some_and(|since| now.wrapping_sub(since) >= drain.timeout))
    }
}
