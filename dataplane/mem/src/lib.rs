//! Memory tricks of the data plane, small and argued line by line: prefetch, huge pages, and the flow file that a
//! restarted process attaches again.
//!
//! What the bytes of the flow file mean is here (the layout must be sound to map); what is done with them is
//! `lb-engine`'s business.

mod file;
mod layout;

pub use file::{FlowFile, FlowFileError, FlowParts, Origin};
pub use layout::{Bucket, Conn, Header, LAYOUT_VERSION, NO_TIE, NOBODY, PAIR, SLOTS, WIDE, Wide};

/// Asks the processor to bring the cache line of `value` near, to be read soon.
#[inline]
pub fn prefetch<T>(value: &T) {
    // SAFETY: the instruction never faults and changes nothing but the caches; the pointer comes from a reference anyway.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(
            std::ptr::from_ref(value).cast(),
        );
    }
}

/// The pair of entries at `at`: a connection, and the addresses in the cache line after it.
#[inline]
pub fn pair(conns: &mut [Conn], at: usize) -> Option<(&mut Conn, &mut Wide)> {
    let (first, second) = conns.get_mut(at..at.checked_add(2)?)?.split_first_mut()?;
    let second = std::ptr::from_mut(second.first_mut()?).cast::<Wide>();
    // SAFETY: `Wide` has the size and the alignment of `Conn` (asserted in `layout`), both are plain integers of which every
    // bit pattern is valid, and the exclusive borrow of the second entry ends here.
    Some((first, unsafe { &mut *second }))
}

/// A bit for each of the slots of `bucket` that have `signature`.
#[inline]
pub fn matching_slots(bucket: &Bucket, signature: u32) -> u32 {
    use core::arch::x86_64::{
        _mm256_castsi256_ps, _mm256_cmpeq_epi32, _mm256_load_si256, _mm256_movemask_ps, _mm256_set1_epi32,
    };
    const {
        assert!(cfg!(target_feature = "avx2"), "built without AVX2: see .cargo/config.toml");
        assert!(std::mem::offset_of!(Bucket, signatures) % 32 == 0);
    }
    // SAFETY: the whole crate is built for processors with AVX2 (checked above); the signatures are 32 bytes, aligned to 32
    // because the bucket is aligned to 64.
    let equal = unsafe {
        let stored = _mm256_load_si256(bucket.signatures.as_ptr().cast());
        _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(
            stored,
            _mm256_set1_epi32(signature.cast_signed()),
        )))
    };
    equal.cast_unsigned() & ((1 << SLOTS) - 1)
}
