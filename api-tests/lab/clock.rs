//! A wall clock for penstockd that a test can step: the machine's own is everybody's.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::command::{program, run};

/// What it is made of.
const SOURCE: &str = include_str!("clock.c");

/// In the folder of a lab.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    library: PathBuf,
    step: PathBuf,
}

impl Clock {
    /// Builds it, showing the machine's time.
    pub(crate) fn build(folder: &Path) -> Result<Self> {
        let (source, library, step) =
            (folder.join("clock.c"), folder.join("clock.so"), folder.join("clock-step"));
        fs::write(&source, SOURCE).context("cannot write clock.c")?;
        run(program("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl"))?;
        fs::write(&step, 0i64.to_ne_bytes()).context("cannot write the clock's step")?;
        Ok(Self { library, step })
    }

    /// Lets a process go by it.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("PENSTOCK_CLOCK", &self.step);
    }

    /// From now on it shows so many seconds more than the machine's.
    pub(crate) fn step(&self, seconds: i64) -> Result<()> {
        let step = OpenOptions::new().write(true).open(&self.step)?;
        Ok(step.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }
}
