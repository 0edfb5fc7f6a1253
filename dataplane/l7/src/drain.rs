//! Connections that are to end when their service goes: each is woken once for that, and asks for nothing until then.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use lb_model::VirtualServiceId;

use crate::service::ServiceCell;

thread_local! {
    /// The connections of this worker, by service.
    static HERE: RefCell<BTreeMap<(VirtualServiceId, u64), Waker>> = const { RefCell::new(BTreeMap::new()) };
    static ENTERED: Cell<u64> = const { Cell::new(0) };
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

    /// Ready once the service is offered no more. Asked by the connection's own task, always the same.
    pub(crate) fn poll_leave(&mut self, cell: &ServiceCell, cx: &Context<'_>) -> Poll<()> {
        if cell.load().removed {
            return Poll::Ready(());
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

/// The service is offered no more: its connections on this worker look.
pub(crate) fn wake(service: VirtualServiceId) {
    let wakers: Vec<Waker> = HERE.with_borrow(|here| {
        here.range((service, 0)..=(service, u64::MAX)).map(|(_, waker)| waker.clone()).collect()
    });
    wakers.into_iter().for_each(Waker::wake);
}
