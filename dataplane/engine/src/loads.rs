//! How many flows each backend has, and who of a service's has least to do.
//!
//! Each worker counts its own. A service whose scheduler looks at loads has a tournament: a tree whose leaves are the takers
//! and whose nodes name the better one of the two below, so that the best is known at once, and a flow that begins or
//! ends costs a look at each level.

use std::cmp::Ordering;
use std::sync::Arc;

use lb_mem::{Conn, NOBODY};

use crate::counters::WorkerCounters;
use crate::schedule::{Cost, How, Schedule, Taker};
use crate::state;

/// What one worker knows of loads.
#[derive(Debug)]
pub(crate) struct Loads {
    counters: Arc<WorkerCounters>,
    /// By slot of the backend.
    seats: Vec<Seat>,
    /// By slot of the service; none where its scheduler does not look at loads.
    contests: Vec<Option<Contest>>,
    adopted: Arc<Vec<Arc<Schedule>>>,
}

/// Where a backend takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seat {
    service: u32,
    place: u32,
}

/// What is to be as it was, once something was tried.
#[derive(Debug)]
pub(crate) struct Memory {
    backend: u32,
    active: u64,
    contest: Option<(u32, Contest)>,
}

const NO_SEAT: Seat = Seat { service: NOBODY, place: NOBODY };

impl Loads {
    pub(crate) fn new(counters: Arc<WorkerCounters>) -> Self {
        Self { counters, seats: Vec::new(), contests: Vec::new(), adopted: Arc::default() }
    }

    /// Prepares for schedules that were not used before.
    pub(crate) fn adopt(&mut self, schedules: &Arc<Vec<Arc<Schedule>>>) {
        if Arc::ptr_eq(&self.adopted, schedules) {
            return;
        }
        self.adopted = Arc::clone(schedules);
        for slot in 0..schedules.len().max(self.contests.len()) {
            match schedules.get(slot) {
                Some(schedule) => self.adopt_schedule(slot, schedule),
                None => self.dissolve(slot),
            }
        }
    }

    fn adopt_schedule(&mut self, slot: usize, schedule: &Arc<Schedule>) {
        let How::Least(cost) = schedule.how else {
            return self.dissolve(slot);
        };
        let contest = self.contests.get(slot).and_then(Option::as_ref);
        if contest.is_some_and(|contest| Arc::ptr_eq(&contest.schedule, schedule)) {
            return;
        }
        self.dissolve(slot);
        for (place, taker) in (0..).zip(&schedule.takers) {
            let at = taker.slot as usize;
            if self.seats.len() <= at {
                self.seats.resize(at + 1, NO_SEAT);
            }
            self.seats[at] = Seat { service: slot as u32, place };
        }
        if self.contests.len() <= slot {
            self.contests.resize_with(slot + 1, || None);
        }
        self.contests[slot] = Some(Contest::new(Arc::clone(schedule), cost, &self.counters));
    }

    fn dissolve(&mut self, slot: usize) {
        let Some(contest) = self.contests.get_mut(slot).and_then(Option::take) else { return };
        for taker in &contest.schedule.takers {
            match self.seats.get_mut(taker.slot as usize) {
                Some(seat) if seat.service == slot as u32 => *seat = NO_SEAT,
                _ => {}
            }
        }
    }

    /// A backend has one flow more.
    pub(crate) fn begin(&mut self, backend: u32) {
        self.change(backend, |load| load + 1);
    }

    /// A backend has one flow less.
    pub(crate) fn end(&mut self, backend: u32) {
        self.change(backend, |load| load.saturating_sub(1));
    }

    /// The flow is forgotten.
    pub(crate) fn forget(&mut self, conn: &Conn) {
        if counts(conn) {
            self.end(conn.backend);
        }
    }

    /// The flow is as if it were forgotten, until that is taken back.
    pub(crate) fn forget_on_trial(&mut self, conn: &Conn) -> Option<Memory> {
        let backend = Some(conn.backend).filter(|_| counts(conn))?;
        let service = self.seats.get(backend as usize).map_or(NOBODY, |seat| seat.service);
        let contest = self.contests.get(service as usize).and_then(Option::clone);
        let memory =
            Memory { backend, active: self.of(backend), contest: contest.map(|contest| (service, contest)) };
        self.end(backend);
        Some(memory)
    }

    /// Takes back what was tried.
    pub(crate) fn recall(&mut self, Memory { backend, active, contest }: Memory) {
        if let Some(cell) = self.counters.backends.get(backend as usize) {
            cell.active.set(active);
        }
        if let Some((service, contest)) = contest
            && let Some(there) = self.contests.get_mut(service as usize)
        {
            *there = Some(contest);
        }
    }

