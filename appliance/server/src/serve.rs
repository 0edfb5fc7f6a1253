//! HTTPS: accepts, greets with TLS, and hands each connection to the router; HTTP/1.1 and HTTP/2.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// What a stranger is given to finish the TLS greeting or the head of a request.
const GREETING: Duration = Duration::from_secs(10);
/// What running requests are given when the program stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// A pause when the system has no more descriptors: accepting would fail again at once.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Serves until `stop` is ready, then lets running requests finish.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    router: Router,
    stop: impl Future<Output = ()>,
) {
    let running = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((socket, _)) => {
                tokio::spawn(connection(socket, tls.clone(), router.clone(), running.watcher()));
            }
            Err(error) => pause(&error).await,
        }
    }
    drop(listener);
    if timeout(FAREWELL, running.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

async fn connection(
    socket: TcpStream,
    tls: TlsAcceptor,
    router: Router,
    running: hyper_util::server::graceful::Watcher,
) {
    let Ok(Ok(stream)) = timeout(GREETING, tls.accept(socket)).await else { return };
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(GREETING);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(GREETING);
    let service = TowerToHyperService::new(router);
    let serving = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    if let Err(error) = running.watch(serving).await {
        tracing::debug!(error, "a connection ended early");
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(EXHAUSTED).await;
}
