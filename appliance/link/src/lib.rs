//! The owner-only Unix sockets between the processes of the appliance.
//!
//! A message is JSON behind a four-byte length; what is large travels beside it as a sealed memory file, which the
//! receiver maps or reads and which the sender can no longer change. What is said, and who answers what, is
//! `lb_model::contract`; this crate knows bytes and descriptors only.

use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Messages are small; what is not goes into a memory file. The largest is a plane's status: some 200 bytes for each
/// member of each service.
const MAX_MESSAGE: usize = 64 << 20;

/// Why a message could not be passed.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The socket could not be made.
    #[error("cannot listen on {path}")]
    Listen {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nobody listens there.
    #[error("cannot connect to {path}")]
    Connect {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The peer went away, or was too slow.
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    /// The peer closed the connection between two messages.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer speaks another language.
    #[error("the message is not understood")]
    Message(#[from] serde_json::Error),
    /// Larger than any message.
    #[error("a message of {0} bytes is too large")]
    TooLarge(usize),
    /// The peer sent no memory file, or one it can still change.
    #[error("the payload is {0}")]
    Payload(&'static str),
}

/// A socket that waits for peers.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
}

impl Listener {
    /// Listens at `path`, for the user `owner` (and root) alone. A socket left behind by a dead process is replaced; one
    /// that somebody answers is not.
    pub fn bind(path: &Path, owner: Option<u32>) -> Result<Self, LinkError> {
        if UnixStream::connect(path).is_ok() {
            let source = io::ErrorKind::AddrInUse.into();
            return Err(LinkError::Listen { path: path.to_owned(), source });
        }
        Self::replace(path, owner)
    }

    /// The same in the place of one that somebody may still answer: who connects from now on comes here.
    pub fn replace(path: &Path, owner: Option<u32>) -> Result<Self, LinkError> {
        let failed = |source| LinkError::Listen { path: path.to_owned(), source };
        // Made under another name and moved into place, so that nobody ever finds it with the wrong owner.
        let fresh = path.with_extension("new");
        remove_if_there(&fresh).map_err(failed)?;
        let socket = UnixListener::bind(&fresh).map_err(failed)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        if owner.is_some() {
            std::os::unix::fs::chown(&fresh, owner, None).map_err(failed)?;
        }
        fs::rename(&fresh, path).map_err(failed)?;
        Ok(Self { socket })
    }

    /// Waits for the next peer.
    pub fn accept(&self) -> Result<Link, LinkError> {
        let (socket, _) = self.socket.accept()?;
        Ok(Link { socket })
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A connection to a peer.
#[derive(Debug)]
pub struct Link {
    socket: UnixStream,
}

impl Link {
    /// Connects to the process that listens at `path`.
    pub fn connect(path: &Path) -> Result<Self, LinkError> {
        let socket = UnixStream::connect(path)
            .map_err(|source| LinkError::Connect { path: path.to_owned(), source })?;
        Ok(Self { socket })
    }

    /// The number of the peer's process on this machine (`SO_PEERCRED`): of a server, of whoever began to listen.
    pub fn peer(&self) -> Option<u32> {
        let credentials = rustix::net::sockopt::socket_peercred(&self.socket).ok()?;
        u32::try_from(credentials.pid.as_raw_nonzero().get()).ok()
    }

    /// Gives up on a peer that is silent for longer than `limit`.
    pub fn set_timeout(&self, limit: Duration) -> Result<(), LinkError> {
        self.socket.set_read_timeout(Some(limit))?;
        self.socket.set_write_timeout(Some(limit))?;
        Ok(())
    }

    /// Sends a message, and beside it a payload made by [`seal`].
    pub fn send<T: Serialize>(&mut self, message: &T, payload: Option<&OwnedFd>) -> Result<(), LinkError> {
        let body = serde_json::to_vec(message)?;
        if body.len() > MAX_MESSAGE {
            return Err(LinkError::TooLarge(body.len()));
        }
        let len = u32::try_from(body.len()).map_err(|_| LinkError::TooLarge(body.len()))?.to_be_bytes();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = payload.map(|fd| [fd.as_fd()]);
        if let Some(fds) = &fds {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        // The descriptor rides on the length, which is too short to be sent in part.
        rustix::net::sendmsg(&self.socket, &[IoSlice::new(&len)], &mut control, SendFlags::NOSIGNAL)
            .map_err(io::Error::from)?;
        self.socket.write_all(&body)?;
        Ok(())
    }

    /// Waits for the next message and what came beside it.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<(T, Option<OwnedFd>), LinkError> {
        let (len, payload) = self.receive_length()?;
        if len > MAX_MESSAGE {
            return Err(LinkError::TooLarge(len));
        }
        let mut body = vec![0; len];
        self.socket.read_exact(&mut body)?;
        Ok((serde_json::from_slice(&body)?, payload))
    }

    /// Asks, and waits for the answer.
    pub fn call<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        request: &Q,
        payload: Option<&OwnedFd>,
    ) -> Result<A, LinkError> {
        self.send(request, payload)?;
        Ok(self.receive()?.0)
    }

    fn receive_length(&mut self) -> Result<(usize, Option<OwnedFd>), LinkError> {
        let mut len = [0; 4];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(&mut len)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
        .map_err(io::Error::from)?;
        if received.bytes == 0 {
            return Err(LinkError::Closed);
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(LinkError::Payload("more than one file"));
        }
        let payload = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        });
        self.socket.read_exact(&mut len[received.bytes..])?;
        Ok((u32::from_be_bytes(len) as usize, payload))
    }
}

/// Puts a payload into a memory file that nobody can change any more.
pub fn seal<T: Serialize>(payload: &T) -> Result<OwnedFd, LinkError> {
    let fd = rustix::fs::memfd_create("penstock-payload", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(io::Error::from)?;
    let mut file = File::from(fd);
    {
        let mut writer = io::BufWriter::with_capacity(1 << 16, &mut file);
        serde_json::to_writer(&mut writer, payload)?;
        writer.flush()?;
    }
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).map_err(io::Error::from)?;
    Ok(file.into())
}

/// The bytes of a payload that came beside a message.
pub fn unseal(payload: Option<OwnedFd>) -> Result<Vec<u8>, LinkError> {
    let fd = payload.ok_or(LinkError::Payload("missing"))?;
    let seals = rustix::fs::fcntl_get_seals(&fd).map_err(io::Error::from)?;
    if !seals.contains(SealFlags::WRITE | SealFlags::SHRINK) {
        return Err(LinkError::Payload("not sealed"));
    }
    let mut bytes = Vec::new();
    let mut file = File::from(fd);
    // The sender's writes moved the shared offset to the end.
    io::Seek::rewind(&mut file)?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Link, Link) {
        let (left, right) = UnixStream::pair().unwrap();
        (Link { socket: left }, Link { socket: right })
    }

    #[test]
    fn message_and_payload_arrive_together() {
        let (mut left, mut right) = pair();
        let payload = seal(&vec![7u32; 100_000]).unwrap();
        left.send(&"publish", Some(&payload)).unwrap();
        left.send(&"status", None).unwrap();

        let (first, file) = right.receive::<String>().unwrap();
        assert_eq!(first, "publish");
        assert_eq!(serde_json::from_slice::<Vec<u32>>(&unseal(file).unwrap()).unwrap(), vec![7; 100_000]);
        let (second, none) = right.receive::<String>().unwrap();
        assert_eq!((second.as_str(), none.is_none()), ("status", true));
    }

    #[test]
    fn an_unsealed_payload_is_refused() {
        let fd = rustix::fs::memfd_create("open", MemfdFlags::ALLOW_SEALING).unwrap();
        assert!(matches!(unseal(Some(fd)), Err(LinkError::Payload("not sealed"))));
        assert!(matches!(unseal(None), Err(LinkError::Payload("missing"))));
    }

    #[test]
    fn a_closed_peer_and_nonsense_are_told_apart() {
        let (mut left, mut right) = pair();
        left.send(&17, None).unwrap();
        assert!(matches!(right.receive::<String>(), Err(LinkError::Message(_))));
        drop(left);
        assert!(matches!(right.receive::<String>(), Err(LinkError::Closed)));
    }

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let dir = std::env::temp_dir().join(format!("lb-link-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("test.sock");
        drop(Listener::bind(&path, None).unwrap());
        let live = Listener::bind(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(Listener::bind(&path, None), Err(LinkError::Listen { .. })));
        let next = Listener::replace(&path, None).unwrap();
        let caller = Link::connect(&path).unwrap();
        drop(live);
        drop(next.accept().unwrap());
        drop(caller);
        fs::remove_dir_all(&dir).unwrap();
    }
}
