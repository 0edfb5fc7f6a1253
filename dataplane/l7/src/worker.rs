//! A worker: one thread with its own runtime, its own listening sockets and its own connections to members. The kernel
//! spreads clients over the workers' sockets (`SO_REUSEPORT`).

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use lb_model::VirtualServiceId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use crate::balance::Ends;
use crate::connection;
use crate::counters::be_worker;
use crate::drain;
use crate::pool;
use crate::service::ServiceCell;

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Accept what comes to this address.
    Listen { address: SocketAddr, sockets: Vec<Socket>, cell: Arc<ServiceCell> },
    /// Accept nothing more there.
    Leave { address: SocketAddr },
    /// Another process accepts now, also what waits; connections that are here end in so long.
    HandOver { time: Duration },
    /// The service is offered no more: connections end as soon as nothing is asked on them.
    Retire { service: VirtualServiceId },
}

/// The end of a worker that others hold.
#[derive(Debug)]
pub(crate) struct Worker {
    orders: UnboundedSender<Order>,
}

impl Worker {
    /// Starts worker `number`.
    pub(crate) fn start(number: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (orders, told) = unbounded_channel();
        thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            be_worker(number);
            runtime.block_on(work(told));
        })?;
        Ok(Self { orders })
    }

    /// Tells it. Orders are followed in their sequence; a worker lives as long as the process.
    pub(crate) fn tell(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

async fn work(mut told: UnboundedReceiver<Order>) {
    tokio::spawn(pool::sweep());
    let mut listeners: HashMap<SocketAddr, Vec<oneshot::Sender<Handed>>> = HashMap::new();
    while let Some(order) = told.recv().await {
        match order {
            Order::Listen { address, sockets, cell } => {
                let begun = sockets.into_iter().filter_map(|socket| begin(socket, address, &cell));
                listeners.insert(address, begun.collect());
            }
            Order::Leave { address } => drop(listeners.remove(&address)),
            Order::HandOver { time } => {
                for stop in listeners.drain().flat_map(|(_, stops)| stops) {
                    let _ = stop.send(Handed);
                }
                tokio::spawn(drain::leave_in_turn(time));
            }
            Order::Retire { service } => drain::wake(service),
        }
    }
}

/// Somebody else accepts there now.
#[derive(Debug)]
struct Handed;

/// Accepts at a socket; without the end that this returns it stops.
fn begin(socket: Socket, address: SocketAddr, cell: &Arc<ServiceCell>) -> Option<oneshot::Sender<Handed>> {
    match TcpListener::from_std(socket) {
        Ok(listener) => {
            let (stop, stopped) = oneshot::channel();
            tokio::spawn(listen(listener, address, Arc::clone(cell), stopped));
            Some(stop)
        }
        Err(error) => {
            tracing::error!(%error, "cannot accept connections to {address}");
            None
        }
    }
}

/// Accepts until it is told to stop, and then what the kernel has accepted already, unless somebody else does.
async fn listen(
    listener: TcpListener,
    address: SocketAddr,
    cell: Arc<ServiceCell>,
    mut stopped: oneshot::Receiver<Handed>,
) {
    loop {
        tokio::select! {
            biased;
            accepted = listener.accept() => accept(accepted, address, &cell).await,
            stopped = &mut stopped => match stopped {
                Ok(Handed) => return,
                Err(_) => break,
            },
        }
    }
    while let Some(accepted) = std::future::poll_fn(|cx| match listener.poll_accept(cx) {
        Poll::Ready(accepted) => Poll::Ready(accepted.ok()),
        Poll::Pending => Poll::Ready(None),
    })
    .await
    {
        accept(Ok(accepted), address, &cell).await;
    }
}

async fn accept(
    accepted: std::io::Result<(TcpStream, SocketAddr)>,
    service: SocketAddr,
    cell: &Arc<ServiceCell>,
) {
    match accepted {
        Ok((stream, client)) => {
            let ends = Ends { client, service };
            drop(tokio::spawn(connection::serve(stream, ends, Arc::clone(cell))));
        }
        Err(error) => {
            // Out of descriptors or memory: others may end meanwhile.
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}
