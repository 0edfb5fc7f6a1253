//! A process that takes the place of another one, without a connection being lost: it is given the listening sockets themselves, with
//! all that waits in them, begins to accept, and only then tells the other to stop. That one serves what it has to the end.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use lb_link::{Link, LinkError};
use lb_model::contract::{CONTRACT, HandedSocket, Hello, L7Answer, L7Request};

/// How long one waits for the other in the middle of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// What is said once a process serves.
pub(crate) const READY: &str = "penstock-l7 ready";

/// Listening sockets, of each address one for each worker.
pub(crate) type Sockets = HashMap<SocketAddr, Vec<TcpListener>>;

/// A process whose sockets these are too, until it is told.
pub(crate) struct Predecessor {
    link: Link,
}

/// Asks the process that answers at `socket` for its listening sockets; none if there is no such process.
pub(crate) fn ask(socket: &Path) -> anyhow::Result<Option<(Predecessor, Sockets)>> {
    let Ok(mut link) = Link::connect(socket) else { return Ok(None) };
    link.set_timeout(PATIENCE)?;
    let version = env!("CARGO_PKG_VERSION").into();
    let hello: Hello =
        link.call(&Hello { contract: CONTRACT, process: "penstock-l7".into(), version }, None)?;
    let Hello { contract, process, version } = hello;
    ensure!(contract == CONTRACT, "{process} {version} speaks contract {contract}, this is {CONTRACT}");
    let count =
        match link.call(&L7Request::HandOver, None).context("the other process knows no handing over")? {
            L7Answer::HandingOver { sockets } => sockets,
            L7Answer::Refused { reason, .. } => bail!("the other process hands nothing over: {reason}"),
            _ => bail!("the other process answered another question"),
        };
    let mut sockets = Sockets::new();
    for _ in 0..count {
        let (HandedSocket { address }, socket) = link.receive()?;
        let socket = socket.context("a socket was told of and did not come")?;
        sockets.entry(address).or_default().push(socket.into());
    }
    Ok(Some((Predecessor { link }, sockets)))
}

impl Predecessor {
    /// Tells it to accept no more. If it ended meanwhile, so much the better.
    pub(crate) fn retire(mut self) -> Result<(), LinkError> {
        match self.link.call::<_, L7Answer>(&L7Request::TakenOver, None) {
            Ok(_) | Err(LinkError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Tells systemd, if it wants to know, that this process serves, and that it is the one to watch (`sd_notify(3)`).
pub(crate) fn tell_systemd() -> io::Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let address = match path.as_bytes() {
        [b'@', name @ ..] => UnixAddr::from_abstract_name(name)?,
        _ => UnixAddr::from_pathname(&path)?,
    };
    let message = format!("READY=1\nMAINPID={}", std::process::id());
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// Starts another process that takes over from the one that serves, and returns when it does.
pub(crate) fn start_successor(config: &Path) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("this program does not know where it is")?;
    let mut successor = Command::new(own)
        .arg("--take-over")
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start another penstock-l7")?;
    let said = BufReader::new(successor.stdout.take().context("it has no output")?);
    if said.lines().map_while(Result::ok).any(|line| line == READY) {
        return Ok(());
    }
    let status = successor.wait()?;
    writeln!(io::stderr(), "what there was goes on")?;
    bail!("the new process did not take over: {status}")
}
