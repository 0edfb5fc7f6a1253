//! A time by which something must have happened, cheap to move: the timer behind it is only touched when it is due.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that moves with every sign of life.
#[derive(Debug)]
pub(crate) struct Deadline {
    due: Instant,
    set: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// So long from now.
    pub(crate) fn after(time: Duration) -> Self {
        let set = Instant::now();
        Self { due: set + time, set, timer: None }
    }

    /// Moves it to so long from now.
    pub(crate) fn set(&mut self, time: Duration) {
        self.set = Instant::now();
        self.due = self.set + time;
    }

    /// How long ago it was set.
    pub(crate) fn age(&self) -> Duration {
        self.set.elapsed()
    }

    /// Ready once it has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.due;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
    }
}
