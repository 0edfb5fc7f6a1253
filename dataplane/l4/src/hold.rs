//! Frames that wait for a neighbour: few, and not for long.

use std::collections::VecDeque;

use lb_dpdk::Mbuf;
use lb_engine::{Awaited, TICKS_PER_SECOND};

/// All frames that wait.
const ROOM: usize = 512;
/// Those that wait for one neighbour.
const ROOM_EACH: usize = 32;
/// For how long a frame waits.
const PATIENCE: u32 = TICKS_PER_SECOND;

/// A worker's waiting room.
#[derive(Debug)]
pub(crate) struct Hold {
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    frame: Mbuf,
    awaited: Awaited,
    since: u32,
}

/// What became of a frame that was to wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is the first that waits for this neighbour: somebody must ask for it.
    First,
    /// Others wait already.
    Another,
    /// There is no room; it was dropped.
    Full,
}

impl Hold {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::with_capacity(ROOM) }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn admit(&mut self, frame: Mbuf, awaited: Awaited, now: u32) -> Admission {
        let others = self.waiting.iter().filter(|waiting| waiting.awaited == awaited).count();
        if self.waiting.len() == ROOM || others >= ROOM_EACH {
            return Admission::Full;
        }
        self.waiting.push_back(Waiting { frame, awaited, since: now });
        if others == 0 { Admission::First } else { Admission::Another }
    }

    /// Takes every frame out once: `settle` gives back those that go on waiting.
    pub(crate) fn review(&mut self, mut settle: impl FnMut(Mbuf, Awaited, bool) -> Option<Mbuf>, now: u32) {
        for _ in 0..self.waiting.len() {
            let Some(Waiting { frame, awaited, since }) = self.waiting.pop_front() else { return };
            let too_long = now.wrapping_sub(since) > PATIENCE;
            if let Some(frame) = settle(frame, awaited, too_long) {
                self.waiting.push_back(Waiting { frame, awaited, since });
            }
        }
    }
}
