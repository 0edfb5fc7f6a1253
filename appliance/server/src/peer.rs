//! A connection to another process of the appliance, kept up by a thread of its own: the sockets of lb-link block.
//!
//! The thread connects, exchanges greetings, passes on what it is asked, asks for the status when there is nothing else
//! to ask, and connects again when the peer is gone. What becomes of the connection it tells a `Watcher`.

use std::fmt::Debug;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use lb_link::{Link, LinkError};
use lb_model::contract::{
    CONTRACT, Hello, HostAnswer, HostRequest, L4Answer, L4Request, L4Status, L7Answer, L7Request, L7Status,
    PlaneAnswer, PlaneRequest, PlaneStatus,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::sync::oneshot;

/// What a silent peer is given before it counts as gone; large snapshots take their time.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an idle connection is used, to notice a peer that died and to have fresh numbers.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// The first pause after a connection failed, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What can be said to a process and what it answers.
pub(crate) trait Contract: Debug + Send + 'static {
    /// What it is asked.
    type Request: Serialize + Debug + Send;
    /// What it answers.
    type Answer: DeserializeOwned + Debug + Send;
    /// The name of its binary.
    const PROCESS: &'static str;
    /// The question that changes nothing.
    const STATUS: Self::Request;
    /// What a silent one is given before it counts as gone.
    const PATIENCE: Duration = PATIENCE;
}

/// The contract with penstock-l4.
#[derive(Debug)]
pub(crate) enum L4 {}

impl Contract for L4 {
    type Request = L4Request;
    type Answer = L4Answer;
    const PROCESS: &'static str = "penstock-l4";
    const STATUS: L4Request = L4Request::Status;
}

/// The contract with penstock-l7.
#[derive(Debug)]
pub(crate) enum L7 {}

impl Contract for L7 {
    type Request = L7Request;
    type Answer = L7Answer;
    const PROCESS: &'static str = "penstock-l7";
    const STATUS: L7Request = L7Request::Status;
}

/// A process that forwards: all of them are told and asked in the same way.
pub(crate) trait Plane: Contract<Request = PlaneRequest, Answer = PlaneAnswer<Self::Status>> {
    /// What it says of itself.
    type Status: PlaneStatus + Clone + Send;
}

impl Plane for L4 {
    type Status = L4Status;
}

impl Plane for L7 {
    type Status = L7Status;
}

/// The contract with penstock-host.
#[derive(Debug)]
pub(crate) enum Host {}

impl Contract for Host {
    type Request = HostRequest;
    type Answer = HostAnswer;
    const PROCESS: &'static str = "penstock-host";
    const STATUS: HostRequest = HostRequest::Status;
}

/// The contract with penstock-host about the machine as a whole. What is asked there takes its time, and must not keep
/// addresses waiting: it has a connection of its own.
#[derive(Debug)]
pub(crate) enum Machine {}

impl Contract for Machine {
    type Request = HostRequest;
    type Answer = HostAnswer;
    const PROCESS: &'static str = Host::PROCESS;
    const STATUS: HostRequest = HostRequest::Status;
    const PATIENCE: Duration = Duration::from_mins(2);
}

/// Why a peer gave no answer.
#[derive(Debug, Error)]
pub(crate) enum PeerError {
    /// It is not there.
    #[error("{0} is not connected")]
    NotConnected(&'static str),
    /// It cannot be reached, or the connection broke before the answer came.
    #[error("{process} does not answer")]
    Link {
        /// The binary.
        process: &'static str,
        /// Why.
        source: LinkError,
    },
    /// It speaks another version of the contract.
    #[error("{process} {version} speaks version {theirs} of the contract, this penstockd speaks {CONTRACT}")]
    Contract {
        /// The binary.
        process: String,
        /// Its version.
        version: String,
        /// The version of the contract that it speaks.
        theirs: u32,
    },
}

/// Who is told what becomes of the connection. Called on the connection's thread.
pub(crate) trait Watcher<C: Contract>: Send + 'static {
    /// The peer is there, and knows nothing of what an earlier one was told.
    fn connected(&self, version: String, pid: Option<u32>);
    /// The peer is gone, or still not there.
    fn lost(&self, error: &PeerError);
    /// The peer answered the question for its status.
    fn status(&self, answer: C::Answer);
}

/// Nobody needs to know: whoever asks is told.
#[derive(Debug)]
pub(crate) struct Unwatched;

