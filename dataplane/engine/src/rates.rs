//! How fast a service's flows may begin, and its packets pass: tokens in buckets, which fill as time passes.
//!
//! Each worker has its share of a rate, the same for all, and asks nobody: what a service does in one instant is spread over workers by its
//! clients' ports. Of sources there is a table of a fixed size; of those that meet in one place of it the one is forgotten whose
//! buckets are full the soonest: it loses nothing, or the least.

use std::net::IpAddr;

use lb_model::VirtualServiceId;
use lb_model::counters::DropReason;
use lb_model::snapshot::L4Rates;

use crate::TICKS_PER_SECOND;
use crate::prefixes::{mask_v4, mask_v6};
use crate::schedule::mix;

/// A token has so many parts, so that a small share of a small rate is more than nothing.
const PARTS: u64 = 1000;
/// How long a bucket for flows fills, in ticks.
const FLOWS_FILL: u64 = TICKS_PER_SECOND as u64;
/// How long one for packets or bits does: the clock goes by ticks, and what came within one must not be lost.
const PACKETS_FILL: u64 = 2;
/// What a bucket for bits holds at least: the largest packet.
const LARGEST: u64 = 65_535 * 8;
/// Sources that a worker remembers.
const SOURCES: usize = 1 << 16;
/// Those that meet in one place.
const WAYS: usize = 4;

/// What a service's gate knows of its rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Metered {
    /// Where workers have its buckets.
    pub(crate) meter: u32,
    rates: L4Rates,
    masks: (u32, u128),
    /// What its sources are known by, beside their networks.
    service: u64,
}

impl Metered {
    pub(crate) fn new(rates: L4Rates, service: VirtualServiceId, meter: u32) -> Self {
        let (high, low) = service.0.as_u64_pair();
        let masks = (mask_v4(rates.source_prefix), mask_v6(rates.source_prefix_v6));
        Self { meter, rates, masks, service: mix(low ^ mix(high)) }
    }

    /// Whether each packet is looked at, and not only those that begin flows.
    pub(crate) fn polices(&self) -> bool {
        let L4Rates { packets_per_s, kbits_per_s, source_packets_per_s, .. } = self.rates;
        packets_per_s.is_some() || kbits_per_s.is_some() || source_packets_per_s.is_some()
    }

    fn knows_sources(&self) -> bool {
        self.rates.source_connections_per_s.is_some() || self.rates.source_packets_per_s.is_some()
    }
}

/// How a bucket fills, in parts of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fill {
    each_tick: u64,
    most: u64,
}

impl Fill {
    /// One worker's share of a rate. The bucket holds what comes in so many ticks, and at least so many tokens.
    fn share(per_second: u64, workers: u16, ticks: u64, least: u64) -> Self {
        let each_tick =
            (per_second.saturating_mul(PARTS) / u64::from(TICKS_PER_SECOND) / u64::from(workers.max(1)))
                .max(1);
        Self { each_tick, most: each_tick.saturating_mul(ticks).max(least * PARTS) }
    }
}

/// What is left of it, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bucket {
    parts: u64,
    at: u32,
}

impl Bucket {
    fn parts(self, fill: Fill, now: u32) -> u64 {
        let since = u64::from(now.wrapping_sub(self.at));
        self.parts.saturating_add(since.saturating_mul(fill.each_tick)).min(fill.most)
    }

    /// When it is full again, if nothing more is taken.
    fn full_at(self, fill: Fill) -> u32 {
        let missing = fill.most.saturating_sub(self.parts).div_ceil(fill.each_tick);
        self.at.wrapping_add(u32::try_from(missing).unwrap_or(u32::MAX >> 1).min(u32::MAX >> 1))
    }

    fn take(&mut self, fill: Fill, tokens: u64, now: u32) {
        *self = Self { parts: self.parts(fill, now).saturating_sub(tokens * PARTS), at: now };
    }
}

/// One of a service's rates.
#[derive(Clone, Copy, Debug, Default)]
struct Meter {
    fill: Option<Fill>,
    bucket: Bucket,
}

impl Meter {
    fn adopt(&mut self, fill: Option<Fill>) {
        if self.fill.is_none() {
            // Full, whatever the time is.
            self.bucket = Bucket { parts: fill.map_or(0, |fill| fill.most), at: 0 };
        }
        self.fill = fill;
    }

    fn has(&self, tokens: u64, now: u32) -> bool {
        self.fill.is_none_or(|fill| self.bucket.parts(fill, now) >= tokens * PARTS)
    }

    fn take(&mut self, tokens: u64, now: u32) {
        if let Some(fill) = self.fill {
            self.bucket.take(fill, tokens, now);
        }
    }
}

