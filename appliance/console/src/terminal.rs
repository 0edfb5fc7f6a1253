//! Lines to and from a terminal. What is typed in answer to a question about a secret is not shown.

use std::io::{self, BufRead, Stdin, Stdout, Write};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Standard input and output.
#[derive(Debug)]
pub(crate) struct Terminal {
    typed: Stdin,
    shown: Stdout,
}

/// No more of what is typed is shown, until it is dropped.
struct Silence(Termios);

impl Terminal {
    pub(crate) fn open() -> Self {
        Self { typed: io::stdin(), shown: io::stdout() }
    }

    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        let mut out = self.shown.lock();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// What is typed next, if it comes in time. The end of the input is an error: nobody can type any more.
    pub(crate) fn line(&mut self, patience: Duration) -> io::Result<Option<String>> {
        let patience = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(patience.subsec_nanos()),
        };
        match poll(&mut [PollFd::new(&self.typed, PollFlags::IN)], Some(&patience)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(None),
            Ok(_) => self.read().map(Some),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn ask(&mut self, question: &str) -> io::Result<String> {
        self.prompt(question)?;
        self.read()
    }

    pub(crate) fn ask_secret(&mut self, question: &str) -> io::Result<String> {
        // Before the question: what is typed in answer to it must be neither shown nor flushed.
        let silence = Silence::begin();
        self.prompt(question)?;
        let secret = self.read()?;
        drop(silence);
        self.say("")?;
        Ok(secret)
    }

    /// Without a new line behind it.
    pub(crate) fn prompt(&mut self, question: &str) -> io::Result<()> {
        let mut out = self.shown.lock();
        write!(out, "  {question} ")?;
        out.flush()
    }

    fn read(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.typed.lock().read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl Silence {
    /// Nothing on what is no terminal.
    fn begin() -> Option<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing more anyway.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
