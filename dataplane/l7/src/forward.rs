//! From a request to an answer: what a member must not see is taken off, what it should know is added, and members are
//! asked until one answers or nobody is left who may be.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderName, ORIGIN, RETRY_AFTER,
    STRICT_TRANSPORT_SECURITY, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use lb_model::l7::{Ending, HttpVersion, L7Limits, L7Timeouts};

use crate::balance::Ends;
use crate::body::{Body, BodyError};
use crate::client::seconds;
use crate::exchange::{Exchange, MemberConnection, NoAnswer, Patience};
use crate::h1::{Framing, Sender, write_request_head};
use crate::h2;
use crate::hedge::Outcome;
use crate::member_tls::Speech;
use crate::mirror;
use crate::origin::Origin;
use crate::pick::{Picked, pick};
use crate::policy::{Busy, Copies, Decision};
use crate::pool;
use crate::record::Record;
use crate::route::{self, Pools, Refused, Whom};
use crate::service::{Member, Service};
use crate::stream::Stream;
use crate::tunnel;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The certificate that a client has shown (RFC 9440), and whom it is for.
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");
const X_CLIENT_SUBJECT: HeaderName = HeaderName::from_static("x-client-subject");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What a client gets, whatever it speaks.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) parts: http::response::Parts,
    pub(crate) body: Body,
}

impl Answer {
    /// One of our own.
    pub(crate) fn own(status: StatusCode) -> Self {
        let (mut parts, ()) = http::Response::new(()).into_parts();
        parts.status = status;
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let reason = status.canonical_reason().unwrap_or_default();
        let body = Body::Whole(Bytes::from(format!("{} {reason}\n", status.as_u16())));
        Self { parts, body }
    }

    fn failed(failure: &NoAnswer, record: &mut Record) -> Self {
        let (status, ending) = match failure {
            NoAnswer::Connect(_) => (StatusCode::BAD_GATEWAY, Ending::ConnectFailed),
            NoAnswer::ConnectTimeout => (StatusCode::GATEWAY_TIMEOUT, Ending::ConnectFailed),
            NoAnswer::Tls(_) => (StatusCode::BAD_GATEWAY, Ending::MemberTls),
            NoAnswer::Closed => (StatusCode::BAD_GATEWAY, Ending::MemberClosed),
            NoAnswer::Timeout => (StatusCode::GATEWAY_TIMEOUT, Ending::MemberTimeout),
            NoAnswer::Malformed => (StatusCode::BAD_GATEWAY, Ending::MemberProtocol),
            NoAnswer::Request(BodyError::Silent) => (StatusCode::REQUEST_TIMEOUT, Ending::ClientTimeout),
            NoAnswer::Request(BodyError::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, Ending::BodyTooLarge),
            NoAnswer::Request(BodyError::Cut) => (StatusCode::BAD_REQUEST, Ending::ClientGone),
            NoAnswer::Request(_) => (StatusCode::BAD_REQUEST, Ending::BadRequest),
        };
        record.note_failure(ending, failure);
        Self::own(status)
    }
}

/// Answers a request, whatever protocol it came by: its target is a path, and `Host` says whose.
pub(crate) async fn answer(
    service: &Service,
    origin: &Origin,
    mut parts: http::request::Parts,
    body: Body,
    record: &mut Record,
) -> Answer {
    let body = match fit(service, &parts, body) {
        Ok(body) => body,
        Err(Refused { status, ending, .. }) => {
            record.note(ending);
            return Answer::own(status);
        }
    };
    let decision = service.policies.decide(&parts, origin);
    record.decided_by(decision.last());
    if let Err(wait) = decision.limits().try_for_each(|limit| limit.admit(&parts, origin)) {
        record.note(Ending::RateLimited);
        let mut answer = Answer::own(StatusCode::TOO_MANY_REQUESTS);
        answer.parts.headers.insert(RETRY_AFTER, HeaderValue::from(wait));
        return answer;
    }
    let asking_page = if decision.has_cors() { parts.headers.get(ORIGIN).cloned() } else { None };
    let compression = service.compression.as_ref();
    let coding = compression.and_then(|compression| compression.coding_for(&parts.method, &parts.headers));
    prepare(&mut parts.headers, origin);
    if settle(&decision, &parts).await.is_err() {
        record.note(Ending::RateLimited);
        let mut answer = Answer::own(StatusCode::TOO_MANY_REQUESTS);
        answer.parts.headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return answer;
    }
    let mut answer = match route::follow(&decision, service, origin, &mut parts) {
        Ok(Whom::Pools(pools)) => ask(service, pools, decision.copies(), origin, parts, body, record).await,
        Ok(Whom::Nobody(answer)) => answer,
        Err(refused) => {
            record.note(refused.ending);
            refused.answer()
        }
    };
    decision.change_response(asking_page.as_ref(), &mut answer.parts.headers);
    if let Some(told) = &service.hsts {
        answer.parts.headers.insert(STRICT_TRANSPORT_SECURITY, told.clone());
    }
    if let Some(compression) = compression {
        compression.apply(coding, &mut answer);
    }
    answer
}

