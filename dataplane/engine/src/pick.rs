//! Choosing a backend for a new flow.

use std::net::IpAddr;
use std::sync::Arc;

use lb_model::counters::DropReason;

use crate::counters::WorkerCounters;
use crate::ends::Ends;
use crate::loads::{Loads, compare};
use crate::persistence::{Client, Keeping, Mark};
use crate::schedule::{Cost, Hashed, How, Schedule, mix};
use crate::tables::{Limit, Tables, digest};

/// A turn that was not taken yet.
const NOT_BEGUN: u32 = u32::MAX;

/// What schedulers remember from one flow to the next: each worker its own.
#[derive(Debug)]
pub(crate) struct Picker {
    /// By slot of the service.
    turns: Vec<u32>,
    random: u64,
    /// Every worker's counters, this one's included.
    workers: Box<[Arc<WorkerCounters>]>,
    worker: u16,
}

/// What a choice depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    turn: Option<u32>,
    random: u64,
}

impl Picker {
    pub(crate) fn new(workers: Box<[Arc<WorkerCounters>]>, worker: u16) -> Self {
        Self { turns: Vec::new(), random: mix(u64::from(worker) + 1) | 1, workers, worker }
    }

    /// Room for `services` slots; what is remembered of the others stays.
    pub(crate) fn grow(&mut self, services: usize) {
        if self.turns.len() < services {
            self.turns.resize(services, NOT_BEGUN);
        }
    }

    /// What the next choice for a service depends on, to be [recalled](Self::recall) when that was only tried on.
    pub(crate) fn memory(&self, service: u32) -> Memory {
        Memory { turn: self.turns.get(service as usize).copied(), random: self.random }
    }

    /// Forgets what was chosen for a service since.
    pub(crate) fn recall(&mut self, service: u32, Memory { turn, random }: Memory) {
        self.random = random;
        if let Some((place, turn)) = self.turns.get_mut(service as usize).zip(turn) {
            *place = turn;
        }
    }

    /// The slot of the backend that would be chosen if all had room.
    pub(crate) fn favourite(
        &mut self,
        tables: &Tables,
        service: u32,
        loads: &Loads,
        ends: &Ends,
    ) -> Option<u32> {
        let schedule = &**tables.schedules.get(service as usize)?;
        let place = self.first_choice(service, schedule, loads, ends)?;
        schedule.takers.get(place as usize).map(|taker| taker.slot)
    }

    /// Whether a service takes a new flow of this client, whoever gets it.
    pub(crate) fn admit(&self, tables: &Tables, service: u32, client: IpAddr) -> Result<(), DropReason> {
        let Some(gate) = tables.gate(service) else { return Ok(()) };
        if !gate.admits(client) {
            return Err(DropReason::Denied);
        }
        if self.has_room(tables.service_limit(gate)) { Ok(()) } else { Err(DropReason::ServiceFull) }
    }

    /// The slot of the backend that a service's scheduler gives a new flow to, or why there is none.
    pub(crate) fn pick(
        &mut self,
        tables: &Tables,
        service: u32,
        loads: &Loads,
        ends: &Ends,
        now: u32,
    ) -> Result<u32, DropReason> {
        let schedule = &**tables.schedules.get(service as usize).ok_or(DropReason::NoMember)?;
        let kept = |keeping: &Keeping| self.kept(keeping, keeping.client(ends.source.address), now);
        if let Some(kept) = schedule.keeping.as_ref().and_then(kept)
            && self.has_room(tables.limit(kept))
        {
            return Ok(kept);
        }
        self.choose(tables, (service, schedule), loads, ends)
    }

    /// The backend that a client keeps.
    fn kept(&self, keeping: &Keeping, client: Client, now: u32) -> Option<u32> {
        let marks = self.workers.iter().filter_map(|worker| worker.marks.get()?.find(client));
        let live = marks.filter(|mark| keeping.holds(*mark, now));
        keeping.slot(live.min_by_key(|mark| now.wrapping_sub(mark.at))?)
    }

    /// A client has begun a flow with a backend, which it keeps from now on. One that was full at the moment stays the client's.
    pub(crate) fn keep(&self, keeping: &Keeping, address: IpAddr, slot: u32, now: u32) {
        let client = keeping.client(address);
        let kept = self.kept(keeping, client, now);
        self.mark(keeping, client, kept.unwrap_or(slot), now);
    }

    /// That a client has a flow with a backend, whom it keeps.
    pub(crate) fn renew(&self, keeping: &Keeping, address: IpAddr, slot: u32, now: u32) {
        let client = keeping.client(address);
        let own = self.workers.get(usize::from(self.worker)).and_then(|worker| worker.marks.get());
        let mark = own.and_then(|marks| marks.find(client));
        if mark.is_some_and(|mark| mark.at != now && keeping.slot(mark) == Some(slot)) {
            self.mark(keeping, client, slot, now);
        }
    }

