//! A request whose member takes long is asked of another one as well: whichever answers first serves the client, and the other request
//! is taken back. A pool says whether and after how long (`hedge`); what that costs comes out of the budget of its retries (ADR 0053).

use std::pin::pin;
use std::sync::Arc;

use crate::exchange::NoAnswer;
use crate::forward::{Answer, Request};
use crate::persistence::Kept;
use crate::record::Record;
use crate::service::{Hedging, Member, OpenRequest, Pool};

/// Who was asked at last, and what it said.
pub(crate) struct Outcome {
    pub(crate) open: OpenRequest,
    pub(crate) asked: Result<Answer, NoAnswer>,
}

impl Outcome {
    fn is_good(&self) -> bool {
        self.asked.as_ref().is_ok_and(|answer| !answer.parts.status.is_server_error())
    }

    /// Of two the one that the client is served by, the slower one of which came after a failure. Of the other one its pool is told here.
    fn rather(slower: Self, quicker: Self, pool: &Pool) -> (Self, Option<Arc<Member>>) {
        let (chosen, other) = if slower.asked.is_ok() { (slower, quicker) } else { (quicker, slower) };
        let status = other.asked.as_ref().ok().map(|answer| answer.parts.status);
        pool.judge(other.open.member(), status);
        (chosen, Some(Arc::clone(other.open.member())))
    }
}

impl Request<'_> {
    /// Asks this member, and another one if it takes long and the pool says so. Whoever else was asked is among those `tried` afterwards.
    pub(crate) async fn ask_one_or_two(
        &mut self,
        pool: &Pool,
        kept: Kept<'_>,
        open: OpenRequest,
        tried: &mut Vec<Arc<Member>>,
    ) -> Outcome {
        match pool.hedging {
            // A member that knows the client might answer something else than another one.
            Some(hedging) if tried.is_empty() && !matches!(kept, Kept::Member(_)) && self.is_hedgeable() => {
                // Boxed, so that others need no room for two.
                let (outcome, other) = Box::pin(self.race(pool, kept, hedging, open)).await;
                if let Some(other) = other {
                    self.record.asking(pool.id, outcome.open.member().id);
                    tried.push(other);
                }
                outcome
            }
            _ => {
                let asked = self.ask(open.member()).await;
                Outcome { open, asked }
            }
        }
    }

    /// What serves the client, and who else was asked.
    async fn race(
        &mut self,
        pool: &Pool,
        kept: Kept<'_>,
        Hedging { delay }: Hedging,
        open: OpenRequest,
    ) -> (Outcome, Option<Arc<Member>>) {
        let mut record = Record::unread(self.ends.client, self.parts.version);
        let mut twin = self.twin(&mut record);
        let (ends, member) = (self.ends, Arc::clone(open.member()));
        let mut first = pin!(self.ask(&member));
        tokio::select! {
            biased;
            asked = &mut first => return (Outcome { open, asked }, None),
            () = tokio::time::sleep(delay) => {}
        }
        let mine = [Arc::clone(&member)];
        let another = pool.balancer.claim(ends, kept, &mine).filter(|_| pool.budget.spend());
        let Some(another) = another else {
            return (Outcome { open, asked: first.await }, None);
        };
        let other = Arc::clone(another.member());
        let mut second = pin!(twin.ask(&other));
        tokio::select! {
            biased;
            asked = &mut first => {
                let quicker = Outcome { open, asked };
                if quicker.is_good() {
                    return (quicker, Some(Arc::clone(&other)));
                }
                // Rather a slow answer than a failure.
                Outcome::rather(Outcome { open: another, asked: second.await }, quicker, pool)
            }
            asked = &mut second => {
                let quicker = Outcome { open: another, asked };
                if quicker.is_good() {
                    member.pace.outwaited(delay);
                    return (quicker, Some(Arc::clone(&member)));
                }
                Outcome::rather(Outcome { open, asked: first.await }, quicker, pool)
            }
        }
    }
}
