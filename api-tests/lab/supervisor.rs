//! Keeps one process running, as the init system of the appliance will: a thread starts it, reads what it says, and
//! starts it again when it ends.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use crate::command::complain;

/// Between the end of a process and its next start.
const PAUSE: Duration = Duration::from_millis(50);
/// The same after one that did not live as long as this: its next start will hardly go better.
const PAUSE_AFTER_SHORT_LIFE: Duration = Duration::from_millis(500);
/// How long a process may take to end by itself before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to run.
pub struct Service {
    /// What it is called in messages.
    pub name: String,
    /// Makes the command, anew for each start.
    pub command: Box<dyn Fn() -> Command + Send>,
    /// A line of its standard output that contains this says that it is ready.
    pub ready: &'static str,
    /// What it writes is appended here.
    pub log: PathBuf,
}

/// A process that is kept running until this is dropped.
pub struct Supervised {
    name: String,
    log: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whether it should run.
    wanted: bool,
    /// Whether the thread should end.
    closing: bool,
    running: Option<Running>,
    starts: u32,
    ends: u32,
    /// Why the last one ended, or did not start.
    last_end: String,
}

struct Running {
    pid: u32,
    /// A signal to it cannot hit another process that got the same number.
    handle: OwnedFd,
    ready: bool,
}

