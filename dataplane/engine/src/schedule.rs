//! What a scheduler needs to choose by, built when a pool changes: orders and tables, so that choosing costs next to nothing.

use lb_model::snapshot::Scheduler;

use crate::persistence::Keeping;

/// The sizes that a table of hashes can have: primes, each about twice the one before.
const TABLE_SIZES: [u32; 9] = [251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65537];
/// Slots that the lightest backend has in a table, where the largest table has room for that: shares are then right to a
/// hundredth (Maglev, NSDI 2016, 5.3).
const SLOTS_EACH: u64 = 100;
/// The longest order of turns. Weights whose sum, in lowest terms, is larger are rounded.
const LONGEST_ORDER: u64 = 65_536;
/// The most comparisons that making an order of turns may take.
const ORDER_WORK: u64 = 1 << 26;

/// A backend that takes new flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taker {
    /// Its slot in the tables.
    pub(crate) slot: u32,
    /// What its scheduler goes by: its weight, or 1 where nobody looks at weights, times the share that it is given now where
    /// some are given less than all. At least 1.
    pub(crate) weight: u32,
    /// What its places in a table of hashes come from: the same on every appliance, for the same member.
    pub(crate) seed: u64,
}

/// What is compared to find who has least to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Flows.
    Flows,
    /// Flows for the weight.
    FlowsByWeight,
    /// The same with the flow that is to be given.
    Delay,
    /// Whether there are any flows; then as `Delay`.
    IdleFirst,
}

/// What of a flow is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hashed {
    /// The client's address.
    Source,
    /// The client's address and port.
    SourcePort,
    /// Addresses and ports of both ends, and the protocol.
    All,
}

/// How a backend is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// In this order, again and again.
    Turns(Box<[u32]>),
    /// The first that has room.
    First,
    /// Who has least to do.
    Least(Cost),
    /// Two are drawn by weight, and the one that has less to do is chosen; for each taker, the sum of weights up to it.
    TwoDrawn(Box<[u32]>),
    /// By a hash, in this table.
    Table(Box<[u32]>, Hashed),
}

/// The takers of a service, and how one of them is chosen. Orders and tables hold places in `takers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) takers: Box<[Taker]>,
    pub(crate) how: How,
    /// How clients keep their members, if they do.
    pub(crate) keeping: Option<Keeping>,
    pub(crate) scheduler: Scheduler,
    size: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self::new(Scheduler::RoundRobin, 0, Vec::new())
    }
}

impl Schedule {
    /// Of backends in the order of their pool. The size of a table comes from all that the pool has (`size`, of
    /// [`table_size`]), so that it stays the same when some of them take no flows for a while.
    pub(crate) fn new(scheduler: Scheduler, size: u32, mut takers: Vec<Taker>) -> Self {
        if scheduler == Scheduler::Ordered {
            takers.sort_by_key(|taker| std::cmp::Reverse(taker.weight));
        }
        let weights = || takers.iter().map(|taker| taker.weight).collect::<Vec<_>>();
        let are_alike = takers.windows(2).all(|pair| pair[0].weight == pair[1].weight);
        let how = match scheduler {
            Scheduler::RoundRobin if are_alike => How::Turns((0..).take(takers.len()).collect()),
            Scheduler::RoundRobin | Scheduler::WeightedRoundRobin => How::Turns(smooth_turns(&weights())),
            Scheduler::LeastConnections if are_alike => How::Least(Cost::Flows),
            Scheduler::WeightedLeastConnections => How::Least(Cost::FlowsByWeight),
            // With unlike shares, who has no connections and a small share would get the first one at once: what counts is how
            // many it would have. How fast members are (`peak_ewma`) is not seen here.
            Scheduler::LeastConnections | Scheduler::ShortestExpectedDelay | Scheduler::PeakEwma => {
                How::Least(Cost::Delay)
            }
            Scheduler::NeverQueue => How::Least(Cost::IdleFirst),
            Scheduler::SourceHash => How::Table(maglev(size, &takers), Hashed::Source),
            Scheduler::SourcePortHash => How::Table(maglev(size, &takers), Hashed::SourcePort),
            Scheduler::Maglev => How::Table(maglev(size, &takers), Hashed::All),
            Scheduler::PowerOfTwo => How::TwoDrawn(sums(&weights())),
            Scheduler::Ordered => How::First,
        };
        Self { takers: takers.into_boxed_slice(), how, keeping: None, scheduler, size }
    }

