//! A TAP of the kernel's: what is written to it the kernel receives, what the kernel sends on it can be read.
//!
//! The interface is made by `penstock-host` and outlives this process; here it is only opened.

use std::ffi::c_void;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::ioctl::{self, Ioctl, IoctlOutput, Opcode};
use thiserror::Error;

/// An open queue of a TAP interface.
#[derive(Debug)]
pub struct Tap {
    file: OwnedFd,
}

/// Why a TAP cannot be opened.
#[derive(Debug, Error)]
pub enum TapError {
    /// 1 to 15 bytes, no zero.
    #[error("`{0}` cannot be the name of an interface")]
    Name(String),
    /// Opening would otherwise make one, which the kernel takes away with this process.
    #[error("there is no TAP interface `{name}`")]
    Missing {
        /// Its name.
        name: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// No `tun` module, or no permission.
    #[error("cannot open /dev/net/tun")]
    Device(#[source] io::Error),
    /// In use, not a TAP, made without or with several queues, or no permission.
    #[error("cannot attach to the TAP interface `{name}`")]
    Attach {
        /// Its name.
        name: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// `struct ifreq` as `TUNSETIFF` uses it (netdevice(7)).
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: libc::c_short,
    _unused: [u8; 22],
}

/// `TUNSETIFF`, whose number says that its argument is an `int`, which it is not.
struct Attach(InterfaceRequest);

impl Tap {
    /// Opens the existing interface `name`; `multi_queue` if it was made with several queues, of which this is one more.
    pub fn open(name: &str, multi_queue: bool) -> Result<Self, TapError> {
        let request =
            InterfaceRequest::new(name, multi_queue).ok_or_else(|| TapError::Name(name.to_owned()))?;
        exists(name).map_err(|source| TapError::Missing { name: name.to_owned(), source })?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .map_err(TapError::Device)?;
        // SAFETY: the argument is what this ioctl reads and writes.
        unsafe { ioctl::ioctl(&file, Attach(request)) }
            .map_err(|error| TapError::Attach { name: name.to_owned(), source: error.into() })?;
        Ok(Self { file: file.into() })
    }

    /// The same queue once more: for one who reads and one who writes.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()? })
    }

    /// Reads one frame that the kernel has sent; `None` if there is none.
    #[inline]
    pub fn read(&mut self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        would_block_is_none(rustix::io::read(&self.file, frame))
    }

    /// Gives the kernel one frame to receive; `false` if it has no room for it now, or the interface is down.
    #[inline]
    pub fn write(&mut self, frame: &[u8]) -> io::Result<bool> {
        match rustix::io::write(&self.file, frame) {
            // The interface is down.
            Err(rustix::io::Errno::IO) => Ok(false),
            result => Ok(would_block_is_none(result)?.is_some()),
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl InterfaceRequest {
    fn new(name: &str, multi_queue: bool) -> Option<Self> {
        let mut padded = [0; 16];
        if name.is_empty() || name.len() >= padded.len() || name.bytes().any(|byte| byte == 0) {
            return None;
        }
        padded[..name.len()].copy_from_slice(name.as_bytes());
        let queues = if multi_queue { libc::IFF_MULTI_QUEUE } else { 0 };
        let flags = libc::c_short::try_from(libc::IFF_TAP | libc::IFF_NO_PI | queues).ok()?;
        Some(Self { name: padded, flags, _unused: [0; 22] })
    }
}

// SAFETY: the pointer is to a `struct ifreq`, which the kernel reads and writes; the number is `TUNSETIFF`.
unsafe impl Ioctl for Attach {
    type Output = ();
    const IS_MUTATING: bool = true;

    // Ioctl numbers have 32 bits.
    #[allow(clippy::cast_possible_truncation)]
    fn opcode(&self) -> Opcode {
        libc::TUNSETIFF as Opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(_: IoctlOutput, _: *mut c_void) -> rustix::io::Result<()> {
        Ok(())
    }
}

fn exists(name: &str) -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    rustix::net::netdevice::name_to_index(&socket, name)?;
    Ok(())
}

#[inline]
fn would_block_is_none(result: rustix::io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR | rustix::io::Errno::NOBUFS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
