//! The Internet checksum (RFC 1071) and its update (RFC 1624, equation 3).
//!
//! A one's complement sum does not care in which byte order its words are read, as long as all are read alike
//! (RFC 1071, 2B): words are read as they lie in memory, and a sum is stored as it is.

/// Adds up to a sum of at most 32 bits into one of 16.
#[inline]
pub fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    let twice = (once & 0xffff) + (once >> 16);
    twice as u16
}

/// What replacing `old` by `new` adds to a checksum, to be given to [`update`].
#[inline]
pub fn delta(old: &[u16], new: &[u16]) -> u16 {
    let gone: u32 = old.iter().map(|word| u32::from(!*word)).sum();
    let come: u32 = new.iter().map(|word| u32::from(*word)).sum();
    fold(gone + come)
}

/// The one's complement sum of two words.
#[inline]
pub fn add(a: u16, b: u16) -> u16 {
    // Of two words once is enough: a sum with a carry is at most 0x1fffe.
    let sum = u32::from(a) + u32::from(b);
    (sum + (sum >> 16)) as u16
}

/// `HC' = ~(~HC + ~m + m')`, where `delta` is `~m + m'`.
#[inline]
pub fn update(checksum: u16, delta: u16) -> u16 {
    !add(!checksum, delta)
}

/// The sum of `bytes`, an odd last byte padded with zero.
pub fn sum(bytes: &[u8]) -> u32 {
    // Eight bytes at a time into 64 bits, each half folded at the end: carries cannot be lost before 2^32 words.
    let (words, tail) = bytes.as_chunks::<4>();
    let mut total: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    let (pairs, last) = tail.as_chunks::<2>();
    total += pairs.iter().map(|pair| u64::from(u16::from_ne_bytes(*pair))).sum::<u64>();
    total += last.first().map_or(0, |byte| u64::from(u16::from_ne_bytes([*byte, 0])));
    let halves = (total & 0xffff_ffff) + (total >> 32);
    u32::from(fold_wide(halves))
}

fn fold_wide(sum: u64) -> u16 {
    let once = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    fold(u32::try_from(once).unwrap_or(u32::MAX))
}

/// The checksum of a transport segment under its pseudo header, of either IP; the field within the segment must be zero.
pub fn transport<const N: usize>(source_destination: [u8; N], protocol: u8, segment: &[u8]) -> u16 {
    let len = u16::try_from(segment.len()).unwrap_or(u16::MAX);
    let pseudo = sum(&source_destination)
        + u32::from(u16::from_ne_bytes([0, protocol]))
        + u32::from(u16::from_ne_bytes(len.to_be_bytes()));
    !fold(pseudo + sum(segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_1071_example() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(sum(&bytes)).to_ne_bytes(), [0xdd, 0xf2]);
        assert_eq!(fold(sum(&bytes[..7])).to_ne_bytes(), [0xdc, 0xfb]);
    }

    #[test]
    fn rfc_1624_example() {
        let be = |word: u16| u16::from_ne_bytes(word.to_be_bytes());
        let updated = update(be(0xdd2f), delta(&[be(0x5555)], &[be(0x3285)]));
        assert_eq!(updated, be(0x0000));
    }

    #[test]
    fn the_delta_back_is_the_complement() {
        let forward = delta(&[0x1234, 0xffff], &[0x8000, 0x0001]);
        for checksum in [0u16, 1, 0x7fff, 0x8000, 0xfffe] {
            let there = update(checksum, forward);
            let back = update(there, !forward);
            assert!(back == checksum || (back ^ checksum) == 0xffff, "{checksum:x} {there:x} {back:x}");
        }
    }
}
