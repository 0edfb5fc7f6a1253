//! Which member a client keeps: of a service whose clients keep theirs, every client that began a flow has a mark.
//!
//! A worker writes marks of its own alone. As the flows of a client are spread over workers by its port, a worker that begins one
//! reads the marks of all, as it does for limits; the youngest counts. So nobody asks anybody, and a client whose
//! flows met two workers in the same instant has one member again with the next one.
//!
//! A mark is renewed when a flow begins and as long as the sweep meets one of the client's. There is room for so many clients; of
//! those that meet in a full bucket the one is forgotten that was silent for longest.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use lb_model::VirtualServiceId;
use lb_model::snapshot::L4Persistence;

use crate::TICKS_PER_SECOND;
use crate::hash::FastHasher;
use crate::prefixes::{mask_v4, mask_v6};
use crate::schedule::mix;

/// Marks that meet in one place.
const WAYS: usize = 4;
/// What no service is known by.
const EMPTY: u64 = 0;

/// Who keeps a member, and within what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// One service on one address, or all of an address that share.
    within: u64,
    /// The bits of its address that count.
    network: u128,
}

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The member: see [`Keeping::member`].
    pub(crate) member: u64,
    /// When it was renewed.
    pub(crate) at: u32,
}

/// The marks of one worker.
#[derive(Debug)]
pub(crate) struct Marks {
    secret: u64,
    entries: Box<[Entry]>,
}

/// A mark in a cache line. It is written by one thread; `version` is odd meanwhile.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Entry {
    version: AtomicU64,
    within: AtomicU64,
    network: [AtomicU64; 2],
    member: AtomicU64,
    at: AtomicU64,
}

impl Entry {
    fn read(&self) -> Option<(Client, Mark)> {
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let before = self.version.load(Ordering::Acquire);
        let [high, low] = [load(&self.network[0]), load(&self.network[1])];
        let client = Client { within: load(&self.within), network: u128::from(high) << 64 | u128::from(low) };
        let mark = Mark { member: load(&self.member), at: load(&self.at) as u32 };
        fence(Ordering::Acquire);
        let whole = before.is_multiple_of(2) && load(&self.version) == before;
        (whole && client.within != EMPTY).then_some((client, mark))
    }

    fn write(&self, client: Client, mark: Mark) {
        let store = |word: &AtomicU64, value| word.store(value, Ordering::Relaxed);
        let version = self.version.load(Ordering::Relaxed);
        store(&self.version, version + 1);
        fence(Ordering::Release);
        store(&self.within, client.within);
        store(&self.network[0], (client.network >> 64) as u64);
        store(&self.network[1], client.network as u64);
        store(&self.member, mark.member);
        store(&self.at, mark.at.into());
        self.version.store(version + 2, Ordering::Release);
    }
}

impl Marks {
    /// With room for so many clients, at least.
    pub(crate) fn new(room: u32, secret: u64) -> Self {
        let room = (room as usize).next_power_of_two().max(WAYS);
        Self { secret, entries: (0..room).map(|_| Entry::default()).collect() }
    }

    /// The mark of a client.
    pub(crate) fn find(&self, client: Client) -> Option<Mark> {
        let mut marks = self.bucket(client).iter().filter_map(Entry::read);
        marks.find_map(|(other, mark)| (other == client).then_some(mark))
    }

    /// From now on the client has this mark. For the worker alone whose marks these are.
    pub(crate) fn put(&self, client: Client, mark: Mark) {
        let bucket = self.bucket(client);
        let own = bucket.iter().find(|entry| entry.read().is_some_and(|(other, _)| other == client));
        let silent = |entry: &&Entry| match entry.read() {
            Some((_, old)) => mark.at.wrapping_sub(old.at),
            None => u32::MAX,
        };
        if let Some(entry) = own.or_else(|| bucket.iter().max_by_key(silent)) {
            entry.write(client, mark);
        }
    }

    fn bucket(&self, client: Client) -> &[Entry] {
        let Client { within, network } = client;
        let hash = mix(mix(within ^ self.secret) ^ (network >> 64) as u64);
        let hash = mix(hash ^ mix(network as u64 ^ self.secret.rotate_left(32)));
        let first = (hash as usize & (self.entries.len() - 1)) & !(WAYS - 1);
        &self.entries[first..first + WAYS]
    }
}

