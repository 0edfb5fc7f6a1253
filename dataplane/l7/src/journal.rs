//! The last requests of a service, for whoever asks what happened: each worker keeps its own in rings of a fixed size, so that none
//! waits for another. Those that did not end well have a ring of their own, where those that did cannot push them out.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use lb_model::VirtualServiceId;
use lb_model::record::{RequestCursor, RequestFilter, RequestRecord, RequestTimes};

use crate::counters::{Line, lines, worker};
use crate::record::{Asks, Passed, Record};

/// Records that a worker keeps of all services together, if they share them evenly.
const ROOM: usize = 16_384;
/// How many of one service at least, and below at most; half of them of those that did not end well.
const LEAST: usize = 16;
const MOST: usize = 512;
/// How many are copied at a time: meanwhile their worker waits.
const SLICE: usize = 16;

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The beginning of a text, in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<const N: usize> {
    length: usize,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    pub(crate) fn of(text: &str) -> Self {
        let length = text.len().min(N);
        let mut bytes = [0; N];
        bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        Self { length, bytes }
    }

    /// A letter that was cut in two is shown as such.
    fn read(&self) -> String {
        String::from_utf8_lossy(&self.bytes[..self.length]).into_owned()
    }
}

/// A request that has ended.
#[derive(Clone, Debug)]
struct Entry {
    record: Record,
    ended: Instant,
    status: Option<StatusCode>,
    passed: Passed,
}

/// The last ones of a kind.
#[derive(Debug, Default)]
struct Ring {
    entries: Vec<Entry>,
    /// So many there were; number `n` is at `n % most`.
    kept: usize,
}

impl Ring {
    fn keep(&mut self, entry: Entry, most: usize) {
        let place = self.kept % most;
        if self.entries.is_empty() {
            self.entries.reserve_exact(most);
        }
        match self.entries.get_mut(place) {
            Some(oldest) => *oldest = entry,
            None => self.entries.push(entry),
        }
        self.kept += 1;
    }

    /// Some of those before number `before`, the newest first, and the number of the last of them.
    fn slice(&self, before: usize, most: usize) -> (Vec<Entry>, usize) {
        let oldest = self.kept - self.entries.len();
        let from = before.saturating_sub(SLICE).max(oldest);
        let entry = |number: usize| self.entries.get(number % most).cloned();
        ((from..before).rev().filter_map(entry).collect(), from)
    }

    fn is_before_all(&self, number: usize) -> bool {
        number <= self.kept - self.entries.len()
    }
}

#[derive(Debug, Default)]
struct Rings {
    well: Ring,
    ill: Ring,
}

/// The last requests of a service.
#[derive(Debug)]
pub(crate) struct Journal {
    lines: Box<[Line<Mutex<Rings>>]>,
    /// How many are kept of each kind.
    most: usize,
}

impl Journal {
    /// For one of so many services.
    pub(crate) fn new(workers: usize, services: usize) -> Self {
        // What is told of times counts from here.
        LazyLock::force(&BEGIN);
        let most = (ROOM / services.max(1)).clamp(LEAST, MOST) / 2;
        Self { lines: lines(workers), most }
    }

    pub(crate) fn keep(&self, record: Record, ended: Instant, status: Option<StatusCode>, passed: Passed) {
        let Some(line) = self.lines.get(worker()) else { return };
        let ill = record.ending.is_some() || status.is_some_and(|status| status.is_server_error());
        let entry = Entry { record, ended, status, passed };
        let mut rings = lock(line);
        let ring = if ill { &mut rings.ill } else { &mut rings.well };
        ring.keep(entry, self.most);
    }

    /// The newest that fit, of this service.
    pub(crate) fn read(
        &self,
        service: VirtualServiceId,
        filter: &RequestFilter,
        before: Option<RequestCursor>,
        most: usize,
    ) -> Vec<(RequestCursor, RequestRecord)> {
        let mut found = Vec::new();
        let now = (Instant::now(), SystemTime::now());
        for (worker, line) in (0..).zip(&self.lines) {
            for of in [|rings: &Rings| &rings.well, |rings: &Rings| &rings.ill] as [fn(&Rings) -> &Ring; 2] {
                let fits = |entry: &Entry| {
                    let cursor = RequestCursor { ended_ns: nanos(entry.ended - *BEGIN), worker };
                    let wanted = before.is_none_or(|before| cursor < before) && entry.fits(filter);
                    wanted.then_some(cursor)
                };
                let mut left = most;
                let mut number = of(&lock(line)).kept;
                while left > 0 {
                    let rings = lock(line);
                    let ring = of(&rings);
                    if ring.is_before_all(number) {
                        break;
                    }
                    let (entries, from) = ring.slice(number, self.most);
                    drop(rings);
                    number = from;
                    let fitting = entries.iter().filter_map(|entry| Some((fits(entry)?, entry)));
                    let read = fitting.take(left).map(|(cursor, entry)| (cursor, entry.read(service, now)));
                    let length = found.len();
                    found.extend(read);
                    left -= found.len() - length;
                }
            }
        }
        found
    }
}

