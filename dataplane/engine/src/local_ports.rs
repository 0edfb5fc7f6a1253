//! Full NAT: which of our addresses and ports a member sees in the place of a client.
//!
//! The reply to it must arrive at the worker that has the flow. Workers own clients' ends by a hash; a local end is given out by
//! the worker alone that the hash of it names. So no two workers can give out the same, none asks another, and replies
//! find their worker as all other packets do.

use std::net::IpAddr;

use lb_mem::NOBODY;

use crate::schedule::mix;
use crate::tables::Endpoint;

/// Below are the ports of services.
const FIRST: u16 = 1024;
const COUNT: u64 = (u16::MAX - FIRST) as u64 + 1;
/// How many ends of this worker's own are looked at before it is said that there is none: of those in use with one member, one in
/// fifty being free, two of three flows find it.
const TRIES: u32 = 64;

/// Draws local ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalPorts {
    random: u64,
    worker: u16,
    workers: u16,
}

impl LocalPorts {
    pub(crate) fn new(worker: u16, workers: u16, seed: u64) -> Self {
        Self { random: mix(seed ^ u64::from(worker) ^ u64::from(NOBODY)) | 1, worker, workers }
    }

    /// One of `addresses` and a port that `is_free`, owned by this worker as `owner` has it.
    pub(crate) fn choose(
        &mut self,
        addresses: &[IpAddr],
        protocol: u8,
        owner: impl Fn(Endpoint, u16) -> u16,
        mut is_free: impl FnMut(Endpoint) -> bool,
    ) -> Option<Endpoint> {
        // Marsaglia, "Xorshift RNGs", 2003.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let first = (self.random >> 32) % COUNT;
        let address_at = (self.random as u32 as usize).checked_rem(addresses.len())?;
        let mut tries = 0;
        for step in 0..COUNT * addresses.len() as u64 {
            let at = first + step;
            // All ports of one address, then those of the next.
            let address = *addresses.get((address_at + (step / COUNT) as usize) % addresses.len())?;
            let port = FIRST + (at % COUNT) as u16;
            let end = Endpoint { address, port: u16::from_ne_bytes(port.to_be_bytes()), protocol };
            if self.workers > 1 && owner(end, self.workers) != self.worker {
                continue;
            }
            if is_free(end) {
                return Some(end);
            }
            tries += 1;
            if tries == TRIES {
                return None;
            }
        }
        None
    }
}
