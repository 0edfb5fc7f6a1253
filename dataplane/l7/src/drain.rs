//! Connections that are to end: at once when their service goes; one after the other when another process has taken over. Each is woken
//! for that, and asks for nothing until then.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lb_model::VirtualServiceId;

use crate::service::ServiceCell;

thread_local! {
    /// The connections of this worker, by service.
    static HERE: RefCell<BTreeMap<(VirtualServiceId, u64), Waker>> = const { RefCell::new(BTreeMap::new()) };
    static ENTERED: Cell<u64> = const { Cell::new(0) };
    /// So many of [`TURNS`] have to leave as another process has taken over.
    static CALLED: Cell<u32> = const { Cell::new(0) };
}

/// Into how many parts connections fall that leave one part after the other.
const TURNS: u32 = 64;

/// Why a connection is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Its service is offered no more.
    Gone,
    /// Another process serves it: who comes back meets that.
    Handed,
}

/// A connection of this worker to a service.
#[derive(Debug)]
pub(crate) struct Presence {
    service: VirtualServiceId,
    number: u64,
    known: bool,
}

impl Presence {
    /// A connection that has come.
    pub(crate) fn enter(service: VirtualServiceId) -> Self {
        let number = ENTERED.get();
        ENTERED.set(number + 1);
        Self { service, number, known: false }
    }

    /// Whether it is its turn to leave as another process has taken over.
    pub(crate) fn is_called(&self) -> bool {
        turn(self.number) < CALLED.get()
    }

    /// Ready once it has to leave. Asked by the connection's own task, always the same.
    pub(crate) fn poll_leave(&mut self, cell: &ServiceCell, cx: &Context<'_>) -> Poll<Leave> {
        if cell.load().removed {
            return Poll::Ready(Leave::Gone);
        }
        if self.is_called() {
            return Poll::Ready(Leave::Handed);
        }
        if !self.known {
            self.known = true;
            let waker = cx.waker().clone();
            HERE.with_borrow_mut(|here| here.insert((self.service, self.number), waker));
        }
        Poll::Pending
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if self.known {
            HERE.with_borrow_mut(|here| here.remove(&(self.service, self.number)));
        }
    }
}

/// When a connection is called, of [`TURNS`]: neighbours leave apart from each other (Knuth's multiplicative hash).
fn turn(number: u64) -> u32 {
    ((number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % u64::from(TURNS)) as u32
}

/// The service is offered no more: its connections on this worker look.
pub(crate) fn wake(service: VirtualServiceId) {
    let wakers: Vec<Waker> = HERE.with_borrow(|here| {
        here.range((service, 0)..=(service, u64::MAX)).map(|(_, waker)| waker.clone()).collect()
    });
    wakers.into_iter().for_each(Waker::wake);
}

/// Another process has taken over, and this one ends after so long. Half of the time nothing is changed: most connections end by
/// themselves. In the third quarter the others are told to, one part after the other, so that not all of their clients come back at once.
pub(crate) async fn leave_in_turn(time: Duration) {
    tokio::time::sleep(time / 2).await;
    let step = time / 4 / TURNS;
    for next in 0..TURNS {
        CALLED.set(next + 1);
        let wakers: Vec<Waker> = HERE.with_borrow(|here| {
            let whose = here.iter().filter(|((_, number), _)| turn(*number) == next);
            whose.map(|(_, waker)| waker.clone()).collect()
        });
        wakers.into_iter().for_each(Waker::wake);
        tokio::time::sleep(step).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_called_one_part_after_the_other() {
        let service = VirtualServiceId::generate();
        let all: Vec<Presence> = (0..6400).map(|_| Presence::enter(service)).collect();
        let called = || all.iter().filter(|presence| presence.is_called()).count();
        let shares: Vec<usize> = [0, TURNS / 4, TURNS / 2, TURNS]
            .into_iter()
            .map(|now| {
                CALLED.set(now);
                called()
            })
            .collect();
        assert_eq!((shares[0], shares[3]), (0, all.len()));
        assert!(shares[1].abs_diff(1600) < 200 && shares[2].abs_diff(3200) < 200, "{shares:?}");
    }
}