    fn change(&mut self, backend: u32, new: impl FnOnce(u64) -> u64) {
        let Some(cell) = self.counters.backends.get(backend as usize) else { return };
        let before = cell.active.get();
        let after = new(before);
        cell.active.set(after);
        let seat = self.seats.get(backend as usize).copied().unwrap_or(NO_SEAT);
        if let Some(Some(contest)) = self.contests.get_mut(seat.service as usize) {
            contest.review(seat.place, after > before, &self.counters);
        }
    }

    /// The flows that a backend has here.
    pub(crate) fn of(&self, backend: u32) -> u64 {
        load(&self.counters, backend)
    }

    /// The place of the taker that has least to do.
    pub(crate) fn least(&self, service: u32) -> Option<u32> {
        let contest = self.contests.get(service as usize)?.as_ref()?;
        Some(contest.winner(1)).filter(|place| *place != NOBODY)
    }
}

/// Whether a flow counts as one that its backend has: it is not over.
pub(crate) fn counts(conn: &Conn) -> bool {
    conn.backend != NOBODY && !state::is_over(conn.state)
}

fn load(counters: &WorkerCounters, backend: u32) -> u64 {
    counters.backends.get(backend as usize).map_or(0, |cell| cell.active.get())
}

/// Who of two has less to do.
pub(crate) fn compare(cost: Cost, (a, load_a): (&Taker, u64), (b, load_b): (&Taker, u64)) -> Ordering {
    let by_weight =
        |more: u64| ((load_a + more) * u64::from(b.weight)).cmp(&((load_b + more) * u64::from(a.weight)));
    match cost {
        Cost::Flows => load_a.cmp(&load_b),
        Cost::FlowsByWeight => by_weight(0),
        Cost::Delay => by_weight(1),
        Cost::IdleFirst => (load_a > 0).cmp(&(load_b > 0)).then_with(|| by_weight(1)),
    }
}

/// The tournament of one service.
#[derive(Clone, Debug)]
struct Contest {
    schedule: Arc<Schedule>,
    cost: Cost,
    /// The number of leaves, a power of two; those past the takers are nobody's.
    leaves: u32,
    /// Node 1 is the root, the nodes below `n` are `2n` and `2n + 1`.
    winners: Box<[u32]>,
    /// When each taker was last given a flow: of equal ones the one that has waited longest wins.
    given: Box<[u64]>,
    clock: u64,
}

impl Contest {
    fn new(schedule: Arc<Schedule>, cost: Cost, counters: &WorkerCounters) -> Self {
        let takers = schedule.takers.len();
        let leaves = takers.next_power_of_two() as u32;
        let winners = vec![NOBODY; leaves as usize].into_boxed_slice();
        let given = vec![0; takers].into_boxed_slice();
        let mut contest = Self { schedule, cost, leaves, winners, given, clock: 0 };
        for node in (1..leaves).rev() {
            contest.decide(node, counters);
        }
        contest
    }

    /// The winner of a node; the place of a leaf.
    fn winner(&self, node: u32) -> u32 {
        let place = node.wrapping_sub(self.leaves);
        match self.winners.get(node as usize) {
            Some(winner) => *winner,
            None if (place as usize) < self.given.len() => place,
            None => NOBODY,
        }
    }

    fn decide(&mut self, node: u32, counters: &WorkerCounters) {
        let (left, right) = (self.winner(2 * node), self.winner(2 * node + 1));
        let takers = &self.schedule.takers;
        let better = match (takers.get(left as usize), takers.get(right as usize)) {
            (Some(a), Some(b)) => {
                let loads = (load(counters, a.slot), load(counters, b.slot));
                let longest = || self.given[left as usize].cmp(&self.given[right as usize]);
                match compare(self.cost, (a, loads.0), (b, loads.1)).then_with(longest) {
                    Ordering::Greater => right,
                    _ => left,
                }
            }
            _ => left.min(right),
        };
        if let Some(winner) = self.winners.get_mut(node as usize) {
            *winner = better;
        }
    }

    /// The load of a taker has changed.
    fn review(&mut self, place: u32, given: bool, counters: &WorkerCounters) {
        if given && let Some(when) = self.given.get_mut(place as usize) {
            self.clock += 1;
            *when = self.clock;
        }
        let mut node = self.leaves + place;
        while node > 1 {
            node /= 2;
            self.decide(node, counters);
        }
    }
}