    /// The same, with clients that keep their members.
    pub(crate) fn keeping(self, keeping: Option<Keeping>) -> Self {
        Self { keeping, ..self }
    }

    /// Whether it is what [`Schedule::new`] would make of these.
    pub(crate) fn is_of(&self, scheduler: Scheduler, size: u32, takers: &[Taker]) -> bool {
        // An order by weight cannot be told from the takers' own: it is cheap to make again.
        self.scheduler == scheduler
            && scheduler != Scheduler::Ordered
            && self.size == size
            && *self.takers == *takers
    }
}

/// The size of a pool's table of hashes, by the weights of all its members.
pub(crate) fn table_size(weights: impl Iterator<Item = u32> + Clone) -> u32 {
    let used = weights.filter(|weight| *weight > 0);
    let least = used.clone().min().unwrap_or(1);
    let sum: u64 = used.map(u64::from).sum();
    let want = (sum * SLOTS_EACH).div_ceil(u64::from(least));
    let largest = TABLE_SIZES[TABLE_SIZES.len() - 1];
    TABLE_SIZES.into_iter().find(|size| u64::from(*size) >= want).unwrap_or(largest)
}

/// Each index as often as its weight, spread as evenly as can be: at each turn all gain their weight, and the one that has
/// most pays the sum of all (nginx's smooth weighted round robin).
fn smooth_turns(weights: &[u32]) -> Box<[u32]> {
    let weights = reduced(weights);
    let sum: i64 = weights.iter().sum();
    let mut gained = vec![0; weights.len()];
    let turn = |_| {
        let mut most = 0;
        for (at, weight) in weights.iter().enumerate() {
            gained[at] += weight;
            if gained[at] > gained[most] {
                most = at;
            }
        }
        gained[most] -= sum;
        most as u32
    };
    (0..sum).map(turn).collect()
}

