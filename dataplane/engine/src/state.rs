//! The state of a connection as seen in passing, and how long silence may last in it.
//!
//! It decides only when a flow is forgotten and when a SYN begins a new one; what a segment is worth is for the two
//! ends to say.

use lb_mem::{Conn, WIDE};
use lb_model::snapshot::Timeouts;

use crate::TICKS_PER_SECOND;
use crate::flow::Direction;
use crate::rewrite::Mode;
use crate::wire::UDP;
use crate::wire::tcp::{ACK, FIN, RST, SYN};

/// An entry that holds no flow.
pub(crate) const FREE: u8 = 0;
/// The client asked; the handshake is not done, or no second datagram was seen.
pub(crate) const OPENING: u8 = 1;
/// Both sides agreed; or, by UDP, it was not a single datagram.
pub(crate) const ESTABLISHED: u8 = 2;
/// Both sides have said that they have no more to send.
pub(crate) const CLOSING: u8 = 3;
/// One side ended it.
pub(crate) const RESET: u8 = 4;
/// Established too, by way of a service that looks at each packet, or by a handshake that was made here: none of its packets just passes.
pub(crate) const POLICED: u8 = 5;
/// Ended here, and both sides are told: the next segment of either is answered with a reset, and what passes on is one.
pub(crate) const ENDING: u8 = 6;
/// An entry that holds no flow, but the numbers of one.
pub(crate) const NUMBERS: u8 = 7;

const SYN_ANSWERED: u8 = 0x01;
const FIN_OF_CLIENT: u8 = 0x02;
const FIN_OF_MEMBER: u8 = 0x04;
/// Of a flow that is ended here: a segment has come since, by which both sides were told.
const TOLD: u8 = 0x08;
/// The handshake is, or was, made here in the place of each side: it has numbers of its own.
const SHIFTED: u8 = 0x10;
const FIN_OF_BOTH: u8 = FIN_OF_CLIENT | FIN_OF_MEMBER;

const RESET_TIMEOUT: u32 = 10 * TICKS_PER_SECOND;
/// Long enough for the sweep to ask silent sides several times.
const ENDING_TIMEOUT: u32 = 15 * TICKS_PER_SECOND;

/// How many ticks silence may last, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) opening: u32,
    pub(crate) established: u32,
    closing: u32,
}

impl From<Timeouts> for Patience {
    fn from(Timeouts { opening_s, idle_s, closing_s }: Timeouts) -> Self {
        let ticks = |seconds: u32| seconds.saturating_mul(TICKS_PER_SECOND);
        Self { opening: ticks(opening_s), established: ticks(idle_s), closing: ticks(closing_s) }
    }
}

/// Whether a segment can change the state: all others pass without a look at it.
#[inline]
pub(crate) fn is_plain(state: u8, flags: u8) -> bool {
    state == ESTABLISHED && flags & (SYN | FIN | RST) == 0
}

/// Whether a packet asks for a new connection: any datagram does, and a segment with SYN alone.
#[inline]
pub(crate) fn asks(protocol: u8, flags: u8) -> bool {
    protocol == UDP || flags & (SYN | ACK | RST | FIN) == SYN
}

/// Whether a packet that asks means that this flow is over and another one begins.
#[inline]
pub(crate) fn is_over(state: u8) -> bool {
    matches!(state, CLOSING | RESET | ENDING)
}

/// Whether a packet of a flow that has begun says that the member does not open it: it resets, or the client asks again.
pub(crate) fn is_unopened(conn: &Conn, from: Direction, flags: u8) -> bool {
    let opening = conn.state == OPENING && conn.protocols[from as usize] & !WIDE != UDP;
    opening
        && match from {
            Direction::FromClient => conn.flags & SYN_ANSWERED == 0 && flags & (SYN | ACK | RST | FIN) == SYN,
            Direction::FromMember => flags & RST != 0,
        }
}

/// Takes a packet of a flow that has begun into account.
pub(crate) fn advance(conn: &mut Conn, from: Direction, flags: u8, patience: &Patience) {
    if conn.protocols[from as usize] & !WIDE == UDP {
        return enter(conn, ESTABLISHED, patience.established);
    }
    if flags & RST != 0 {
        // A forged reset must not end a living flow: as long as packets come, `last_seen` keeps it.
        return enter(conn, RESET, RESET_TIMEOUT);
    }
    if flags & (SYN | ACK) == SYN | ACK && from == Direction::FromMember {
        conn.flags |= SYN_ANSWERED;
    }
    if flags & FIN != 0 {
        conn.flags |= if from == Direction::FromClient { FIN_OF_CLIENT } else { FIN_OF_MEMBER };
    }
    // Of a flow whose replies take another way only the client's half is seen.
    let alone = !Mode::of(conn).replies_return();
    let enough = if alone { FIN_OF_CLIENT } else { FIN_OF_BOTH };
    if conn.flags & enough == enough {
        return enter(conn, CLOSING, patience.closing);
    }
    let answered = alone || conn.flags & SYN_ANSWERED != 0;
    if conn.state == OPENING && answered && from == Direction::FromClient && flags & (SYN | ACK) == ACK {
        enter(conn, ESTABLISHED, patience.established);
    }
}

/// Whether the handshake of a flow was made here: its segments are translated.
pub(crate) fn is_shifted(conn: &Conn) -> bool {
    conn.state != FREE && conn.flags & SHIFTED != 0
}

/// Whether it is being made: the client is there, and the member was asked.
pub(crate) fn is_calling(conn: &Conn) -> bool {
    conn.state == OPENING && conn.flags & (SHIFTED | SYN_ANSWERED) == SHIFTED
}

/// The client is there, and the member is asked.
pub(crate) fn call(conn: &mut Conn) {
    conn.flags |= SHIFTED;
}

/// The member has answered.
pub(crate) fn agree(conn: &mut Conn, now: u32, patience: &Patience) {
    conn.flags |= SYN_ANSWERED;
    conn.last_seen = now;
    enter(conn, POLICED, patience.established);
}

/// Whether a flow is one whose ends would go on, and can be told that it is over.
pub(crate) fn can_be_told(conn: &Conn) -> bool {
    matches!(conn.state, ESTABLISHED | POLICED) && conn.protocols[0] & !WIDE != UDP
}

/// Ends a flow whose sides are to be told.
pub(crate) fn end(conn: &mut Conn, now: u32) {
    enter(conn, ENDING, ENDING_TIMEOUT);
    conn.last_seen = now;
}

/// That both sides were told.
pub(crate) fn told(conn: &mut Conn) {
    conn.flags |= TOLD;
}

/// Whether a flow that is ended here has sides of which nothing was heard since.
pub(crate) fn is_untold(conn: &Conn) -> bool {
    conn.state == ENDING && conn.flags & TOLD == 0
}

/// Whether a flow that is established just passes, or is looked at packet by packet.
pub(crate) fn police(conn: &mut Conn, policed: bool) {
    conn.state = match conn.state {
        ESTABLISHED | POLICED if policed || is_shifted(conn) => POLICED,
        POLICED => ESTABLISHED,
        other => other,
    };
}

fn enter(conn: &mut Conn, state: u8, timeout: u32) {
    conn.state = state;
    conn.timeout = timeout;
}