/// The buckets of one service.
#[derive(Clone, Copy, Debug, Default)]
struct Meters {
    flows: Meter,
    packets: Meter,
    bits: Meter,
    source_flows: Option<Fill>,
    source_packets: Option<Fill>,
}

/// The buckets of one source.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    /// Drawn with a secret from its network and the service; 0: nobody's.
    mark: u64,
    flows: Bucket,
    packets: Bucket,
    /// When both are full again.
    full_at: u32,
}

impl Source {
    /// That this one is forgotten rather than others.
    fn waits(&self, now: u32) -> u32 {
        if self.mark == 0 {
            0
        } else {
            1 + self.full_at.wrapping_sub(now).cast_signed().max(0).cast_unsigned()
        }
    }
}

/// What one worker knows of rates.
#[derive(Debug)]
pub(crate) struct Rates {
    workers: u16,
    secret: u64,
    meters: Vec<Meters>,
    sources: Sources,
}

/// A packet that asks to pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    /// Who sent it, if that was a client.
    pub(crate) client: Option<IpAddr>,
    pub(crate) bits: u64,
    pub(crate) now: u32,
}

impl Rates {
    pub(crate) fn new(workers: u16, secret: u64) -> Self {
        Self { workers, secret, meters: Vec::new(), sources: Sources::new() }
    }

    /// From now on these rates hold; buckets that were there before keep what is in them.
    pub(crate) fn adopt(&mut self, all: &[Metered]) {
        for metered in all {
            let at = metered.meter as usize;
            if self.meters.len() <= at {
                self.meters.resize(at + 1, Meters::default());
            }
            let L4Rates { connections_per_s, packets_per_s, kbits_per_s, .. } = metered.rates;
            let L4Rates { source_connections_per_s, source_packets_per_s, .. } = metered.rates;
            let flows = |rate: u32| Fill::share(rate.into(), self.workers, FLOWS_FILL, 1);
            let packets = |rate: u32| Fill::share(rate.into(), self.workers, PACKETS_FILL, 1);
            let kbits = |rate: u32| Fill::share(u64::from(rate) * 1000, self.workers, PACKETS_FILL, LARGEST);
            let meters = &mut self.meters[at];
            meters.flows.adopt(connections_per_s.map(|rate| flows(rate.get())));
            meters.packets.adopt(packets_per_s.map(|rate| packets(rate.get())));
            meters.bits.adopt(kbits_per_s.map(|rate| kbits(rate.get())));
            meters.source_flows = source_connections_per_s.map(|rate| flows(rate.get()));
            meters.source_packets = source_packets_per_s.map(|rate| packets(rate.get()));
        }
    }

    /// Whether a flow may begin.
    pub(crate) fn admits(&self, metered: &Metered, asking: Asking) -> Result<(), DropReason> {
        let Some(meters) = self.meters.get(metered.meter as usize) else { return Ok(()) };
        if let Some(fill) = meters.source_flows
            && let Some(source) = self.source(metered, asking.client)
            && source.flows.parts(fill, asking.now) < PARTS
        {
            return Err(DropReason::SourceRate);
        }
        if !meters.flows.has(1, asking.now) {
            return Err(DropReason::ConnectionRate);
        }
        self.passes(metered, asking)
    }

    /// A flow has begun.
    pub(crate) fn begun(&mut self, metered: &Metered, client: IpAddr, now: u32) {
        let Some(meters) = self.meters.get_mut(metered.meter as usize) else { return };
        meters.flows.take(1, now);
        if let Some(fill) = meters.source_flows {
            let mark = mark(metered, client, self.secret);
            let source = self.sources.keep(mark, now);
            source.flows.take(fill, 1, now);
            source.full_at = later(source.full_at, source.flows.full_at(fill), now);
        }
    }

    /// Whether a packet may pass.
    pub(crate) fn passes(&self, metered: &Metered, asking: Asking) -> Result<(), DropReason> {
        let Asking { client, bits, now } = asking;
        let Some(meters) = self.meters.get(metered.meter as usize) else { return Ok(()) };
        if let Some(fill) = meters.source_packets
            && let Some(source) = self.source(metered, client)
            && source.packets.parts(fill, now) < PARTS
        {
            return Err(DropReason::SourcePacketRate);
        }
        if !meters.packets.has(1, now) {
            return Err(DropReason::PacketRate);
        }
        meters.bits.has(bits, now).then_some(()).ok_or(DropReason::BitRate)
    }

