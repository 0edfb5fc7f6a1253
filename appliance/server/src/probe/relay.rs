//! A relay in front of a server, which can behave as servers do that fail.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// As the server behind it.
    Well,
    /// Nobody listens.
    Stopped,
    /// It accepts, and says nothing.
    Hung,
    /// As the server, but so much later.
    Slow(Duration),
    /// It says something else.
    Wrong,
}

/// One relay, at an address of its own.
pub(super) struct Relay {
    at: SocketAddr,
    to: SocketAddr,
    udp: bool,
    wrong: Arc<Mutex<Vec<u8>>>,
    accepted: Arc<AtomicUsize>,
    serving: Mutex<Option<JoinHandle<()>>>,
}

impl Relay {
    pub(super) async fn begin(to: SocketAddr, udp: bool, wrong: &[u8]) -> Self {
        let at = super::servers::nowhere();
        let wrong = Arc::new(Mutex::new(wrong.to_vec()));
        let (accepted, serving) = (Arc::default(), Mutex::default());
        let relay = Self { at, to, udp, wrong, accepted, serving };
        relay.behave(Manner::Well).await;
        relay
    }

    pub(super) fn at(&self) -> SocketAddr {
        self.at
    }

    /// How many connections were accepted.
    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// What it says when it says something else.
    pub(super) fn say(&self, what: &[u8]) {
        *self.wrong.lock().unwrap() = what.to_vec();
    }

    /// From now on it behaves like this; connections from before are cut.
    pub(super) async fn behave(&self, manner: Manner) {
        let before = self.serving.lock().unwrap().take();
        if let Some(before) = before {
            before.abort();
            let _ = before.await;
        }
        if manner == Manner::Stopped {
            return;
        }
        let (to, wrong, accepted) = (self.to, Arc::clone(&self.wrong), Arc::clone(&self.accepted));
        let serving = if self.udp {
            let socket = UdpSocket::bind(self.at).await.unwrap();
            tokio::spawn(serve_datagrams(socket, to, manner, wrong))
        } else {
            let listener = listen(self.at);
            tokio::spawn(serve(listener, to, manner, wrong, accepted))
        };
        *self.serving.lock().unwrap() = Some(serving);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.lock().unwrap().take() {
            serving.abort();
        }
    }
}

/// Listens where somebody has just listened.
fn listen(at: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(at).unwrap();
    socket.listen(128).unwrap()
}

async fn serve(
    listener: TcpListener,
    to: SocketAddr,
    manner: Manner,
    wrong: Arc<Mutex<Vec<u8>>>,
    accepted: Arc<AtomicUsize>,
) {
    let mut clients = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        accepted.fetch_add(1, Ordering::SeqCst);
        let wrong = wrong.lock().unwrap().clone();
        clients.spawn(attend(client, to, manner, wrong));
        while clients.try_join_next().is_some() {}
    }
}

async fn attend(mut client: TcpStream, to: SocketAddr, manner: Manner, wrong: Vec<u8>) {
    match manner {
        Manner::Hung => drop(client.read_to_end(&mut Vec::new()).await),
        Manner::Wrong => {
            // Nothing is lost by a client that is gone.
            let _ = client.write_all(&wrong).await;
            let _ = client.read_to_end(&mut Vec::new()).await;
        }
        Manner::Well | Manner::Stopped | Manner::Slow(_) => {
            if let Manner::Slow(late) = manner {
                tokio::time::sleep(late).await;
            }
            if let Ok(mut server) = TcpStream::connect(to).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        }
    }
}

async fn serve_datagrams(socket: UdpSocket, to: SocketAddr, manner: Manner, wrong: Arc<Mutex<Vec<u8>>>) {
    let mut datagram = vec![0; 2048];
    while let Ok((length, client)) = socket.recv_from(&mut datagram).await {
        match manner {
            Manner::Hung => continue,
            Manner::Slow(late) => tokio::time::sleep(late).await,
            Manner::Wrong => {
                let wrong = wrong.lock().unwrap().clone();
                let _ = socket.send_to(&wrong, client).await;
                continue;
            }
            Manner::Well | Manner::Stopped => {}
        }
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let _ = server.send_to(&datagram[..length], to).await;
        let mut answer = vec![0; 2048];
        if let Ok(Ok(length)) = tokio::time::timeout(Duration::from_secs(1), server.recv(&mut answer)).await {
            let _ = socket.send_to(&answer[..length], client).await;
        }
    }
}
