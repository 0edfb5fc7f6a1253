//! A pool of packet buffers, all of one size.
//!
//! One pool can serve every port. AF_XDP's driver wants more of it than others: it registers the pool's memory with
//! the kernel, as one area that begins at the first buffer and is `buffers × buffer size` long. That only holds for a pool without
//! gaps. Without PCI devices the pool is laid out that way; with them no buffer may cross a page, which leaves gaps, and the
//! few buffers that come to lie behind the area are taken out of use.

use std::ffi::{CString, NulError, c_uint, c_void};
use std::ptr::{self, NonNull};

use dpdk_sys::{rte_mbuf, rte_mempool, rte_pktmbuf_pool_private};
use thiserror::Error;

use crate::eal::{Eal, error_text, last_error};
use crate::{Burst, Mbuf, driver_log};

/// Where packet buffers come from, and where they go back to when they are dropped.
///
/// A copy is another name of the same pool, which lives as long as the process. Threads that are registered
/// ([`crate::register_thread`]) keep a small stock of buffers of their own; all others go to the shared ring each time.
#[derive(Clone, Copy, Debug)]
pub struct Mempool {
    raw: NonNull<rte_mempool>,
    capacity: u32,
}

// SAFETY: DPDK's pools are made for use by many threads: a ring for many producers and consumers, and a stock for each lcore.
unsafe impl Send for Mempool {}
// SAFETY: as above.
unsafe impl Sync for Mempool {}

/// Why there is no pool.
#[derive(Debug, Error)]
pub enum MempoolError {
    /// 1 to 25 characters.
    #[error("`{0}` cannot be the name of a pool")]
    Name(String),
    /// A zero byte in the name.
    #[error("the name of a pool holds a zero byte")]
    NameZero(#[from] NulError),
    /// DPDK allows half of the pool, and at most 512.
    #[error("a stock of {cache} buffers for each thread does not suit a pool of {buffers}")]
    Cache {
        /// What was asked for.
        cache: u32,
        /// The pool.
        buffers: u32,
    },
    /// Mostly: not enough memory.
    #[error("no pool of {buffers} packet buffers, {mib} MiB ({reason}): {log}")]
    Create {
        /// What was asked for.
        buffers: u32,
        /// What that takes.
        mib: u32,
        /// The text of DPDK's error number.
        reason: String,
        /// The end of what it logged.
        log: String,
    },
}

impl Mempool {
    /// The longest frame that fits a buffer of a pool, on every driver but AF_XDP, whose kernel side takes 256 bytes.
    pub const FRAME_ROOM: u16 = 2048;
    /// Free bytes before a frame just received or allocated, for headers to be put in front. AF_XDP leaves 256 more.
    // 128.
    #[allow(clippy::cast_possible_truncation)]
    pub const HEADROOM: u16 = dpdk_sys::RTE_PKTMBUF_HEADROOM as u16;
    /// What a registered thread may keep in stock, if it does not matter.
    pub const DEFAULT_CACHE: u32 = 256;

    /// Makes a pool of `buffers`, of which each registered thread may keep about `cache` in stock.
    pub fn new(eal: Eal, name: &str, buffers: u32, cache: u32) -> Result<Self, MempoolError> {
        if name.is_empty() || name.len() >= NAME_SIZE {
            return Err(MempoolError::Name(name.to_owned()));
        }
        if cache > dpdk_sys::RTE_MEMPOOL_CACHE_MAX_SIZE || u64::from(cache) * 3 / 2 > u64::from(buffers) {
            return Err(MempoolError::Cache { cache, buffers });
        }
        let c_name = CString::new(name)?;
        let (created, log) = driver_log::recorded(|| create(eal, &c_name, buffers, cache));
        let raw = created.map_err(|error| MempoolError::Create {
            buffers,
            mib: mib_of(buffers),
            reason: error_text(error),
            log: driver_log::gist(&log),
        })?;
        let parked = park_unregistrable(raw, buffers);
        Ok(Self { raw, capacity: buffers - parked })
    }

    /// How many buffers fit a piece of memory, some of it left for the drivers' own needs.
    pub fn buffers_in(mib: u32) -> u32 {
        // Descriptor rings, queue states and heap headers: a tenth has always been enough.
        let bytes = u64::from(mib) * 1024 * 1024 / 10 * 9;
        u32::try_from(bytes / u64::from(object_size())).unwrap_or(u32::MAX)
    }

    /// A buffer with an empty frame; `None` if the pool is empty.
    #[inline]
    pub fn alloc(&self) -> Option<Mbuf> {
        // SAFETY: the pool lives as long as the process.
        let raw = NonNull::new(unsafe { dpdk_sys::penstock_mbuf_alloc(self.raw.as_ptr()) })?;
        // SAFETY: it was just taken from the pool, so nobody else has it.
        Some(unsafe { Mbuf::from_raw(raw) })
    }

    /// Appends `count` buffers with empty frames to `burst`; none, and `false`, if the pool has or the burst fits fewer.
    #[inline]
    pub fn alloc_bulk(&self, burst: &mut Burst, count: usize) -> bool {
        let Ok(wanted) = c_uint::try_from(count) else { return false };
        if count > burst.room() {
            return false;
        }
        let pool = self.raw.as_ptr();
        // SAFETY: the pool lives on; DPDK takes `count` buffers from it, for which there are slots, or none at all.
        let allocated = unsafe {
            burst.extend_raw(|slots, _| match dpdk_sys::penstock_mbuf_alloc_bulk(pool, slots, wanted) {
                0 => count,
                _ => 0,
            })
        };
        allocated == count
    }

