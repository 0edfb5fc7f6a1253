//! Which member gets a request. The names are those of layer 4, and so is the meaning, with requests in place of
//! connections; a hash ranks all members instead of filling a table, since a request costs more than a packet.

use std::cell::Cell;
use std::cmp::Reverse;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lb_model::snapshot::{Scheduler, Share};

use crate::clock::now;
use crate::persistence::Kept;
use crate::service::{Member, OpenRequest};

/// Up to so many members all are looked at by `peak_ewma`; of more, two.
const LOOKED_AT: usize = 64;
/// How often a lot is drawn that may fall on somebody who cannot be asked.
const DRAWS: usize = 8;

/// Members of a pool that take new requests, and how one of them is chosen.
#[derive(Debug)]
pub(crate) struct Balancer {
    scheduler: Scheduler,
    /// Members; backups, for when none of these can be asked; those of the backup pool, for when none of both can; and its
    /// backups.
    tiers: [Tier; 4],
}

/// A member that takes new requests.
#[derive(Clone, Debug)]
pub(crate) struct Taker {
    pub(crate) member: Arc<Member>,
    pub(crate) weight: u32,
    /// How much of its weight it is given now.
    pub(crate) share: Share,
    /// How many requests it has at most at a time.
    pub(crate) limit: Option<NonZeroU32>,
    pub(crate) backup: bool,
    /// It belongs to the backup pool.
    pub(crate) reserve: bool,
}

#[derive(Debug, Default)]
struct Tier {
    takers: Vec<Taker>,
    /// The order in which they have their turns, as places in `takers`.
    turns: Vec<u32>,
    /// Where lots are drawn: for each of them the sum of weights up to it.
    sums: Vec<u64>,
    /// Some are given less than all of their weight.
    some_have_less: bool,
    turn: AtomicUsize,
}

/// Who asks, for those schedulers that look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) client: SocketAddr,
    pub(crate) service: SocketAddr,
}

/// Whom to pass over.
#[derive(Clone, Copy, Debug)]
struct Passed<'t> {
    /// Those that were tried for this request.
    tried: &'t [Arc<Member>],
    /// Those that are left out for a while, as long as there are others.
    suspects: bool,
    asking: Asking,
}

/// Whether somebody is to be served, or only wants to know who would be next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    /// The next one gets another turn.
    Turn,
    /// Nothing is changed by it.
    Look,
}

impl Passed<'_> {
    fn admits(self, member: &Arc<Member>) -> bool {
        let tried = self.tried.iter().any(|other| Arc::ptr_eq(other, member));
        let suspect = self.suspects && member.conduct.is_out();
        !tried && !suspect
    }
}

impl Balancer {
    pub(crate) fn new(scheduler: Scheduler, takers: Vec<Taker>) -> Self {
        let mut tiers: [Vec<Taker>; 4] = Default::default();
        for taker in takers.into_iter().filter(|taker| taker.weight > 0) {
            tiers[2 * usize::from(taker.reserve) + usize::from(taker.backup)].push(taker);
        }
        Self { scheduler, tiers: tiers.map(|takers| Tier::new(scheduler, takers)) }
    }

