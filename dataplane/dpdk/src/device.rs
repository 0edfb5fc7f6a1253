//! A device of DPDK's: which driver, with which arguments, and closed when nobody uses it any more.

use std::ffi::{CString, NulError};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::eal::error_text;
use crate::port::PortError;
use crate::{af_packet, driver_log};

/// Who drives a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// `AF_XDP` on an interface that the kernel keeps. What comes here is decided by the XDP program attached to the interface:
    /// libxdp takes one called `xsk_def_prog` with a map `xsks_map`, and attaches its own, which takes all, if there is none.
    AfXdp {
        /// The kernel's interface.
        interface: String,
        /// How frames get from the kernel to us.
        mode: AfXdpMode,
    },
    /// `AF_PACKET` on an interface that the kernel keeps. We get a copy of every received frame, the kernel has them too.
    AfPacket {
        /// The kernel's interface.
        interface: String,
    },
    /// A PCI device, one of those in [`crate::EalConfig::pci`].
    Pci {
        /// As `0000:00:04.0`.
        address: String,
    },
    /// A virtual device of DPDK.
    Vdev {
        /// Driver, number and arguments, as `net_pcap0,iface=eth1`.
        device: String,
    },
}

/// How frames get from the kernel to an `AF_XDP` socket and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfXdpMode {
    /// The kernel copies, and works by itself: the least CPU for each packet, and a poll never sleeps.
    #[default]
    Copy,
    /// Zero copy where the network driver can, and each poll makes the kernel work for up to so many packets. Without such
    /// polls DPDK 22.11 can sleep up to a second in an empty zero-copy queue.
    BusyPoll {
        /// Packets for one poll.
        budget: u16,
    },
}

/// What DPDK's hotplug functions want to hear.
#[derive(Debug)]
struct Vdev {
    name: CString,
    arguments: CString,
}

/// A probed device. Dropped, it is stopped and closed.
#[derive(Debug)]
pub(crate) struct Device {
    port: u16,
    /// Virtual devices are taken away as well.
    vdev: Option<Vdev>,
}

impl Driver {
    /// `AF_XDP` on this interface, in the mode that is best for most.
    pub fn af_xdp(interface: &str) -> Self {
        Self::AfXdp { interface: interface.to_owned(), mode: AfXdpMode::default() }
    }

    /// `AF_PACKET` on this interface.
    pub fn af_packet(interface: &str) -> Self {
        Self::AfPacket { interface: interface.to_owned() }
    }

    /// The kernel's interface that the port shares.
    pub fn shared_interface(&self) -> Option<&str> {
        match self {
            Self::AfXdp { interface, .. } | Self::AfPacket { interface } => Some(interface),
            Self::Pci { .. } | Self::Vdev { .. } => None,
        }
    }

    /// Whether a receive queue and the send queue of its number are one socket.
    pub(crate) fn pairs_queues(&self) -> bool {
        self.shared_interface().is_some()
    }

    /// Finds the device or makes it.
    pub(crate) fn probe(&self, queues: u16) -> Result<Device, PortError> {
        // Devices need different names; a name is never used again.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = || NUMBER.fetch_add(1, Ordering::Relaxed);
        match self {
            Self::AfXdp { interface, mode } => make(
                &format!("net_af_xdp_penstock{}", number()),
                &format!("iface={interface},start_queue=0,queue_count={queues},{}", mode.arguments()),
            ),
            Self::AfPacket { interface } => make(
                &format!("net_af_packet_penstock{}", number()),
                &format!("iface={interface},qpairs={queues},{}", af_packet::ring_arguments()),
            ),
            Self::Vdev { device } => {
                let (name, arguments) = device.split_once(',').unwrap_or((device, ""));
                make(name, arguments)
            }
            Self::Pci { address } => find(address),
        }
    }
}

/// The EAL has probed it when it started.
fn find(address: &str) -> Result<Device, PortError> {
    let missing = || PortError::NoPciDevice { address: address.to_owned() };
    let port = port_number(&CString::new(address)?).ok_or_else(missing)?;
    Ok(Device { port, vdev: None })
}

fn make(name: &str, arguments: &str) -> Result<Device, PortError> {
    let vdev = Vdev::new(name, arguments)?;
    let (code, log) = driver_log::recorded(|| vdev.add());
    match (code, port_number(&vdev.name)) {
        (0, Some(port)) => {
            driver_log::passed_on(&log);
            Ok(Device { port, vdev: Some(vdev) })
        }
        // The name matches no driver.
        (UNPARSED, _) => Err(PortError::NoDriver { device: name.to_owned() }),
        _ => Err(PortError::Probe {
            device: format!("{name},{arguments}"),
            reason: error_text(code),
            log: driver_log::gist(&log),
        }),
    }
}

/// What `rte_devargs_parse` answers when no bus knows the device.
const UNPARSED: i32 = -libc::EFAULT;

impl AfXdpMode {
    fn arguments(self) -> String {
        match self {
            Self::Copy => "busy_budget=0,force_copy=1".to_owned(),
            Self::BusyPoll { budget } => format!("busy_budget={budget}"),
        }
    }
}

impl Device {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // AF_XDP's driver always tries to detach the XDP program, and complains when it is held by a pinned link, as the steering
        // program is: nothing that an operator should read.
        driver_log::recorded(|| {
            // SAFETY: the port was probed and is closed once; its queues hold this device, so that none is in use.
            unsafe {
                dpdk_sys::rte_eth_dev_stop(self.port);
                dpdk_sys::rte_eth_dev_close(self.port);
            }
            if let Some(vdev) = &self.vdev {
                vdev.remove();
            }
        });
    }
}

impl Vdev {
    const BUS: &std::ffi::CStr = c"vdev";

    fn new(name: &str, arguments: &str) -> Result<Self, NulError> {
        Ok(Self { name: CString::new(name)?, arguments: CString::new(arguments)? })
    }

    fn add(&self) -> i32 {
        // SAFETY: three C strings, which DPDK copies.
        unsafe {
            dpdk_sys::rte_eal_hotplug_add(Self::BUS.as_ptr(), self.name.as_ptr(), self.arguments.as_ptr())
        }
    }

    fn remove(&self) {
        // SAFETY: two C strings; a device that is not there is an error that changes nothing.
        unsafe { dpdk_sys::rte_eal_hotplug_remove(Self::BUS.as_ptr(), self.name.as_ptr()) };
    }
}

fn port_number(name: &CString) -> Option<u16> {
    let mut port = 0;
    // SAFETY: a C string, and a number to be written.
    let result = unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &raw mut port) };
    (result == 0).then_some(port)
}
