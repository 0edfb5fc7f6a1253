//! Connections that are passed on as they are: what the client says goes to a member, what that says goes back. Of TLS that does
//! not end here only the first message is looked at, for the name that the client asks for.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::{Request, StatusCode};
use lb_model::l7::{Ending, L7Protocol};
use tokio::net::TcpStream;

use crate::balance::Ends;
use crate::client::seconds;
use crate::connection;
use crate::deadline::Deadline;
use crate::drain::Presence;
use crate::exchange::NoAnswer;
use crate::hello;
use crate::member_tls::Speech;
use crate::origin::Origin;
use crate::pick::{Picked, pick};
use crate::pool;
use crate::record::Record;
use crate::route::{self, Refused, Whom};
use crate::service::{OpenRequest, Pool, Service, ServiceCell};
use crate::stream::Stream;
use crate::way::{Broken, Way};

/// Serves a connection until it ends.
pub(crate) async fn serve(stream: TcpStream, ends: Ends, service: Arc<Service>, cell: Arc<ServiceCell>) {
    let Some((client, begun, origin)) = greet(stream, ends, &service).await else { return };
    let (member, open) = match reach(&service, &origin).await {
        Ok(reached) => reached,
        Err(ending) => {
            tracing::debug!(service = %service.id, "a connection is passed on to nobody: {}", ending.as_str());
            return service.counters.ended(ending);
        }
    };
    let mut relay = Relay {
        up: Way::new(begun),
        down: Way::new(BytesMut::new()),
        client,
        member,
        idle: seconds(service.timeouts.idle_s),
        silence: Deadline::after(seconds(service.timeouts.idle_s)),
        presence: Presence::enter(service.id),
        parting: None,
    };
    drop(service);
    match std::future::poll_fn(|cx| relay.poll(&cell, cx)).await {
        Ok(()) => {}
        Err(ending) => {
            if ending == Ending::MemberCut {
                open.fail();
            }
            cell.load().counters.ended(ending);
        }
    }
}

/// What passes, what of it has come already, and from whom.
async fn greet(mut stream: TcpStream, ends: Ends, service: &Service) -> Option<(Stream, BytesMut, Origin)> {
    let origin = |name: Option<&str>| Origin::new(ends.client, ends.service, "tcp", name);
    if service.tls.is_some() {
        let stream = connection::open(stream, service).await?;
        let origin = origin(stream.server_name());
        return Some((stream, BytesMut::new(), origin));
    }
    if service.protocol != L7Protocol::Tls {
        return Some((Stream::Plain(stream), BytesMut::new(), origin(None)));
    }
    let patience = seconds(service.timeouts.request_s);
    match tokio::time::timeout(patience, hello::read(&mut stream)).await {
        Ok(Ok((name, begun))) => Some((Stream::Plain(stream), begun, origin(name.as_deref()))),
        Ok(Err(error)) => {
            tracing::debug!(service = %service.id, %error, "a client does not begin TLS");
            service.counters.ended(Ending::TlsFailed);
            None
        }
        Err(_) => {
            service.counters.ended(Ending::ClientTimeout);
            None
        }
    }
}

/// A connection to the member that the policies and its pool choose; another one, where that cannot be reached.
async fn reach(service: &Service, origin: &Origin) -> Result<(Stream, OpenRequest), Ending> {
    // To policies it is a request of which nothing is known but whom it comes from, and the name.
    let (mut parts, ()) = Request::new(()).into_parts();
    let decision = service.policies.decide(&parts, origin);
    if decision.limits().any(|limit| limit.admit(&parts, origin).is_err()) {
        return Err(Ending::RateLimited);
    }
    let pools = match route::follow(&decision, service, origin, &mut parts) {
        Ok(Whom::Pools(pools)) => pools,
        Ok(Whom::Nobody(_)) => return Err(Ending::Rejected),
        Err(Refused { ending, .. }) => return Err(ending),
    };
    let mut record = Record::unread(origin.ends.client, parts.version);
    let Picked { pool, kept, mut open } = pick(pools, origin, &parts, &mut record).await?;
    let kept = kept.unwrap_or_else(|| pool.kept(&parts, origin));
    pool.budget.earn();
    let mut tried = Vec::new();
    loop {
        let member = Arc::clone(open.member());
        let failure = match connect(service, origin, &pool, open).await {
            Ok(reached) => return Ok(reached),
            Err(failure) => failure,
        };
        tracing::debug!(service = %service.id, member = %member.id, %failure, "a member cannot be reached");
        let may_go_on = tried.len() < pool.retries.attempts as usize && pool.budget.spend();
        tried.push(member);
        let next = if may_go_on { pool.balancer.claim(origin.ends, kept, &tried) } else { None };
        open = next.ok_or(match failure {
            NoAnswer::Tls(_) => Ending::MemberTls,
            _ => Ending::ConnectFailed,
        })?;
    }
}

async fn connect(
    service: &Service,
    origin: &Origin,
    pool: &Pool,
    open: OpenRequest,
) -> Result<(Stream, OpenRequest), NoAnswer> {
    let member = open.member();
    member.counters().began();
    let patience = seconds(service.timeouts.connect_s);
    let began = Instant::now();
    match pool::connect(member, origin.ends, patience, Speech::Bytes).await {
        Ok(stream) => {
            // All that is seen of how fast it is.
            member.pace.answered(StatusCode::OK, || began.elapsed());
            pool.judge(member, Some(StatusCode::OK));
            Ok((stream, open))
        }
        Err(failure) => {
            pool.judge(member, None);
            open.fail();
            Err(failure)
        }
    }
}

/// Both ways of a connection.
struct Relay {
    client: Stream,
    member: Stream,
    /// From the client to the member.
    up: Way,
    down: Way,
    idle: Duration,
    silence: Deadline,
    presence: Presence,
    /// Its service is offered no more: by then it has to end.
    parting: Option<Deadline>,
}

impl Relay {
    fn poll(&mut self, cell: &ServiceCell, cx: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        let (received, sent) = (self.up.passed(), self.down.passed());
        let up = self.up.poll(&mut self.client, &mut self.member, cx);
        let down = self.down.poll(&mut self.member, &mut self.client, cx);
        let (received, sent) = (self.up.passed() - received, self.down.passed() - sent);
        if received + sent > 0 {
            cell.load().counters.passed(received, sent);
            self.silence.set(self.idle);
        }
        match (up, down) {
            (Poll::Ready(Err(Broken::Source)), _) | (_, Poll::Ready(Err(Broken::Sink))) => {
                Poll::Ready(Err(Ending::ClientGone))
            }
            (Poll::Ready(Err(Broken::Sink)), _) | (_, Poll::Ready(Err(Broken::Source))) => {
                Poll::Ready(Err(Ending::MemberCut))
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
            _ if self.poll_parting(cell, cx).is_ready() => Poll::Ready(Err(Ending::ServiceGone)),
            _ => self.silence.poll(cx).map(|()| Err(Ending::Silent)),
        }
    }

    fn poll_parting(&mut self, cell: &ServiceCell, cx: &mut Context<'_>) -> Poll<()> {
        if self.parting.is_none() {
            std::task::ready!(self.presence.poll_leave(cell, cx));
        }
        let patience = seconds(cell.load().timeouts.drain_s);
        self.parting.get_or_insert_with(|| Deadline::after(patience)).poll(cx)
    }
}