    /// Lets a packet pass, if it may. One that may not takes nothing.
    pub(crate) fn police(&mut self, metered: &Metered, asking: Asking) -> Result<(), DropReason> {
        self.passes(metered, asking)?;
        let Asking { client, bits, now } = asking;
        let Some(meters) = self.meters.get_mut(metered.meter as usize) else { return Ok(()) };
        meters.packets.take(1, now);
        meters.bits.take(bits, now);
        if let (Some(fill), Some(client)) = (meters.source_packets, client) {
            let mark = mark(metered, client, self.secret);
            let source = self.sources.keep(mark, now);
            source.packets.take(fill, 1, now);
            source.full_at = later(source.full_at, source.packets.full_at(fill), now);
        }
        Ok(())
    }

    /// What is known of a client's network; nothing where it has not been heard of.
    fn source(&self, metered: &Metered, client: Option<IpAddr>) -> Option<&Source> {
        self.sources.find(mark(metered, client.filter(|_| metered.knows_sources())?, self.secret))
    }
}

/// The later one of two instants that are not long ago.
fn later(one: u32, other: u32, now: u32) -> u32 {
    let from_now = |at: u32| at.wrapping_sub(now).cast_signed();
    if from_now(one) > from_now(other) { one } else { other }
}

/// What a client's network is known by to a service.
fn mark(metered: &Metered, client: IpAddr, secret: u64) -> u64 {
    let (network, family) = match client {
        IpAddr::V4(address) => (u128::from(address.to_bits() & metered.masks.0), 1),
        IpAddr::V6(address) => (address.to_bits() & metered.masks.1, 2),
    };
    let high = mix((network >> 64) as u64 ^ secret ^ family);
    mix(mix(high ^ network as u64) ^ metered.service ^ secret.rotate_left(32)).max(1)
}

/// The sources that were heard of last.
#[derive(Debug)]
struct Sources {
    entries: Vec<Source>,
}

impl Sources {
    fn new() -> Self {
        Self { entries: vec![Source::default(); SOURCES] }
    }

    fn place(&self, mark: u64) -> usize {
        mark as usize & (self.entries.len() - 1) & !(WAYS - 1)
    }

    fn find(&self, mark: u64) -> Option<&Source> {
        let first = self.place(mark);
        self.entries[first..first + WAYS].iter().find(|source| source.mark == mark)
    }

