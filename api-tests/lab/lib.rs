//! The lab: a small network on this machine, made of network namespaces, in which the product runs as on real wires.
//!
//! A client, the appliance with its four processes, and two members with real HTTP servers; see
//! [`network`] for who is connected to whom. `make run` shows the product in it, the end-to-end tests test it there. The lab
//! is the appliance's init system as well: it starts the processes, and starts again those that die.
//!
//! It knows the product as an administrator does: by its programs, its configuration file, its API and its
//! packets. It links none of its crates.

mod api;
mod appliance;
mod certificate;
mod clock;
mod command;
mod decapsulator;
mod flood;
mod hugepages;
mod members;
mod namespace;
pub mod network;
mod options;
mod slot;
pub mod supervisor;
mod traffic;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

pub use api::{Api, Reply, in_a_year};
pub use appliance::Appliance;
pub use certificate::Certificate;
pub use decapsulator::Decapsulator;
pub use flood::Flood;
pub use members::{BIG_BYTES, Member};
pub use namespace::Namespace;
pub use options::{Checksum, Driver, LabOptions};
pub use supervisor::Supervised;
pub use traffic::{Answer, Download, Resets};

use slot::{ROLES, Role, Slot};

/// How many huge pages of 2 MiB an appliance takes: for packet buffers, flows, and what DPDK itself needs.
const HUGE_PAGES: u32 = 256;

/// A running lab. Dropping it removes all of it.
pub struct Lab {
    // Dropped in this order: the slot removes what is left, so it goes last.
    appliance: Option<Appliance>,
    members: Vec<Member>,
    big_sha256: String,
    in_huge_pages: bool,
    slot: Slot,
}

impl Lab {
    /// The network with the product in it, ready to be claimed.
    pub fn start(options: &LabOptions) -> Result<Self> {
        Self::start_with_progress(options, &mut |_| Ok(()))
    }

    /// The same, telling of each step before it is taken; an error from `progress` ends it.
    pub fn start_with_progress(
        options: &LabOptions,
        progress: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Self> {
        let mut lab = Self::network_with_progress(options, progress)?;
        progress("Reserving huge pages")?;
        let huge = hugepages::take(&lab.slot.folder(), HUGE_PAGES)?;
        lab.in_huge_pages = huge.is_some();
        let flow_dir = huge.unwrap_or_else(|| lab.slot.folder().join("flows"));
        fs::create_dir_all(&flow_dir).with_context(|| format!("cannot make {}", flow_dir.display()))?;
        lab.appliance = Some(Appliance::start(&lab.slot, options, &flow_dir, progress)?);
        Ok(lab)
    }

    /// Only the network and the members: where the appliance will be is a machine with three addresses.
    pub fn network(options: &LabOptions) -> Result<Self> {
        Self::network_with_progress(options, &mut |_| Ok(()))
    }

    fn network_with_progress(
        options: &LabOptions,
        progress: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("the lab makes network namespaces, which only root may: run it as root");
        }
        progress("Removing what a killed lab may have left")?;
        let swept = slot::sweep(options.management)?;
        if swept > 0 {
            progress(&format!("Removed {swept} killed lab(s)"))?;
        }
        let slot = Slot::take(options.slots.clone(), options.management)?;
        let logs = slot.folder().join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        progress("Making the network: client, appliance, two members")?;
        network::build(&slot, options.offload)?;
        if options.ipv6 {
            network::add_ipv6(&slot)?;
        }
        for role in ROLES {
            traffic::count_resets(&slot.namespace(role))?;
        }
        progress("Starting the members' web servers")?;
        let big = slot.folder().join("big");
        let big_sha256 = members::write_big(&big)?;
        let members = [1, 2].map(|number| Member::start(&slot, number, &big));
        let members = members.into_iter().collect::<Result<Vec<_>>>()?;
        members.iter().try_for_each(Member::await_ready)?;
        Ok(Self { appliance: None, members, big_sha256, in_huge_pages: false, slot })
    }

    /// The product.
    ///
    /// # Panics
    /// In a lab that was made without it.
    pub fn appliance(&self) -> &Appliance {
        match &self.appliance {
            Some(appliance) => appliance,
            None => panic!("this lab was made without the product"),
        }
    }

    /// The client, in the front network.
    pub fn client(&self) -> Namespace {
        self.slot.namespace(Role::Client)
    }

    /// A client one hop further away.
    pub fn far_client(&self) -> Namespace {
        self.slot.namespace(Role::Far)
    }

    /// The namespace of the switch in the back network, which is a host there once it is given an address.
    pub fn switch(&self) -> Namespace {
        self.slot.namespace(Role::Switch)
    }

    /// Starts another layer-7 plane that takes over; the one before is returned, and ends by itself.
    pub fn renew_l7(&mut self) -> anyhow::Result<Supervised> {
        self.appliance.as_mut().context("there is no appliance in this lab")?.renew_l7()
    }

    /// The appliance's namespace.
    pub fn appliance_namespace(&self) -> Namespace {
        self.slot.namespace(Role::Appliance)
    }

    /// The members, in their order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Where everything that it writes is, until it ends.
    pub fn folder(&self) -> PathBuf {
        self.slot.folder()
    }

    /// The checksum of what the members serve at `/big`.
    pub fn big_sha256(&self) -> &str {
        &self.big_sha256
    }

    /// Whether the flow tables are in huge pages; else the machine had none to give.
    pub fn in_huge_pages(&self) -> bool {
        self.in_huge_pages
    }

    /// TCP resets seen so far at both ends of the connections.
    pub fn resets(&self) -> Result<Resets> {
        let ends = [Role::Client, Role::Far, Role::Member(1), Role::Member(2)];
        ends.into_iter().map(|role| traffic::resets(&self.slot.namespace(role))).sum()
    }

    /// The last lines of every log, for a test that failed.
    pub fn ends_of_logs(&self) -> String {
        let processes = self.appliance.iter().flat_map(|it| [&it.host, &it.l4, &it.penstockd]);
        processes.map(supervisor::Supervised::end_of_log).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.ends_of_logs());
        }
    }
}