/// Finds out what is not known yet about the passwords that a request shows.
async fn settle(decision: &Decision<'_>, parts: &http::request::Parts) -> Result<(), Busy> {
    for _ in 0..decision.fitting.len() {
        let Some(question) = decision.question(parts) else { break };
        Box::pin(question.settle()).await?;
    }
    Ok(())
}

/// Refuses what is larger than the service takes.
fn fit(service: &Service, parts: &http::request::Parts, body: Body) -> Result<Body, Refused> {
    let L7Limits { target_bytes, body_bytes, .. } = service.limits;
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > target_bytes as usize {
        return Err(Refused::new(StatusCode::URI_TOO_LONG, Ending::HeadTooLarge));
    }
    let Some(most) = body_bytes.filter(|_| !tunnel::is_asked(parts)) else {
        return Ok(body);
    };
    let too_large = Refused::new(StatusCode::PAYLOAD_TOO_LARGE, Ending::BodyTooLarge);
    body.limited(u64::from(most)).ok_or(too_large)
}

/// Asks members of the first of these pools that has one.
async fn ask(
    service: &Service,
    pools: Pools<'_>,
    copies: Option<Copies>,
    origin: &Origin,
    mut parts: http::request::Parts,
    body: Body,
    record: &mut Record,
) -> Answer {
    let Picked { pool, kept, open } = match pick(pools, origin, &parts, record).await {
        Ok(picked) => picked,
        Err(ending) => return nobody(ending, record),
    };
    let kept = kept.unwrap_or_else(|| pool.kept(&parts, origin));
    if let Some(keeper) = &pool.keeper {
        keeper.unmark_request(&mut parts.headers);
    }
    let body = match copies {
        Some(copies) => mirror::copy(copies, service, origin.ends, &parts, body),
        None => body,
    };
    pool.budget.earn();
    let secure = origin.sni.is_some() || origin.scheme == "https";
    let mut request = Request::new(service.timeouts, origin.ends, parts, body, record);
    // Holds nothing, and no memory, unless another one is asked.
    let mut tried: Vec<Arc<Member>> = Vec::new();
    let mut failure = None;
    let mut next = Some(open);
    while let Some(open) = next.take() {
        request.record.asking(pool.id, open.member().id);
        let Outcome { open, asked } = request.ask_one_or_two(&pool, kept, open, &mut tried).await;
        let member = open.member();
        // What broke off at the client's side tells nothing of the member.
        if !matches!(asked, Err(NoAnswer::Request(_))) {
            pool.judge(member, asked.as_ref().ok().map(|answer| answer.parts.status));
        }
        let again = match &asked {
            Ok(answer) => {
                request.is_repeatable() && pool.retries.codes.contains(&answer.parts.status.as_u16())
            }
            Err(failed) => request.may_go_on_after(failed),
        };
        if again && tried.len() < pool.retries.attempts as usize {
            tried.push(Arc::clone(member));
            let another = pool.balancer.claim(origin.ends, kept, &tried);
            next = another.filter(|_| pool.budget.spend());
        }
        match asked {
            Ok(mut answer) if next.is_none() => {
                request.record.answered();
                if let Some(keeper) = &pool.keeper {
                    keeper.mark_answer(&mut answer.parts.headers, member, kept, secure);
                }
                answer.body.hold(open);
                return answer;
            }
            Ok(_) => {}
            Err(failed) => failure = Some(failed),
        }
    }
    match failure {
        Some(failure) => Answer::failed(&failure, request.record),
        None => nobody(Ending::NoMember, request.record),
    }
}

fn nobody(ending: Ending, record: &mut Record) -> Answer {
    record.note(ending);
    Answer::own(StatusCode::SERVICE_UNAVAILABLE)
}

