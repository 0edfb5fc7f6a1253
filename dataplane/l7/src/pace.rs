//! How fast a member answers, as the scheduler `peak_ewma` sees it: an average of its last answers in which a slow one counts at once and
//! for what it is, and is forgotten slowly (as Finagle's balancer of that name has it; ADR 0052).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::clock::now;

/// In which time, in milliseconds, what was seen falls to 1/e of itself.
const MEMORY: f64 = 10_000.0;
/// What no answer counts for: whoever refuses at once is not the fastest. And what a member counts for that has not answered yet, while
/// it has something to answer.
const NO_ANSWER: Duration = Duration::from_secs(1);

/// How fast one member is, seen from all workers.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// Whether anybody wants to know.
    watched: AtomicBool,
    /// [`Seen`], in one piece; 0: it has never answered.
    seen: AtomicU64,
}

/// What was seen of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// The clock's lower half at that time.
    at: u32,
    /// How long an answer took by then, in microseconds; never 0.
    micros: u32,
}

/// One half of a number.
const HALF: u64 = 0xffff_ffff;

impl Seen {
    fn new(now: u64, took: Duration) -> Self {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        Self { at: (now & HALF) as u32, micros: micros.max(1) }
    }

    fn unpacked(word: u64) -> Option<Self> {
        (word != 0).then_some(Self { at: (word >> 32) as u32, micros: (word & HALF) as u32 })
    }

    fn packed(self) -> u64 {
        u64::from(self.at) << 32 | u64::from(self.micros)
    }

    /// How much of it is left.
    fn left(self, now: u64) -> f64 {
        // What was seen 49 days ago may look new, and does no harm.
        let age = ((now & HALF) as u32).wrapping_sub(self.at);
        (-f64::from(age) / MEMORY).exp()
    }

    /// With another answer, which may have come sooner than those before and count, or tell only that it was no slower.
    fn with(self, now: u64, took: Duration, may_lower: bool) -> Self {
        let left = self.left(now);
        let before = Duration::from_micros(self.micros.into()).mul_f64(left);
        let after = match took > before {
            true => took,
            false if may_lower => before + took.mul_f64(1.0 - left),
            false => before,
        };
        Self::new(now, after)
    }
}

impl Pace {
    /// Whether it is looked at from now on.
    pub(crate) fn watch(&self, watched: bool) {
        self.watched.store(watched, Ordering::Relaxed);
    }

    /// The member began to answer with this, so long after it had what there was of the request.
    pub(crate) fn answered(&self, status: StatusCode, took: impl FnOnce() -> Duration) {
        if self.watched.load(Ordering::Relaxed) {
            // A refusal costs little, and tells nothing of how fast the member does its work.
            self.note(took(), !status.is_server_error());
        }
    }

    /// It had not answered after so long, and nobody waits for it any more.
    pub(crate) fn outwaited(&self, time: Duration) {
        if self.watched.load(Ordering::Relaxed) {
            self.note(time, false);
        }
    }

    /// It gave no answer.
    pub(crate) fn failed(&self) {
        if self.watched.load(Ordering::Relaxed) {
            self.note(NO_ANSWER, false);
        }
    }

    fn note(&self, took: Duration, may_lower: bool) {
        let now = now();
        let with = |word| {
            let seen = Seen::unpacked(word).map(|seen| seen.with(now, took, may_lower));
            Some(seen.unwrap_or_else(|| Seen::new(now, took)).packed())
        };
        let _ = self.seen.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with);
    }

    /// What one more request would wait for there, beside so many that it has, by its weight: a number to compare by.
    pub(crate) fn cost(&self, now: u64, open: u32, weight: u32) -> u64 {
        let micros = match Seen::unpacked(self.seen.load(Ordering::Relaxed)) {
            Some(seen) => f64::from(seen.micros) * seen.left(now),
            // One is asked to see how fast it is, and no more until it has answered.
            None if open == 0 => 0.0,
            None => NO_ANSWER.as_secs_f64() * 1e6,
        };
        // More than in proportion: a member that was slow once is rather asked, if it has nothing to do, than that a request waits for another.
        let load = f64::from(open) + 1.0;
        // Numbers that are not below 0 are in the order of their bits.
        (micros * load * load.sqrt() / f64::from(weight.max(1))).to_bits()
    }
}

#[cfg(test)]
mod tests;
