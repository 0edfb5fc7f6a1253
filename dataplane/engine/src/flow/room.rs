//! Which entries are free: single ones, and pairs of neighbours for flows with IPv6. A pair is split when a single entry is
//! needed and joined again when both are free, so neither kind starves the other.
//!
//! Two lists lead through the free entries. They are made anew when a file is attached, so it does not matter where a
//! process died.

use lb_mem::{Conn, NOBODY};

use super::is_wide;
use crate::state::FREE;

/// Where the lists begin.
#[derive(Debug)]
pub(super) struct Room {
    singles: List,
    pairs: List,
}

/// Free entries: the first one, which leads to the others.
#[derive(Debug)]
struct List(u32);

impl Room {
    /// Finds what is free of the first `used` entries, an even number.
    pub(super) fn survey(conns: &mut [Conn], used: u32) -> Self {
        let mut room = Self { singles: List(NOBODY), pairs: List(NOBODY) };
        for first in (0..used).step_by(2).rev() {
            let at = first as usize;
            if is_wide(&conns[at]) {
                continue;
            }
            match [conns[at].state == FREE, conns[at + 1].state == FREE] {
                [true, true] => room.pairs.push(conns, first),
                [true, false] => room.singles.push(conns, first),
                [false, true] => room.singles.push(conns, first + 1),
                [false, false] => {}
            }
        }
        room
    }

    /// Whether an entry, or a pair, can be taken.
    pub(super) fn is_left(&self, conns: &[Conn], used: u32, pair: bool) -> bool {
        !self.pairs.is_empty() || has_fresh(conns, used) || (!pair && !self.singles.is_empty())
    }

    /// Takes an entry, or a pair by its first one; `used` grows if none that was used before is free.
    pub(super) fn take(&mut self, conns: &mut [Conn], used: &mut u32, pair: bool) -> Option<u32> {
        if pair {
            return self.take_pair(conns, used);
        }
        if let Some(single) = self.singles.pop(conns) {
            return Some(single);
        }
        let first = self.take_pair(conns, used)?;
        self.singles.push(conns, first + 1);
        Some(first)
    }

    fn take_pair(&mut self, conns: &mut [Conn], used: &mut u32) -> Option<u32> {
        if let Some(first) = self.pairs.pop(conns) {
            return Some(first);
        }
        has_fresh(conns, *used).then(|| {
            *used += 2;
            *used - 2
        })
    }

    /// Takes an entry back, or a pair.
    pub(super) fn give_back(&mut self, conns: &mut [Conn], entry: u32, pair: bool) {
        let other = entry ^ 1;
        if pair {
            // It held addresses.
            conns[other as usize].state = FREE;
            self.pairs.push(conns, entry);
        } else if conns[other as usize].state == FREE {
            self.singles.unlink(conns, other);
            self.pairs.push(conns, entry & !1);
        } else {
            self.singles.push(conns, entry);
        }
    }
}

fn has_fresh(conns: &[Conn], used: u32) -> bool {
    used as usize + 2 <= conns.len()
}

impl List {
    fn is_empty(&self) -> bool {
        self.0 == NOBODY
    }

    fn push(&mut self, conns: &mut [Conn], entry: u32) {
        if let Some(next) = conns.get_mut(self.0 as usize) {
            next.next_hops[1] = entry;
        }
        conns[entry as usize].next_hops = [self.0, NOBODY];
        self.0 = entry;
    }

    fn pop(&mut self, conns: &mut [Conn]) -> Option<u32> {
        let entry = self.0;
        (entry != NOBODY).then(|| {
            self.unlink(conns, entry);
            entry
        })
    }

    fn unlink(&mut self, conns: &mut [Conn], entry: u32) {
        let [next, previous] = conns[entry as usize].next_hops;
        if let Some(conn) = conns.get_mut(next as usize) {
            conn.next_hops[1] = previous;
        }
        match conns.get_mut(previous as usize) {
            Some(conn) => conn.next_hops[0] = next,
            None => self.0 = next,
        }
    }
}
