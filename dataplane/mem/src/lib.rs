//! Memory tricks of the data plane, small and argued line by line: prefetch, huge pages, and the flow file that a
//! restarted process attaches again.
//!
//! What the bytes of the flow file mean is here (the layout must be sound to map); what is done with them is
//! `lb-engine`'s business.

mod file;
mod layout;

pub use file::{FlowFile, FlowFileError, FlowParts, Origin};
pub use layout::{Bucket, Conn, Header, LAYOUT_VERSION, NOBODY, SLOTS};

/// Asks the processor to bring the cache line of `value` near, to be read soon.
#[inline]
pub fn prefetch<T>(value: &T) {
    // SAFETY: the instruction never faults and changes nothing but the caches; the pointer comes from a reference anyway.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(value).cast());
    }
}
