//! What the other processes were last known to do. It is written by the reconciler and its peers, read by the API, and
//! never becomes desired state.

use std::net::IpAddr;
use std::time::Duration;

use lb_model::Generation;
use lb_model::contract::{L4Status, L7Status};
use tokio::sync::watch;
use tokio::time::Instant;

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// The last generation that every plane it concerns worked by and the host had applied.
    pub(crate) generation: Generation,
    /// Why a newer one is not, if it was tried and refused.
    pub(crate) failure: Option<Failure>,
    /// penstock-l4.
    pub(crate) l4: PlaneState<L4Status>,
    /// penstock-l7.
    pub(crate) l7: PlaneState<L7Status>,
    /// penstock-host.
    pub(crate) host: ProcessState,
    /// Addresses that the host had to put on a port whose network they do not belong to.
    pub(crate) off_link: Vec<IpAddr>,
}

/// A process that forwards.
#[derive(Clone, Debug)]
pub(crate) struct PlaneState<S> {
    /// As the other end of a socket.
    pub(crate) process: ProcessState,
    /// Whether what is wanted has anything to do with it.
    pub(crate) concerned: bool,
    /// Its last report.
    pub(crate) report: Option<Reported<S>>,
}

impl<S> Default for PlaneState<S> {
    fn default() -> Self {
        Self { process: ProcessState::default(), concerned: false, report: None }
    }
}

impl<S: Clone> PlaneState<S> {
    /// The last report, unless it is older.
    pub(crate) fn recent(&self, age: Duration) -> Option<S> {
        let recent = self.report.as_ref().filter(|report| report.at + age > Instant::now());
        recent.map(|report| report.status.clone())
    }
}

/// A generation that was tried and refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Which one.
    pub(crate) generation: Generation,
    /// Why, for the operator.
    pub(crate) reason: String,
}

/// A process at the other end of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProcessState {
    /// Its version, while it is connected.
    pub(crate) version: Option<String>,
    /// Its number on this machine, while it is connected.
    pub(crate) pid: Option<u32>,
    /// What it acknowledged since it was connected.
    pub(crate) acknowledged: Option<Generation>,
    /// What it says it works by.
    pub(crate) generation: Generation,
    /// Why it is not connected, or refused what it was last asked.
    pub(crate) error: Option<String>,
}

/// A report, and when it came.
#[derive(Clone, Debug)]
pub(crate) struct Reported<S> {
    /// What was reported.
    pub(crate) status: S,
    /// When.
    pub(crate) at: Instant,
}

/// Where it is read.
pub(crate) type Observation = watch::Receiver<Observed>;

impl ProcessState {
    /// Whether it answers.
    pub(crate) fn is_connected(&self) -> bool {
        self.version.is_some()
    }

    /// It answers, and has acknowledged nothing yet.
    pub(crate) fn connected(&mut self, version: String, pid: Option<u32>) {
        *self = Self { version: Some(version), pid, generation: self.generation, ..Self::default() };
    }

    /// It does not answer.
    pub(crate) fn lost(&mut self, error: String) {
        *self = Self { error: Some(error), generation: self.generation, ..Self::default() };
    }

    /// It works by `generation` because it was asked to.
    pub(crate) fn acknowledged(&mut self, generation: Generation) {
        self.acknowledged = Some(generation);
        self.generation = generation;
        self.error = None;
    }

    /// It says that it works by `generation`. Returns whether that takes back what it acknowledged.
    pub(crate) fn reported(&mut self, generation: Generation) -> bool {
        self.generation = generation;
        let taken_back = self.acknowledged.is_some_and(|acknowledged| acknowledged != generation);
        if taken_back {
            self.acknowledged = None;
        }
        taken_back
    }
}
