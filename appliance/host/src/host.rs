//! The host as a whole: ports prepared at the start, then one plan after the other.
//!
//! In a change, packets are steered away from the kernel before it holds their address, and it gives up an address before
//! its packets are no longer steered: at no time does the kernel answer for a service.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;

use lb_model::config::{ApplianceConfig, PortConfig, PortDriver};
use lb_model::{Generation, HostPlan, probes};
use thiserror::Error;
use tracing::{info, warn};

use crate::kernel::address::HeldAddress;
use crate::kernel::garp;
use crate::kernel::link::Link;
use crate::kernel::netlink::{Netlink, NetlinkError};
use crate::kernel::offload;
use crate::kernel::queues;
use crate::kernel::sysctl::{self, SysctlError};
use crate::kernel::tap::{self, TapError};
use crate::nft::{self, Nft, NftError};
use crate::placement::Placement;
use crate::plan::{Plan, PlanError, Tables};
use crate::state::{State, StateError};
use crate::steering::{self, Steering, SteeringError};

/// Why the host is not as it should be.
#[derive(Debug, Error)]
pub(crate) enum HostError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    #[error(transparent)]
    Tap(#[from] TapError),
    #[error(transparent)]
    Steering(#[from] SteeringError),
    #[error(transparent)]
    Nft(#[from] NftError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("cannot start the thread that follows this host's addresses")]
    Thread(#[source] io::Error),
    #[error("the plan has addresses to hold, and the configuration has no port to hold them on")]
    NoPorts,
}

/// The prepared host.
#[derive(Debug)]
pub(crate) struct Host {
    config: Arc<ApplianceConfig>,
    state: State,
    netlink: Netlink,
    /// None without AF_XDP ports.
    steering: Option<Steering>,
    /// None without AF_PACKET ports.
    nft: Option<Nft>,
}

impl Host {
    /// Prepares every port, so that packets of the last plan are steered before anything else happens to them.
    pub(crate) fn prepare(config: Arc<ApplianceConfig>) -> Result<Self, HostError> {
        let state = State::at(&config.state_dir);
        let tables = last_tables(&state);
        let mut netlink = Netlink::open()?;
        prepare_interfaces(&mut netlink, &config)?;
        let steering = prepare_steering(&mut netlink, &config, tables.as_ref())?;
        prepare_passing(&mut netlink, &config)?;
        remove_unused_programs(&config)?;
        let nft = prepare_nft(&config, tables.unwrap_or_default())?;
        Ok(Self { config, state, netlink, steering, nft })
    }

    /// Applies the plan that was kept last, if there is one.
    pub(crate) fn resume(&mut self) -> Result<Option<(Generation, Vec<IpAddr>)>, HostError> {
        let Some(plan) = self.state.load()? else { return Ok(None) };
        let generation = plan.generation;
        Ok(Some((generation, self.put_in_force(&plan.try_into()?)?)))
    }

    /// Makes the host what `plan` says, and keeps it. Tells which addresses no port's network holds.
    pub(crate) fn apply(&mut self, plan: &HostPlan) -> Result<Vec<IpAddr>, HostError> {
        let checked = Plan::try_from(plan.clone())?;
        // Kept first: what fails below is tried again at the next start too.
        self.state.keep(plan)?;
        self.put_in_force(&checked)
    }

    fn put_in_force(&mut self, plan: &Plan) -> Result<Vec<IpAddr>, HostError> {
        let ports = self.port_links()?;
        if ports.is_empty() && !plan.addresses.is_empty() {
            return Err(HostError::NoPorts);
        }
        let indexes: Vec<_> = ports.iter().map(|link| link.index).collect();
        let placement = Placement::of(&plan.addresses, &self.netlink.addresses()?, &indexes);

        self.grow(&plan.tables)?;
        for address in &placement.add {
            self.netlink.add_address(address)?;
        }
        announce(&ports, &placement.add);
        for address in &placement.remove {
            self.netlink.remove_address(address)?;
        }
        self.shrink(&plan.tables)?;
        log(plan, &placement);
        Ok(placement.off_link)
    }

    fn port_links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let ports = &self.config.ports;
        ports.iter().map(|port| self.netlink.link(port.driver.kernel_interface())).collect()
    }

    fn grow(&mut self, tables: &Tables) -> Result<(), HostError> {
        if let Some(steering) = &mut self.steering {
            steering.grow(tables)?;
        }
        if let Some(nft) = &mut self.nft {
            nft.grow(tables)?;
        }
        Ok(())
    }

    fn shrink(&mut self, tables: &Tables) -> Result<(), HostError> {
        if let Some(steering) = &mut self.steering {
            steering.shrink(tables)?;
        }
        if let Some(nft) = &mut self.nft {
            nft.shrink(tables)?;
        }
        Ok(())
    }
}

/// What the last plan steers; a plan that cannot be read is told when it is resumed.
fn last_tables(state: &State) -> Option<Tables> {
    let plan = Plan::try_from(state.load().ok()??).ok()?;
    Some(plan.tables)
}

/// Interfaces up, TAPs made, settings set.
fn prepare_interfaces(netlink: &mut Netlink, config: &ApplianceConfig) -> Result<(), HostError> {
    let mut ours = Vec::new();
    for (index, port) in config.ports.iter().enumerate() {
        let interface = port.driver.kernel_interface();
        if port.driver.is_shared() {
            let shared = netlink.link(interface)?;
            ours.push(prepare_reinjection(netlink, &ApplianceConfig::reinject_tap(index), &shared)?);
        } else {
            tap::ensure(netlink, interface)?;
        }
        sysctl::prepare_port(interface)?;
        let link = netlink.link(interface)?;
        netlink.set_up(&link)?;
        ours.push(interface.to_owned());
    }
    ours.push(prepare_probes(netlink)?);
    let all: Vec<_> = netlink.links()?.into_iter().map(|link| link.name).collect();
    Ok(sysctl::prepare_host(&all, &ours)?)
}

/// The TAP through which frames of `shared` come back. It has the same address, so that the kernel takes them for its own.
fn prepare_reinjection(netlink: &mut Netlink, name: &str, shared: &Link) -> Result<String, HostError> {
    let tap = tap::ensure(netlink, name)?;
    sysctl::prepare_reinjection(name)?;
    if let Some(mac) = shared.mac.filter(|mac| tap.mac != Some(*mac)) {
        netlink.set_mac(&tap, mac)?;
    }
    netlink.set_up(&tap)?;
    Ok(name.to_owned())
}

/// The TAP by which checks travel as clients' packets do: the networks behind it are places where nobody is.
fn prepare_probes(netlink: &mut Netlink) -> Result<String, HostError> {
    let name = ApplianceConfig::PROBE_TAP;
    let tap = tap::ensure(netlink, name)?;
    let has_ipv6 = sysctl::prepare_probes(name)?;
    netlink.set_up_without_arp(&tap)?;
    for (address, len) in probes::OWN.into_iter().filter(|(address, _)| address.is_ipv4() || has_ipv6) {
        netlink.set_address(&tap, address, len)?;
    }
    Ok(name.to_owned())
}

fn prepare_steering(
    netlink: &mut Netlink,
    config: &ApplianceConfig,
    tables: Option<&Tables>,
) -> Result<Option<Steering>, HostError> {
    let interfaces = interfaces(config, |driver| matches!(driver, PortDriver::AfXdp { .. }));
    if interfaces.is_empty() {
        return Ok(None);
    }
    config.ports.iter().for_each(warn_of_lost_queues);
    let links: Vec<_> = interfaces.iter().map(|name| netlink.link(name)).collect::<Result<_, _>>()?;
    let mut steering = Steering::load(&config.bpf_dir, &links)?;
    let mut locals = steering.locals()?;
    locals.refresh()?;
    thread::Builder::new()
        .name("locals".to_owned())
        .spawn(move || locals.follow())
        .map_err(HostError::Thread)?;
    if let Some(tables) = tables {
        steering.grow(tables)?;
    }
    steering.attach(|interface| config.steering_link(interface))?;
    Ok(Some(steering))
}

/// AF_PACKET takes frames after the kernel has joined them: it must not.
fn prepare_passing(netlink: &mut Netlink, config: &ApplianceConfig) -> Result<(), HostError> {
    let interfaces = interfaces(config, |driver| matches!(driver, PortDriver::AfPacket { .. }));
    let links: Vec<_> = interfaces.iter().map(|name| netlink.link(name)).collect::<Result<_, _>>()?;
    for link in &links {
        offload::stop_joining(&link.name);
    }
    Ok(steering::pass(&config.bpf_dir, &links, |interface| config.steering_link(interface))?)
}

/// Programs on interfaces that are no shared ports any more.
fn remove_unused_programs(config: &ApplianceConfig) -> Result<(), SteeringError> {
    let shared = interfaces(config, PortDriver::is_shared);
    if shared.is_empty() {
        return steering::remove_all(&config.bpf_dir);
    }
    let pins: Vec<_> = shared.iter().map(|interface| config.steering_link(interface)).collect();
    steering::remove_unused(&config.bpf_dir, &pins)
}

/// The steering program finds no socket for the packets of a queue that nobody takes, and drops what is ours of them.
fn warn_of_lost_queues(port: &PortConfig) {
    let PortDriver::AfXdp { interface } = &port.driver else { return };
    let Some(there) = queues::receive_queues(interface) else { return };
    let taken = port.queues;
    if there > taken {
        warn!(
            interface,
            "{interface} receives on {there} queues and the port `{}` takes {taken}, so that packets are lost: set its \
             `queues` to {there}, or run `ethtool -L {interface}` for fewer",
            port.name
        );
    }
}

fn prepare_nft(config: &ApplianceConfig, tables: Tables) -> Result<Option<Nft>, NftError> {
    let interfaces = interfaces(config, |driver| matches!(driver, PortDriver::AfPacket { .. }));
    if interfaces.is_empty() {
        return Ok(None);
    }
    Nft::install(interfaces, tables).map(Some)
}

fn interfaces(config: &ApplianceConfig, wanted: impl Fn(&PortDriver) -> bool) -> Vec<String> {
    let drivers = config.ports.iter().map(|port| &port.driver);
    drivers.filter(|driver| wanted(driver)).map(|driver| driver.kernel_interface().to_owned()).collect()
}

/// Tells the network where the addresses are now. A host that misses it asks again when its entry has aged.
fn announce(ports: &[Link], added: &[HeldAddress]) {
    let mut by_interface: BTreeMap<u32, Vec<IpAddr>> = BTreeMap::new();
    for held in added {
        by_interface.entry(held.interface).or_default().push(held.address);
    }
    for port in ports {
        let Some(addresses) = by_interface.get(&port.index) else { continue };
        if let Err(error) = garp::announce(port, addresses) {
            let interface = &port.name;
            warn!(interface, "cannot announce {} new addresses on {interface}: {error}", addresses.len());
        }
    }
}

fn log(plan: &Plan, placement: &Placement) {
    info!(
        generation = plan.generation.0,
        "generation {}: {} addresses held ({} added, {} removed), {} services and {} members steered",
        plan.generation,
        plan.addresses.len(),
        placement.add.len(),
        placement.remove.len(),
        plan.tables.services.len(),
        plan.tables.members.len(),
    );
}

/// Removes everything that any process like this one ever made here. What is not there is not missed.
pub(crate) fn clean_up(config: &ApplianceConfig) -> Result<(), HostError> {
    let mut netlink = Netlink::open()?;
    // Addresses first: from here on the kernel answers for nothing that is ours.
    for address in netlink.addresses()?.iter().filter(|held| held.ours) {
        netlink.remove_address(address)?;
    }
    steering::remove_all(&config.bpf_dir)?;
    nft::remove()?;
    tap::remove_ours(&mut netlink)?;
    Ok(State::at(&config.state_dir).remove()?)
}
