//! Time as it is written where all workers look: a number, in milliseconds since the process was started.

use std::sync::LazyLock;
use std::time::Instant;

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Now; never 0.
pub(crate) fn now() -> u64 {
    #[cfg(test)]
    if let Some(set) = tests::SET.get() {
        return set;
    }
    1 + u64::try_from(BEGIN.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;

    thread_local! {
        pub(super) static SET: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From now on it is this time for this thread.
    pub(crate) fn set(now: u64) {
        SET.set(Some(now));
    }
}