/// A request that looks for a member.
pub(crate) struct Request<'r> {
    timeouts: L7Timeouts,
    pub(crate) ends: Ends,
    pub(crate) parts: http::request::Parts,
    /// Until it was given to a member.
    body: Option<Body>,
    pub(crate) record: &'r mut Record,
}

impl<'r> Request<'r> {
    pub(crate) fn new(
        timeouts: L7Timeouts,
        ends: Ends,
        parts: http::request::Parts,
        body: Body,
        record: &'r mut Record,
    ) -> Self {
        Self { timeouts, ends, parts, body: Some(body), record }
    }

    /// Asks one member: on a connection that waits, or a new one.
    pub(crate) async fn ask(&mut self, member: &Arc<Member>) -> Result<Answer, NoAnswer> {
        let tunneled = self.is_tunneled();
        if member.speaks == HttpVersion::Http2 && !tunneled {
            return self.ask_over_h2(member).await;
        }
        // What is not asked again if the member has closed it is asked on a new one.
        if let Some(waiting) = if tunneled { None } else { pool::take(member) } {
            match self.exchange(waiting, member).await {
                // It was closed while the request was on its way: what waits may always be gone.
                Err(NoAnswer::Closed) if self.is_repeatable() => {}
                other => return other,
            }
        }
        let stream = self.connect(member).await?;
        self.exchange(MemberConnection::new(stream), member).await
    }

    async fn ask_over_h2(&mut self, member: &Arc<Member>) -> Result<Answer, NoAnswer> {
        if let Some(kept) = h2::pool::take(member).await {
            match self.exchange_over_h2(kept, member).await {
                Err(NoAnswer::Closed) if self.is_repeatable() => {}
                other => return other,
            }
        }
        let stream = self.connect(member).await?;
        let connect = seconds(self.timeouts.connect_s);
        let connection = h2::pool::begin(stream, member, connect).await?;
        self.exchange_over_h2(connection, member).await
    }

    async fn connect(&mut self, member: &Member) -> Result<Stream, NoAnswer> {
        let patience = seconds(self.timeouts.connect_s);
        let began = Instant::now();
        let connected = pool::connect(member, self.ends, patience, Speech::Http).await;
        self.record.connected(began.elapsed());
        connected.inspect_err(|_| member.counters().failed())
    }

    async fn exchange_over_h2(
        &mut self,
        connection: h2::pool::Connection,
        member: &Arc<Member>,
    ) -> Result<Answer, NoAnswer> {
        let body = self.take_body();
        let answered = match h2::Exchange::begin(connection, &self.parts, body, self.patience(), member) {
            Ok(exchange) => exchange.answer().await,
            Err(failed) => Err(failed),
        };
        answer_of(answered, member)
    }

    /// What it is sent with; one without a body can be sent again.
    fn take_body(&mut self) -> Body {
        let body = self.body.take().unwrap_or_default();
        if matches!(body, Body::Empty) {
            self.body = Some(Body::Empty);
        }
        body
    }

    fn patience(&self) -> Patience {
        let L7Timeouts { response_s, idle_s, tunnel_s, .. } = self.timeouts;
        Patience { response: seconds(response_s), idle: seconds(idle_s), tunnel: seconds(tunnel_s) }
    }

    fn is_tunneled(&self) -> bool {
        tunnel::is_asked(&self.parts)
    }

    async fn exchange(
        &mut self,
        connection: MemberConnection,
        member: &Arc<Member>,
    ) -> Result<Answer, NoAnswer> {
        let tunnel = self.is_tunneled().then(|| self.body.take().unwrap_or_default());
        if tunnel.is_some() {
            tunnel::name(&mut self.parts.headers);
        }
        let body = if tunnel.is_some() { Body::Empty } else { self.take_body() };
        let framing = framing(&body);
        let sender = Sender::new(write_request_head(&self.parts, framing), body, framing);
        let method = self.parts.method.clone();
        let mut exchange = Exchange::new(connection, sender, method, self.patience(), Arc::clone(member));
        if let Some(body) = tunnel {
            exchange = exchange.with_tunnel(body);
        }
        answer_of(exchange.answer().await, member)
    }

    /// Whether another member may be asked after this.
    fn may_go_on_after(&self, failure: &NoAnswer) -> bool {
        match failure {
            // Nothing was sent.
            NoAnswer::Connect(_) | NoAnswer::ConnectTimeout | NoAnswer::Tls(_) => self.body.is_some(),
            NoAnswer::Closed => self.is_repeatable(),
            NoAnswer::Timeout | NoAnswer::Malformed | NoAnswer::Request(_) => false,
        }
    }

