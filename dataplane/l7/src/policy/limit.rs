//! How many requests somebody may make: a token bucket for each, kept as the one time at which it would be full again
//! (the generic cell rate algorithm, ITU-T I.371). All workers share it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

use http::HeaderName;
use http::request::Parts;
use lb_model::policy::{LimitKey, RateLimit};

use super::PartError;
use crate::origin::Origin;

/// Parts that are locked each for itself, so that workers seldom wait for each other.
const SHARDS: usize = 16;
/// How many are known in a shard at most. Where all of them are busy a newcomer passes: better than to refuse strangers, or to grow.
const KNOWN: usize = 8 << 10;
/// How often a shard that is full is looked through for those that need not be known any more, in nanoseconds.
const SWEEP: u64 = 1_000_000_000;

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A limit that can be asked.
#[derive(Debug)]
pub(crate) struct Limiter {
    key: Key,
    /// Nanoseconds that a request takes of the time to come, and how much may be taken in advance.
    each: u64,
    ahead: u64,
    hash: RandomState,
    shards: Box<[Mutex<Shard>]>,
}

/// A part of all buckets.
#[derive(Debug, Default)]
struct Shard {
    /// When each bucket is full again, by the hash of its key.
    full: HashMap<u64, u64>,
    swept: u64,
}

#[derive(Debug)]
enum Key {
    Service,
    Source,
    Header(HeaderName),
}

impl Limiter {
    pub(super) fn new(of: &RateLimit) -> Result<Self, PartError> {
        let RateLimit { requests, per_s, burst, key, header } = of;
        let key = match key {
            LimitKey::Service => Key::Service,
            LimitKey::Source => Key::Source,
            LimitKey::Header => {
                let name = header.as_deref().ok_or(PartError::Key)?;
                Key::Header(HeaderName::from_bytes(name.as_bytes()).map_err(http::Error::from)?)
            }
        };
        let each = u64::from(*per_s) * 1_000_000_000 / u64::from(*requests).max(1);
        let ahead = each * u64::from(burst.unwrap_or(*requests).max(1) - 1);
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Ok(Self { key, each, ahead, hash: RandomState::new(), shards })
    }

    /// Takes one, or says after how many seconds there will be one.
    pub(crate) fn admit(&self, parts: &Parts, origin: &Origin) -> Result<(), u64> {
        let bucket = match &self.key {
            Key::Service => 0,
            Key::Source => self.hash.hash_one(origin.ends.client.ip().to_canonical()),
            Key::Header(name) => match parts.headers.get(name) {
                Some(value) => self.hash.hash_one(value.as_bytes()),
                // Who does not name itself shares one with others like it.
                None => 1,
            },
        };
        self.take(bucket, u64::try_from(BEGIN.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn take(&self, bucket: u64, now: u64) -> Result<(), u64> {
        let Some(shard) = usize::try_from(bucket % SHARDS as u64).ok().and_then(|at| self.shards.get(at))
        else {
            return Ok(());
        };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let full = shard.full.get(&bucket).copied().unwrap_or(now).max(now);
        if full - now > self.ahead {
            return Err((full - now - self.ahead).div_ceil(1_000_000_000));
        }
        if shard.has_room_for(bucket, now) {
            shard.full.insert(bucket, full + self.each);
        }
        Ok(())
    }
}

impl Shard {
    fn has_room_for(&mut self, bucket: u64, now: u64) -> bool {
        if self.full.len() >= KNOWN && now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            self.full.retain(|_, full| *full > now);
        }
        self.full.len() < KNOWN || self.full.contains_key(&bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn limiter(requests: u32, per_s: u32, burst: u32) -> Limiter {
        let limit = RateLimit { requests, per_s, burst: Some(burst), key: LimitKey::Source, header: None };
        Limiter::new(&limit).unwrap()
    }

    fn admitted(limiter: &Limiter, bucket: u64, at: u64, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.take(bucket, at).is_ok()).count()
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let limiter = limiter(10, 1, 5);
        assert_eq!(admitted(&limiter, 1, 0, 100), 5);
        assert_eq!(admitted(&limiter, 2, 0, 100), 5, "another has its own");
        assert_eq!(admitted(&limiter, 1, SECOND / 10, 100), 1);
        assert_eq!(admitted(&limiter, 1, SECOND, 100), 5, "no more than a burst is saved");
        let steady = (0..100).map(|tenth| admitted(&limiter, 3, tenth * SECOND / 10, 1)).sum::<usize>();
        assert_eq!(steady, 100);
    }

    #[test]
    fn whoever_waits_as_long_as_it_was_told_passes() {
        let limiter = limiter(1, 60, 2);
        assert_eq!(admitted(&limiter, 1, 0, 3), 2);
        let wait = limiter.take(1, 0).unwrap_err();
        assert_eq!(wait, 60);
        assert!(limiter.take(1, (wait - 1) * SECOND).is_err());
        assert!(limiter.take(1, wait * SECOND).is_ok());
    }

    #[test]
    fn strangers_do_not_make_it_grow() {
        let limiter = limiter(1, 60, 1);
        for bucket in 0..(2 * KNOWN * SHARDS) as u64 {
            assert!(limiter.take(bucket, 0).is_ok());
        }
        let known = |limiter: &Limiter| {
            limiter.shards.iter().map(|shard| shard.lock().unwrap().full.len()).sum::<usize>()
        };
        assert_eq!(known(&limiter), KNOWN * SHARDS);
        assert!(limiter.take(0, SECOND).is_err(), "who is known is still limited");
        // Once they have waited they are forgotten.
        (0..16).for_each(|shard| assert!(limiter.take(u64::MAX - shard, 61 * SECOND).is_ok()));
        assert_eq!(known(&limiter), SHARDS);
    }
}