    /// The buckets of a source: full, if it was not there.
    fn keep(&mut self, mark: u64, now: u32) -> &mut Source {
        let first = self.place(mark);
        let ways = &mut self.entries[first..first + WAYS];
        let at = (0..WAYS).find(|at| ways[*at].mark == mark);
        let at = at.or_else(|| (0..WAYS).min_by_key(|at| ways[*at].waits(now))).unwrap_or(0);
        let source = &mut ways[at];
        if source.mark != mark {
            let full = Bucket { parts: u64::MAX, at: now };
            *source = Source { mark, flows: full, packets: full, full_at: now };
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const SERVICE: VirtualServiceId = VirtualServiceId(uuid::Uuid::from_u128(7));

    fn metered(rates: L4Rates) -> Metered {
        Metered::new(rates, SERVICE, 0)
    }

    fn of(per_second: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(per_second)
    }

    fn rates(workers: u16, of: &Metered) -> Rates {
        let mut rates = Rates::new(workers, 5);
        rates.adopt(&[*of]);
        rates
    }

    fn client(last: u8) -> IpAddr {
        [198, 51, 100, last].into()
    }

    /// How many of `asked` flows of a client begin at once.
    fn begin(rates: &mut Rates, metered: &Metered, (from, now): (IpAddr, u32), asked: usize) -> usize {
        let asking = Asking { client: Some(from), bits: 480, now };
        (0..asked)
            .filter(|_| {
                let admitted = rates.admits(metered, asking).is_ok();
                if admitted {
                    rates.begun(metered, from, now);
                }
                admitted
            })
            .count()
    }

    #[test]
    fn as_many_begin_as_are_allowed_however_long_it_was_quiet() {
        let metered = metered(L4Rates { connections_per_s: of(50), ..L4Rates::default() });
        let mut rates = rates(1, &metered);
        assert_eq!(begin(&mut rates, &metered, (client(1), 1_000_000), 200), 50);
        assert_eq!(begin(&mut rates, &metered, (client(1), 1_000_001), 200), 5);
        assert_eq!(begin(&mut rates, &metered, (client(1), 1_000_011), 200), 50);
        assert_eq!(begin(&mut rates, &metered, (client(1), 9_000_000), 200), 50);
        let asking = Asking { client: Some(client(1)), bits: 480, now: 9_000_000 };
        assert_eq!(rates.admits(&metered, asking), Err(DropReason::ConnectionRate));
    }

    #[test]
    fn each_worker_has_its_share_and_never_nothing() {
        let quick = metered(L4Rates { connections_per_s: of(80), ..L4Rates::default() });
        assert_eq!(begin(&mut rates(8, &quick), &quick, (client(1), 100), 200), 10);
        let slow = metered(L4Rates { connections_per_s: of(1), ..L4Rates::default() });
        let mut rates = rates(8, &slow);
        assert_eq!(begin(&mut rates, &slow, (client(1), 100), 9), 1);
        assert_eq!(begin(&mut rates, &slow, (client(1), 170), 9), 0);
        assert_eq!(begin(&mut rates, &slow, (client(1), 190), 9), 1, "one in eight seconds and a bit");
    }

    #[test]
    fn a_source_takes_nothing_from_others() {
        let limits = L4Rates { source_connections_per_s: of(10), source_prefix: 24, ..L4Rates::default() };
        let metered = metered(limits);
        let mut rates = rates(1, &metered);
        assert_eq!(begin(&mut rates, &metered, (client(1), 100), 100), 10);
        assert_eq!(begin(&mut rates, &metered, (client(2), 100), 100), 0, "of the same network");
        let elsewhere = IpAddr::from([198, 51, 101, 1]);
        assert_eq!(begin(&mut rates, &metered, (elsewhere, 100), 100), 10);
        let six: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(begin(&mut rates, &metered, (six, 100), 100), 10);
        let asking = Asking { client: Some(client(1)), bits: 480, now: 100 };
        assert_eq!(rates.admits(&metered, asking), Err(DropReason::SourceRate));
    }

    #[test]
    fn packets_and_bits_pass_as_fast_as_they_may_over_any_second() {
        let packets = metered(L4Rates { packets_per_s: of(1000), ..L4Rates::default() });
        let bits = metered(L4Rates { kbits_per_s: of(10_000), ..L4Rates::default() });
        for (metered, reason, per_tick, first) in
            [(packets, DropReason::PacketRate, 100, 200), (bits, DropReason::BitRate, 83, 166)]
        {
            let mut rates = rates(1, &metered);
            let mut passed = |now| {
                let asking = Asking { client: None, bits: 12_000, now };
                let passed = (0..10_000).filter(|_| rates.police(&metered, asking).is_ok()).count();
                assert_eq!(rates.police(&metered, asking), Err(reason));
                passed
            };
            assert_eq!(passed(500), first);
            let second: usize = (501..511).map(passed).sum();
            assert!((10 * per_tick..=10 * per_tick + 4).contains(&second), "{second}");
        }
    }

    #[test]
    fn the_largest_packet_passes_whatever_the_rate() {
        let metered = metered(L4Rates { kbits_per_s: of(1), ..L4Rates::default() });
        let asking = Asking { client: None, bits: LARGEST, now: 7 };
        assert_eq!(rates(16, &metered).police(&metered, asking), Ok(()));
    }

    #[test]
    fn a_flood_of_sources_takes_no_memory_and_frees_nobody_who_floods() {
        let metered = metered(L4Rates { source_packets_per_s: of(10), ..L4Rates::default() });
        let mut rates = rates(1, &metered);
        let mut pass = |client: u128, now| {
            let asking = Asking { client: Some(IpAddr::from(client.to_be_bytes())), bits: 480, now };
            rates.police(&metered, asking)
        };
        let passed = (0..1_000_000u32).filter(|at| {
            let spoofed = (u128::from(*at) << 64) + (1 << 127);
            pass(spoofed, 100 + at / 100_000).is_ok() && pass(9 << 64, 100 + at / 100_000).is_ok()
        });
        // Ten packets in a second, and what the bucket held; of a hundred thousand others in a tick, few meet it.
        let passed = passed.count();
        assert!((11..=20).contains(&passed), "{passed}");
        assert_eq!(rates.sources.entries.len(), SOURCES);
    }

    #[test]
    fn rates_that_change_leave_what_was_taken() {
        let before = metered(L4Rates { connections_per_s: of(50), ..L4Rates::default() });
        let mut rates = rates(1, &before);
        assert_eq!(begin(&mut rates, &before, (client(1), 100), 50), 50);
        let after = metered(L4Rates { connections_per_s: of(500), ..L4Rates::default() });
        rates.adopt(&[after]);
        assert_eq!(begin(&mut rates, &after, (client(1), 100), 500), 0);
        assert_eq!(begin(&mut rates, &after, (client(1), 101), 500), 50);
    }
}
