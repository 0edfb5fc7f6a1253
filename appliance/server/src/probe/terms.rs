//! Of two primaries the later one: a server that was away while another took its place comes back as the primary that it was, and
//! must not be given a write.
//!
//! Each promotion begins a new term (PostgreSQL: a timeline). What a member said last of its own counts for as long as it is
//! checked, also while it does not answer: nobody older takes its place.

use std::collections::{HashMap, HashSet};

use lb_model::{MemberId, MonitorId, PoolId};

use super::CheckId;
use super::kinds::Outcome;

/// The terms of all members that say so.
#[derive(Debug, Default)]
pub(super) struct Terms {
    pools: HashMap<MemberId, PoolId>,
    last: HashMap<(PoolId, MonitorId), HashMap<MemberId, u32>>,
}

impl Terms {
    /// From now on these are checked, as members of these pools.
    pub(super) fn watch(&mut self, pools: HashMap<MemberId, PoolId>, checked: &HashSet<CheckId>) {
        self.pools = pools;
        let Self { pools, last } = self;
        last.retain(|(pool, monitor), terms| {
            let goes_on = |member: MemberId| {
                pools.get(&member) == Some(pool) && checked.contains(&CheckId { member, monitor: *monitor })
            };
            terms.retain(|member, _| goes_on(*member));
            !terms.is_empty()
        });
    }

    /// A primary that another one of the pool has followed is none.
    pub(super) fn judge(&mut self, id: CheckId, outcome: &mut Outcome) {
        let (Some(term), Some(pool)) = (outcome.term, self.pools.get(&id.member)) else { return };
        let terms = self.last.entry((*pool, id.monitor)).or_default();
        terms.insert(id.member, term);
        let latest = terms.values().copied().max().unwrap_or(term);
        if outcome.passed && term > 0 && term < latest {
            outcome.passed = false;
            outcome.words =
                format!("{} of timeline {term}, another member is that of timeline {latest}", outcome.words);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLICA: u32 = 0;

    struct Pool {
        terms: Terms,
        monitor: MonitorId,
        members: [MemberId; 2],
    }

    impl Pool {
        fn new() -> Self {
            let members = [MemberId::generate(), MemberId::generate()];
            let mut pool = Self { terms: Terms::default(), monitor: MonitorId::generate(), members };
            pool.watch(&members);
            pool
        }

        fn watch(&mut self, members: &[MemberId]) {
            let id = PoolId::generate();
            let monitor = self.monitor;
            let checked = members.iter().map(|member| CheckId { member: *member, monitor }).collect();
            self.terms.watch(members.iter().map(|member| (*member, id)).collect(), &checked);
        }

        fn hear(&mut self, member: usize, term: u32) -> Outcome {
            let mut outcome = Outcome { passed: true, ours: false, ..Outcome::ours("primary") };
            outcome.term = Some(term);
            self.terms.judge(CheckId { member: self.members[member], monitor: self.monitor }, &mut outcome);
            outcome
        }
    }

    #[test]
    fn who_comes_back_as_the_primary_that_it_was_is_none() {
        let mut pool = Pool::new();
        assert!(pool.hear(0, 1).passed);
        assert!(pool.hear(1, 2).passed, "it was promoted");
        let back = pool.hear(0, 1);
        assert_eq!(back.words, "primary of timeline 1, another member is that of timeline 2");
        assert!(!back.passed && pool.hear(1, 2).passed);
        assert!(pool.hear(0, 3).passed, "promoted in its turn");
    }

    #[test]
    fn what_a_member_says_of_itself_now_counts_and_what_is_gone_does_not() {
        let mut pool = Pool::new();
        assert!(pool.hear(1, 5).passed && !pool.hear(0, 1).passed);
        // A cluster made anew: the one follows the other.
        pool.hear(1, REPLICA);
        assert!(pool.hear(0, 1).passed);
        pool.hear(1, 5);
        let alone = pool.members[0];
        pool.watch(&[alone]);
        assert!(pool.hear(0, 1).passed, "who is no member is nobody's successor");
    }
}