    /// Goes on where another one of the same pool was.
    pub(crate) fn follow(&self, before: &Self) {
        for (tier, before) in self.tiers.iter().zip(&before.tiers) {
            tier.turn.store(before.turn.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Whether anybody takes new requests, with room or without.
    pub(crate) fn has_takers(&self) -> bool {
        self.tiers.iter().any(|tier| !tier.takers.is_empty())
    }

    /// The member that would be asked first.
    pub(crate) fn look<'p>(&'p self, ends: Ends, kept: Kept<'p>) -> Option<&'p Arc<Member>> {
        let strict = Passed { tried: &[], suspects: true, asking: Asking::Look };
        self.pick_rather(ends, kept, strict).map(|Pick { member, .. }| member)
    }

    /// A place at a member that has room and was not tried for this request yet: the one that the client keeps, if it is such. Rather a
    /// suspect than nobody.
    pub(crate) fn claim(&self, ends: Ends, kept: Kept<'_>, tried: &[Arc<Member>]) -> Option<OpenRequest> {
        loop {
            let strict = Passed { tried, suspects: true, asking: Asking::Turn };
            let Pick { member, limit } = self.pick_rather(ends, kept, strict)?;
            // Another worker may have been quicker: then it has no room any more.
            if let Some(open) = OpenRequest::begin(member, limit) {
                return Some(open);
            }
        }
    }

    fn pick_rather<'p>(&'p self, ends: Ends, kept: Kept<'p>, strict: Passed<'_>) -> Option<Pick<'p>> {
        self.pick_from(ends, kept, strict)
            .or_else(|| self.pick_from(ends, kept, Passed { suspects: false, ..strict }))
    }

    fn pick_from<'p>(&'p self, ends: Ends, kept: Kept<'p>, passed: Passed<'_>) -> Option<Pick<'p>> {
        if let Kept::Member(member) = kept
            && let Some(pick) = self.keep(member, passed)
        {
            return Some(pick);
        }
        self.tiers.iter().find_map(|tier| {
            let place = match kept {
                Kept::Key(key) => tier.ranked(passed, key)?,
                _ => tier.pick(self.scheduler, ends, passed)?,
            };
            tier.takers.get(place as usize).map(Pick::of)
        })
    }

    /// A member that can serve a client that keeps it; one that takes no new ones can.
    fn keep<'p>(&'p self, member: &'p Arc<Member>, passed: Passed<'_>) -> Option<Pick<'p>> {
        let mut takers = self.tiers.iter().flat_map(|tier| &tier.takers);
        match takers.find(|taker| Arc::ptr_eq(&taker.member, member)) {
            Some(taker) => taker.is_free(passed).then(|| Pick::of(taker)),
            None => passed.admits(member).then_some(Pick { member, limit: None }),
        }
    }
}

/// A member that was chosen, and how many requests it may have.
struct Pick<'p> {
    member: &'p Arc<Member>,
    limit: Option<NonZeroU32>,
}

impl<'p> Pick<'p> {
    fn of(Taker { member, limit, .. }: &'p Taker) -> Self {
        Self { member, limit: *limit }
    }
}

impl Tier {
    fn new(scheduler: Scheduler, mut takers: Vec<Taker>) -> Self {
        if scheduler == Scheduler::Ordered {
            takers.sort_by_key(|taker| Reverse(taker.weight));
        }
        let some_have_less = takers.iter().any(|taker| taker.share < Share::FULL);
        for taker in &mut takers {
            if let Scheduler::RoundRobin | Scheduler::LeastConnections = scheduler {
                taker.weight = 1;
            }
            // An order of precedence is no matter of shares.
            if some_have_less && scheduler != Scheduler::Ordered {
                taker.weight *= u32::from(taker.share.get());
            }
        }
        let turns = match scheduler {
            Scheduler::WeightedRoundRobin => smooth_turns(&takers),
            Scheduler::RoundRobin if some_have_less => smooth_turns(&takers),
            _ => (0..).take(takers.len()).collect(),
        };
        let draws = match scheduler {
            Scheduler::PowerOfTwo => true,
            Scheduler::PeakEwma => takers.len() > LOOKED_AT,
            _ => false,
        };
        let sums = if draws { sums(&takers) } else { Vec::new() };
        Self { takers, turns, sums, some_have_less, turn: AtomicUsize::new(0) }
    }

    fn pick(&self, scheduler: Scheduler, ends: Ends, passed: Passed<'_>) -> Option<u32> {
        if self.takers.is_empty() {
            return None;
        }
        match scheduler {
            Scheduler::RoundRobin | Scheduler::WeightedRoundRobin => self.in_turn(passed),
            // Who has none and a small share would get the first one at once: what counts is how many it would have.
            Scheduler::LeastConnections if self.some_have_less => self.least(passed, delay),
            Scheduler::LeastConnections => self.least(passed, |taker| share(taker.member.open(), 1)),
            Scheduler::WeightedLeastConnections => {
                self.least(passed, |taker| share(taker.member.open(), taker.weight))
            }
            Scheduler::ShortestExpectedDelay => self.least(passed, delay),
            Scheduler::NeverQueue => {
                self.least(passed, |taker| if taker.member.open() == 0 { 0 } else { 1 + delay(taker) })
            }
            Scheduler::SourceHash => self.ranked(passed, ends.client.ip()),
            Scheduler::SourcePortHash => self.ranked(passed, ends.client),
            Scheduler::Maglev => self.ranked(passed, (ends.client, ends.service)),
            Scheduler::PowerOfTwo => self.two_drawn(passed, |taker| share(taker.member.open(), taker.weight)),
            Scheduler::PeakEwma => {
                let now = now();
                let cost = |taker: &Taker| taker.member.pace.cost(now, taker.member.open(), taker.weight);
                if self.sums.is_empty() { self.least(passed, cost) } else { self.two_drawn(passed, cost) }
            }
            Scheduler::Ordered => self.free(passed).next().map(|(place, _)| place),
        }
    }

