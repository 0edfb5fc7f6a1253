//! Connections to members that wait for their next request, each worker's own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lb_model::l7::ProxyProtocol;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::balance::Ends;
use crate::exchange::{MemberConnection, NoAnswer};
use crate::h2;
use crate::member_tls::Speech;
use crate::proxy_protocol;
use crate::service::Member;
use crate::stream::Stream;

/// How many connections to one member a worker keeps waiting.
const KEPT: usize = 128;
/// How long one waits at most. Servers close sooner or later; what they close first is found by the sweep, or in use.
const WAIT: Duration = Duration::from_secs(30);
/// How often those that have waited too long are let go.
const SWEEP: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct Waiting {
    member: Option<Arc<Member>>,
    connections: Vec<(MemberConnection, Instant)>,
}

thread_local! {
    static POOL: RefCell<HashMap<u64, Waiting>> = RefCell::new(HashMap::new());
}

/// The connection that waits for the shortest time, if there is one.
pub(crate) fn take(member: &Member) -> Option<MemberConnection> {
    POOL.with_borrow_mut(|pool| {
        let waiting = pool.get_mut(&member.number())?;
        while let Some((mut connection, _)) = waiting.connections.pop() {
            if !connection.stream.is_stale() {
                return Some(connection);
            }
        }
        None
    })
}

/// Lets a connection wait for the next request.
pub(crate) fn keep(member: &Arc<Member>, connection: MemberConnection) {
    // A connection that was begun in the name of one client is not for another.
    if member.is_gone() || member.proxy_protocol != ProxyProtocol::None {
        return;
    }
    POOL.with_borrow_mut(|pool| {
        let waiting = pool.entry(member.number()).or_default();
        waiting.member.get_or_insert_with(|| Arc::clone(member));
        if waiting.connections.len() < KEPT {
            waiting.connections.push((connection, Instant::now()));
        }
    });
}

/// A new connection.
pub(crate) async fn connect(
    member: &Member,
    ends: Ends,
    patience: Duration,
    speech: Speech,
) -> Result<Stream, NoAnswer> {
    let stream = timeout(patience, connect_at_last(member, ends, speech)).await;
    let stream = stream.map_err(|_| NoAnswer::ConnectTimeout)??;
    member.counters().connected();
    Ok(stream)
}

async fn connect_at_last(member: &Member, ends: Ends, speech: Speech) -> Result<Stream, NoAnswer> {
    let connecting = TcpStream::connect(SocketAddr::new(member.address, member.port.get()));
    let mut stream = connecting.await.map_err(NoAnswer::Connect)?;
    stream.set_nodelay(true).map_err(NoAnswer::Connect)?;
    let told = proxy_protocol::write(&mut stream, member.proxy_protocol, ends).await;
    told.map_err(NoAnswer::Connect)?;
    match &member.tls {
        None => Ok(Stream::Plain(stream)),
        Some(tls) => tls.connect(stream, member, speech).await.map_err(NoAnswer::Tls),
    }
}

/// Lets go, for ever, of what has waited too long, was closed by the member, or belongs to one that is gone.
pub(crate) async fn sweep() {
    loop {
        tokio::time::sleep(SWEEP).await;
        h2::pool::sweep();
        POOL.with_borrow_mut(|pool| {
            pool.retain(|_, waiting| {
                let gone = waiting.member.as_ref().is_none_or(|member| member.is_gone());
                waiting.connections.retain_mut(|(connection, since)| {
                    !gone && since.elapsed() < WAIT && !connection.stream.is_stale()
                });
                !waiting.connections.is_empty()
            });
        });
    }
}
