//! One port's XDP program: loaded, the steering one with its maps, then attached so that it stays.

use std::fmt;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, ProgramInfo, Xdp, XdpMode, loaded_links, loaded_programs};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use tracing::warn;

use super::SteeringError;
use super::maps::{OWN, SHARED};
use crate::kernel::link::Link;

/// Compiled from `dataplane/xdp/steer.c` by the build script.
static STEER: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/steer.o"));

/// From `dataplane/xdp/pass.c`.
static PASS: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/pass.o"));

/// libxdp knows the program that takes AF_XDP sockets by this name.
const STEER_NAME: &str = "xsk_def_prog";
const PASS_NAME: &str = "pst_pass";

/// How long the kernel may take to detach a program whose link nobody holds any more.
const DETACHING: Duration = Duration::from_secs(2);

/// How a program came to run on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It was there, and is the same.
    Kept,
    /// Another version was there; no packet passed between the two.
    Replaced,
    /// In the driver.
    Native,
    /// In the kernel, after the driver: works everywhere, slower.
    Generic,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "the program was there and stays",
            Self::Replaced => "the program was replaced by a newer one",
            Self::Native => "in the driver",
            Self::Generic => "in the kernel, for want of a driver that can",
        })
    }
}

/// A loaded program that waits to be attached.
#[derive(Debug)]
pub(crate) struct PortProgram {
    link: Link,
    ebpf: Ebpf,
    name: &'static str,
}

impl PortProgram {
    /// Loads the program with the maps pinned in `maps_dir`; those that are not there are made and pinned.
    pub(super) fn load(link: &Link, maps_dir: &Path) -> Result<Self, SteeringError> {
        let mut object = EbpfLoader::new();
        // The kernel's own type information is large, and of no use to a program that reads packets only.
        object.btf(None);
        for map in SHARED {
            object.map_pin_path(map, maps_dir.join(map));
        }
        for map in OWN {
            object.map_pin_path(map, maps_dir.join(format!("{}-{map}", pin_name(&link.name))));
        }
        Self::load_object(&mut object, STEER, STEER_NAME, link)
    }

    /// Loads the program that only has to be there.
    pub(super) fn load_pass(link: &Link) -> Result<Self, SteeringError> {
        let mut object = EbpfLoader::new();
        object.btf(None);
        Self::load_object(&mut object, PASS, PASS_NAME, link)
    }

    fn load_object(
        object: &mut EbpfLoader<'_>,
        bytes: &[u8],
        name: &'static str,
        link: &Link,
    ) -> Result<Self, SteeringError> {
        let ebpf = object.load(bytes).map_err(|source| SteeringError::Load {
            interface: link.name.clone(),
            source: Box::new(source),
        })?;
        let mut program = Self { link: link.clone(), ebpf, name };
        let loaded = program.xdp()?.load();
        loaded.map_err(|source| SteeringError::Verify {
            interface: link.name.clone(),
            source: Box::new(source),
        })?;
        Ok(program)
    }

    pub(super) fn interface(&self) -> &str {
        &self.link.name
    }

    /// Attaches the program and pins the attachment at `pin`, unless what is there is the same.
    pub(super) fn attach(mut self, pin: &Path) -> Result<Mode, SteeringError> {
        match (pinned_program(pin)?, self.link.xdp_program) {
            (Some(ours), Some(running)) if ours == running => {
                if self.is_same(running)? {
                    Ok(Mode::Kept)
                } else {
                    self.replace(pin)
                }
            }
            (_, Some(id)) => Err(SteeringError::Foreign { interface: self.link.name, id }),
            (None, None) => self.attach_new(pin),
            // The pin of an interface that went away, and came back under its name.
            (Some(_), None) => {
                detach(pin)?;
                self.attach_new(pin)
            }
        }
    }

    /// Whether the running program has the instructions and the maps of ours.
    fn is_same(&mut self, running: u32) -> Result<bool, SteeringError> {
        let ours = self.xdp()?.info().and_then(|info| identity(&info));
        let theirs = loaded_programs()
            .find(|program| program.as_ref().is_ok_and(|program| program.id() == running))
            .map(|program| program.and_then(|info| identity(&info)));
        match (ours, theirs) {
            (Ok(ours), Some(Ok(theirs))) => Ok(ours == theirs),
            (Ok(_), None) => Ok(false),
            (Err(source), _) | (_, Some(Err(source))) => {
                Err(SteeringError::Verify { interface: self.link.name.clone(), source: Box::new(source) })
            }
        }
    }

