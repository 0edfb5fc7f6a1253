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
}

impl Seen {
    fn new(words: impl Into<String>) -> Self {
        Self { code: None, words: words.into(), ours: false, warns: false, wish: Wish::default() }
    }
}

/// How far a check has come: named when its time is up.
#[derive(Debug)]
struct Progress(Cell<&'static str>);

impl Progress {
    fn now(&self, step: &'static str) {
        self.0.set(step);
    }
}

/// Does the check, once.
pub(super) async fn check(target: &Target) -> Outcome {
    let limit = Duration::from_millis(u64::from(target.monitor.timeout_ms));
    let progress = Progress(Cell::new("connect"));
    let begin = Instant::now();
    let verdict = timeout(limit, by_kind(target, &progress)).await;
    let verdict = verdict.unwrap_or_else(|_| {
        let step = progress.0.get();
        Err(Seen::new(format!("{step} timed out after {}", seconds(limit))))
    });
    let took = begin.elapsed();
    let passed = verdict.is_ok();
    let (Ok(seen) | Err(seen)) = verdict;
    let Seen { code, words, ours, warns, wish } = seen;
    Outcome { passed, code, words, took, ours, warns, wish }
}

async fn by_kind(target: &Target, progress: &Progress) -> Verdict {
    match &target.monitor.check {
        Check::Icmp(_) => icmp::check(target.at, progress).await,
        Check::Tcp(settings) => tcp::check(target.at, settings, progress).await,
        Check::Udp(settings) => udp::check(target.at, settings, progress).await,
        Check::Tls(settings) => tls::check(target.at, settings, progress).await,
        Check::Http(settings) => http::check(target.at, settings, progress).await,
        Check::Https(settings) => http::check_over_tls(target.at, settings, progress).await,
        Check::Grpc(settings) => grpc::check(target.at, settings, progress).await,
        Check::Postgres(settings) => postgres::check(target.at, settings, &password(target)?, progress).await,
        Check::Mysql(settings) => mysql::check(target.at, settings, &password(target)?, progress).await,
        Check::Redis(settings) => redis::check(target.at, settings, &password(target)?, progress).await,
        Check::Agent(settings) => agent::check(target.at, settings, progress).await,
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
