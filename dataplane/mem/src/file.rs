//! The flow file: mapped by one process at a time, kept by the kernel when that process dies.

use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use rustix::fs::FlockOperation;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use thiserror::Error;

use crate::layout::{Bucket, Conn, Header, LAYOUT_VERSION, NOBODY, SLOTS};

const MAGIC: u64 = u64::from_le_bytes(*b"penstflo");
const HUGE_PAGE: usize = 2 << 20;
const HEADER_SPACE: usize = 4096;

/// Why there is no flow file.
#[derive(Debug, Error)]
pub enum FlowFileError {
    /// The file could not be made or opened.
    #[error("cannot open the flow file {path}")]
    Open {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process forwards by it.
    #[error("the flow file {0} is in use by another process")]
    Busy(PathBuf),
    /// There is not enough memory.
    #[error("cannot map {bytes} bytes for flows (on hugetlbfs: reserve {} more huge pages of 2 MiB)", bytes.div_ceil(HUGE_PAGE))]
    Map {
        /// How much.
        bytes: usize,
        /// Why.
        source: io::Error,
    },
}

/// Where the content of a flow file came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is empty.
    Fresh,
    /// A process before this one left it.
    Attached,
}

/// The mapped file: a header, an index and the entries.
#[derive(Debug)]
pub struct FlowFile {
    base: NonNull<u8>,
    bytes: NonZeroUsize,
    bucket_count: usize,
    capacity: usize,
    /// Holds the lock that keeps other processes out.
    _lock: Option<File>,
}

// SAFETY: the mapping belongs to this value alone: the lock keeps other processes out, and `parts` borrows it
// exclusively; nothing in it is tied to the thread that mapped it.
unsafe impl Send for FlowFile {}

/// The three parts of a flow file.
#[derive(Debug)]
pub struct FlowParts<'file> {
    /// The first page.
    pub header: &'file mut Header,
    /// The index; a power of two of buckets.
    pub buckets: &'file mut [Bucket],
    /// The entries.
    pub conns: &'file mut [Conn],
}

impl FlowFile {
    /// Attaches the file at `path` if it has room for exactly `capacity` connections, is of this layout and of this
    /// `boot` (times in it are since boot); else makes a new one in its place.
    pub fn open(
        path: &Path,
        capacity: u32,
        boot: [u8; 16],
        secret: [u64; 2],
    ) -> Result<(Self, Origin), FlowFileError> {
        let failed = |source| FlowFileError::Open { path: path.to_owned(), source };
        if let Some(file) = open_existing(path).map_err(failed)? {
            lock(&file, path)?;
            let right_size = file.metadata().map_err(failed)?.len() == file_bytes(capacity) as u64;
            if right_size {
                let mapped = Self::map(Some(file), capacity)?;
                if mapped.header().fits(capacity, boot) {
                    return Ok((mapped, Origin::Attached));
                }
            }
            std::fs::remove_file(path).map_err(failed)?;
        }
        let file = create(path, file_bytes(capacity) as u64).map_err(failed)?;
        lock(&file, path)?;
        let mut fresh = Self::map(Some(file), capacity)?;
        fresh.initialise(boot, secret);
        Ok((fresh, Origin::Fresh))
    }

    /// A table that nobody can attach: for tests and measurements.
    pub fn anonymous(capacity: u32, secret: [u64; 2]) -> Result<Self, FlowFileError> {
        let mut fresh = Self::map(None, capacity)?;
        fresh.initialise([0; 16], secret);
        Ok(fresh)
    }

    fn map(file: Option<File>, capacity: u32) -> Result<Self, FlowFileError> {
        let total = file_bytes(capacity);
        let failed = |errno: rustix::io::Errno| FlowFileError::Map { bytes: total, source: errno.into() };
        let bytes = NonZeroUsize::new(total).ok_or_else(|| failed(rustix::io::Errno::INVAL))?;
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let base = unsafe {
            match &file {
                Some(file) => {
                    rustix::mm::mmap(std::ptr::null_mut(), total, access, MapFlags::SHARED, file, 0)
                }
                None => rustix::mm::mmap_anonymous(std::ptr::null_mut(), total, access, MapFlags::PRIVATE),
            }
        }
        .map_err(failed)?;
        let base = NonNull::new(base.cast::<u8>()).ok_or_else(|| failed(rustix::io::Errno::FAULT))?;
        // Refused on hugetlbfs, whose pages are huge already, and on file systems without them: only speed is at stake.
        // SAFETY: the range was mapped just above; the advice changes page sizes, not content.
        let _ = unsafe { rustix::mm::madvise(base.as_ptr().cast(), total, Advice::LinuxHugepage) };
        let (bucket_count, capacity) = (bucket_count(capacity), capacity as usize);
        Ok(Self { base, bytes, bucket_count, capacity, _lock: file })
    }