    /// Puts the program in the place of the one that runs; the interface is never without.
    fn replace(mut self, pin: &Path) -> Result<Mode, SteeringError> {
        let link = pinned_link(pin)?;
        let link = XdpLink::try_from(link).map_err(|source| link_failed(pin, source))?;
        let replaced = self.xdp()?.attach_to_link(link);
        replaced
            .map(|_| Mode::Replaced)
            .map_err(|source| SteeringError::Replace { interface: self.link.name, source: Box::new(source) })
    }

    fn attach_new(mut self, pin: &Path) -> Result<Mode, SteeringError> {
        let (index, interface) = (self.link.index, self.link.name.clone());
        let program = self.xdp()?;
        let (id, mode) = match program.attach_to_if_index(index, XdpMode::Driver) {
            Ok(id) => (id, Mode::Native),
            Err(native) => {
                let native = reason(&native);
                warn!(interface, "{interface} cannot run the steering program in its driver: {native}");
                let generic = program.attach_to_if_index(index, XdpMode::Skb);
                (generic.map_err(|source| attach_failed(&interface, native, source))?, Mode::Generic)
            }
        };
        let link =
            program.take_link(id).map_err(|source| attach_failed(&interface, String::new(), source))?;
        // Fails on a kernel before 5.9, whose attachments cannot be pinned.
        let link = FdLink::try_from(link).map_err(|source| link_failed(pin, source))?;
        link.pin(pin)
            .map_err(|source| SteeringError::PinLink { path: pin.to_owned(), source: Box::new(source) })?;
        Ok(mode)
    }

    pub(super) fn xdp(&mut self) -> Result<&mut Xdp, SteeringError> {
        self.ebpf
            .program_mut(self.name)
            .and_then(|program| program.try_into().ok())
            .ok_or(SteeringError::NoProgram(self.name))
    }
}

/// The program that the link pinned at `pin` attaches.
fn pinned_program(pin: &Path) -> Result<Option<u32>, SteeringError> {
    if !pin.exists() {
        return Ok(None);
    }
    let info = pinned_link(pin)?.info().map_err(|source| link_failed(pin, source))?;
    Ok(Some(info.program_id()))
}

/// Removes the link pinned at `pin`, and waits until its program is detached: the kernel does that in its own time.
pub(super) fn detach(pin: &Path) -> Result<(), SteeringError> {
    let info = pinned_link(pin)?.info().map_err(|source| link_failed(pin, source))?;
    let (id, program_id) = (info.id(), info.program_id());
    fs::remove_file(pin).map_err(|source| SteeringError::Pins { path: pin.to_owned(), source })?;
    if !gone(|| loaded_links().any(|link| link.is_ok_and(|link| link.id() == id))) {
        return Err(SteeringError::StillAttached(pin.to_owned()));
    }
    // The number of a link is free before its program has left the interface. Somebody else may hold the program: not an error.
    gone(|| loaded_programs().any(|program| program.is_ok_and(|program| program.id() == program_id)));
    Ok(())
}

/// Waits until it is not there any more; says whether that was soon enough.
fn gone(is_there: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + DETACHING;
    while is_there() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(2));
    }
    true
}

fn pinned_link(pin: &Path) -> Result<FdLink, SteeringError> {
    PinnedLink::from_pin(pin).map(FdLink::from).map_err(|source| link_failed(pin, source))
}

fn link_failed(path: &Path, source: LinkError) -> SteeringError {
    SteeringError::Link { path: path.to_owned(), source: Box::new(source) }
}

/// A dot in a name is refused by the BPF file system.
fn pin_name(interface: &str) -> String {
    interface.replace('.', "~")
}

/// The instructions' hash, and the maps in order of their numbers.
fn identity(program: &ProgramInfo) -> Result<(u64, Vec<u32>), ProgramError> {
    let mut maps = program.map_ids()?.unwrap_or_default();
    maps.sort_unstable();
    Ok((program.tag(), maps))
}

fn attach_failed(interface: &str, native: String, source: ProgramError) -> SteeringError {
    SteeringError::Attach { interface: interface.to_owned(), native, source: Box::new(source) }
}

/// An error with its causes, on one line.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
