//! Who of a pool takes new connections, by what is wanted and what was seen: the part of the compiler that a change of health
//! alone goes through again.

use std::collections::{BTreeMap, HashMap, HashSet};

use lb_model::desired::{BelowMinHealthy, DesiredState, Member, MemberState, Pool};
use lb_model::observed::{Liveness, MemberHealth};
use lb_model::snapshot::{Share, Standing};
use lb_model::{Health, MemberId, PoolId};

/// Where each member stands: all that a change of health can change.
///
/// The planes are told the difference between two of these, so that what they forward by is what [`crate::compile`] says.
pub fn standings(want: &DesiredState, seen: &Health) -> BTreeMap<MemberId, Standing> {
    let of_pool = |pool: &Pool| {
        let judge = Judge::of(pool, seen);
        let standing = |member: &Member| (member.id, judge.standing(member));
        pool.members.iter().map(standing).collect::<Vec<_>>()
    };
    want.pools.iter().flat_map(of_pool).collect()
}

/// Whether fewer members of a pool can take new connections than must.
pub fn is_below_min_healthy(pool: &Pool, seen: &Health) -> bool {
    // Of whom nothing is known it is not known that they fail: a pool does not change because checks have not run yet.
    let can = |member: &&Member| {
        member.state == MemberState::Enabled
            && member.weight.get() > 0
            && seen.of(member.id).is_none_or(|seen| seen.liveness != Liveness::Down && !seen.drains)
    };
    pool.members.iter().filter(can).take(pool.min_healthy as usize).count() < pool.min_healthy as usize
}

/// How a member is asked.
#[derive(Clone, Copy)]
pub(crate) struct Rank {
    /// It belongs to the backup pool.
    pub(crate) reserve: bool,
    pub(crate) standing: Standing,
}

/// All who are asked for a pool: its own members, and behind them those of its backup pool, which is not asked for its own
/// backup pool in turn.
pub(crate) fn asked<'want>(
    pool: &'want Pool,
    pools: &HashMap<PoolId, &'want Pool>,
    seen: &Health,
) -> impl Iterator<Item = (&'want Member, Rank)> {
    let behind = match pool.below_min_healthy {
        BelowMinHealthy::BackupPool(id) => pools.get(&id).copied().filter(|_| pool.enabled),
        BelowMinHealthy::Refuse | BelowMinHealthy::AllMembers => None,
    };
    let mut ends = HashSet::new();
    let mut all: Vec<_> = of_pool(pool, seen, false).collect();
    all.extend(behind.into_iter().flat_map(|behind| of_pool(behind, seen, true)));
    // A server that is in both pools is asked as a member of the first.
    all.retain(|(member, _)| ends.insert((member.address, member.port)));
    all.into_iter()
}

fn of_pool<'want>(
    pool: &'want Pool,
    seen: &Health,
    reserve: bool,
) -> impl Iterator<Item = (&'want Member, Rank)> {
    let judge = Judge::of(pool, seen);
    let serving: &[Member] = if pool.enabled { &pool.members } else { &[] };
    let present = serving.iter().filter(|member| member.state != MemberState::Disabled);
    present.map(move |member| (member, Rank { reserve, standing: judge.standing(member) }))
}

/// Who takes new connections in one pool.
#[derive(Clone, Copy)]
struct Judge<'seen> {
    seen: &'seen Health,
    /// Members of whom nothing is known yet wait as long as others are known to be up; where none is, they serve:
    /// a pool that is given its first monitor goes on.
    some_are_up: bool,
    /// What happens to all of them, if there are too few.
    instead: Option<BelowMinHealthy>,
}

impl<'seen> Judge<'seen> {
    fn of(pool: &Pool, seen: &'seen Health) -> Self {
        let mut enabled = pool.members.iter().filter(|member| member.state == MemberState::Enabled);
        let is_up = |seen: MemberHealth| seen.liveness == Liveness::Up;
        let some_are_up = enabled.any(|member| seen.of(member.id).is_some_and(is_up));
        let instead = is_below_min_healthy(pool, seen).then_some(pool.below_min_healthy);
        Self { seen, some_are_up, instead }
    }

    fn standing(self, member: &Member) -> Standing {
        let seen = self.seen.of(member.id);
        let is_asked = match self.instead {
            None => self.is_well(seen),
            Some(BelowMinHealthy::AllMembers) => true,
            Some(BelowMinHealthy::Refuse | BelowMinHealthy::BackupPool(_)) => false,
        };
        let drains = member.state == MemberState::Drain || seen.is_some_and(|seen| seen.drains);
        // How many can take new connections is no matter of those that drain.
        let keeps = is_asked || (drains && self.is_well(seen));
        Standing {
            member: member.id,
            takes_new: member.state == MemberState::Enabled && is_asked && !drains,
            keeps: keeps && member.state != MemberState::Disabled,
            share: seen.map_or(Share::FULL, |seen| seen.share),
        }
    }

    fn is_well(self, seen: Option<MemberHealth>) -> bool {
        match seen.map(|seen| seen.liveness) {
            None | Some(Liveness::Up) => true,
            Some(Liveness::Unknown) => !self.some_are_up,
            Some(Liveness::Down) => false,
        }
    }
}
