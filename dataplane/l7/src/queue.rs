//! Requests that wait while every member of a pool has as many as it may: in the order in which they came, over all workers. Whoever
//! gives a place back wakes the first; nobody looks again and again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use arc_swap::ArcSwapOption;

use crate::service::Pool;

/// Those that wait for members of a pool. It stays the same for as long as there is the pool.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// How many wait: looked at by all that ask and all that are answered, and written only where somebody waits.
    waiting: AtomicU32,
    line: Mutex<Line>,
    /// The pool as it is now: who waits is served by what is in force when its turn comes.
    newest: ArcSwapOption<Pool>,
}

#[derive(Debug, Default)]
struct Line {
    places: VecDeque<(u64, Option<Waker>)>,
    entered: u64,
}

impl Queue {
    /// The pool is now this, or is no more.
    pub(crate) fn change(&self, pool: Option<Arc<Pool>>) {
        self.newest.store(pool);
        self.wake_first();
    }

    /// Whether somebody waits, whom nobody may overtake.
    pub(crate) fn is_busy(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// A member has room again.
    ///
    /// It had it before this looks for who waits, and who waits is counted before it looks for room, all in one order (`SeqCst`): one of
    /// the two sees the other.
    pub(crate) fn left(&self) {
        if self.is_busy() {
            self.wake_first();
        }
    }

    /// The last place, unless so many wait.
    pub(crate) fn enter(self: &Arc<Self>, most: u32) -> Option<Place> {
        let mut line = self.lock();
        if line.places.len() >= most as usize {
            return None;
        }
        let number = line.entered;
        line.entered += 1;
        line.places.push_back((number, None));
        self.count(&line);
        Some(Place { queue: Arc::clone(self), number })
    }

    fn count(&self, line: &Line) {
        self.waiting.store(u32::try_from(line.places.len()).unwrap_or(u32::MAX), Ordering::SeqCst);
    }

    fn wake_first(&self) {
        let first = self.lock().places.front().and_then(|(_, waker)| waker.clone());
        if let Some(waker) = first {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line; who leaves it, for whatever reason, lets the next one look.
#[derive(Debug)]
pub(crate) struct Place {
    queue: Arc<Queue>,
    number: u64,
}

impl Place {
    /// What `claim` gets of the pool, once it is this one's turn and there is something to get; none if the pool is gone, or has nobody.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &Context<'_>,
        claim: impl FnOnce(&Arc<Pool>) -> Option<T>,
    ) -> Poll<Option<T>> {
        let pool = self.queue.newest.load_full().filter(|pool| pool.balancer.has_takers());
        let Some(pool) = pool else { return Poll::Ready(None) };
        let mut line = self.queue.lock();
        // While the line is held: who gives a place back meanwhile finds the waker that is left below.
        if line.places.front().is_some_and(|(number, _)| *number == self.number)
            && let Some(claimed) = claim(&pool)
        {
            return Poll::Ready(Some(claimed));
        }
        if let Ok(at) = line.places.binary_search_by_key(&self.number, |(number, _)| *number) {
            line.places[at].1 = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut line = self.queue.lock();
        if let Ok(at) = line.places.binary_search_by_key(&self.number, |(number, _)| *number) {
            line.places.remove(at);
        }
        self.queue.count(&line);
        drop(line);
        self.queue.wake_first();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    /// How often somebody was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Somebody who waits, by a number, for as many places as `room` has.
    struct Waiter {
        place: Place,
        woken: Arc<Woken>,
        number: u32,
    }

    impl Waiter {
        fn enter(queue: &Arc<Queue>, number: u32) -> Self {
            Self { place: queue.enter(100).unwrap(), woken: Arc::default(), number }
        }

        fn look(&mut self, room: &mut u32) -> Poll<Option<u32>> {
            let (waker, number) = (Waker::from(Arc::clone(&self.woken)), self.number);
            self.place.poll(&Context::from_waker(&waker), |_| {
                *room = room.checked_sub(1)?;
                Some(number)
            })
        }

        fn times_woken(&self) -> usize {
            self.woken.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn whoever_came_first_is_served_first_and_the_next_is_woken() {
        let queue = Arc::new(Queue::default());
        queue.change(Some(Arc::new(Pool::of_one())));
        let (mut first, mut second) = (Waiter::enter(&queue, 1), Waiter::enter(&queue, 2));
        assert!(queue.is_busy());
        let mut room = 0;
        assert!(first.look(&mut room).is_pending());
        // There is room, but it is not the second one's turn.
        room = 2;
        assert!(second.look(&mut room).is_pending());
        queue.left();
        assert_eq!((first.times_woken(), second.times_woken()), (1, 0));
        assert_eq!(first.look(&mut room), Poll::Ready(Some(1)));
        drop(first);
        assert_eq!((second.times_woken(), queue.waiting()), (1, 1));
        assert_eq!(second.look(&mut room), Poll::Ready(Some(2)));
        drop(second);
        assert!(!queue.is_busy());
    }

    #[test]
    fn whoever_gives_up_lets_the_next_one_look() {
        let queue = Arc::new(Queue::default());
        queue.change(Some(Arc::new(Pool::of_one())));
        let (mut first, mut second) = (Waiter::enter(&queue, 1), Waiter::enter(&queue, 2));
        let mut room = 0;
        assert!(first.look(&mut room).is_pending() && second.look(&mut room).is_pending());
        // The first one is woken, and is gone before it looks.
        queue.left();
        drop(first);
        assert_eq!(second.times_woken(), 1);
        room = 1;
        assert_eq!(second.look(&mut room), Poll::Ready(Some(2)));
    }

    #[test]
    fn there_are_no_more_places_than_may_be_and_none_without_a_pool() {
        let queue = Arc::new(Queue::default());
        let places: Vec<_> = (0..3).map_while(|_| queue.enter(2)).collect();
        assert_eq!((places.len(), queue.waiting()), (2, 2));
        drop(places);
        let mut late = Waiter::enter(&queue, 1);
        assert_eq!(late.look(&mut 1), Poll::Ready(None));
    }
}
