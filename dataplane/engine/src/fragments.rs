//! Pieces of packets: only the first one has the ports that say whose it is.
//!
//! What the first piece says is remembered for the others. Those that arrive before it wait here, and are looked at again once
//! it has come. Memory is bounded at both ends: the oldest of four that meet gives way, and who finds no room to wait is dropped.

use crate::TICKS_PER_SECOND;
use crate::flow::Key;
use crate::schedule::mix;
use crate::verdict::PortIndex;

/// Packets whose first piece is remembered.
const PACKETS: usize = 1024;
/// Those that meet in one place.
const WAYS: usize = 4;
/// Pieces that wait for the first one.
const WAITING: usize = 64;
/// The longest of them.
const LONGEST: usize = 2048;
/// For how long a first piece is remembered (RFC 791, 3.2: at least 15 seconds).
const PATIENCE: u32 = 15 * TICKS_PER_SECOND;
/// For how long a piece has its place for sure; then another may take it. What the network has turned round arrives sooner.
const TURN: u32 = 2 * TICKS_PER_SECOND;

/// A packet that came in pieces: a number made of its ends and its identification, with a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whole(u64);

impl Whole {
    /// Of what all pieces of a packet have: the words of its addresses, and its identification with its protocol.
    pub(crate) fn of(addresses: [u64; 4], id: u64, secret: u64) -> Self {
        let mixed = addresses.into_iter().fold(id ^ secret, |mixed, word| mix(mixed ^ word));
        // 0 stands for nothing.
        Self(mixed | 1)
    }

    /// A number below `count`.
    pub(crate) fn owner(self, count: u16) -> u16 {
        (((self.0 >> 32) * u64::from(count)) >> 32) as u16
    }
}

/// What becomes of the pieces of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They are looked up by this.
    Flow(Key),
    /// They belong to a flow of this worker.
    Elsewhere(u16),
    /// They are not ours.
    Strangers,
}

/// One worker's.
#[derive(Debug)]
pub(crate) struct Fragments {
    known: Box<[Known]>,
    waiting: Box<[Waiting]>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    whole: Whole,
    fate: Fate,
    since: u32,
}

#[derive(Debug)]
struct Waiting {
    whole: Option<Whole>,
    since: u32,
    port: PortIndex,
    len: usize,
    bytes: Box<[u8; LONGEST]>,
}

impl Waiting {
    fn is_free(&self, now: u32) -> bool {
        self.whole.is_none() || now.wrapping_sub(self.since) > TURN
    }
}

impl Default for Fragments {
    fn default() -> Self {
        let nobody = Known { whole: Whole(0), fate: Fate::Strangers, since: 0 };
        let nothing =
            |_| Waiting { whole: None, since: 0, port: PortIndex(0), len: 0, bytes: Box::new([0; LONGEST]) };
        Self { known: vec![nobody; PACKETS].into(), waiting: (0..WAITING).map(nothing).collect() }
    }
}

impl Fragments {
    /// What the first piece said.
    pub(crate) fn fate(&self, whole: Whole, now: u32) -> Option<Fate> {
        let first = Self::place(whole);
        let known = self.known[first..first + WAYS].iter().find(|known| known.whole == whole)?;
        (now.wrapping_sub(known.since) <= PATIENCE).then_some(known.fate)
    }

    /// Remembers it.
    pub(crate) fn learn(&mut self, whole: Whole, fate: Fate, now: u32) {
        let first = Self::place(whole);
        let bucket = &mut self.known[first..first + WAYS];
        let at = bucket.iter().position(|known| known.whole == whole).unwrap_or_else(|| {
            let age = |at: &usize| match bucket[*at].whole {
                Whole(0) => u32::MAX,
                Whole(_) => now.wrapping_sub(bucket[*at].since),
            };
            (0..WAYS).max_by_key(age).unwrap_or(0)
        });
        bucket[at] = Known { whole, fate, since: now };
    }

    fn place(whole: Whole) -> usize {
        whole.0 as usize & (PACKETS - 1) & !(WAYS - 1)
    }

    /// Whether a piece so long could wait.
    pub(crate) fn has_place(&self, len: usize, now: u32) -> bool {
        len <= LONGEST && self.waiting.iter().any(|waiting| waiting.is_free(now))
    }

    /// Lets a piece wait for the first one. Says whether there was room.
    pub(crate) fn wait(&mut self, whole: Whole, frame: &[u8], port: PortIndex, now: u32) -> bool {
        let Some(place) = self.waiting.iter_mut().find(|waiting| waiting.is_free(now)) else { return false };
        let Some(bytes) = place.bytes.get_mut(..frame.len()) else { return false };
        bytes.copy_from_slice(frame);
        (place.whole, place.since, place.port, place.len) = (Some(whole), now, port, frame.len());
        true
    }

    /// Gives `again` every piece of a packet that waited, and where it had come in.
    pub(crate) fn release(&mut self, whole: Whole, mut again: impl FnMut(&[u8], PortIndex)) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.whole == Some(whole)) {
            waiting.whole = None;
            if let Some(bytes) = waiting.bytes.get(..waiting.len) {
                again(bytes, waiting.port);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(number: u64) -> Whole {
        Whole::of([number, 0, 0, 0], 7, 3)
    }

    #[test]
    fn what_is_remembered_is_bounded_in_time_and_number() {
        let mut fragments = Fragments::default();
        fragments.learn(whole(1), Fate::Elsewhere(1), 100);
        assert_eq!(fragments.fate(whole(1), 100 + PATIENCE), Some(Fate::Elsewhere(1)));
        assert_eq!(fragments.fate(whole(1), 101 + PATIENCE), None);
        for number in 0..5000 {
            fragments.learn(whole(number), Fate::Strangers, 200 + number as u32);
        }
        assert_eq!(fragments.fate(whole(4999), 5200), Some(Fate::Strangers));
        let known =
            (0..5000).filter(|number| fragments.known.iter().any(|known| known.whole == whole(*number)));
        assert_eq!(known.count(), PACKETS);
    }

    #[test]
    fn a_piece_waits_once_and_gives_way_after_its_turn() {
        let mut fragments = Fragments::default();
        for number in 0..WAITING as u64 {
            assert!(fragments.wait(whole(number), &[1, 2], PortIndex(1), 10));
        }
        assert!(!fragments.wait(whole(99), &[3], PortIndex(0), 10 + TURN));
        assert!(fragments.wait(whole(99), &[3], PortIndex(0), 11 + TURN));
        let mut seen = Vec::new();
        fragments.release(whole(5), |bytes, port| seen.push((bytes.to_vec(), port)));
        fragments.release(whole(5), |bytes, port| seen.push((bytes.to_vec(), port)));
        assert_eq!(seen, [(vec![1, 2], PortIndex(1))]);
        assert!(!fragments.wait(whole(6), &[0; LONGEST + 1], PortIndex(0), 500), "it is too long");
    }
}
