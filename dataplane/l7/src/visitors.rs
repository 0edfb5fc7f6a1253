//! How many connections of one client there are, where a service says how many there may be.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// Parts that are locked each for itself, so that workers seldom wait for each other.
const SHARDS: usize = 16;

static HASH: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Those of one service, of all workers.
#[derive(Debug)]
pub(crate) struct Visitors {
    shards: Box<[Mutex<HashMap<IpAddr, u32>>]>,
}

/// A connection that is counted until it ends.
#[derive(Debug)]
pub(crate) struct Visit {
    to: Arc<Visitors>,
    source: IpAddr,
}

impl Default for Visitors {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Visitors {
    /// Counts a connection from there, unless there are as many as there may be.
    pub(crate) fn enter(self: &Arc<Self>, source: IpAddr, most: NonZeroU32) -> Option<Visit> {
        let source = who(source);
        let mut counts = self.shard(source);
        let count = counts.entry(source).or_default();
        if *count >= most.get() {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Visit { to: Arc::clone(self), source })
    }

    fn shard(&self, source: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        let place = usize::try_from(HASH.hash_one(source) % SHARDS as u64).unwrap_or(0);
        self.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut counts = self.to.shard(self.source);
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
            }
        }
    }
}

/// A client is an address; with IPv6 it has a whole network of 64 bits (RFC 4291, 2.5.4).
fn who(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_number_and_leaves_nothing_behind() {
        let visitors = Arc::new(Visitors::default());
        let most = NonZeroU32::new(2).unwrap();
        let enter = |source: &str| visitors.enter(source.parse().unwrap(), most);
        let (one, two, other) = (enter("192.0.2.1"), enter("::ffff:192.0.2.1"), enter("192.0.2.2"));
        assert!(enter("192.0.2.1").is_none() && other.is_some());
        drop(one);
        assert!(enter("192.0.2.1").is_some());
        let (three, four) = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(enter("2001:db8::3").is_none() && enter("2001:db8:0:1::1").is_some());
        drop((two, other, three, four));
        assert!((0..SHARDS).all(|shard| visitors.shards[shard].lock().unwrap().is_empty()));
    }
}