    fn mark(&self, keeping: &Keeping, client: Client, slot: u32, now: u32) {
        let own = self.workers.get(usize::from(self.worker)).and_then(|worker| worker.marks.get());
        if let (Some(marks), Some(member)) = (own, keeping.member(slot)) {
            marks.put(client, Mark { member, at: now });
        }
    }

    /// Whom the scheduler chooses, or who takes the flow instead.
    fn choose(
        &mut self,
        tables: &Tables,
        (service, schedule): (u32, &Schedule),
        loads: &Loads,
        ends: &Ends,
    ) -> Result<u32, DropReason> {
        let place = self.first_choice(service, schedule, loads, ends).ok_or(DropReason::NoMember)?;
        let taker = schedule.takers.get(place as usize).ok_or(DropReason::NoMember)?;
        if self.has_room(tables.limit(taker.slot)) {
            return Ok(taker.slot);
        }
        self.second_choice(tables, schedule, loads, place).ok_or(DropReason::MembersFull)
    }

    /// The place in `takers` that the scheduler would choose if all had room.
    fn first_choice(&mut self, service: u32, schedule: &Schedule, loads: &Loads, ends: &Ends) -> Option<u32> {
        match &schedule.how {
            How::Turns(order) => self.next_turn(service, order),
            How::First => Some(0),
            How::Least(_) => loads.least(service),
            How::TwoDrawn(sums) => {
                let (a, b) = (self.draw(sums)?, self.draw(sums)?);
                let with_load = |place: u32| {
                    let taker = schedule.takers.get(place as usize)?;
                    Some((taker, loads.of(taker.slot)))
                };
                Some(if compare(Cost::Delay, with_load(a)?, with_load(b)?).is_le() { a } else { b })
            }
            How::Table(table, hashed) => {
                let at = scale(hash(*hashed, ends), table.len() as u32);
                table.get(at as usize).copied()
            }
        }
    }

    /// Workers begin in different places, so that the first of a pool is not everybody's first.
    fn next_turn(&mut self, service: u32, order: &[u32]) -> Option<u32> {
        let turn = self.turns.get_mut(service as usize)?;
        if *turn == NOT_BEGUN {
            *turn = (order.len() * usize::from(self.worker) / self.workers.len().max(1)) as u32;
        }
        let at = (*turn as usize).checked_rem(order.len())?;
        *turn = at as u32 + 1;
        order.get(at).copied()
    }

    fn draw(&mut self, sums: &[u32]) -> Option<u32> {
        // Marsaglia, "Xorshift RNGs", 2003.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let drawn = scale(self.random, *sums.last()?);
        Some(sums.partition_point(|sum| *sum <= drawn) as u32)
    }

    /// Who takes the flow instead of a full one: of the others the least loaded if the scheduler looks at loads, else the next
    /// in the order of the pool.
    #[cold]
    fn second_choice(&self, tables: &Tables, schedule: &Schedule, loads: &Loads, full: u32) -> Option<u32> {
        let takers = &schedule.takers;
        let (before, after) = takers.split_at_checked(full as usize)?;
        let mut others = after.iter().chain(before).filter(|taker| self.has_room(tables.limit(taker.slot)));
        let cost = match schedule.how {
            How::Least(cost) => cost,
            How::TwoDrawn(_) => Cost::Delay,
            How::Turns(_) | How::First | How::Table(..) => return others.next().map(|taker| taker.slot),
        };
        let loaded = others.map(|taker| (taker, loads.of(taker.slot)));
        loaded.min_by(|a, b| compare(cost, *a, *b)).map(|(taker, _)| taker.slot)
    }

    /// Whether another connection may be had under a limit. Other workers' counts are read as they are now.
    fn has_room(&self, limit: Option<&Limit>) -> bool {
        let Some(limit) = limit else { return true };
        let of_worker = |worker: &Arc<WorkerCounters>| -> u64 {
            let cells = limit.backends.iter().filter_map(|slot| worker.backends.get(*slot as usize));
            cells.map(|cell| cell.active.get()).sum()
        };
        self.workers.iter().map(of_worker).sum::<u64>() < u64::from(limit.most.get())
    }
}

fn hash(hashed: Hashed, ends: &Ends) -> u64 {
    let Ends { source, destination } = ends;
    let (client, service) = (u64::from(digest(source.address)), u64::from(digest(destination.address)));
    let (client_port, service_port) = (u64::from(source.port), u64::from(destination.port));
    match hashed {
        Hashed::Source => mix(client),
        Hashed::SourcePort => mix(client | client_port << 32),
        Hashed::All => {
            let rest = client_port | service_port << 16 | u64::from(source.protocol) << 32;
            mix(mix(client | service << 32) ^ rest)
        }
    }
}

/// A hash as a number below `size`.
fn scale(hash: u64, size: u32) -> u32 {
    (((hash >> 32) * u64::from(size)) >> 32) as u32
}