impl Supervised {
    /// Starts it, and returns at once.
    pub fn start(service: Service) -> Self {
        let shared = Arc::new(Shared::default());
        shared.lock().wanted = true;
        let (name, log) = (service.name.clone(), service.log.clone());
        let of_thread = Arc::clone(&shared);
        let thread = thread::spawn(move || supervise(&service, &of_thread));
        Self { name, log, shared, thread: Some(thread) }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file it writes to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The process, while there is one.
    pub fn pid(&self) -> Option<u32> {
        self.shared.lock().running.as_ref().map(|running| running.pid)
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u32 {
        self.shared.lock().starts.saturating_sub(1)
    }

    /// The processor time that it has used since it started last.
    pub fn processor_time(&self) -> Result<Duration> {
        let pid = self.pid().with_context(|| format!("{} is not running", self.name))?;
        let stat =
            fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("no process {pid}"))?;
        // proc(5): after the name in brackets, which may hold blanks; utime and stime are fields 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3).and_then(|ticks| ticks.parse::<u64>().ok());
        let ticks =
            ticks(14).zip(ticks(15)).map(|(user, system)| user + system).context("an odd /proc/…/stat")?;
        Ok(Duration::from_millis(ticks * 1000 / clock_ticks_per_second()))
    }

    /// Waits until it is ready. An end meanwhile is an error: the next start will hardly go better.
    pub fn await_ready(&self, patience: Duration) -> Result<()> {
        let mut state = self.shared.lock();
        let ends = state.ends;
        let deadline = Instant::now() + patience;
        while !state.running.as_ref().is_some_and(|running| running.ready) {
            if state.ends != ends {
                bail!("{} ended before it was ready: {}\n{}", self.name, state.last_end, self.end_of_log());
            }
            if Instant::now() >= deadline {
                bail!("{} was not ready after {patience:?}\n{}", self.name, self.end_of_log());
            }
            state = self.shared.wait_until(state, deadline);
        }
        Ok(())
    }

    /// Sends it a signal and does not wait for what comes of it.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let state = self.shared.lock();
        let running = state.running.as_ref().ok_or_else(|| anyhow!("{} is not running", self.name))?;
        pidfd_send_signal(&running.handle, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Kills it as `kill -9` does, and returns when it is dead; it will be started again.
    pub fn kill(&self) -> Result<()> {
        let ends = self.shared.lock().ends;
        self.signal(Signal::KILL)?;
        self.await_end(ends, PATIENCE)
    }

    /// Asks it to end, waits until it has, and leaves it so.
    pub fn stop(&self) -> Result<()> {
        self.end(Signal::TERM)
    }

    /// Kills it as `kill -9` does, waits until it is dead, and leaves it so.
    pub fn kill_for_good(&self) -> Result<()> {
        self.end(Signal::KILL)
    }

    /// When it ends it stays away.
    pub fn leave_alone(&self) {
        self.shared.lock().wanted = false;
    }

    /// Waits until it has ended by itself.
    pub fn await_gone(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.lock();
        while state.running.is_some() {
            if Instant::now() >= deadline {
                bail!("{} has not ended within {patience:?}\n{}", self.name, self.end_of_log());
            }
            state = self.shared.wait_until(state, deadline);
        }
        Ok(())
    }

    /// Runs it again after [`Self::stop`] or [`Self::kill_for_good`].
    pub fn resume(&self) {
        self.shared.lock().wanted = true;
        self.shared.changed.notify_all();
    }

    fn end(&self, signal: Signal) -> Result<()> {
        let ends = {
            let mut state = self.shared.lock();
            state.wanted = false;
            if state.running.is_none() {
                return Ok(());
            }
            state.ends
        };
        self.signal(signal)?;
        if self.await_end(ends, PATIENCE).is_err() {
            self.signal(Signal::KILL)?;
            self.await_end(ends, PATIENCE)?;
            bail!("{} did not end within {PATIENCE:?} and was killed", self.name);
        }
        Ok(())
    }

    fn await_end(&self, ends: u32, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.lock();
        while state.ends == ends {
            if Instant::now() >= deadline {
                bail!("{} did not end within {patience:?}", self.name);
            }
            state = self.shared.wait_until(state, deadline);
        }
        Ok(())
    }

    /// The last lines it wrote, for error messages.
    pub fn end_of_log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let end = &lines[lines.len().saturating_sub(30)..];
        end.iter().map(|line| format!("  {}: {line}\n", self.name)).collect::<Vec<_>>().concat()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            complain(&error);
        }
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It ends by itself; one that panicked has nothing left to tidy.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// A thread that panicked with the lock left at worst a number that is off by one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until<'a>(&self, state: MutexGuard<'a, State>, deadline: Instant) -> MutexGuard<'a, State> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

fn supervise(service: &Service, shared: &Arc<Shared>) {
    while await_wanted(shared) {
        let started = Instant::now();
        let end = match run_once(service, shared) {
            Ok(status) => status.to_string(),
            Err(error) => format!("{error:#}"),
        };
        shared.change(|state| {
            state.running = None;
            state.ends += 1;
            state.last_end = end;
        });
        let short_life = started.elapsed() < PAUSE_AFTER_SHORT_LIFE;
        pause(shared, if short_life { PAUSE_AFTER_SHORT_LIFE } else { PAUSE });
    }
}

/// Waits until it should run; false when the supervisor should end.
fn await_wanted(shared: &Shared) -> bool {
    let mut state = shared.lock();
    while !state.wanted && !state.closing {
        state = shared.wait(state);
    }
    !state.closing
}

/// A change of mind ends the pause.
fn pause(shared: &Shared, length: Duration) {
    let deadline = Instant::now() + length;
    let mut state = shared.lock();
    while state.wanted && !state.closing && Instant::now() < deadline {
        state = shared.wait_until(state, deadline);
    }
}

fn run_once(service: &Service, shared: &Arc<Shared>) -> Result<ExitStatus> {
    let log = File::options().create(true).append(true).open(&service.log);
    let log = log.with_context(|| format!("cannot open {}", service.log.display()))?;
    let mut command = (service.command)();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log.try_clone().context("cannot share the log")?);
    let mut child = command.spawn().with_context(|| format!("cannot start {}", service.name))?;
    let handle = open_handle(&child)?;
    shared.change(|state| {
        state.starts += 1;
        state.running = Some(Running { pid: child.id(), handle, ready: false });
    });
    if let Some(stdout) = child.stdout.take() {
        read_in_background(stdout, log, service.ready, child.id(), Arc::clone(shared));
    }
    let status = child.wait().with_context(|| format!("cannot wait for {}", service.name))?;
    end_what_it_left(&child)?;
    Ok(status)
}

fn open_handle(child: &Child) -> Result<OwnedFd> {
    pidfd_open(pid(child)?, PidfdFlags::empty()).context("cannot open the process")
}

/// A master that was killed leaves its workers behind, on the port that the next one wants. Each process leads a group.
fn end_what_it_left(child: &Child) -> Result<()> {
    match kill_process_group(pid(child)?, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("cannot end what the process started"),
    }
}

fn pid(child: &Child) -> Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without a number")
}

