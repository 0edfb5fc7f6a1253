//! Takes what DPDK logs during one call, because that is where it says why the call failed: the error numbers of its drivers
//! are mostly −1 or −22.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::IntoRawFd;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::{MemfdFlags, memfd_create};

/// A file in memory and the C stream that writes to it. The stream is never closed: a thread of DPDK's may be writing.
struct Record {
    file: File,
    stream: NonNull<libc::FILE>,
}

// SAFETY: a C stream locks itself, and the file beside it is only used under the mutex around the record.
unsafe impl Send for Record {}

/// Runs `act`; returns its result and what DPDK logged meanwhile.
pub(crate) fn recorded<T>(act: impl FnOnce() -> T) -> (T, String) {
    let Some(mut record) = record() else { return (act(), String::new()) };
    let stream = record.stream.as_ptr().cast();
    // SAFETY: the stream is open, and stays so for the rest of the process.
    unsafe { dpdk_sys::rte_openlog_stream(stream) };
    let result = act();
    // SAFETY: null is documented to mean the default stream.
    unsafe { dpdk_sys::rte_openlog_stream(ptr::null_mut()) };
    (result, record.take())
}

/// The same for a call that succeeded as far as it matters: what it logged goes where DPDK would have written it.
pub(crate) fn passed_on(log: &str) {
    // Nothing sensible can be done about a closed stderr.
    let _ = std::io::stderr().write_all(log.as_bytes());
}

/// The last lines, which tell most, as one line.
pub(crate) fn gist(log: &str) -> String {
    const LINES: usize = 3;
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match lines.len() {
        0 => "DPDK gave no reason".to_owned(),
        count => lines[count.saturating_sub(LINES)..].join("; "),
    }
}

fn record() -> Option<MutexGuard<'static, Record>> {
    static RECORD: OnceLock<Option<Mutex<Record>>> = OnceLock::new();
    let record = RECORD.get_or_init(|| Record::new().map(Mutex::new)).as_ref()?;
    Some(record.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Record {
    fn new() -> Option<Self> {
        let file = File::from(memfd_create("dpdk-log", MemfdFlags::CLOEXEC).ok()?);
        let writer = file.try_clone().ok()?.into_raw_fd();
        // SAFETY: the descriptor is open and given away; the mode is a C string.
        let stream = NonNull::new(unsafe { libc::fdopen(writer, c"a".as_ptr()) })?;
        Some(Self { file, stream })
    }

    fn take(&mut self) -> String {
        let mut text = Vec::new();
        // SAFETY: the stream is open.
        unsafe { libc::fflush(self.stream.as_ptr()) };
        let read = self.file.rewind().and_then(|()| self.file.read_to_end(&mut text));
        // The stream appends, so that it goes on at the new end.
        let emptied = self.file.set_len(0);
        match read.and(emptied) {
            Ok(()) => String::from_utf8_lossy(&text).into_owned(),
            Err(error) => format!("(its log could not be read: {error})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::gist;

    #[test]
    fn gist_is_the_last_three_lines() {
        assert_eq!(gist("a\nb\n\n c\nd\n"), "b; c; d");
        assert_eq!(gist("\n"), "DPDK gave no reason");
    }
}
