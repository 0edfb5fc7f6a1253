//! What drivers count.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;

use dpdk_sys::{rte_eth_stats, rte_eth_xstat, rte_eth_xstat_name};

/// What every driver counts, since the port was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames lost because nobody took them in time.
    pub rx_missed: u64,
    /// Frames that arrived broken.
    pub rx_errors: u64,
    /// Times that there was no packet buffer for a frame.
    pub rx_no_buffer: u64,
    /// Frames sent.
    pub tx_packets: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
}

/// One of a driver's own counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedStat {
    /// As the driver calls it, such as `rx_q0_packets`.
    pub name: String,
    /// Its value.
    pub value: u64,
}

/// The port must be open; an error is DPDK's number.
pub(crate) fn basic(port: u16) -> Result<PortStats, i32> {
    let mut stats = MaybeUninit::<rte_eth_stats>::zeroed();
    // SAFETY: DPDK checks the port and fills in the numbers.
    let code = unsafe { dpdk_sys::rte_eth_stats_get(port, stats.as_mut_ptr()) };
    if code < 0 {
        return Err(code);
    }
    // SAFETY: numbers, which may all be zero.
    let stats = unsafe { stats.assume_init() };
    Ok(PortStats {
        rx_packets: stats.ipackets,
        rx_bytes: stats.ibytes,
        rx_missed: stats.imissed,
        rx_errors: stats.ierrors,
        rx_no_buffer: stats.rx_nombuf,
        tx_packets: stats.opackets,
        tx_bytes: stats.obytes,
        tx_errors: stats.oerrors,
    })
}

/// The port must be open; an error is DPDK's number.
pub(crate) fn extended(port: u16) -> Result<Vec<ExtendedStat>, i32> {
    // SAFETY: DPDK checks the port; null asks for the number of counters.
    let count = unsafe { dpdk_sys::rte_eth_xstats_get_names(port, ptr::null_mut(), 0) };
    let count = u32::try_from(count).map_err(|_| count)?;
    let mut names = vec![rte_eth_xstat_name { name: [0; 64] }; count as usize];
    let mut values = vec![rte_eth_xstat { id: 0, value: 0 }; count as usize];
    // SAFETY: both tables have `count` places; DPDK fills them in if they are enough, and says how many it needs.
    let (name_count, value_count) = unsafe {
        (
            dpdk_sys::rte_eth_xstats_get_names(port, names.as_mut_ptr(), count),
            dpdk_sys::rte_eth_xstats_get(port, values.as_mut_ptr(), count),
        )
    };
    if name_count < 0 || value_count < 0 {
        return Err(name_count.min(value_count));
    }
    let stat = |value: &rte_eth_xstat| {
        let name = names.get(usize::try_from(value.id).ok()?)?;
        // SAFETY: DPDK ends the name with a zero within its 64 bytes.
        let name = unsafe { CStr::from_ptr(name.name.as_ptr()) }.to_string_lossy().into_owned();
        Some(ExtendedStat { name, value: value.value })
    };
    Ok(values.iter().filter_map(stat).collect())
}