    /// Those that can be asked.
    fn free<'a>(&'a self, passed: Passed<'a>) -> impl Iterator<Item = (u32, &'a Taker)> {
        (0..).zip(&self.takers).filter(move |(_, taker)| taker.is_free(passed))
    }

    fn take_turn(&self, passed: Passed<'_>) -> usize {
        match passed.asking {
            Asking::Turn => self.turn.fetch_add(1, Ordering::Relaxed),
            Asking::Look => self.turn.load(Ordering::Relaxed),
        }
    }

    fn in_turn(&self, passed: Passed<'_>) -> Option<u32> {
        let turn = self.take_turn(passed) % self.turns.len();
        let (before, after) = self.turns.split_at(turn);
        let mut turns = after.iter().chain(before);
        turns.find(|place| self.takers[**place as usize].is_free(passed)).copied()
    }

    /// The one of the lowest cost; of several, another one each time.
    fn least(&self, passed: Passed<'_>, cost: impl Fn(&Taker) -> u64) -> Option<u32> {
        let length = self.takers.len();
        let begin = self.take_turn(passed) % length;
        let places = (0..length).map(|step| (begin + step) % length);
        let free = places.filter(|place| self.takers[*place].is_free(passed));
        let best = free.min_by_key(|place| cost(&self.takers[*place]))?;
        u32::try_from(best).ok()
    }

    /// The one that ranks highest for this key: without it the others rank as before (rendezvous hashing, weighted).
    fn ranked(&self, passed: Passed<'_>, key: impl Hash) -> Option<u32> {
        let rank = |taker: &Taker| {
            let hash = BuildHasherDefault::<DefaultHasher>::default();
            let drawn = hash.hash_one((&key, taker.member.address, taker.member.port.get()));
            // Uniform between 0 and 1, ends excluded.
            let uniform = (f64::from((drawn >> 32) as u32) + 0.5) / f64::from(u32::MAX);
            -f64::from(taker.weight) / uniform.ln()
        };
        let ranks = self.free(passed).map(|(place, taker)| (place, rank(taker)));
        ranks.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(place, _)| place)
    }

    /// The cheaper one of two.
    fn two_drawn(&self, passed: Passed<'_>, cost: impl Fn(&Taker) -> u64) -> Option<u32> {
        let (Some(one), Some(other)) = (self.drawn(passed), self.drawn(passed)) else {
            // Nearly all are full: whoever is left.
            return self.least(passed, cost);
        };
        let cost = |place: u32| cost(&self.takers[place as usize]);
        Some(if cost(other) < cost(one) { other } else { one })
    }

    /// Each as likely as its weight; none if the lots fall on those that cannot be asked.
    fn drawn(&self, passed: Passed<'_>) -> Option<u32> {
        let sum = self.sums.last().copied().filter(|sum| *sum > 0)?;
        (0..DRAWS).find_map(|_| {
            let lot = random() % sum;
            let place = self.sums.partition_point(|upto| *upto <= lot);
            let free = self.takers.get(place)?.is_free(passed);
            if free { u32::try_from(place).ok() } else { None }
        })
    }
}

impl Taker {
    fn is_free(&self, passed: Passed<'_>) -> bool {
        self.limit.is_none_or(|limit| self.member.open() < limit.get()) && passed.admits(&self.member)
    }
}

/// Requests for a unit of weight, in parts that can be compared.
fn share(requests: u32, weight: u32) -> u64 {
    (u64::from(requests) << 32) / u64::from(weight.max(1))
}

fn delay(taker: &Taker) -> u64 {
    share(taker.member.open().saturating_add(1), taker.weight)
}

