//! The program behind `make run`: the product in the lab, until Ctrl-C.

mod session;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lab::{Lab, LabOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The terminal may be gone, which is no reason to stop in the middle of tidying up.
            let _ = writeln!(io::stderr(), "penstock-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot catch signals")?;
    let options = LabOptions::from_environment()?;
    let begun = Instant::now();
    let lab = Lab::start_with_progress(&options, &mut |step| {
        if signals.pending().next().is_some() {
            bail!("interrupted");
        }
        say(&format!("[{:5.1} s] {step}\n", begun.elapsed().as_secs_f32()))
    })?;
    say(&format!("[{:5.1} s] Ready\n", begun.elapsed().as_secs_f32()))?;
    say(&session::introduction(&lab, &options)?)?;
    watch(&lab, signals)?;
    say("\nRemoving the lab …\n")?;
    drop(lab);
    say("Removed.\n")
}

/// Shows how the lab is doing, on one line, until a signal says that it is enough.
fn watch(lab: &Lab, mut signals: Signals) -> Result<()> {
    let begun = Instant::now();
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(signals.forever().next()));
    while ended.recv_timeout(Duration::from_secs(1)).is_err() {
        if io::stdout().is_terminal() {
            say(&format!("\r\x1b[K{}", session::status(lab, begun.elapsed())))?;
        }
    }
    Ok(())
}

fn say(text: &str) -> Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to the terminal")
}
