//! The XDP programs of shared ports: loads `dataplane/xdp/steer.c` onto the interface of each AF_XDP port and keeps its maps;
//! `pass.c` onto that of each AF_PACKET port.
//!
//! Everything is pinned in the appliance's `bpf_dir`, so that it outlives both this process and penstock-l4:
//!
//! ```text
//! front0-link                 the program's attachment to the interface front0
//! maps-v5/services, service_ranges, service_addrs, members, member_ranges, member_addrs, locals, local_addrs
//!                             shared by all ports; those of IPv6 end in 6
//! maps-v5/front0-xsks_map, front0-counters             of that port
//! ```
//!
//! A started process finds its pins again and changes nothing that is in order. penstock-l4 is not asked and knows none of
//! these paths: libxdp finds the program by its name and the sockets' map through the program.

mod attach;
mod bpffs;
pub(crate) mod locals;
mod maps;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use aya::EbpfError;
use aya::maps::MapError;
use aya::pin::PinError;
use aya::programs::ProgramError;
use aya::programs::links::LinkError;
use thiserror::Error;
use tracing::info;

use crate::kernel::link::Link;
use crate::kernel::netlink::NetlinkError;
use crate::plan::Tables;

use attach::PortProgram;
pub(crate) use bpffs::remove_all;
use maps::SharedMaps;

/// Why packets cannot be steered.
#[derive(Debug, Error)]
pub(crate) enum SteeringError {
    #[error("cannot make {path} a directory of a BPF file system")]
    BpfDir { path: PathBuf, source: io::Error },
    #[error("cannot read or change what is pinned in {path}")]
    Pins { path: PathBuf, source: io::Error },
    #[error("cannot load the steering program for `{interface}`")]
    Load { interface: String, source: Box<EbpfError> },
    #[error("the kernel does not accept the steering program for `{interface}`")]
    Verify { interface: String, source: Box<ProgramError> },
    #[error("the steering program has no function `{0}`")]
    NoProgram(&'static str),
    #[error(
        "`{interface}` already runs the XDP program {id}, which is not ours: remove it with `ip link set dev {interface} \
         xdp off`, or use another interface"
    )]
    Foreign { interface: String, id: u32 },
    #[error("cannot attach the steering program to `{interface}`: native mode: {native}")]
    Attach { interface: String, native: String, source: Box<ProgramError> },
    #[error("cannot replace the steering program on `{interface}`")]
    Replace { interface: String, source: Box<ProgramError> },
    #[error("cannot use the steering link {path}")]
    Link { path: PathBuf, source: Box<LinkError> },
    #[error("cannot pin the steering link {path}")]
    PinLink { path: PathBuf, source: Box<PinError> },
    #[error("the kernel keeps the steering program attached although its link {0} is gone")]
    StillAttached(PathBuf),
    #[error("cannot use the steering map `{map}`")]
    Map { map: &'static str, source: Box<MapError> },
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

/// Puts the program that only passes onto each of these interfaces. A driver without XDP goes without: its card's frames are
/// as large as the kernel's settings for it allow.
pub(crate) fn pass(
    bpf_dir: &Path,
    interfaces: &[Link],
    pin: impl Fn(&str) -> PathBuf,
) -> Result<(), SteeringError> {
    if interfaces.is_empty() {
        return Ok(());
    }
    bpffs::prepare(bpf_dir)?;
    for link in interfaces {
        let mode = PortProgram::load_pass(link)?.attach(&pin(&link.name))?;
        let interface = &link.name;
        info!(interface, "passing what {interface} receives as it was on the wire: {mode}");
    }
    Ok(())
}

/// Detaches the programs of all interfaces but those that `pins` are of.
pub(crate) fn remove_unused(bpf_dir: &Path, pins: &[PathBuf]) -> Result<(), SteeringError> {
    bpffs::remove_unused(bpf_dir, pins, &maps::directory(bpf_dir))
}

/// The steering of all AF_XDP ports of the appliance.
#[derive(Debug)]
pub(crate) struct Steering {
    bpf_dir: PathBuf,
    maps: SharedMaps,
    programs: Vec<PortProgram>,
}

impl Steering {
    /// Loads the program for each interface, with the maps that are pinned or new ones; attaches nothing yet.
    pub(crate) fn load(bpf_dir: &Path, interfaces: &[Link]) -> Result<Self, SteeringError> {
        bpffs::prepare(bpf_dir)?;
        let maps_dir = maps::directory(bpf_dir);
        bpffs::make_dir(&maps_dir)?;
        let programs =
            interfaces.iter().map(|link| PortProgram::load(link, &maps_dir)).collect::<Result<_, _>>()?;
        Ok(Self { bpf_dir: bpf_dir.to_owned(), maps: SharedMaps::open(&maps_dir)?, programs })
    }

    /// Attaches each program, or leaves the one that is there if it is the same. The maps should be full by now.
    pub(crate) fn attach(&mut self, pin: impl Fn(&str) -> PathBuf) -> Result<(), SteeringError> {
        for program in self.programs.drain(..) {
            let interface = program.interface().to_owned();
            let mode = program.attach(&pin(&interface))?;
            info!(interface, "steering {interface}: {mode}");
        }
        Ok(())
    }

    /// Steers also what is new in `tables`.
    pub(crate) fn grow(&mut self, tables: &Tables) -> Result<(), SteeringError> {
        self.maps.grow(tables)
    }

    /// Steers nothing any more that is not in `tables`.
    pub(crate) fn shrink(&mut self, tables: &Tables) -> Result<(), SteeringError> {
        self.maps.shrink(tables)
    }

    /// The map of this host's addresses, for the thread that keeps it.
    pub(crate) fn locals(&self) -> Result<locals::Locals, SteeringError> {
        locals::Locals::open(&maps::directory(&self.bpf_dir))
    }
}