/// Each place as often as its weight, spread evenly: at each turn all gain their weight, and the one that has most
/// pays the sum of all (nginx's smooth weighted round robin).
fn smooth_turns(takers: &[Taker]) -> Vec<u32> {
    let divisor = takers.iter().map(|taker| taker.weight).fold(0, greatest_common_divisor).max(1);
    let weights: Vec<i64> = takers.iter().map(|taker| i64::from(taker.weight / divisor)).collect();
    let sum: i64 = weights.iter().sum();
    let mut gained = vec![0; weights.len()];
    let turn = |_| {
        gained.iter_mut().zip(&weights).for_each(|(gained, weight)| *gained += weight);
        let (place, most) =
            (0u32..).zip(&mut gained).max_by_key(|(place, gained)| (**gained, Reverse(*place)))?;
        *most -= sum;
        Some(place)
    };
    (0..sum).filter_map(turn).collect()
}

fn sums(takers: &[Taker]) -> Vec<u64> {
    let mut sum = 0;
    let upto = |taker: &Taker| {
        sum += u64::from(taker.weight);
        sum
    };
    takers.iter().map(upto).collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

thread_local! {
    static RANDOM: Cell<u64> = Cell::new(seed());
}

/// Another one for each thread; never 0, where the sequence would stay.
fn seed() -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(std::thread::current().id()) | 1
}

/// Marsaglia, "Xorshift RNGs", 2003: good enough for drawing lots, and never waits.
pub(crate) fn random() -> u64 {
    let mut state = RANDOM.get();
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    RANDOM.set(state);
    state
}

#[cfg(test)]
pub(crate) mod tests {
    use lb_model::l7::L7Member;
    use lb_model::snapshot::Weight;
    use lb_model::{L4Port, MemberId};

    use super::*;
    use crate::service::OpenRequest;

    pub(crate) fn takers(weights: &[u16]) -> Vec<Taker> {
        let numbered = (1u8..).zip(weights);
        let taker = |(last, weight): (u8, &u16)| {
            let member = Member::new(
                &L7Member {
                    id: MemberId::generate(),
                    address: [192, 0, 2, last].into(),
                    port: L4Port::new(80).unwrap(),
                    takes_new: true,
                    keeps: false,
                    weight: Weight::new(*weight).unwrap(),
                    share: Share::FULL,
                    backup: false,
                    reserve: false,
                    request_limit: None,
                },
                crate::service::Manner::default(),
                u64::from(last),
                1,
                Arc::default(),
            );
            Taker {
                member: Arc::new(member),
                weight: u32::from(*weight),
                share: Share::FULL,
                limit: None,
                backup: false,
                reserve: false,
            }
        };
        numbered.map(taker).collect()
    }

    pub(crate) fn ends(client: u8) -> Ends {
        Ends { client: ([198, 51, 100, client], 1000).into(), service: ([192, 0, 2, 100], 80).into() }
    }

    fn picks(balancer: &Balancer, count: usize) -> Vec<u64> {
        (0..count).map(|_| claimed(balancer, ends(1), &[])).collect()
    }

    /// Who gets a request that is over at once.
    fn claimed(balancer: &Balancer, ends: Ends, tried: &[Arc<Member>]) -> u64 {
        balancer.claim(ends, Kept::Nobody, tried).unwrap().member().number()
    }

    #[test]
    fn turns_follow_weights() {
        assert_eq!(picks(&Balancer::new(Scheduler::RoundRobin, takers(&[5, 1])), 4), [1, 2, 1, 2]);
        let weighted = Balancer::new(Scheduler::WeightedRoundRobin, takers(&[4, 2, 2]));
        assert_eq!(picks(&weighted, 8), [1, 2, 3, 1, 1, 2, 3, 1]);
        assert_eq!(picks(&Balancer::new(Scheduler::RoundRobin, takers(&[0, 1])), 2), [2, 2]);
    }

    #[test]
    fn whoever_only_looks_takes_no_turn() {
        for scheduler in [Scheduler::RoundRobin, Scheduler::LeastConnections] {
            let balancer = Balancer::new(scheduler, takers(&[1, 1]));
            let look = || balancer.look(ends(1), Kept::Nobody).unwrap().number();
            assert_eq!([look(), look(), picks(&balancer, 1)[0], look(), look()], [1, 1, 1, 2, 2]);
        }
    }

