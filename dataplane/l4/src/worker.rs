//! One worker: it takes frames from its queues, lets the engine decide, and carries the verdicts out, burst by burst.

use std::ops::Range;
use std::sync::Arc;

use lb_dpdk::{Burst, Mbuf, Mempool, cycles};
use lb_engine::{Awaited, Engine, MAX_BURST, Outbox, PortIndex, Tables, Verdict, WorkerCounters};
use lb_model::counters::DropReason;

use crate::clock::Clock;
use crate::hold::{Admission, Hold};
use crate::idle::{self, Idle};
use crate::kernel::Mirror;
use crate::shared::Shared;
use crate::sight::Desk;
use crate::ways::{KernelSide, PortWays, Punted};

/// In how many seconds the sweep for silent flows goes once round the table.
const SWEEP_SECONDS: u64 = 4;
/// The most entries that one turn looks at.
const SWEEP_STEP: u64 = 64;
/// The most frames that one burst can make.
const MADE: usize = 256;
/// Frames of the kernel that one turn relays.
const RELAY_STEP: usize = 32;

/// What a worker needs and owns.
pub(crate) struct Worker {
    pub(crate) number: usize,
    pub(crate) engine: Engine,
    pub(crate) ports: Vec<PortWays>,
    pub(crate) pool: Mempool,
    pub(crate) clock: Clock,
    pub(crate) idle: Idle,
    pub(crate) cycles_per_second: u64,
    shared: Arc<Shared>,
    mirror: Option<Arc<Mirror>>,
    counters: Arc<WorkerCounters>,
    desk: Arc<Desk>,
    tables: Arc<Tables>,
    seen: u64,
    hold: Hold,
    /// Frames that a burst has made; kept, so that none allocates.
    made: Vec<(PortIndex, Mbuf)>,
    /// Frames that are to be looked at again, and the port that they came in by; kept likewise.
    again: Vec<(PortIndex, Mbuf)>,
    reviewed_at: u32,
    swept_at: u64,
}

impl Worker {
    pub(crate) fn new(
        number: usize,
        engine: Engine,
        ports: Vec<PortWays>,
        pool: Mempool,
        cycles_per_second: u64,
        shared: Arc<Shared>,
        mirror: Option<Arc<Mirror>>,
    ) -> Self {
        let counters = Arc::clone(&shared.workers[number].counters);
        let desk = Arc::clone(&shared.workers[number].desk);
        let now = cycles();
        Self {
            number,
            engine,
            ports,
            pool,
            clock: Clock::start(cycles_per_second),
            idle: Idle::new(cycles_per_second, now),
            cycles_per_second,
            shared,
            mirror,
            counters,
            desk,
            tables: Arc::default(),
            seen: 0,
            hold: Hold::new(),
            made: Vec::with_capacity(MADE),
            again: Vec::with_capacity(MADE),
            reviewed_at: 0,
            swept_at: now,
        }
    }

    /// Works until the process is told to stop.
    pub(crate) fn run(&mut self) {
        while !self.shared.stopped() {
            let now = cycles();
            if self.turn(now) {
                self.idle.busy(now);
            } else if let Some(nap) = self.idle.nap(now) {
                if nap < idle::LONGEST {
                    // What waits in a driver for company must not wait for the end of the nap; by the longest ones it has left.
                    self.ports.iter_mut().for_each(|port| port.outlet.flush());
                }
                std::thread::sleep(nap);
            }
        }
    }

    /// Looks everywhere once; says whether there was anything to do.
    #[inline]
    pub(crate) fn turn(&mut self, cycles: u64) -> bool {
        let now = self.clock.at(cycles);
        if let Some(tables) = self.shared.newer(self.number, &mut self.seen) {
            self.engine.adopt(&tables);
            self.tables = tables;
            self.review_held(now);
        }
        let mut busy = false;
        for port in 0..self.ports.len() {
            busy |= self.receive(port, now);
            busy |= self.take_over(port, now);
            busy |= self.relay(port);
        }
        for port in 0..self.ports.len() {
            self.send_leaving(port);
        }
        if now != self.reviewed_at {
            self.reviewed_at = now;
            self.review_held(now);
            self.counters.flows.set(u64::from(self.engine.flows().live()));
        }
        self.sweep(now, cycles);
        if self.desk.is_waiting() {
            let mut outbox = Made { pool: &self.pool, frames: &mut self.made };
            self.desk.attend(&mut self.engine, &self.tables, now, &mut outbox);
            self.send_made();
            busy = true;
        }
        busy
    }

    #[inline]
    fn receive(&mut self, port: usize, now: u32) -> bool {
        let mut busy = false;
        for inlet in 0..self.ports[port].inlets.len() {
            let mut burst = Burst::new();
            let received = self.ports[port].inlets[inlet].receive(&mut burst);
            if received > 0 {
                busy = true;
                self.counters.received.add(received as u64);
                self.process(port, now, &mut burst, false);
                self.process_again(now);
            }
        }
        busy
    }

