//! What is done to find out whether a member is well: one file for each kind of check.
//!
//! A check connects, asks and reads; it knows nothing of schedules and of what became of the member before. Its words are
//! for people: what was seen and, if that is wrong, what was wanted.

mod agent;
mod grpc;
mod http;
mod icmp;
mod mysql;
mod postgres;
mod redis;
mod scram;
mod tcp;
mod tls;
mod udp;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lb_model::snapshot::Share;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::Target;
use super::ways::Way;
use crate::domain::{Check, ReplicationRole as Role};
use crate::vault;

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether the member is well.
    pub(crate) passed: bool,
    /// A number of the protocol, as an HTTP status.
    pub(crate) code: Option<u16>,
    /// What was seen.
    pub(crate) words: String,
    /// How long it took.
    pub(crate) took: Duration,
    /// It failed here and says nothing about the member.
    pub(crate) ours: bool,
    /// The member is well, and soon will not be.
    pub(crate) warns: bool,
    /// What the member says of itself.
    pub(crate) wish: Wish,
    /// Since which promotion it is the primary, counted up with each; 0 if it is none, nothing if it does not say.
    pub(crate) term: Option<u32>,
}

impl Outcome {
    /// It could not be done, and says nothing about the member.
    pub(super) fn ours(words: impl Into<String>) -> Self {
        Self {
            passed: false,
            code: None,
            words: words.into(),
            took: Duration::ZERO,
            ours: true,
            warns: false,
            wish: Wish::default(),
            term: None,
        }
    }
}

/// What a member wants to be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    /// No new connections.
    pub(crate) drains: bool,
    /// So much of its weight.
    pub(crate) share: Share,
}

/// What a kind of check says.
type Verdict = Result<Seen, Seen>;

/// What was seen; for one who is well, or for one who is not.
#[derive(Debug)]
struct Seen {
    code: Option<u16>,
    words: String,
    /// What was seen is a failure of our own.
    ours: bool,
    /// Somebody should look.
    warns: bool,
    wish: Wish,
    term: Option<u32>,
}

impl Seen {
    fn new(words: impl Into<String>) -> Self {
        Self { code: None, words: words.into(), ours: false, warns: false, wish: Wish::default(), term: None }
    }
}

/// How far a check has come: named when its time is up.
#[derive(Debug)]
struct Progress {
    step: Cell<&'static str>,
    /// How many ways it has gone, if it goes by some.
    ways: Cell<usize>,
}

impl Progress {
    fn now(&self, step: &'static str) {
        self.step.set(step);
    }
}

/// Does the check, once.
pub(super) async fn check(target: &Target) -> Outcome {
    let limit = Duration::from_millis(u64::from(target.monitor.timeout_ms));
    let progress = Progress { step: Cell::new("connect"), ways: Cell::new(0) };
    let begin = Instant::now();
    let verdict = timeout(limit, by_all_ways(target, &progress)).await;
    let verdict = verdict.unwrap_or_else(|_| {
        let step = progress.step.get();
        Err(Seen::new(format!("{step} timed out after {}", seconds(limit))))
    });
    let verdict = verdict.map_err(|seen| match &target.ways {
        Some(ways) => on_the_way(ways, progress.ways.get(), seen),
        None => seen,
    });
    let took = begin.elapsed();
    let passed = verdict.is_ok();
    let (Ok(seen) | Err(seen)) = verdict;
    let Seen { code, words, ours, warns, wish, term } = seen;
    Outcome { passed, code, words, took, ours, warns, wish, term }
}

/// A member that is to be asked by way of services must be well by each of them.
async fn by_all_ways(target: &Target, progress: &Progress) -> Verdict {
    let Some(ways) = &target.ways else {
        return by_kind(target, target.at, &target.monitor.check, progress).await;
    };
    let mut last = Err(Seen {
        ours: true,
        ..Seen::new("no layer-4 service forwards to it: there is no way to check it by")
    });
    for (index, way) in ways.iter().enumerate() {
        progress.ways.set(index);
        progress.now("connect");
        let seen = by_kind(target, way.at, &way.check, progress).await?;
        last = Ok(Seen { words: format!("{}, {}", seen.words, way.through), ..seen });
    }
    last
}