impl<C: Contract> Watcher<C> for Unwatched {
    fn connected(&self, _version: String, _pid: Option<u32>) {}
    fn lost(&self, _error: &PeerError) {}
    fn status(&self, _answer: C::Answer) {}
}

struct Ask<C: Contract> {
    request: C::Request,
    payload: Option<OwnedFd>,
    reply: oneshot::Sender<Result<C::Answer, PeerError>>,
}

/// The end of the connection that others hold.
#[derive(Debug)]
pub(crate) struct Peer<C: Contract> {
    asks: Sender<Ask<C>>,
}

impl<C: Contract> Clone for Peer<C> {
    fn clone(&self) -> Self {
        Self { asks: self.asks.clone() }
    }
}

impl<C: Contract> Peer<C> {
    /// Starts the thread that keeps a connection to `socket`. It ends when nobody holds the peer any more.
    pub(crate) fn start(socket: PathBuf, watcher: impl Watcher<C>) -> io::Result<Self> {
        let (asks, asked) = mpsc::channel();
        let keeper = Keeper { socket, watcher, asked };
        thread::Builder::new().name(C::PROCESS.to_owned()).spawn(move || keeper.run())?;
        Ok(Self { asks })
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask(
        &self,
        request: C::Request,
        payload: Option<OwnedFd>,
    ) -> Result<C::Answer, PeerError> {
        let (reply, answer) = oneshot::channel();
        let gone = || PeerError::NotConnected(C::PROCESS);
        self.asks.send(Ask { request, payload, reply }).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

struct Keeper<C: Contract, W: Watcher<C>> {
    socket: PathBuf,
    watcher: W,
    asked: Receiver<Ask<C>>,
}

/// Nobody holds the peer any more.
struct Abandoned;

impl<C: Contract, W: Watcher<C>> Keeper<C, W> {
    fn run(self) {
        let (shortest, longest) = PAUSES;
        let mut pause = shortest;
        loop {
            let lost = match self.connect() {
                Ok((link, hello)) => {
                    pause = shortest;
                    self.watcher.connected(hello.version, link.peer());
                    self.serve(link)
                }
                Err(error) => Ok(error),
            };
            let Ok(error) = lost else { return };
            self.watcher.lost(&error);
            let Ok(()) = self.refuse_for(pause) else { return };
            pause = longest.min(pause * 2);
        }
    }

    fn connect(&self) -> Result<(Link, Hello), PeerError> {
        let mut link = Link::connect(&self.socket).map_err(broken::<C>)?;
        link.set_timeout(C::PATIENCE).map_err(broken::<C>)?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let ours = Hello { contract: CONTRACT, process: "penstockd".to_owned(), version };
        let hello: Hello = link.call(&ours, None).map_err(broken::<C>)?;
        if hello.contract == CONTRACT {
            return Ok((link, hello));
        }
        let Hello { contract: theirs, process, version } = hello;
        Err(PeerError::Contract { process, version, theirs })
    }

    /// Passes on what is asked until the connection breaks.
    fn serve(&self, mut link: Link) -> Result<PeerError, Abandoned> {
        loop {
            match self.asked.recv_timeout(HEARTBEAT) {
                Ok(Ask { request, payload, reply }) => {
                    // A connection that failed once is given up: an answer that comes late must never be taken for
                    // that to a later question.
                    match link.call(&request, payload.as_ref()) {
                        Ok(answer) => drop(reply.send(Ok(answer))),
                        Err(error) => {
                            drop(reply.send(Err(PeerError::NotConnected(C::PROCESS))));
                            return Ok(broken::<C>(error));
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => match link.call(&C::STATUS, None) {
                    Ok(answer) => self.watcher.status(answer),
                    Err(error) => return Ok(broken::<C>(error)),
                },
                Err(RecvTimeoutError::Disconnected) => return Err(Abandoned),
            }
        }
    }

    /// Answers for the absent peer while waiting to look for it again.
    fn refuse_for(&self, pause: Duration) -> Result<(), Abandoned> {
        let until = Instant::now() + pause;
        loop {
            match self.asked.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(ask) => drop(ask.reply.send(Err(PeerError::NotConnected(C::PROCESS)))),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(Abandoned),
            }
        }
    }
}

fn broken<C: Contract>(source: LinkError) -> PeerError {
    PeerError::Link { process: C::PROCESS, source }
}