    /// Looks at frames again that waited for one that has come now.
    #[inline]
    fn process_again(&mut self, now: u32) {
        while let Some((port, frame)) = self.again.pop() {
            self.counters.originated.add(1);
            let mut burst = Burst::new();
            // One fits.
            let _ = burst.push(frame);
            self.process(usize::from(port.0), now, &mut burst, true);
        }
    }

    #[inline]
    fn process(&mut self, port: usize, now: u32, burst: &mut Burst, handed_over: bool) {
        let mut verdicts = [Verdict::Punt; MAX_BURST];
        let index = PortIndex(u8::try_from(port).unwrap_or(u8::MAX));
        let made = Made { pool: &self.pool, frames: &mut self.made };
        let mut received = Received { burst, made, again: &mut self.again, handed_over };
        self.engine.process(&self.tables, now, index, &mut received, &mut verdicts);
        for (frame, verdict) in burst.drain().zip(verdicts) {
            self.carry_out(port, now, frame, verdict);
        }
        self.send_made();
    }

    /// Sends what was made here.
    #[inline]
    fn send_made(&mut self) {
        while let Some((to, frame)) = self.made.pop() {
            self.counters.originated.add(1);
            self.leave(usize::from(to.0), frame);
        }
    }

    #[inline]
    fn carry_out(&mut self, port: usize, now: u32, frame: Mbuf, verdict: Verdict) {
        match verdict {
            Verdict::Send(to) | Verdict::Reply(to) => self.leave(usize::from(to.0), frame),
            Verdict::Drop(reason) => self.counters.dropped(reason),
            Verdict::Punt => self.punt(port, frame),
            Verdict::Consume => self.counters.consumed.add(1),
            Verdict::Hold(awaited) => self.wait(frame, awaited, now),
            Verdict::Handoff(owner) => self.hand_over(port, owner, frame),
        }
    }

    /// Puts a frame among those that leave through a port.
    #[inline]
    fn leave(&mut self, port: usize, frame: Mbuf) {
        let Some(ways) = self.ports.get_mut(port) else { return self.counters.dropped(DropReason::NoRoute) };
        let Err(frame) = ways.leaving.push(frame) else { return };
        self.send_leaving(port);
        if self.ports[port].leaving.push(frame).is_err() {
            self.counters.dropped(DropReason::TxFull);
        }
    }

    #[inline]
    fn send_leaving(&mut self, port: usize) {
        let ways = &mut self.ports[port];
        if ways.leaving.is_empty() {
            return;
        }
        let sent = ways.outlet.send(&mut ways.leaving) as u64;
        if ways.outlet.is_handover() {
            self.counters.handed_over.add(sent);
        } else {
            self.counters.sent.add(sent);
        }
        self.gauge_held();
    }

    #[cold]
    fn punt(&mut self, port: usize, frame: Mbuf) {
        match self.ports[port].kernel.punt(frame) {
            Punted::Taken => self.counters.punted.add(1),
            Punted::HandedOver => self.counters.handed_over.add(1),
            Punted::Refused => self.counters.dropped(DropReason::PuntFull),
        }
    }

    #[cold]
    fn wait(&mut self, frame: Mbuf, awaited: Awaited, now: u32) {
        match self.hold.admit(frame, awaited, now) {
            Admission::First => {
                if let Some(mirror) = &self.mirror {
                    mirror.await_neighbour(awaited);
                }
            }
            Admission::Another => {}
            Admission::Full => self.counters.dropped(DropReason::NoNeighbour),
        }
        self.gauge_held();
    }

    /// Sends on what waited for a neighbour that is there now, and gives up what waited for too long.
    fn review_held(&mut self, now: u32) {
        if self.hold.len() == 0 {
            return;
        }
        let mut resolved = Vec::new();
        let (tables, counters) = (&self.tables, &self.counters);
        self.hold.review(
            |mut frame, awaited, too_long| match tables.resolved(awaited) {
                Some(hop) => {
                    hop.address_frame(frame.frame_mut());
                    resolved.push((hop.port, frame));
                    None
                }
                None if too_long => {
                    counters.dropped(DropReason::NoNeighbour);
                    None
                }
                None => Some(frame),
            },
            now,
        );
        for (port, frame) in resolved {
            self.leave(usize::from(port.0), frame);
        }
        self.gauge_held();
    }

    #[cold]
    fn hand_over(&mut self, port: usize, owner: u16, frame: Mbuf) {
        let mut burst = Burst::new();
        let fits = burst.push(frame).is_ok();
        let sender = self.ports[port].owners.get_mut(usize::from(owner)).and_then(Option::as_mut);
        match sender.map(|sender| sender.send(&mut burst)) {
            Some(1) if fits => self.counters.handed_over.add(1),
            _ => self.counters.dropped(DropReason::TxFull),
        }
    }

    /// Takes what other workers handed over.
    #[inline]
    fn take_over(&mut self, port: usize, now: u32) -> bool {
        let ways = &self.ports[port];
        if ways.handed_over.is_none() && ways.to_send.is_none() && ways.to_punt.is_none() {
            return false;
        }
        self.take_over_frames(port, now)
    }

