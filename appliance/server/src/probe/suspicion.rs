//! Suspicion: the planes count connections and requests that members do not serve, and the layer-7 plane leaves out who fails while
//! others do not. Where such a number grows, the member is checked at once instead of at its time; whether it goes down is for its
//! checks to say.

use std::collections::HashMap;

use lb_model::asking::{Ejection, EjectionReason};
use lb_model::contract::{L4Status, L7Status};
use lb_model::{MemberId, PoolId, VirtualServiceId};

use super::Board;
use crate::domain::NewEvent;
use crate::events::Events;
use crate::observed::{Observation, Observed};

/// What was counted for whom.
#[derive(Debug, Default)]
struct Counted {
    unopened: HashMap<(VirtualServiceId, MemberId), u64>,
    failed: HashMap<(PoolId, MemberId), u64>,
    /// How often in a row the layer-7 plane has left it out; 0 if it does not.
    ejected: HashMap<(PoolId, MemberId), u64>,
}

/// What the planes noticed.
#[derive(Debug, Default)]
struct Noticed {
    suspects: Vec<MemberId>,
    /// Who is left out since now, with the reason.
    ejected: Vec<(MemberId, Ejection)>,
}

/// Looks at what the planes report, for ever.
pub(crate) async fn watch(mut observed: Observation, board: Board, events: Events) {
    let mut counted = Counted::default();
    loop {
        let Noticed { suspects, ejected } = counted.compare(&observed.borrow_and_update());
        for member in suspects {
            board.suspect(member);
        }
        for (member, ejection) in ejected {
            events.append(told(member, &ejection));
        }
        if observed.changed().await.is_err() {
            return;
        }
    }
}

impl Counted {
    /// Takes over what is reported. Says whose numbers have grown.
    fn compare(&mut self, observed: &Observed) -> Noticed {
        let mut suspects = Vec::new();
        let mut ejected = Vec::new();
        if let Some(report) = &observed.l4.report {
            suspects.extend(grown(&mut self.unopened, unopened(&report.status)));
        }
        if let Some(report) = &observed.l7.report {
            suspects.extend(grown(&mut self.failed, failed(&report.status)));
            let out = grown(&mut self.ejected, times_ejected(&report.status));
            let members = report.status.members.iter().filter(|member| out.contains(&member.member));
            ejected.extend(members.filter_map(|member| Some((member.member, member.ejection.clone()?))));
            suspects.extend(out);
        }
        suspects.sort_unstable();
        suspects.dedup();
        Noticed { suspects, ejected }
    }
}

fn unopened(status: &L4Status) -> impl Iterator<Item = ((VirtualServiceId, MemberId), u64)> {
    status.backends.iter().map(|backend| ((backend.service, backend.member), backend.counters.unopened))
}

fn failed(status: &L7Status) -> impl Iterator<Item = ((PoolId, MemberId), u64)> {
    status.members.iter().map(|member| ((member.pool, member.member), member.counters.failures))
}

fn times_ejected(status: &L7Status) -> impl Iterator<Item = ((PoolId, MemberId), u64)> {
    let times = |ejection: &Ejection| u64::from(ejection.times).max(1);
    status
        .members
        .iter()
        .map(move |member| ((member.pool, member.member), member.ejection.as_ref().map_or(0, times)))
}

/// That a member is left out.
fn told(member: MemberId, ejection: &Ejection) -> NewEvent {
    let Ejection { seconds_left, times: _, reason } = ejection;
    let why = match reason {
        EjectionReason::Consecutive => "it failed too often in a row",
        EjectionReason::Rate => "too large a part of its requests failed",
    };
    let message = format!("member {member} is left out by the proxy for {seconds_left} s: {why}");
    let event = NewEvent::warning("member.ejected", message);
    let data = serde_json::json!({ "reason": reason, "seconds_left": seconds_left });
    NewEvent { about: Some(("members", member.to_string())), ..event.with(data) }
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
    use lb_model::contract::L7MemberStatus;

    use super::*;
    use crate::observed::Reported;

    #[test]
    fn who_is_left_out_by_the_proxy_is_suspected_once() {
        let (pool, member) = (PoolId::generate(), MemberId::generate());
        let mut counted = Counted::default();
        let mut report = |ejection: Option<Ejection>| {
            let counters = lb_model::l7::L7MemberCounters::default();
            let members = vec![L7MemberStatus { pool, member, counters, ejection }];
            let status = L7Status { members, ..L7Status::default() };
            let mut observed = Observed::default();
            observed.l7.report = Some(Reported { status, at: tokio::time::Instant::now() });
            let noticed = counted.compare(&observed);
            (noticed.suspects, noticed.ejected.len())
        };
        let out = |seconds_left| Ejection { seconds_left, times: 1, reason: EjectionReason::Rate };
        assert_eq!(report(None), (vec![], 0));
        assert_eq!(report(Some(out(30))), (vec![member], 1));
        assert_eq!(report(Some(out(29))), (vec![], 0));
        assert_eq!((report(None), report(Some(out(30)))), ((vec![], 0), (vec![member], 1)));
    }

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
