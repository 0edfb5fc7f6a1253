//! What a client does, and what it sees: requests, downloads, resets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::iter::Sum;
use std::net::Ipv4Addr;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::members::hex;
use crate::namespace::Namespace;

/// How a request of `curl` ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With this body.
    Body(String),
    /// With a reset: nobody listens.
    Refused,
    /// Not in the time that was given: somebody kept silent.
    Silence,
    /// In another way, by curl's exit status.
    Failed(i32),
}

impl Namespace {
    /// One request on a connection of its own.
    pub fn get(&self, url: &str, patience: Duration) -> Result<Answer> {
        let seconds = format!("{:.1}", patience.as_secs_f32());
        let mut command = self.command("curl");
        command.args(["--silent", "--fail", "--noproxy", "*", "--max-time", &seconds, url]);
        let output = command.stdin(Stdio::null()).output().context("cannot run curl")?;
        let body = String::from_utf8(output.stdout).context("the answer is no text")?;
        // curl(1), "EXIT CODES".
        Ok(match output.status.code() {
            Some(0) => Answer::Body(body.trim_end().to_owned()),
            Some(7) => Answer::Refused,
            Some(28) => Answer::Silence,
            code => Answer::Failed(code.unwrap_or(-1)),
        })
    }

    /// Sends these bytes on a connection of its own, and returns what came until the other side closed it.
    pub fn talk(&self, address: Ipv4Addr, port: u16, bytes: &[u8], patience: Duration) -> Result<String> {
        let seconds = format!("{:.1}", patience.as_secs_f32());
        let script = "exec 3<>/dev/tcp/$1/$2 && cat >&3 && exec timeout \"$3\" cat <&3";
        let mut command = self.command("bash");
        command.args(["-c", script, "bash", &address.to_string(), &port.to_string(), &seconds]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut bash = command.spawn().context("cannot run bash")?;
        // Dropped at once: bash's `cat` waits for the end.
        bash.stdin.take().context("bash has no input")?.write_all(bytes).context("bash takes no input")?;
        let output = bash.wait_with_output().context("cannot wait for bash")?;
        // timeout(1) ends with 124 where the other side did not close.
        match output.status.code() {
            Some(0 | 124) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            code => bail!("the connection to {address} port {port} failed: {code:?}"),
        }
    }

    /// Starts a download of so many bytes a second at most, and returns when the first have come.
    pub fn download(&self, url: &str, bytes_a_second: u64) -> Result<Download> {
        Download::start(self, url, bytes_a_second, &[])
    }

    /// The same, with more arguments for `curl`.
    pub fn download_with(&self, url: &str, bytes_a_second: u64, arguments: &[&str]) -> Result<Download> {
        Download::start(self, url, bytes_a_second, arguments)
    }
}

/// A download that goes on in the background.
pub struct Download {
    curl: Child,
    member: String,
    received: Arc<(Mutex<u64>, Condvar)>,
    reader: JoinHandle<String>,
}

impl Download {
    fn start(from: &Namespace, url: &str, bytes_a_second: u64, arguments: &[&str]) -> Result<Self> {
        let mut command = from.command("curl");
        command.args([
            "--silent",
            "--show-error",
            "--fail",
            "--noproxy",
            "*",
            "--dump-header",
            "/dev/stderr",
        ]);
        command.args(["--max-time", "120", "--connect-timeout", "5"]);
        command.args(["--limit-rate", &bytes_a_second.to_string()]).args(arguments).arg(url);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut curl = command.spawn().context("cannot run curl")?;
        let (Some(mut body), Some(messages)) = (curl.stdout.take(), curl.stderr.take()) else {
            bail!("curl has no output");
        };
        let received = Arc::new((Mutex::new(0), Condvar::new()));
        let counted = Arc::clone(&received);
        let reader = thread::spawn(move || {
            let mut hash = Sha256::new();
            let mut block = vec![0; 1 << 16];
            while let Ok(length @ 1..) = body.read(&mut block) {
                hash.update(&block[..length]);
                *counted.0.lock().unwrap_or_else(PoisonError::into_inner) += length as u64;
                counted.1.notify_all();
            }
            hex(&hash.finalize())
        });
        let member = member_of(messages)?;
        Ok(Self { curl, member, received, reader })
    }

    /// The member that serves it.
    pub fn member(&self) -> &str {
        &self.member
    }

    /// How many bytes have come.
    pub fn received(&self) -> u64 {
        *self.received.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until so many bytes have come.
    pub fn await_bytes(&self, bytes: u64, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut received = self.received.0.lock().unwrap_or_else(PoisonError::into_inner);
        while *received < bytes {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{} of {bytes} bytes came in {patience:?}", *received);
            }
            received = self.received.1.wait_timeout(received, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Waits for its end, and returns the checksum of what came.
    pub fn finish(mut self) -> Result<String> {
        let status = self.curl.wait().context("cannot wait for curl")?;
        let received = self.received();
        let Ok(checksum) = self.reader.join() else { bail!("the reader of the download panicked") };
        if !status.success() {
            bail!("the download from {} ended with {status} after {received} bytes", self.member);
        }
        Ok(checksum)
    }
}

/// Finds the name that a member puts into the response's headers. All of what curl says is read, to its end: it
/// gives up when it cannot write.
fn member_of(messages: ChildStderr) -> Result<String> {
    let (lines, heard) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(messages).lines().map_while(Result::ok) {
            // Nobody listens once the name was found.
            let _ = lines.send(line);
        }
    });
    let mut said = Vec::new();
    for line in heard {
        // A proxy may write names in its own way.
        if let Some(("x-member", member)) = line.to_ascii_lowercase().split_once(':') {
            return Ok(member.trim().to_owned());
        }
        said.push(line);
    }
    bail!("the download did not begin: {}", said.join(" "))
}

/// TCP resets that went through a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resets {
    /// That it received.
    pub received: u64,
    /// That it sent.
    pub sent: u64,
}

impl Sum for Resets {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self { received: a.received + b.received, sent: a.sent + b.sent })
    }
}

/// Begins to count. Before connection tracking and before a socket sees them, so none is missed.
pub(crate) fn count_resets(namespace: &Namespace) -> Result<()> {
    namespace.nft(
        "table ip lab {
            counter received {}
            counter sent {}
            chain in { type filter hook prerouting priority -300; tcp flags & rst == rst counter name received; }
            chain out { type filter hook postrouting priority 300; tcp flags & rst == rst counter name sent; }
        }",
    )
}

/// The counts so far.
pub(crate) fn resets(namespace: &Namespace) -> Result<Resets> {
    let listed = namespace.run("nft", &["--json", "list", "counters"])?;
    let listed: Value = serde_json::from_str(&listed).context("nft printed no JSON")?;
    let entries = listed["nftables"].as_array().context("nft printed no list")?;
    let count = |name: &str| {
        let counter = entries.iter().map(|entry| &entry["counter"]).find(|counter| counter["name"] == name);
        counter
            .and_then(|counter| counter["packets"].as_u64())
            .with_context(|| format!("nft has no counter {name}"))
    };
    Ok(Resets { received: count("received")?, sent: count("sent")? })
}