    /// Buffers that the pool was made with and that can be used.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Free buffers, those in the stocks of threads included. Exact only while nobody allocates or frees.
    pub fn free_count(&self) -> u32 {
        // SAFETY: the pool lives as long as the process; DPDK reads counters.
        unsafe { dpdk_sys::rte_mempool_avail_count(self.raw.as_ptr()) }
    }

    /// Buffers that are frames, or that drivers hold ready for frames.
    pub fn used_count(&self) -> u32 {
        self.capacity.saturating_sub(self.free_count())
    }

    pub(crate) fn as_ptr(&self) -> *mut rte_mempool {
        self.raw.as_ptr()
    }
}

const DATA_ROOM: u16 = Mempool::HEADROOM + Mempool::FRAME_ROOM;
const ELEMENT_SIZE: u32 = size_u32::<rte_mbuf>() + DATA_ROOM as u32;
/// `RTE_MEMPOOL_NAMESIZE`: what a ring's name may have, less the prefix that DPDK puts before it.
const NAME_SIZE: usize = 26;

/// Of small structures.
#[allow(clippy::cast_possible_truncation)]
const fn size_u32<T>() -> u32 {
    size_of::<T>() as u32
}

fn create(eal: Eal, name: &CString, buffers: u32, cache: u32) -> Result<NonNull<rte_mempool>, i32> {
    // A device that reads physical memory cannot read a buffer that crosses pages; the CPU and the kernel can.
    let flags = if eal.drives_pci() { 0 } else { dpdk_sys::RTE_MEMPOOL_F_NO_IOVA_CONTIG };
    let private_size = size_u32::<rte_pktmbuf_pool_private>();
    // SAFETY: the name is a C string, which DPDK copies.
    let raw = unsafe {
        dpdk_sys::rte_mempool_create_empty(
            name.as_ptr(),
            buffers,
            ELEMENT_SIZE,
            cache,
            private_size,
            dpdk_sys::PENSTOCK_SOCKET_ID_ANY,
            flags,
        )
    };
    let pool = NonNull::new(raw).ok_or_else(last_error)?;
    populate(pool).inspect_err(|_| {
        // SAFETY: nobody else has seen this pool.
        unsafe { dpdk_sys::rte_mempool_free(pool.as_ptr()) }
    })?;
    Ok(pool)
}

/// The steps of `rte_pktmbuf_pool_create`, which leaves no room for flags.
fn populate(pool: NonNull<rte_mempool>) -> Result<(), i32> {
    let pool = pool.as_ptr();
    let mut private =
        rte_pktmbuf_pool_private { mbuf_data_room_size: DATA_ROOM, mbuf_priv_size: 0, flags: 0 };
    // SAFETY: the pool is new and this thread's; the private data has the size that it was created with; DPDK copies it.
    unsafe {
        let error = dpdk_sys::rte_mempool_set_ops_byname(pool, c"ring_mp_mc".as_ptr(), ptr::null_mut());
        if error != 0 {
            return Err(error);
        }
        dpdk_sys::rte_pktmbuf_pool_init(pool, (&raw mut private).cast());
        let populated = dpdk_sys::rte_mempool_populate_default(pool);
        if populated < 0 {
            return Err(populated);
        }
        dpdk_sys::rte_mempool_obj_iter(pool, Some(dpdk_sys::rte_pktmbuf_init), ptr::null_mut());
    }
    Ok(())
}

/// Takes the buffers out of use that AF_XDP's driver would not register with the kernel; returns how many.
fn park_unregistrable(pool: NonNull<rte_mempool>, buffers: u32) -> u32 {
    let end = registered_end(pool);
    let taken: Vec<NonNull<rte_mbuf>> = (0..buffers)
        // SAFETY: the pool lives on.
        .map_while(|_| NonNull::new(unsafe { dpdk_sys::penstock_mbuf_alloc(pool.as_ptr()) }))
        .collect();
    let mut parked = 0;
    for mbuf in taken {
        if mbuf.as_ptr() as usize + ELEMENT_SIZE as usize > end {
            parked += 1;
        } else {
            // SAFETY: it was taken above and is given back once.
            unsafe { dpdk_sys::penstock_mbuf_free(mbuf.as_ptr()) };
        }
    }
    parked
}

/// Where `xdp_umem_configure` of DPDK 22.11's AF_XDP driver makes the registered area end.
fn registered_end(pool: NonNull<rte_mempool>) -> usize {
    // SAFETY: a populated pool has at least one piece of memory, and nobody changes a pool after that.
    unsafe {
        let pool = pool.as_ref();
        let first = (*pool.mem_list.stqh_first).addr.cast::<c_void>() as usize;
        first + pool.populated_size as usize * object_size() as usize
    }
}

/// A buffer with the header and the padding that DPDK gives it.
fn object_size() -> u32 {
    // SAFETY: pure arithmetic; null is documented to mean that the parts are not wanted.
    unsafe { dpdk_sys::rte_mempool_calc_obj_size(ELEMENT_SIZE, 0, ptr::null_mut()) }
}

fn mib_of(buffers: u32) -> u32 {
    u32::try_from((u64::from(buffers) * u64::from(object_size())).div_ceil(1024 * 1024)).unwrap_or(u32::MAX)
}
