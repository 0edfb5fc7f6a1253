//! How every frame ends.

use std::net::IpAddr;

use lb_model::counters::DropReason;

/// A port of the plane, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortIndex(pub u8);

/// A neighbour that a frame waits for: an address on the network of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Awaited {
    /// The port.
    pub port: PortIndex,
    /// The address.
    pub address: IpAddr,
}

/// How a frame ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is rewritten and leaves through this port.
    Send(PortIndex),
    /// It has become an answer to its sender, and leaves through this port.
    Reply(PortIndex),
    /// It is the kernel's: through the twin of an owned port, or the reinjection TAP of a shared one.
    Punt,
    /// It is rewritten but for its Ethernet addresses, and waits for a neighbour.
    Hold(Awaited),
    /// It belongs to a flow of this worker.
    Handoff(u16),
    /// It was taken in: what it brought comes again, or is not needed any more.
    Consume,
    /// It ends here.
    Drop(DropReason),
}
