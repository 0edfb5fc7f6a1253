//! Which member gets a request.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use lb_model::snapshot::Scheduler;

use crate::service::{Member, Pool};

/// A member that takes new requests and was not tried for this one yet.
pub(crate) fn pick<'pool>(pool: &'pool Pool, tried: &[Arc<Member>]) -> Option<&'pool Arc<Member>> {
    let untried = |member: &&Arc<Member>| !tried.iter().any(|other| Arc::ptr_eq(other, member));
    let members = &pool.taking;
    if members.is_empty() {
        return None;
    }
    match pool.scheduler {
        Scheduler::RoundRobin => {
            let turn = pool.turn.fetch_add(1, Ordering::Relaxed) % members.len();
            let (before, after) = members.split_at(turn);
            after.iter().chain(before).find(untried)
        }
    }
}
