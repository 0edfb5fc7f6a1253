//! Suspicion: the planes count connections and requests that members do not serve. Where such a number grows, the member is
//! checked at once instead of at its time; whether it goes down is for its checks to say.

use std::collections::HashMap;

use lb_model::contract::{L4Status, L7Status};
use lb_model::{MemberId, PoolId, VirtualServiceId};

use super::Board;
use crate::observed::{Observation, Observed};

/// What was counted for whom.
#[derive(Debug, Default)]
struct Counted {
    unopened: HashMap<(VirtualServiceId, MemberId), u64>,
    failed: HashMap<(PoolId, MemberId), u64>,
}

/// Looks at what the planes report, for ever.
pub(crate) async fn watch(mut observed: Observation, board: Board) {
    let mut counted = Counted::default();
    loop {
        let suspects = counted.compare(&observed.borrow_and_update());
        for member in suspects {
            board.suspect(member);
        }
        if observed.changed().await.is_err() {
            return;
        }
    }
}

impl Counted {
    /// Takes over what is reported. Says whose numbers have grown.
    fn compare(&mut self, observed: &Observed) -> Vec<MemberId> {
        let mut suspects = Vec::new();
        if let Some(report) = &observed.l4.report {
            suspects.extend(grown(&mut self.unopened, unopened(&report.status)));
        }
        if let Some(report) = &observed.l7.report {
            suspects.extend(grown(&mut self.failed, failed(&report.status)));
        }
        suspects.sort_unstable();
        suspects.dedup();
        suspects
    }
}

fn unopened(status: &L4Status) -> impl Iterator<Item = ((VirtualServiceId, MemberId), u64)> {
    status.backends.iter().map(|backend| ((backend.service, backend.member), backend.counters.unopened))
}

fn failed(status: &L7Status) -> impl Iterator<Item = ((PoolId, MemberId), u64)> {
    status.members.iter().map(|member| ((member.pool, member.member), member.counters.failures))
}

/// Whose number is larger than it was. Who is new has no number before; a plane that was restarted counts from nothing.
fn grown<K: Eq + std::hash::Hash + Copy>(
    before: &mut HashMap<(K, MemberId), u64>,
    now: impl Iterator<Item = ((K, MemberId), u64)>,
) -> Vec<MemberId> {
    let now: HashMap<_, _> = now.collect();
    let has_grown = |(key, count): (&(K, MemberId), &u64)| {
        before.get(key).is_some_and(|before| count > before).then_some(key.1)
    };
    let members = now.iter().filter_map(has_grown).collect();
    *before = now;
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_fails_more_often_than_before_is_suspected_and_nobody_else() {
        let (one, other) = (MemberId::generate(), MemberId::generate());
        let mut before = HashMap::new();
        let counts = |counts: [u64; 2]| [((1, one), counts[0]), ((1, other), counts[1])].into_iter();
        assert_eq!(grown(&mut before, counts([7, 0])), [], "what was before this process is nobody's news");
        assert_eq!(grown(&mut before, counts([7, 1])), [other]);
        assert_eq!(grown(&mut before, counts([7, 1])), []);
        assert_eq!(grown(&mut before, counts([0, 0])), [], "the plane was restarted");
        assert_eq!(grown(&mut before, counts([1, 0])), [one]);
    }
}
