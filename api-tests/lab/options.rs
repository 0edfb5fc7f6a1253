//! What can be chosen about a lab.

use std::env;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::network::{MANAGEMENT, management_from};
use crate::slot::{SLOTS_FOR_RUN, SLOTS_FOR_TESTS};

/// How the appliance takes packets from its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Sockets into which the steering program redirects what is ours.
    AfXdp,
    /// Sockets that get a copy of everything.
    AfPacket,
    /// Cards of its own, with twins for the kernel. The cards are played by DPDK's plain AF_PACKET driver, on interfaces that
    /// the kernel ignores.
    Owned,
}

/// How the appliance makes the TCP checksum of what it forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// By correcting the received one.
    Incremental,
    /// Anew, over the whole segment.
    Full,
}

/// What can be chosen about a lab.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// How the appliance takes packets from its ports.
    pub driver: Driver,
    /// Whether the appliance's peers leave checksums and segmentation to a network card that is none, as veths do
    /// unless told otherwise.
    pub offload: bool,
    /// How the appliance makes checksums. With offload on, `Full` is the only one that works.
    pub checksum: Checksum,
    /// Whether the lab's networks have IPv6 too. Without, nobody's neighbour discovery is in the counts.
    pub ipv6: bool,
    /// Whether penstockd has a wall clock that can be stepped.
    pub clock: bool,
    /// How many workers forward, on the last cores of the machine.
    pub workers: usize,
    /// The first address of a /24 for the links between the host and its labs.
    pub management: Ipv4Addr,
    /// Which slots of the machine to choose from.
    pub slots: Range<u8>,
    /// The folder with the product's programs.
    pub programs: PathBuf,
}

impl LabOptions {
    /// A lab for a test, with the checksums that suit the peers.
    pub fn for_test(driver: Driver, offload: bool) -> Result<Self> {
        let slots = SLOTS_FOR_TESTS;
        Ok(Self {
            driver,
            offload,
            checksum: suitable(offload),
            ipv6: false,
            clock: false,
            workers: 1,
            management: management()?,
            slots,
            programs: programs()?,
        })
    }

    /// The lab of `make run`, as the environment wants it: `DRIVER`, `OFFLOAD`, `MANAGEMENT`.
    pub fn from_environment() -> Result<Self> {
        let driver = match choice("DRIVER")?.as_deref() {
            None | Some("af_xdp") => Driver::AfXdp,
            Some("af_packet") => Driver::AfPacket,
            Some(other) => bail!("DRIVER is `{other}`: want af_xdp or af_packet"),
        };
        let offload = match choice("OFFLOAD")?.as_deref() {
            None | Some("on") => true,
            Some("off") => false,
            Some(other) => bail!("OFFLOAD is `{other}`: want on or off"),
        };
        Ok(Self { slots: SLOTS_FOR_RUN, ..Self::for_test(driver, offload)? })
    }
}

impl Driver {
    /// Its word in the configuration file.
    pub fn word(self) -> &'static str {
        match self {
            Self::AfXdp => "af_xdp",
            Self::AfPacket => "af_packet",
            Self::Owned => "vdev",
        }
    }
}

impl Driver {
    /// What the configuration file says of one of the ports, which are called after their interface without its number.
    pub(crate) fn of_port(self, number: usize, port: &str) -> String {
        let word = self.word();
        match self {
            Self::AfXdp | Self::AfPacket => format!("{{ {word} = {{ interface = \"{port}0\" }} }}"),
            Self::Owned => {
                let device = format!("net_af_packet{number},iface={port}0");
                format!("{{ {word} = {{ device = \"{device}\", twin = \"{port}\" }} }}")
            }
        }
    }
}

impl Checksum {
    /// Its word in the configuration file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Full => "full",
        }
    }
}

fn suitable(offload: bool) -> Checksum {
    if offload { Checksum::Full } else { Checksum::Incremental }
}

fn management() -> Result<Ipv4Addr> {
    choice("MANAGEMENT")?.map_or(Ok(MANAGEMENT), |text| management_from(&text))
}

/// Beside the running program; a test's is one folder deeper. Or where `PENSTOCK_PROGRAMS` says.
fn programs() -> Result<PathBuf> {
    if let Some(folder) = choice("PENSTOCK_PROGRAMS")? {
        return Ok(PathBuf::from(folder));
    }
    let own = env::current_exe().context("cannot tell where this program is")?;
    let folder = own.parent().context("this program is in no folder")?;
    Ok(if folder.ends_with("deps") { folder.join("..") } else { folder.to_owned() })
}

/// A variable of the environment; an empty one is as good as none.
fn choice(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).context(name.to_owned()),
    }
}
