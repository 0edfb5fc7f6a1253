//! How many handshakes are under way of services that answer floods with cookies, and when the last cookie was given.

use lb_mem::{Conn, NO_TIE};

use crate::cookie::PERIOD;
use crate::state;

/// What a service's gate knows of floods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guard {
    /// Where workers count.
    pub(crate) slot: u32,
    /// From how many handshakes on SYNs are answered with cookies, over all workers.
    pub(crate) from: u32,
}

/// What one worker counts.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    services: Vec<Count>,
    /// When the first tick was heard of: the process before may have given cookies until then.
    since: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    flows: u32,
    given_at: Option<u32>,
}

impl HalfOpen {
    /// A handshake has begun; the flow remembers where it is counted.
    pub(crate) fn begin(&mut self, conn: &mut Conn, guard: Guard) {
        let at = guard.slot as usize;
        if self.services.len() <= at {
            self.services.resize(at + 1, Count::default());
        }
        self.services[at].flows += 1;
        conn.set_tie(guard.slot);
    }

    /// A flow's handshake is done, or the flow is forgotten.
    pub(crate) fn end(&mut self, conn: &mut Conn) {
        if conn.tie() == NO_TIE || state::is_shifted(conn) {
            return;
        }
        if let Some(count) = self.services.get_mut(conn.tie() as usize) {
            count.flows = count.flows.saturating_sub(1);
        }
        conn.set_tie(NO_TIE);
    }

    /// Whether there are so many that another one is answered with a cookie.
    pub(crate) fn is_flooded(&self, guard: Guard, workers: u16) -> bool {
        let flows = self.services.get(guard.slot as usize).map_or(0, |count| count.flows);
        // Of as many as a service may have each worker has its share.
        u64::from(flows) * u64::from(workers) >= u64::from(guard.from)
    }

    /// Time passes.
    pub(crate) fn tick(&mut self, now: u32) {
        self.since.get_or_insert(now);
    }

    /// A cookie was given.
    pub(crate) fn gave(&mut self, guard: Guard, now: u32) {
        let at = guard.slot as usize;
        if self.services.len() <= at {
            self.services.resize(at + 1, Count::default());
        }
        self.services[at].given_at = Some(now);
    }

    /// Whether there can be clients that have a good one.
    pub(crate) fn gave_lately(&self, guard: Guard, now: u32) -> bool {
        let given_at = self.services.get(guard.slot as usize).and_then(|count| count.given_at);
        given_at.or(self.since).is_none_or(|at| now.wrapping_sub(at) <= 2 * PERIOD)
    }
}