    #[test]
    fn the_least_loaded_is_next() {
        let takers = takers(&[1, 3]);
        let load = |count: usize, at: usize| {
            (0..count).map(|_| OpenRequest::begin(&takers[at].member, None)).collect::<Vec<_>>()
        };
        let (_one, _other) = (load(1, 0), load(2, 1));
        let next = |scheduler| claimed(&Balancer::new(scheduler, takers.clone()), ends(1), &[]);
        assert_eq!(next(Scheduler::LeastConnections), 1);
        assert_eq!(next(Scheduler::WeightedLeastConnections), 2);
        assert_eq!(next(Scheduler::ShortestExpectedDelay), 2);
        assert_eq!(next(Scheduler::Ordered), 2);
    }

    #[test]
    fn a_client_keeps_its_member_while_others_come_and_go() {
        let all = takers(&[1, 1, 1, 1]);
        let of = |takers: &[Taker], client| {
            claimed(&Balancer::new(Scheduler::SourceHash, takers.to_vec()), ends(client), &[])
        };
        let mut used = std::collections::BTreeSet::new();
        for client in 0..100 {
            let member = of(&all, client);
            used.insert(member);
            if member != 4 {
                assert_eq!(of(&all[..3], client), member);
            }
        }
        assert_eq!(used.len(), 4);
    }

    #[test]
    fn full_and_tried_members_are_passed_over_and_backups_serve_last() {
        let mut takers = takers(&[1, 1, 1]);
        takers[0].limit = NonZeroU32::new(1);
        takers[2].backup = true;
        let (first, second) = (Arc::clone(&takers[0].member), Arc::clone(&takers[1].member));
        let balancer = Balancer::new(Scheduler::RoundRobin, takers);
        let full = OpenRequest::begin(&first, NonZeroU32::new(1)).unwrap();
        assert!(OpenRequest::begin(&first, NonZeroU32::new(1)).is_none());
        assert_eq!(picks(&balancer, 2), [2, 2]);
        assert_eq!(claimed(&balancer, ends(1), &[second]), 3);
        drop(full);
        assert!(picks(&balancer, 2).contains(&1));
    }

    #[test]
    fn of_many_members_two_are_compared_and_whoever_has_room_is_found() {
        let mut all = takers(&[1; 100]);
        for taker in &all {
            taker.member.pace.watch(true);
            let time = std::time::Duration::from_millis(if taker.member.number() == 7 { 500 } else { 5 });
            taker.member.pace.answered(http::StatusCode::OK, || time);
        }
        let drawn = picks(&Balancer::new(Scheduler::PeakEwma, all.clone()), 2000);
        // It would have to be drawn twice for the same request.
        assert!(drawn.iter().filter(|number| **number == 7).count() < 10);
        assert!(drawn.iter().collect::<std::collections::BTreeSet<_>>().len() > 90, "all others are asked");
        let full: Vec<_> = all
            .iter_mut()
            .skip(1)
            .map(|taker| {
                taker.limit = NonZeroU32::new(1);
                OpenRequest::begin(&taker.member, None).unwrap()
            })
            .collect();
        for scheduler in [Scheduler::PeakEwma, Scheduler::PowerOfTwo] {
            assert_eq!(picks(&Balancer::new(scheduler, all.clone()), 5), [1; 5], "{scheduler:?}");
        }
        drop(full);
    }

    #[test]
    fn whoever_answered_faster_and_has_less_to_do_is_next() {
        crate::clock::tests::set(1_000);
        let takers = takers(&[1, 1, 2]);
        for (taker, millis) in takers.iter().zip([10, 25, 60]) {
            taker.member.pace.watch(true);
            taker.member.pace.answered(http::StatusCode::OK, || std::time::Duration::from_millis(millis));
        }
        let balancer = Balancer::new(Scheduler::PeakEwma, takers);
        let mut open = Vec::new();
        let mut next = || {
            open.push(balancer.claim(ends(1), Kept::Nobody, &[]).unwrap());
            open[open.len() - 1].member().number()
        };
        // 10, 28, 52; 25, 71; 30, as it has twice the weight.
        let order: Vec<_> = (0..6).map(|_| next()).collect();
        assert_eq!(order, [1, 2, 1, 3, 1, 2]);
    }

    #[test]
    fn lots_are_drawn_among_all() {
        let balancer = Balancer::new(Scheduler::PowerOfTwo, takers(&[1, 1, 1]));
        let drawn: std::collections::BTreeSet<_> = picks(&balancer, 200).into_iter().collect();
        assert_eq!(drawn.len(), 3);
    }
}
