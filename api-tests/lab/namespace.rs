//! A network namespace of the lab, and running programs in it.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::command::{program, run, run_with_input};

/// A named network namespace, as `ip netns` shows it.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// The one of that name, which need not exist yet.
    pub(crate) fn named(name: String) -> Self {
        Self { name }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A program that will run in it. Only its network is another: mounts are the host's, so that what
    /// one process pins on a BPF file system another finds (`ip netns exec` would hide it).
    pub fn command(&self, name: &str) -> Command {
        let mut command = program("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(name);
        command
    }

    /// Does `work` in it: sockets that it opens are of this network, also when it is over.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file =
            File::open(self.path()).with_context(|| format!("cannot open {}", self.path().display()))?;
        // A thread of its own: its network is nobody else's.
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .with_context(|| format!("cannot enter {}", self.name))?;
                work()
            });
            inside.join().map_err(|_| anyhow!("what was done in {} panicked", self.name))?
        })
    }

    /// Runs a program in it to its end, and returns what it wrote.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Result<String> {
        run(self.command(name).args(arguments))
    }

    /// Orders for `ip`, one a line.
    pub(crate) fn ip(&self, orders: &str) -> Result<()> {
        run_with_input(program("ip").args(["-netns", &self.name, "-batch", "-"]), orders).map(drop)
    }

    /// A table of rules for `nft`.
    pub(crate) fn nft(&self, rules: &str) -> Result<()> {
        run_with_input(self.command("nft").args(["-f", "-"]), rules).map(drop)
    }

    /// Sets a value under `net.` for this namespace.
    pub(crate) fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.run("sysctl", &["-qw", &format!("{key}={value}")]).map(drop)
    }

    /// Kills what runs in it, and waits until it is dead.
    pub(crate) fn kill_all(&self) -> Result<()> {
        if !self.path().exists() {
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let listed = run(program("ip").args(["netns", "pids", &self.name]))?;
            let pids: Vec<Pid> = listed.split_whitespace().filter_map(parse_pid).collect();
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "processes {} in {} do not die",
                    listed.split_whitespace().collect::<Vec<_>>().join(" "),
                    self.name
                );
            }
            pids.into_iter().for_each(kill_and_wait);
        }
    }

    /// Removes it, with the interfaces in it.
    pub(crate) fn remove(&self) -> Result<()> {
        if self.path().exists() {
            run(program("ip").args(["netns", "delete", &self.name]))?;
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }
}

fn parse_pid(word: &str) -> Option<Pid> {
    word.parse().ok().and_then(Pid::from_raw)
}

/// A process that cannot be opened has ended already.
fn kill_and_wait(pid: Pid) {
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let _ = pidfd_send_signal(&handle, Signal::KILL);
    let _ = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&Timespec { tv_sec: 2, tv_nsec: 0 }));
}