    fn take_over_frames(&mut self, port: usize, now: u32) -> bool {
        let mut burst = Burst::new();
        let mut taken = self.ports[port].handed_over.as_mut().map_or(0, |ring| ring.receive(&mut burst));
        if taken > 0 {
            self.process(port, now, &mut burst, true);
            self.process_again(now);
        }
        let to_send = self.ports[port].to_send.as_mut().map_or(0, |ring| ring.receive(&mut burst));
        for frame in burst.drain() {
            self.leave(port, frame);
        }
        let to_punt = self.ports[port].to_punt.as_mut().map_or(0, |ring| ring.receive(&mut burst));
        for frame in burst.drain() {
            self.punt(port, frame);
        }
        taken += to_send + to_punt;
        self.counters.taken_over.add(taken as u64);
        taken > 0
    }

    /// Sends what the kernel sends through the twin of an owned port.
    #[inline]
    fn relay(&mut self, port: usize) -> bool {
        self.ports[port].relays_kernel && self.relay_frames(port)
    }

    fn relay_frames(&mut self, port: usize) -> bool {
        for count in 0..RELAY_STEP {
            let KernelSide::Tap(tap) = &mut self.ports[port].kernel else { return false };
            let Some(mut frame) = self.pool.alloc() else { return count > 0 };
            let room = frame.tailroom();
            let Ok(space) = frame.set_len(room) else { return count > 0 };
            match tap.read(space) {
                Ok(Some(len)) => {
                    frame.truncate(len);
                    self.counters.from_twin.add(1);
                    self.leave(port, frame);
                }
                Ok(None) | Err(_) => return count > 0,
            }
        }
        true
    }

    fn gauge_held(&self) {
        let leaving: usize = self.ports.iter().map(|ways| ways.leaving.len()).sum();
        self.counters.held.set((self.hold.len() + leaving) as u64);
    }

    /// Looks at as many entries as time has passed, so that the whole table has its turn every few seconds.
    #[inline]
    fn sweep(&mut self, now: u32, cycles: u64) {
        let used = u64::from(self.engine.flows().used());
        if used == 0 {
            self.swept_at = cycles;
            return;
        }
        let per_entry = (self.cycles_per_second * SWEEP_SECONDS / used).max(1);
        let due = (cycles.saturating_sub(self.swept_at) / per_entry).min(used);
        if due == 0 {
            return;
        }
        let step = due.min(SWEEP_STEP.max(used >> 10));
        self.swept_at = if step == due { self.swept_at + due * per_entry } else { cycles };
        self.expire(now, u32::try_from(step).unwrap_or(u32::MAX));
    }

    /// Looks at so many flows and forgets those that are over.
    pub(crate) fn expire(&mut self, now: u32, count: u32) {
        let mut outbox = Made { pool: &self.pool, frames: &mut self.made };
        self.engine.expire(&self.tables, now, count, &mut outbox);
        self.send_made();
    }
}

/// Frames that are made here, until they are sent.
struct Made<'made> {
    pool: &'made Mempool,
    frames: &'made mut Vec<(PortIndex, Mbuf)>,
}

impl Outbox for Made<'_> {
    #[cold]
    fn make(&mut self, len: usize, to: PortIndex) -> Option<&mut [u8]> {
        if self.frames.len() == MADE {
            return None;
        }
        let mut frame = self.pool.alloc()?;
        frame.set_len(len).ok()?;
        self.frames.push((to, frame));
        self.frames.last_mut().map(|(_, frame)| frame.frame_mut())
    }
}

/// A burst of DPDK's, as the engine sees it.
struct Received<'burst> {
    burst: &'burst mut Burst,
    made: Made<'burst>,
    again: &'burst mut Vec<(PortIndex, Mbuf)>,
    handed_over: bool,
}

impl lb_engine::Burst for Received<'_> {
    #[inline]
    fn len(&self) -> usize {
        self.burst.len()
    }

    #[inline]
    fn frame(&mut self, index: usize) -> &mut [u8] {
        self.burst[index].frame_mut()
    }

    #[inline]
    fn has_bad_checksum(&self, index: usize) -> bool {
        self.burst[index].has_bad_checksum()
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        if let Some(frame) = self.burst.get(index) {
            frame.prefetch();
        }
    }

    #[inline]
    fn prepend(&mut self, index: usize, count: usize) -> bool {
        self.burst[index].prepend(count).is_ok()
    }

    #[inline]
    fn truncate(&mut self, index: usize, len: usize) {
        self.burst[index].truncate(len);
    }

    #[inline]
    fn is_handed_over(&self) -> bool {
        self.handed_over
    }

    #[cold]
    fn again(&mut self, frame: &[u8], port: PortIndex) {
        if self.again.len() < MADE
            && let Some(mut copy) = self.made.pool.alloc()
            && copy.fill(frame).is_ok()
        {
            self.again.push((port, copy));
        }
    }

    #[cold]
    fn originate(
        &mut self,
        index: usize,
        part: Range<usize>,
        front: usize,
        to: PortIndex,
    ) -> Option<&mut [u8]> {
        let part = self.burst[index].frame().get(part)?;
        let frame = self.made.make(front + part.len(), to)?;
        frame.get_mut(front..)?.copy_from_slice(part);
        Some(frame)
    }
}
