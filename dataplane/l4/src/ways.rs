//! Where a worker's frames come from and go to: queues of ports, rings of other workers, the kernel's side.

use lb_dpdk::ring::{Receiver, Sender};
use lb_dpdk::{Burst, Mbuf, Mempool, RxQueue, Tap, TxQueue, cycles};

use crate::generator::Generator;

/// Times in a second that a worker with other things to do looks for checks: each look is a system call.
const LOOKS: u64 = 10_000;

/// Where frames come from.
#[derive(Debug)]
pub(crate) enum Inlet {
    /// A queue of a port.
    Queue(RxQueue),
    /// What checks send.
    Probes(ProbeInlet),
    /// Frames made on the spot, for measurements.
    Generator(Box<Generator>),
}

impl Inlet {
    #[inline]
    pub(crate) fn receive(&mut self, burst: &mut Burst) -> usize {
        match self {
            Self::Queue(queue) => queue.receive(burst),
            Self::Probes(probes) => probes.receive(burst),
            Self::Generator(generator) => generator.receive(burst),
        }
    }
}

/// The TAP through which penstockd's checks come.
#[derive(Debug)]
pub(crate) struct ProbeInlet {
    tap: Tap,
    pool: Mempool,
    /// Cycles from one look that found nothing to the next.
    pause: u64,
    look_at: u64,
}

impl ProbeInlet {
    pub(crate) fn new(tap: Tap, pool: Mempool, cycles_per_second: u64) -> Self {
        Self { tap, pool, pause: cycles_per_second / LOOKS, look_at: 0 }
    }

    fn receive(&mut self, burst: &mut Burst) -> usize {
        let now = cycles();
        if now < self.look_at { 0 } else { self.read(burst, now) }
    }

    fn read(&mut self, burst: &mut Burst, now: u64) -> usize {
        while !burst.is_full() {
            let Some(frame) = self.frame() else {
                self.look_at = now + self.pause;
                break;
            };
            if burst.push(frame).is_err() {
                break;
            }
        }
        burst.len()
    }

    fn frame(&mut self) -> Option<Mbuf> {
        let mut frame = self.pool.alloc()?;
        let room = frame.tailroom();
        let len = self.tap.read(frame.set_len(room).ok()?).ok()??;
        frame.truncate(len);
        Some(frame)
    }
}

/// Where frames go.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// A queue of a port, this worker's own.
    Queue(TxQueue),
    /// The TAP through which checks hear answers.
    Probes(Tap),
    /// The worker that has a queue of the port.
    Through(Sender),
    /// Nowhere, for measurements: all are taken.
    Sink,
}

impl Outlet {
    /// Sends from the first on; what was refused stays. Returns how many were taken.
    #[inline]
    pub(crate) fn send(&mut self, burst: &mut Burst) -> usize {
        match self {
            Self::Queue(queue) => queue.send(burst),
            Self::Probes(tap) => answer(tap, burst),
            Self::Through(sender) => sender.send(burst),
            Self::Sink => {
                let count = burst.len();
                burst.clear();
                count
            }
        }
    }

    /// Whether what it takes is on the wire, or still within this process.
    pub(crate) fn is_handover(&self) -> bool {
        matches!(self, Self::Through(_))
    }

    pub(crate) fn flush(&mut self) {
        if let Self::Queue(queue) = self {
            queue.flush();
        }
    }
}

/// Gives the kernel what it has room for; the rest stays.
fn answer(tap: &mut Tap, burst: &mut Burst) -> usize {
    let mut refused = Burst::new();
    let mut taken = 0;
    for frame in burst.drain() {
        if refused.is_empty() && matches!(tap.write(frame.frame()), Ok(true)) {
            taken += 1;
        } else if refused.push(frame).is_err() {
            // As many fit as came from a burst.
            break;
        }
    }
    *burst = refused;
    taken
}

/// The way to the kernel: the twin of an owned port, the reinjection TAP of a shared one.
#[derive(Debug)]
pub(crate) enum KernelSide {
    /// This worker's own.
    Tap(Tap),
    /// The worker that has it.
    Through(Sender),
    /// There is none.
    None,
}

/// What became of a frame for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Punted {
    /// The kernel has it.
    Taken,
    /// Another worker has it.
    HandedOver,
    /// Nobody took it.
    Refused,
}

impl KernelSide {
    pub(crate) fn punt(&mut self, frame: Mbuf) -> Punted {
        match self {
            Self::Tap(tap) => match tap.write(frame.frame()) {
                Ok(true) => Punted::Taken,
                Ok(false) | Err(_) => Punted::Refused,
            },
            Self::Through(sender) => {
                let mut burst = Burst::new();
                let fits = burst.push(frame).is_ok() && sender.send(&mut burst) == 1;
                if fits { Punted::HandedOver } else { Punted::Refused }
            }
            Self::None => Punted::Refused,
        }
    }
}

/// What a worker has at one port.
#[derive(Debug)]
pub(crate) struct PortWays {
    pub(crate) inlets: Vec<Inlet>,
    pub(crate) outlet: Outlet,
    /// Frames on their way out.
    pub(crate) leaving: Burst,
    pub(crate) kernel: KernelSide,
    /// Whether the kernel's frames are taken from its side and sent: on owned ports.
    pub(crate) relays_kernel: bool,
    /// Frames of this port from other workers: of flows that are this worker's …
    pub(crate) handed_over: Option<Receiver>,
    /// … to be sent through this worker's queue …
    pub(crate) to_send: Option<Receiver>,
    /// … and to be given to the kernel.
    pub(crate) to_punt: Option<Receiver>,
    /// To other workers, by number; none at its own.
    pub(crate) owners: Vec<Option<Sender>>,
}
