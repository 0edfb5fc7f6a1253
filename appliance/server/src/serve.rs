//! HTTPS: accepts, greets with TLS, and hands each connection to the router; HTTP/1.1 and HTTP/2.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// What a stranger is given to finish the TLS greeting or the head of a request.
const GREETING: Duration = Duration::from_secs(10);
/// What running requests are given when the program stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// Connections at once: enough for every console and script, too few to exhaust the process.
const CONNECTIONS: usize = 1024;
/// A pause when the system has no more descriptors: accepting would fail again at once.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(pub(crate) IpAddr);

/// Another hand on the same socket, for who serves later.
pub(crate) fn again(listener: &TcpListener) -> io::Result<TcpListener> {
    TcpListener::from_std(std::net::TcpListener::from(listener.as_fd().try_clone_to_owned()?))
}

/// Serves until `stop` is ready, then lets running requests finish.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let running = GracefulShutdown::new();
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &seats) => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((socket, source, seat)) => {
                let served = connection(socket, source, tls.clone(), router.clone(), running.watcher());
                tokio::spawn(async move {
                    served.await;
                    drop(seat);
                });
            }
            Err(error) => pause(&error).await,
        }
    }
    drop(listener);
    if timeout(FAREWELL, running.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

/// The next stranger, once there is a seat.
async fn accept(
    listener: &TcpListener,
    seats: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Source, OwnedSemaphorePermit)> {
    let seat = Arc::clone(seats).acquire_owned().await.map_err(io::Error::other)?;
    let (socket, peer) = listener.accept().await?;
    Ok((socket, Source(peer.ip()), seat))
}

async fn connection(
    socket: TcpStream,
    source: Source,
    tls: TlsAcceptor,
    router: Router,
    running: hyper_util::server::graceful::Watcher,
) {
    let Ok(Ok(stream)) = timeout(GREETING, tls.accept(socket)).await else { return };
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(GREETING);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(GREETING);
    let service = TowerToHyperService::new(router.layer(Extension(source)));
    let serving = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = running.watch(serving).await {
        tracing::debug!(error, "a connection ended early");
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(EXHAUSTED).await;
}
