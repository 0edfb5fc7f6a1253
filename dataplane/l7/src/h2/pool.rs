//! HTTP/2 connections to members, each worker's own: one carries many requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::h2::client::{Builder, SendRequest};
use bytes::{Bytes, BytesMut};
use lb_model::l7::ProxyProtocol;
use tokio::time::{Instant, timeout};

use super::Wire;
use crate::exchange::NoAnswer;
use crate::service::Member;
use crate::stream::Stream;

/// Requests that a connection carries at a time, if the member does not want fewer.
const STREAMS: usize = 100;
/// Connections to one member that a worker keeps.
const KEPT: usize = 16;
/// How long one without a request is kept.
const WAIT: Duration = Duration::from_secs(30);
/// What may be on its way to us unasked: for one answer, and for all of a connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Fields of one answer, unpacked.
const HEADER_LIST: u32 = 64 << 10;
/// What waits in memory to be sent, for each request.
const SEND_BUFFER: usize = 128 << 10;

/// A connection; a copy is held by each request on it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) send: SendRequest<Bytes>,
    held: Arc<()>,
}

#[derive(Debug)]
struct Kept {
    connection: Connection,
    member: Arc<Member>,
    used: Instant,
}

thread_local! {
    static POOL: RefCell<HashMap<u64, Vec<Kept>>> = RefCell::new(HashMap::new());
}

impl Connection {
    fn has_room(&self) -> bool {
        self.requests() < STREAMS.min(self.send.current_max_send_streams())
    }

    /// Beside the copy that is kept.
    fn requests(&self) -> usize {
        Arc::strong_count(&self.held) - 1
    }

    /// Nobody else is given this connection.
    pub(crate) fn forget(&self, member: &Member) {
        POOL.with_borrow_mut(|pool| {
            if let Some(kept) = pool.get_mut(&member.number()) {
                kept.retain(|kept| !Arc::ptr_eq(&kept.connection.held, &self.held));
            }
        });
    }
}

/// A connection with room for a request, if there is one.
pub(crate) async fn take(member: &Member) -> Option<Connection> {
    loop {
        let mut found = POOL.with_borrow_mut(|pool| {
            let kept = pool.get_mut(&member.number())?.iter_mut().find(|kept| kept.connection.has_room())?;
            kept.used = Instant::now();
            Some(kept.connection.clone())
        })?;
        match std::future::poll_fn(|cx| found.send.poll_ready(cx)).await {
            Ok(()) => return Some(found),
            // It was closed, or is being closed.
            Err(_) => found.forget(member),
        }
    }
}

/// Speaks HTTP/2 on a new connection, and keeps it for others too.
pub(crate) async fn begin(
    stream: Stream,
    member: &Arc<Member>,
    patience: Duration,
) -> Result<Connection, NoAnswer> {
    let handshake = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .handshake(Wire::new(stream, BytesMut::new()));
    let shaken = timeout(patience, handshake).await.map_err(|_| NoAnswer::ConnectTimeout)?;
    let (send, connection) = shaken.map_err(|_| NoAnswer::Closed)?;
    drop(tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP/2 connection to a member broke");
        }
    }));
    let connection = Connection { send, held: Arc::default() };
    if !member.is_gone() && member.proxy_protocol == ProxyProtocol::None {
        POOL.with_borrow_mut(|pool| {
            let kept = pool.entry(member.number()).or_default();
            if kept.len() < KEPT {
                let member = Arc::clone(member);
                kept.push(Kept { connection: connection.clone(), member, used: Instant::now() });
            }
        });
    }
    Ok(connection)
}

/// Lets go of what has waited too long, or belongs to a member that is gone.
pub(crate) fn sweep() {
    POOL.with_borrow_mut(|pool| {
        pool.retain(|_, kept| {
            kept.retain(|kept| {
                let idle = kept.connection.requests() == 0 && kept.used.elapsed() > WAIT;
                !idle && !kept.member.is_gone()
            });
            !kept.is_empty()
        });
    });
}