fn lock(line: &Line<Mutex<Rings>>) -> MutexGuard<'_, Rings> {
    line.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entry {
    fn fits(&self, filter: &RequestFilter) -> bool {
        let RequestFilter { service: _, pool, member, client, status, ending } = filter;
        let Record { client: from, asked, ending: ended, .. } = &self.record;
        let own = self.status.map(|status| status.as_u16());
        let is_in = |(first, last): (u16, u16)| own.is_some_and(|own| (first..=last).contains(&own));
        pool.is_none_or(|pool| asked.is_some_and(|(asked, _)| asked == pool))
            && member.is_none_or(|member| asked.is_some_and(|(_, asked)| asked == member))
            && client.is_none_or(|network| network.contains(from.ip().to_canonical()))
            && status.is_none_or(is_in)
            && ending.as_ref().is_none_or(|word| ended.is_some_and(|ended| ended.as_str() == word))
    }

    fn read(&self, service: VirtualServiceId, (now, wall): (Instant, SystemTime)) -> RequestRecord {
        let Self { record, ended, status, passed } = self;
        let Record {
            began,
            client,
            version,
            asks,
            policy,
            asked,
            tries,
            head,
            queue,
            connect,
            answered,
            ending,
            detail,
            ..
        } = record;
        let began_at = wall.checked_sub(now.saturating_duration_since(*began)).unwrap_or(UNIX_EPOCH);
        let reason = ending.map(|ending| match detail {
            Some(detail) => format!("{} ({detail}).", ending.words().trim_end_matches('.')),
            None => ending.words().to_owned(),
        });
        let text = |of: fn(&Asks) -> String| asks.as_ref().map(of);
        RequestRecord {
            service,
            began_us: micros(began_at.duration_since(UNIX_EPOCH).unwrap_or_default()),
            client: *client,
            version: format!("{version:?}"),
            method: text(|asks| asks.method.to_string()),
            host: text(|asks| asks.host.read()),
            path: text(|asks| asks.path.read()),
            policy: *policy,
            pool: asked.map(|(pool, _)| pool),
            member: asked.map(|(_, member)| member),
            tries: *tries,
            times: RequestTimes {
                head_us: head.map(micros),
                queue_us: micros(*queue),
                connect_us: micros(*connect),
                answer_us: answered.map(micros),
                total_us: micros(ended.saturating_duration_since(*began)),
            },
            status: status.map(|status| status.as_u16()),
            bytes_in: passed.received,
            bytes_out: passed.sent,
            ending: ending.map(|ending| ending.as_str().to_owned()),
            reason,
        }
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use http::Version;
    use lb_model::l7::Ending;
    use lb_model::{MemberId, PoolId};

    use super::*;

    /// One that ended so many milliseconds after the beginning; bytes say which it was.
    fn keep(journal: &Journal, number: u64, change: impl FnOnce(&mut Record)) {
        let ended = *BEGIN + Duration::from_millis(number);
        let mut record = Record::unread(([192, 0, 2, 1], 5).into(), Version::HTTP_11);
        (record.began, record.head) = (ended, Some(Duration::ZERO));
        change(&mut record);
        journal.keep(record, ended, Some(StatusCode::OK), Passed { received: number, sent: 0 });
    }

    fn numbers(
        journal: &Journal,
        filter: &RequestFilter,
        before: Option<RequestCursor>,
        most: usize,
    ) -> Vec<u64> {
        let mut read = journal.read(VirtualServiceId::generate(), filter, before, most);
        read.sort_by_key(|(cursor, _)| std::cmp::Reverse(*cursor));
        read.into_iter().map(|(_, record)| record.bytes_in).collect()
    }

    #[test]
    fn the_last_ones_are_kept_and_what_failed_is_not_pushed_out() {
        let journal = Journal::new(1, 1);
        let all = RequestFilter::default();
        keep(&journal, 1, |record| record.note(Ending::NoMember));
        (2..=1000).for_each(|number| keep(&journal, number, |_| {}));
        assert_eq!(numbers(&journal, &all, None, 3), [1000, 999, 998, 1]);
        assert_eq!(numbers(&journal, &all, None, usize::MAX).len(), MOST / 2 + 1);
        let before = RequestCursor { ended_ns: 998_000_000, worker: 0 };
        assert_eq!(numbers(&journal, &all, Some(before), 2), [997, 996, 1]);
        // With many services there are fewer of each.
        let small = Journal::new(1, 10_000);
        (1..=20).for_each(|number| keep(&small, number, |_| {}));
        assert_eq!(numbers(&small, &all, None, 100), [20, 19, 18, 17, 16, 15, 14, 13]);
    }

    #[test]
    fn all_that_is_said_must_fit() {
        let journal = Journal::new(1, 1);
        let (pool, member) = (PoolId::generate(), MemberId::generate());
        keep(&journal, 1, |record| record.asking(pool, member));
        keep(&journal, 2, |record| record.asking(pool, MemberId::generate()));
        keep(&journal, 3, |record| record.note(Ending::NoMember));
        keep(&journal, 4, |record| record.client = "[::ffff:198.51.100.7]:9".parse().unwrap());
        let fitting = |filter: RequestFilter| numbers(&journal, &filter, None, 10);
        let any = RequestFilter::default;
        assert_eq!(fitting(RequestFilter { pool: Some(pool), ..any() }), [2, 1]);
        assert_eq!(fitting(RequestFilter { member: Some(member), ..any() }), [1]);
        assert_eq!(fitting(RequestFilter { ending: Some("no_member".into()), ..any() }), [3]);
        let network = "198.51.100.0/24".parse().ok();
        assert_eq!(fitting(RequestFilter { client: network, ..any() }), [4]);
        assert_eq!(fitting(RequestFilter { status: Some((200, 299)), ..any() }), [4, 3, 2, 1]);
        assert!(fitting(RequestFilter { status: Some((201, 599)), ..any() }).is_empty());
        let both = RequestFilter { pool: Some(pool), ending: Some("no_member".into()), ..any() };
        assert!(fitting(both).is_empty());
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(Text::<5>::of("abcdefg").read(), "abcde");
        assert_eq!(Text::<3>::of("aaü").read(), "aa\u{fffd}");
        assert_eq!(Text::<3>::of("").read(), "");
    }
}
