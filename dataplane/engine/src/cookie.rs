//! SYN cookies: what a client asked for, in the number that its connection is answered with, so that nothing need be remembered until it
//! has shown that it hears us.
//!
//! A cookie is 23 bits that only this worker can make for these ends, this number of the client's and this minute, and nine that say what they
//! are about: the minute, the largest segment, the scale of windows and whether losses are told selectively. A client's clock (RFC 7323) is in
//! every segment anyway.

use std::hash::Hasher as _;
use std::net::IpAddr;

use siphasher::sip::SipHasher13;

use crate::TICKS_PER_SECOND;
use crate::ends::Ends;
use crate::wire::tcp::{self, MSS, SACKS, SCALE};

/// A cookie is good for this long at least, and twice as long at most.
pub(crate) const PERIOD: u32 = 64 * TICKS_PER_SECOND;
/// The largest segments that a cookie can name. What hosts say without a tunnel, with one, and by large frames.
const SEGMENTS: [u16; 8] = [216, 536, 1220, 1360, 1400, 1440, 1460, 8960];
/// What is meant by no word on it (RFC 9293, 3.7.1).
const USUAL_SEGMENT: u16 = 536;
const USUAL_SEGMENT_V6: u16 = 1220;
/// The largest (RFC 7323, 2.3).
const SCALE_MAX: u8 = 14;
const NO_SCALE: u32 = 15;
/// Bits that say what a cookie is about.
const ABOUT: u32 = 9;

/// What a client offers in its SYN, as far as a cookie keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) largest: u16,
    pub(crate) scale: Option<u8>,
    pub(crate) sacks: bool,
}

impl Offer {
    /// Of a SYN.
    pub(crate) fn of(segment: &[u8], wide: bool) -> Self {
        let usual = if wide { USUAL_SEGMENT_V6 } else { USUAL_SEGMENT };
        let mut offer = Self { largest: usual, scale: None, sacks: false };
        for (kind, value) in tcp::options(segment) {
            match (kind, segment.get(value).unwrap_or_default()) {
                (MSS, [high, low]) => offer.largest = u16::from_be_bytes([*high, *low]),
                (SCALE, [scale]) => offer.scale = Some((*scale).min(SCALE_MAX)),
                (SACKS, []) => offer.sacks = true,
                _ => {}
            }
        }
        offer
    }

    /// In eight bits.
    pub(crate) fn code(self) -> u8 {
        let largest = SEGMENTS.partition_point(|segment| *segment <= self.largest).saturating_sub(1) as u32;
        let scale = self.scale.map_or(NO_SCALE, u32::from);
        (largest | scale << 3 | u32::from(self.sacks) << 7) as u8
    }

    /// What is meant by them.
    pub(crate) fn meant_by(code: u8) -> Self {
        let scale = u32::from(code >> 3 & 15);
        Self {
            largest: SEGMENTS[usize::from(code & 7)],
            scale: (scale != NO_SCALE).then_some(scale as u8),
            sacks: code >> 7 != 0,
        }
    }
}

/// The cookie for a SYN between these ends that begins with the number `client`.
pub(crate) fn bake(ends: &Ends, client: u32, offer: Offer, now: u32, secret: [u64; 2]) -> u32 {
    baked(ends, client, offer.code(), now / PERIOD, secret)
}

/// What was offered, if it is a cookie of ours and not too old.
pub(crate) fn taste(ends: &Ends, client: u32, cookie: u32, now: u32, secret: [u64; 2]) -> Option<Offer> {
    let code = cookie as u8;
    let newest = now / PERIOD;
    let period = if (newest ^ cookie >> 8) & 1 == 0 { newest } else { newest.wrapping_sub(1) };
    (baked(ends, client, code, period, secret) == cookie).then(|| Offer::meant_by(code))
}

fn baked(ends: &Ends, client: u32, code: u8, period: u32, [first, second]: [u64; 2]) -> u32 {
    let mut hash = SipHasher13::new_with_keys(first, second);
    for end in [ends.source, ends.destination] {
        match end.address {
            IpAddr::V4(address) => hash.write_u32(address.to_bits()),
            IpAddr::V6(address) => hash.write_u128(address.to_bits()),
        }
        hash.write_u16(end.port);
    }
    hash.write_u32(client);
    hash.write_u32(period);
    hash.write_u8(code);
    let about = u32::from(code) | (period & 1) << 8;
    (hash.finish() as u32) << ABOUT | about
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::Endpoint;

    const SECRET: [u64; 2] = [3, 5];
    const NOW: u32 = 1000 * PERIOD;

    fn ends(last: u8, port: u16) -> Ends {
        let end = |address: [u8; 4], port| Endpoint { address: address.into(), port, protocol: 6 };
        Ends { source: end([198, 18, 1, last], port), destination: end([198, 18, 1, 100], 80) }
    }

    #[test]
    fn what_was_offered_comes_back() {
        for largest in [100, 216, 535, 536, 1460, 1459, 9000, 65_535] {
            for scale in [None, Some(0), Some(7), Some(14)] {
                for sacks in [false, true] {
                    let offer = Offer { largest, scale, sacks };
                    let back = Offer::meant_by(offer.code());
                    assert_eq!((back.scale, back.sacks), (scale, sacks));
                    assert!(back.largest <= largest.max(SEGMENTS[0]), "{largest} became {}", back.largest);
                    assert_eq!(Offer::meant_by(back.code()), back);
                }
            }
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_own_connection_and_a_minute() {
        let offer = Offer { largest: 1460, scale: Some(7), sacks: true };
        let cookie = bake(&ends(1, 1), 77, offer, NOW, SECRET);
        for later in [0, PERIOD - 1, PERIOD, 2 * PERIOD - 1] {
            assert_eq!(taste(&ends(1, 1), 77, cookie, NOW + later, SECRET), Some(offer), "{later}");
        }
        for later in [2 * PERIOD, 3 * PERIOD, 4 * PERIOD] {
            assert_eq!(taste(&ends(1, 1), 77, cookie, NOW + later, SECRET), None, "{later}");
        }
        assert_eq!(taste(&ends(2, 1), 77, cookie, NOW, SECRET), None);
        assert_eq!(taste(&ends(1, 2), 77, cookie, NOW, SECRET), None);
        assert_eq!(taste(&ends(1, 1), 78, cookie, NOW, SECRET), None);
        assert_eq!(taste(&ends(1, 1), 77, cookie, NOW, [3, 6]), None);
    }

    #[test]
    fn to_guess_one_takes_millions_of_tries() {
        let guessed = (0..1 << 20).filter(|guess: &u32| {
            taste(&ends(1, 1), 77, guess.wrapping_mul(0x9e37_79b1), NOW, SECRET).is_some()
        });
        assert!(guessed.count() <= 3, "a right one in 2^23 is expected");
    }

    #[test]
    fn options_are_read_wherever_they_are() {
        let mut segment = vec![0; 20];
        segment[12] = 0xb0;
        segment.extend([1, 3, 3, 9, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 2, 4, 5, 0xb4, 0, 2, 4]);
        assert_eq!(Offer::of(&segment, false), Offer { largest: 1460, scale: Some(9), sacks: true });
        segment[12] = 0x50;
        assert_eq!(Offer::of(&segment, false), Offer { largest: 536, scale: None, sacks: false });
        assert_eq!(Offer::of(&segment, true).largest, 1220);
    }
}