    fn initialise(&mut self, boot: [u8; 16], secret: [u64; 2]) {
        let (capacity, bucket_count) = (self.capacity, self.bucket_count);
        let header = self.parts().header;
        header.version = LAYOUT_VERSION;
        header.capacity = u32::try_from(capacity).unwrap_or(NOBODY);
        header.bucket_count = u32::try_from(bucket_count).unwrap_or(NOBODY);
        header.boot = boot;
        header.secret = secret;
        header.in_doubt = NOBODY;
        header.untouched = 0;
        header.live = 0;
        // Last, so that a file that was left half made is not attached.
        header.magic = MAGIC;
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping is at least HEADER_SPACE bytes, page aligned, lives as long as self, and any bytes are a Header.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    /// The parts of the file.
    #[inline]
    pub fn parts(&mut self) -> FlowParts<'_> {
        let index = HEADER_SPACE;
        let entries = index + self.bucket_count * size_of::<Bucket>();
        // SAFETY: `file_bytes` made room for the three parts one after the other, each aligned to 64 bytes because the
        // base is page aligned and all sizes are multiples of 64; they do not overlap; any bytes are valid values of their
        // plain integer fields; `&mut self` makes the borrow exclusive, and the file lock keeps other processes out.
        unsafe {
            FlowParts {
                header: self.base.cast::<Header>().as_mut(),
                buckets: std::slice::from_raw_parts_mut(
                    self.base.add(index).cast::<Bucket>().as_ptr(),
                    self.bucket_count,
                ),
                conns: std::slice::from_raw_parts_mut(
                    self.base.add(entries).cast::<Conn>().as_ptr(),
                    self.capacity,
                ),
            }
        }
    }

    /// The bytes that a connection costs, index included, when the table is full.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub fn bytes_per_connection(&self) -> f64 {
        (self.bucket_count * size_of::<Bucket>() + self.capacity * size_of::<Conn>()) as f64
            / self.capacity as f64
    }
}

impl Drop for FlowFile {
    fn drop(&mut self) {
        // SAFETY: exactly the range that `map` mapped; `parts` borrows self, so no reference into it is left.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.bytes.get()) };
        debug_assert!(unmapped.is_ok());
    }
}

impl Header {
    fn fits(&self, capacity: u32, boot: [u8; 16]) -> bool {
        self.magic == MAGIC
            && self.version == LAYOUT_VERSION
            && self.capacity == capacity
            && self.bucket_count as usize == bucket_count(capacity)
            && self.boot == boot
            && self.untouched <= capacity
            && self.live <= capacity
    }
}

/// Two slots for each connection, in a power of two of buckets that are at most 4/7 full on average (half on
/// average over all capacities): few overflow.
fn bucket_count(capacity: u32) -> usize {
    (capacity as usize * 2).div_ceil(SLOTS - 3).next_power_of_two()
}

fn file_bytes(capacity: u32) -> usize {
    let bytes =
        HEADER_SPACE + bucket_count(capacity) * size_of::<Bucket>() + capacity as usize * size_of::<Conn>();
    bytes.next_multiple_of(HUGE_PAGE)
}

fn open_existing(path: &Path) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn create(path: &Path, bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    file.set_len(bytes)?;
    Ok(file)
}

fn lock(file: &File, path: &Path) -> Result<(), FlowFileError> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| FlowFileError::Busy(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: [u8; 16] = [7; 16];

    fn temp(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("lb-mem-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir.join(name)
    }

    #[test]
    fn what_one_process_left_the_next_attaches() {
        let path = temp("flows");
        let (mut file, origin) = FlowFile::open(&path, 4096, BOOT, [1, 2]).unwrap();
        assert_eq!(origin, Origin::Fresh);
        file.parts().conns[4095].last_seen = 99;
        drop(file);
        let (mut file, origin) = FlowFile::open(&path, 4096, BOOT, [3, 4]).unwrap();
        assert_eq!(origin, Origin::Attached);
        assert_eq!(file.parts().conns[4095].last_seen, 99);
        assert_eq!(file.parts().header.secret, [1, 2]);
    }

    #[test]
    fn another_size_or_boot_starts_afresh() {
        let path = temp("changed");
        let open = |capacity, boot| FlowFile::open(&path, capacity, boot, [1, 2]).unwrap().1;
        assert_eq!(open(4096, BOOT), Origin::Fresh);
        assert_eq!(open(8192, BOOT), Origin::Fresh);
        assert_eq!(open(8192, [8; 16]), Origin::Fresh);
        assert_eq!(open(8192, [8; 16]), Origin::Attached);
    }

    #[test]
    fn two_processes_cannot_share_one() {
        let path = temp("busy");
        let held = FlowFile::open(&path, 1024, BOOT, [1, 2]).unwrap();
        assert!(matches!(FlowFile::open(&path, 1024, BOOT, [1, 2]), Err(FlowFileError::Busy(_))));
        drop(held);
    }

    #[test]
    fn a_connection_costs_at_most_128_bytes() {
        for capacity in [1 << 10, 100_000, 1 << 20, 10_000_000] {
            let mapped = FlowFile::anonymous(capacity, [1, 2]).unwrap();
            assert!(mapped.bytes_per_connection() <= 128.0, "{capacity}: {}", mapped.bytes_per_connection());
        }
    }
}