/// Names the way that a check failed on, and what to look at.
fn on_the_way(ways: &[Way], index: usize, seen: Seen) -> Seen {
    let Some(Way { through, hint, .. }) = ways.get(index) else { return seen };
    let words = format!("{through}: {}; {hint}", seen.words);
    Seen { words, ..seen }
}

/// Kinds that need much are boxed: most checks only connect, and thousands of them wait at once.
async fn by_kind(target: &Target, at: SocketAddr, check: &Check, progress: &Progress) -> Verdict {
    match check {
        Check::Icmp(_) => icmp::check(at, progress).await,
        Check::Tcp(settings) => tcp::check(at, settings, progress).await,
        Check::Udp(settings) => udp::check(at, settings, progress).await,
        Check::Tls(settings) => Box::pin(tls::check(at, settings, progress)).await,
        Check::Http(settings) => Box::pin(http::check(at, settings, progress)).await,
        Check::Https(settings) => Box::pin(http::check_over_tls(at, settings, progress)).await,
        Check::Grpc(settings) => Box::pin(grpc::check(at, settings, progress)).await,
        Check::Postgres(settings) => {
            Box::pin(postgres::check(at, settings, &password(target)?, progress)).await
        }
        Check::Mysql(settings) => Box::pin(mysql::check(at, settings, &password(target)?, progress)).await,
        Check::Redis(settings) => Box::pin(redis::check(at, settings, &password(target)?, progress)).await,
        Check::Agent(settings) => Box::pin(agent::check(at, settings, progress)).await,
    }
}

/// What the monitor shows; empty if nothing.
fn password(target: &Target) -> Result<Vec<u8>, Seen> {
    let Some(sealed) = &target.monitor.password else { return Ok(Vec::new()) };
    vault::open_password(sealed).ok_or_else(|| Seen {
        ours: true,
        ..Seen::new("the monitor's password cannot be opened: it was sealed with another key file")
    })
}

/// That the member has the wanted role; `seen` is what it is, in words.
fn judge_role(wanted: Role, is_primary: bool, lag_s: Option<u32>, lag_max_s: Option<u32>) -> Verdict {
    let role = if is_primary { "primary" } else { "replica" };
    let lag = lag_s.filter(|_| !is_primary).map_or_else(String::new, |lag| format!(", {lag} s behind"));
    let words = format!("{role}{lag}");
    match (wanted, lag_s, lag_max_s) {
        (Role::Primary, ..) if !is_primary => Err(Seen::new(format!("{words}, want a primary"))),
        (Role::Replica, ..) if is_primary => Err(Seen::new(format!("{words}, want a replica"))),
        (_, Some(lag), Some(most)) if !is_primary && lag > most => {
            Err(Seen::new(format!("{words}, want at most {most} s")))
        }
        (_, None, Some(_)) if !is_primary => {
            Err(Seen::new(format!("{words}, and how far behind cannot be told")))
        }
        _ => Ok(Seen::new(words)),
    }
}

async fn connect(at: SocketAddr) -> Result<TcpStream, Seen> {
    let stream = TcpStream::connect(at).await.map_err(|error| Seen {
        ours: is_ours(&error),
        ..Seen::new(format!("connect {}", reason(&error)))
    })?;
    // A question is one segment, sent at once.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// No descriptor, port or memory was left here.
fn is_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let ours = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| ours.contains(&errno))
}

/// Why a system call failed, in few words.
fn reason(error: &io::Error) -> String {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::ConnectionRefused => "refused".to_owned(),
        Kind::ConnectionReset => "reset by the member".to_owned(),
        Kind::HostUnreachable => "failed: no route to the host, or it does not answer ARP".to_owned(),
        Kind::NetworkUnreachable => "failed: no route".to_owned(),
        Kind::UnexpectedEof => "closed by the member".to_owned(),
        _ => format!("failed: {error}"),
    }
}

/// A time as people say it.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// The beginning of what came, fit for a sentence.
fn excerpt(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let shown: String =
        bytes.iter().take(MOST).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
    let more = if bytes.len() > MOST { "…" } else { "" };
    format!("\"{shown}{more}\"")
}

#[cfg(test)]
mod tests;
