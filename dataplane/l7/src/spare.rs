//! Buffers that nobody uses, each worker's own: a connection that waits for a request holds none, and the next one that reads has not to
//! ask for memory.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::stream::READ;

/// How many a worker keeps: as many connections as have something to read at the same time.
const KEPT: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, with memory if one is at hand.
pub(crate) fn take() -> BytesMut {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes its memory from an empty buffer.
pub(crate) fn give(buffer: &mut BytesMut) {
    debug_assert!(buffer.is_empty());
    let mut buffer = std::mem::take(buffer);
    // Not what parts of are still with somebody, nor what grew.
    if buffer.try_reclaim(READ) && buffer.capacity() < 2 * READ {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < KEPT {
                spare.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_round_unless_somebody_has_part_of_it() {
        let mut buffer = BytesMut::with_capacity(READ);
        buffer.extend_from_slice(b"head");
        let (at, head) = (buffer.as_ptr(), buffer.split_to(4));
        give(&mut buffer);
        assert_eq!(take().capacity(), 0, "its beginning is with somebody");
        let mut buffer = head;
        buffer.clear();
        give(&mut buffer);
        let again = take();
        assert_eq!((again.as_ptr(), again.is_empty(), again.capacity()), (at, true, READ));
        give(&mut BytesMut::with_capacity(2 * READ));
        assert_eq!(take().capacity(), 0, "too large");
    }
}