/// Weights in lowest terms, rounded where their order of turns would be too long.
fn reduced(weights: &[u32]) -> Vec<i64> {
    let common = weights.iter().copied().fold(0, greatest_common_divisor).max(1);
    let sum: u64 = weights.iter().map(|weight| u64::from(weight / common)).sum();
    let longest = LONGEST_ORDER.min(ORDER_WORK / (weights.len() as u64).max(1)).max(1);
    let scaled = |weight: &u32| {
        let weight = u64::from(weight / common);
        if sum <= longest { weight } else { ((weight * longest + sum / 2) / sum).max(1) }
    };
    weights.iter().map(|weight| scaled(weight).cast_signed()).collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// For each weight the sum up to and with it.
fn sums(weights: &[u32]) -> Box<[u32]> {
    let next = |sum: &mut u32, weight: &u32| {
        *sum += weight;
        Some(*sum)
    };
    weights.iter().scan(0, next).collect()
}

/// The table of `size` slots: every taker in its turn takes the next free slot of its own permutation of them.
fn maglev(size: u32, takers: &[Taker]) -> Box<[u32]> {
    let permutations = takers.iter().map(|taker| {
        let offset = (mix(taker.seed) % u64::from(size)) as u32;
        let skip = (mix(!taker.seed) % u64::from(size - 1)) as u32 + 1;
        (offset, skip, taker.weight)
    });
    fill(size, permutations.collect())
}

/// Permutations are given by offset, skip and weight. A backend with less than the highest weight sits out turns in
/// proportion, so that shares are right wherever the table is full.
fn fill(size: u32, mut permutations: Vec<(u32, u32, u32)>) -> Box<[u32]> {
    const EMPTY: u32 = u32::MAX;
    let Some(heaviest) = permutations.iter().map(|(.., weight)| u64::from(*weight)).max() else {
        return Box::default();
    };
    let mut table = vec![EMPTY; size as usize];
    let mut paid = vec![0; permutations.len()];
    let mut filled = 0;
    for turn in 1.. {
        for (taker, (next, skip, weight)) in permutations.iter_mut().enumerate() {
            if turn * u64::from(*weight) < paid[taker] {
                continue;
            }
            paid[taker] += heaviest;
            while table[*next as usize] != EMPTY {
                *next = (*next + *skip) % size;
            }
            table[*next as usize] = taker as u32;
            filled += 1;
            if filled == size {
                return table.into_boxed_slice();
            }
        }
    }
    Box::default()
}

/// Spreads what differs in any bit over all bits (the finalizer of `MurmurHash3`, with the constants of `SplitMix64`).
/// It is no secret, and the same everywhere: appliances that share a virtual IP choose alike.
pub(crate) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takers(count: u32) -> Vec<Taker> {
        (0..count).map(|slot| Taker { slot, weight: 1, seed: mix(u64::from(slot) + 1) }).collect()
    }

    fn shares(table: &[u32], takers: usize) -> Vec<u32> {
        let mut shares = vec![0; takers];
        for taker in table {
            shares[*taker as usize] += 1;
        }
        shares
    }

    #[test]
    fn the_table_of_the_maglev_paper() {
        // Table 1: permutations 3 0 4 1 5 2 6, 0 2 4 6 1 3 5 and 3 4 5 6 0 1 2.
        let (b0, b1, b2) = ((3, 4, 1), (0, 2, 1), (3, 1, 1));
        assert_eq!(*fill(7, vec![b0, b1, b2]), [1, 0, 1, 0, 2, 2, 0]);
        assert_eq!(*fill(7, vec![b0, b2]), [0, 0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn equal_members_differ_by_one_slot_and_the_loss_of_one_moves_few_others() {
        let size = table_size(std::iter::repeat_n(1, 400));
        assert_eq!(size, 65_537);
        let all = takers(400);
        let before = maglev(size, &all);
        let shares = shares(&before, 400);
        assert_eq!(shares.iter().max().unwrap() - shares.iter().min().unwrap(), 1);
        let after = maglev(size, &all[1..]);
        let others = before.iter().zip(&after).filter(|(taker, _)| **taker != 0);
        let moved = others.filter(|(before, after)| **before != **after + 1).count();
        assert!(moved * 1000 <= 15 * before.len(), "{moved} of {} slots moved", before.len());
    }

    #[test]
    fn shares_in_a_table_follow_the_weights() {
        let mut all = takers(3);
        (all[0].weight, all[1].weight, all[2].weight) = (256, 100, 1);
        let size = table_size(all.iter().map(|taker| taker.weight));
        let shares = shares(&maglev(size, &all), 3);
        for (taker, share) in all.iter().zip(shares) {
            let wanted = size * taker.weight / 357;
            assert!(share.abs_diff(wanted) <= 2, "{taker:?} has {share} of {wanted}");
        }
    }

    #[test]
    fn turns_are_those_of_nginx() {
        // The example of nginx's commit 52327e0627f4: { 5, 1, 1 } gives a a b a c a a.
        assert_eq!(*smooth_turns(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(*smooth_turns(&[30, 10]), [0, 0, 1, 0]);
        assert_eq!(smooth_turns(&[]).len(), 0);
    }

    #[test]
    fn each_has_as_many_turns_as_its_weight() {
        let weights: Vec<u32> = (1..=40).collect();
        let turns = smooth_turns(&weights);
        let mut counts = vec![0; weights.len()];
        for at in &turns {
            counts[*at as usize] += 1;
        }
        assert_eq!(counts, weights);
    }

    #[test]
    fn a_long_order_of_turns_is_bounded_and_leaves_nobody_out() {
        let weights: Vec<u32> = (0..2000).map(|at| 256 - at % 250).collect();
        let turns = smooth_turns(&weights);
        assert!(turns.len() as u64 <= LONGEST_ORDER + 2000, "{}", turns.len());
        let served: std::collections::BTreeSet<_> = turns.iter().collect();
        assert_eq!(served.len(), 2000);
    }

    #[test]
    fn a_schedule_knows_what_it_was_made_of() {
        let schedule = Schedule::new(Scheduler::Maglev, 251, takers(3));
        assert!(schedule.is_of(Scheduler::Maglev, 251, &takers(3)));
        assert!(!schedule.is_of(Scheduler::Maglev, 251, &takers(2)));
        assert!(!schedule.is_of(Scheduler::Maglev, 509, &takers(3)));
        assert!(!schedule.is_of(Scheduler::SourceHash, 251, &takers(3)));
    }
}