/// How the clients of a service keep their members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keeping {
    within: u64,
    masks: (u32, u128),
    timeout: u32,
    /// The slots of those that may be given new flows of clients that have them.
    slots: HashMap<u64, u32, BuildHasherDefault<FastHasher>>,
    /// What each of them is known by.
    members: HashMap<u32, u64, BuildHasherDefault<FastHasher>>,
}

/// What a member is known by: within one service by its address and port, where services share by its address.
pub(crate) fn known_by(address: IpAddr, port: u16, shared: bool) -> u64 {
    let bits = match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    let port = if shared { 0 } else { u64::from(port) };
    mix(mix(bits as u64 ^ mix((bits >> 64) as u64)) ^ port)
}

impl Keeping {
    /// For a service on an address; `members` are all that may be given flows of clients that have them, by slot.
    pub(crate) fn new(
        of: L4Persistence,
        service: VirtualServiceId,
        address: IpAddr,
        members: impl Iterator<Item = (u32, IpAddr, u16)>,
    ) -> Self {
        let L4Persistence { prefix, prefix_v6, timeout_s, shared } = of;
        let (high, low) = service.0.as_u64_pair();
        let own = if shared { 0 } else { mix(low ^ mix(high)) | 1 };
        let within = mix(own ^ known_by(address, 0, true)) | 1;
        let members: HashMap<_, _, _> =
            members.map(|(slot, address, port)| (slot, known_by(address, port, shared))).collect();
        Self {
            within,
            masks: (mask_v4(prefix), mask_v6(prefix_v6)),
            timeout: timeout_s.saturating_mul(TICKS_PER_SECOND),
            slots: members.iter().map(|(slot, member)| (*member, *slot)).collect(),
            members,
        }
    }

    /// Whom a flow from an address belongs to.
    pub(crate) fn client(&self, address: IpAddr) -> Client {
        let network = match address {
            IpAddr::V4(address) => u128::from(address.to_bits() & self.masks.0),
            IpAddr::V6(address) => address.to_bits() & self.masks.1,
        };
        // The families are kept apart.
        Client { within: self.within ^ u64::from(address.is_ipv6()) << 63, network }
    }

    /// Whether a mark still counts.
    pub(crate) fn holds(&self, mark: Mark, now: u32) -> bool {
        now.wrapping_sub(mark.at) <= self.timeout
    }

    /// The backend that is known by a mark, if it may be given new flows of clients that have it.
    pub(crate) fn slot(&self, mark: Mark) -> Option<u32> {
        self.slots.get(&mark.member).copied()
    }

    /// What a backend is known by.
    pub(crate) fn member(&self, slot: u32) -> Option<u64> {
        self.members.get(&slot).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u128) -> Client {
        Client { within: 7, network: number }
    }

    #[test]
    fn marks_are_found_and_replaced() {
        let marks = Marks::new(64, 3);
        assert_eq!(marks.find(client(1)), None);
        marks.put(client(1), Mark { member: 5, at: 10 });
        marks.put(client(1), Mark { member: 6, at: 11 });
        assert_eq!(marks.find(client(1)), Some(Mark { member: 6, at: 11 }));
        assert_eq!(marks.find(Client { within: 8, network: 1 }), None, "within another service");
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_give_way() {
        let marks = Marks::new(64, 3);
        for number in 0..10_000u32 {
            marks.put(client(number.into()), Mark { member: 1, at: number });
        }
        let kept = (0..10_000).filter(|number| marks.find(client(*number)).is_some()).count();
        assert_eq!(kept, 64);
        assert_eq!((9_990..10_000).filter(|number| marks.find(client(*number)).is_some()).count(), 10);
    }

    #[test]
    fn a_mark_that_is_being_written_is_not_read() {
        let marks = Marks::new(4, 3);
        marks.put(client(1), Mark { member: 5, at: 10 });
        let entry = marks.entries.iter().find(|entry| entry.read().is_some()).unwrap();
        entry.version.fetch_add(1, Ordering::Relaxed);
        assert_eq!(marks.find(client(1)), None);
    }
}
