//! The narrow socket: a fixed list of verbs (`lb_model::contract`), from one user, applied one at a time.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use lb_link::{Link, LinkError, Listener};
use lb_model::Generation;
use lb_model::contract::{CONTRACT, Hello, HostAnswer, HostPayload, HostRequest};
use thiserror::Error;
use tracing::{error, info, warn};

use crate::diagnosis;
use crate::host::Host;
use crate::machine::Machine;
use crate::settings::MachineSettings;

/// Why a conversation ended early.
#[derive(Debug, Error)]
enum ConversationError {
    #[error(
        "{process} {version} speaks contract {contract}, this is {CONTRACT}: install the same version of both"
    )]
    Contract { process: String, version: String, contract: u32 },
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// The host, and what was last said about it.
#[derive(Debug)]
pub(crate) struct Service {
    host: Mutex<Serving>,
    machine: Machine,
    settings: MachineSettings,
}

#[derive(Debug)]
struct Serving {
    host: Host,
    last: HostAnswer,
}

impl Service {
    /// Puts the last plan in force again. A failure is answered to whoever asks; the next plan may mend it.
    pub(crate) fn resume(mut host: Host, machine: Machine, settings: MachineSettings) -> Self {
        let last = match host.resume() {
            Ok(Some((generation, off_link))) => HostAnswer::Applied { generation, off_link },
            Ok(None) => HostAnswer::Applied { generation: Generation::default(), off_link: Vec::new() },
            Err(error) => refused(Generation::default(), error),
        };
        Self { host: Mutex::new(Serving { host, last }), machine, settings }
    }

    /// Serves for ever, each peer in a thread of its own.
    pub(crate) fn serve(self, listener: &Listener) -> LinkError {
        let service = Arc::new(self);
        loop {
            let link = match listener.accept() {
                Ok(link) => link,
                Err(error) => return error,
            };
            let service = Arc::clone(&service);
            let started =
                thread::Builder::new().name("peer".to_owned()).spawn(move || service.converse(link));
            if let Err(error) = started {
                error!("cannot start a thread for a peer: {error}");
            }
        }
    }

    fn converse(&self, mut link: Link) {
        match self.answer_all(&mut link) {
            Ok(()) | Err(ConversationError::Link(LinkError::Closed)) => {}
            Err(error) => warn!("a peer was left: {:#}", anyhow::Error::from(error)),
        }
    }

    fn answer_all(&self, link: &mut Link) -> Result<(), ConversationError> {
        link.send(&hello(), None)?;
        let (Hello { contract, process, version }, _) = link.receive()?;
        if contract != CONTRACT {
            return Err(ConversationError::Contract { process, version, contract });
        }
        info!(process, version, "{process} {version} is connected");
        loop {
            let (request, payload) = link.receive()?;
            link.send(&self.answer(&request, payload), None)?;
        }
    }

    fn answer(&self, request: &HostRequest, payload: Option<OwnedFd>) -> HostAnswer {
        match request {
            HostRequest::Machine(request) => self.machine.answer(*request),
            HostRequest::Settings(request) => self.settings.answer(request),
            HostRequest::Diagnose => HostAnswer::Diagnosis { texts: diagnosis::texts() },
            HostRequest::Status => self.serving().last.clone(),
            HostRequest::Apply { generation } => {
                let mut serving = self.serving();
                serving.last = apply(&mut serving.host, *generation, payload);
                serving.last.clone()
            }
        }
    }

    /// A thread that died while it held the host left nothing half written that the next plan would not mend.
    fn serving(&self) -> MutexGuard<'_, Serving> {
        self.host.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(host: &mut Host, generation: Generation, payload: Option<OwnedFd>) -> HostAnswer {
    let plan: HostPayload =
        match lb_link::unseal(payload).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)) {
            Ok(plan) => plan,
            Err(error) => return refused(generation, error),
        };
    if plan.generation != generation {
        let reason = format!("the plan is of generation {}, the request of {generation}", plan.generation);
        return HostAnswer::Refused { generation, reason };
    }
    match host.apply(&plan) {
        Ok(off_link) => HostAnswer::Applied { generation, off_link },
        Err(error) => refused(generation, error),
    }
}

fn refused(generation: Generation, error: impl Into<anyhow::Error>) -> HostAnswer {
    let reason = format!("{:#}", error.into());
    error!(generation = generation.0, "generation {generation} is not in force: {reason}");
    HostAnswer::Refused { generation, reason }
}

fn hello() -> Hello {
    Hello {
        contract: CONTRACT,
        process: "penstock-host".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