    /// Whether it can be asked of two at a time.
    pub(crate) fn is_hedgeable(&self) -> bool {
        self.is_repeatable() && matches!(self.body, Some(Body::Empty)) && !self.is_tunneled()
    }

    /// The same request once more; it has no body.
    pub(crate) fn twin<'t>(&self, record: &'t mut Record) -> Request<'t> {
        Request::new(self.timeouts, self.ends, self.parts.clone(), Body::Empty, record)
    }

    /// Whether asking twice does what asking once does (RFC 9110, 9.2.2), and there is something to ask with.
    fn is_repeatable(&self) -> bool {
        let method = &self.parts.method;
        let idempotent = method.is_safe() || *method == Method::PUT || *method == Method::DELETE;
        self.body.is_some() && idempotent
    }
}

fn answer_of(
    answered: Result<(http::response::Parts, Body), NoAnswer>,
    member: &Member,
) -> Result<Answer, NoAnswer> {
    let (mut parts, body) = answered.inspect_err(|failed| {
        if !matches!(failed, NoAnswer::Request(_)) {
            member.counters().failed();
        }
    })?;
    strip(&mut parts.headers);
    Ok(Answer { parts, body })
}

/// How a body is framed on an HTTP/1 connection.
pub(crate) fn framing(body: &Body) -> Framing {
    match body.length() {
        Some(0) => Framing::Empty,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    }
}

/// Makes the fields of a request those of one from us to a member.
pub(crate) fn prepare(headers: &mut HeaderMap, origin: &Origin) {
    strip(headers);
    headers.remove(CONTENT_LENGTH);
    headers.remove(EXPECT);
    let forwarded = if headers.contains_key(X_FORWARDED_FOR) {
        let before = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
        let chain: Vec<&[u8]> = before.chain([origin.address.as_bytes()]).collect();
        HeaderValue::from_bytes(&chain.join(&b", "[..])).unwrap_or_else(|_| origin.address.clone())
    } else {
        origin.address.clone()
    };
    headers.insert(X_FORWARDED_FOR, forwarded);
    headers.insert(X_FORWARDED_PROTO, origin.scheme.clone());
    // Nobody else tells members that (RFC 9440, 3).
    for name in [CLIENT_CERT, CLIENT_CERT_CHAIN, X_CLIENT_SUBJECT] {
        headers.remove(name);
    }
    if let Some(shown) = &origin.shown {
        headers.insert(CLIENT_CERT, shown.certificate.clone());
        headers.insert(X_CLIENT_SUBJECT, shown.subject.clone());
    }
    if !headers.contains_key(HOST) {
        // HTTP/1.0 may leave it out, what members are asked by may not (RFC 9112, 3.2): where the client came to, as RFC 9110, 7.1 has it.
        headers.insert(HOST, origin.here());
    }
}

/// Takes off what is meant for one hop only (RFC 9110, 7.6.1).
fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok());
    // A client that names these would take away what we, or a member, decide by.
    names.filter(|name| !is_kept(name)).collect()
}

fn is_kept(name: &HeaderName) -> bool {
    use http::header::{AUTHORIZATION, COOKIE};
    [HOST, AUTHORIZATION, COOKIE, CONTENT_LENGTH, CONTENT_TYPE, X_FORWARDED_FOR, X_FORWARDED_PROTO]
        .contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let named = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(named).collect()
    }

    #[test]
    fn what_is_for_one_hop_stays_there() {
        let mut fields = headers(&[
            ("connection", "close, X-Secret, Host"),
            ("x-secret", "a"),
            ("host", "b"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("accept", "c"),
        ]);
        strip(&mut fields);
        assert_eq!(fields, headers(&[("host", "b"), ("accept", "c")]));
    }

    #[test]
    fn members_learn_who_asked() {
        let origin = Origin::new(([192, 0, 2, 7], 5).into(), ([192, 0, 2, 100], 80).into(), "http", None);
        let mut fields = headers(&[("x-forwarded-proto", "https")]);
        prepare(&mut fields, &origin);
        let told = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "http"), ("host", "192.0.2.100")];
        assert_eq!(fields, headers(&told));
        let mut fields = headers(&[("x-forwarded-for", "10.0.0.1")]);
        prepare(&mut fields, &origin);
        assert_eq!(fields["x-forwarded-for"], "10.0.0.1, 192.0.2.7");
    }
}