/// Not joined: what the process started may hold its output open longer than it lives.
fn read_in_background(
    stdout: ChildStdout,
    mut log: File,
    ready: &'static str,
    pid: u32,
    shared: Arc<Shared>,
) {
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // A log that cannot be written must not stop the process that writes it.
            let _ = writeln!(log, "{line}");
            if line.contains(ready) {
                shared.change(|state| {
                    if let Some(running) = state.running.as_mut().filter(|running| running.pid == pid) {
                        running.ready = true;
                    }
                });
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;
    use crate::command::program;

    fn shell(name: &str, script: &'static str) -> Service {
        Service {
            name: name.to_owned(),
            command: Box::new(move || {
                let mut command = program("sh");
                command.args(["-c", script]);
                command
            }),
            ready: "ready",
            log: env::temp_dir().join(format!("penstock-lab-test-{name}-{}", std::process::id())),
        }
    }

    fn forget(process: Supervised) {
        let log = process.log().to_owned();
        drop(process);
        fs::remove_file(log).unwrap();
    }

    #[test]
    fn killed_process_is_started_again_within_a_second() {
        let process = Supervised::start(shell("sleeper", "echo ready; exec sleep 1000"));
        process.await_ready(PATIENCE).unwrap();
        let first = process.pid().unwrap();
        thread::sleep(PAUSE_AFTER_SHORT_LIFE);
        let killed = Instant::now();
        process.kill().unwrap();
        process.await_ready(PATIENCE).unwrap();
        assert!(killed.elapsed() < Duration::from_secs(1));
        assert_ne!(process.pid().unwrap(), first);
        assert_eq!(process.restarts(), 1);
        forget(process);
    }

    #[test]
    fn stopped_process_stays_away_until_it_is_resumed() {
        let process = Supervised::start(shell("stopper", "echo ready; exec sleep 1000"));
        process.await_ready(PATIENCE).unwrap();
        process.stop().unwrap();
        assert_eq!(process.pid(), None);
        assert!(process.signal(Signal::TERM).is_err());
        process.resume();
        process.await_ready(PATIENCE).unwrap();
        forget(process);
    }

    #[test]
    fn what_a_killed_process_started_ends_with_it() {
        let process = Supervised::start(shell("master", "sleep 1000 & echo ready $!; wait"));
        process.await_ready(PATIENCE).unwrap();
        let worker =
            fs::read_to_string(process.log()).unwrap().trim_start_matches("ready ").trim().to_owned();
        assert!(runs(&worker));
        process.kill_for_good().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while runs(&worker) {
            assert!(Instant::now() < deadline, "the worker lives on");
            thread::yield_now();
        }
        forget(process);
    }

    /// Whoever has ended may still be listed until it is waited for.
    fn runs(pid: &str) -> bool {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn process_that_ends_before_it_is_ready_is_quoted() {
        let process = Supervised::start(shell("failer", "echo the reason >&2; exit 4"));
        let error = process.await_ready(PATIENCE).unwrap_err().to_string();
        assert!(error.contains("exit status: 4") && error.contains("the reason"), "{error}");
        forget(process);
    }
}
