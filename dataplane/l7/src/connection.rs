//! A client's connection: TLS, if the service has it; then HTTP/1 from the first request to the last, or HTTP/2.

use std::sync::Arc;

use bytes::BytesMut;
use http::{StatusCode, Version};
use lb_model::l7::{Ending, L7Limits};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::balance::Ends;
use crate::body::BodyError;
use crate::client::{NoHead, SharedClient, seconds};
use crate::forward::{self, Answer};
use crate::h1::{Framing, RequestHead, SendError, Sender, is_bodiless, read_request, write_response_head};
use crate::h2::{self, Wire};
use crate::origin::Origin;
use crate::proxy_protocol;
use crate::record::{Passed, Record};
use crate::refusal;
use crate::relay;
use crate::service::{Service, ServiceCell};
use crate::stream::Stream;
use crate::tunnel;
use crate::visitors::Visit;

/// Serves a connection until it ends.
pub(crate) async fn serve(mut stream: TcpStream, ends: Ends, cell: Arc<ServiceCell>) {
    let service = cell.load_full();
    service.counters.accepted();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let scheme = if service.tls.is_some() { "https" } else { "http" };
    if let Some(ends) = introduce(&mut stream, ends, &service).await
        && let Ok(_visit) = admit(&service, ends)
    {
        if !service.protocol.has_requests() {
            Box::pin(relay::serve(stream, ends, service, Arc::clone(&cell))).await;
        } else if let Some(stream) = open(stream, &service).await {
            drop(service);
            serve_requests(stream, ends, scheme, &cell).await;
        }
    }
    cell.load().counters.closed();
}

/// Counts a connection, unless there are as many as there may be.
fn admit(service: &Service, ends: Ends) -> Result<Option<Visit>, TooMany> {
    let L7Limits { connections, connections_per_source, .. } = service.limits;
    let full = connections.is_some_and(|most| service.counters.open() > u64::from(most.get()));
    let enter = |most| service.visitors.enter(ends.client.ip(), most).ok_or(TooMany);
    let visit = if full { Err(TooMany) } else { connections_per_source.map(enter).transpose() };
    visit.inspect_err(|TooMany| service.counters.ended(Ending::TooManyConnections))
}

/// There are as many connections as there may be.
struct TooMany;

/// Serves what comes inside of TLS, or without it.
async fn serve_requests(stream: Stream, ends: Ends, scheme: &'static str, cell: &Arc<ServiceCell>) {
    let origin = Origin::new(ends.client, ends.service, scheme, stream.server_name());
    let origin = origin.shown(stream.client_certificate());
    if stream.chose_h2() {
        // Boxed, as all that few connections need: the others are smaller for it.
        Box::pin(h2::serve(Wire::new(stream, BytesMut::new()), origin, Arc::clone(cell))).await;
    } else {
        serve_h1(stream, origin, cell).await;
    }
}

async fn serve_h1(stream: Stream, origin: Origin, cell: &Arc<ServiceCell>) {
    let mut may_be_h2 = matches!(stream, Stream::Plain(_));
    let client = SharedClient::new(stream, Arc::clone(cell));
    loop {
        match serve_one(&client, &origin, cell, may_be_h2).await {
            Next::Another => may_be_h2 = false,
            Next::None => return Box::pin(client.close()).await,
            Next::H2(preface) => {
                let Some((stream, rest)) = client.into_stream() else { return };
                let mut before = preface;
                before.unsplit(rest);
                return Box::pin(h2::serve(Wire::new(stream, before), origin, Arc::clone(cell))).await;
            }
        }
    }
}

/// Who the client is, where a proxy before us tells.
async fn introduce(stream: &mut TcpStream, ends: Ends, service: &Service) -> Option<Ends> {
    let address = ends.client.ip().to_canonical();
    if !service.proxy_protocol_from.iter().any(|network| network.contains(address)) {
        return Some(ends);
    }
    let patience = seconds(service.timeouts.request_s);
    match tokio::time::timeout(patience, proxy_protocol::read(stream, ends)).await {
        Ok(Ok(told)) => Some(told),
        Ok(Err(error)) => {
            tracing::debug!(service = %service.id, %error, "a proxy did not tell who its client is");
            service.counters.ended(Ending::BadProxyHeader);
            None
        }
        Err(_) => {
            service.counters.ended(Ending::ClientTimeout);
            None
        }
    }
}

/// What requests come on: inside of TLS, where the service has it.
pub(crate) async fn open(stream: TcpStream, service: &Service) -> Option<Stream> {
    let Some(tls) = &service.tls else { return Some(Stream::Plain(stream)) };
    let patience = seconds(service.timeouts.request_s);
    let shaken = tokio::time::timeout(patience, TlsAcceptor::from(Arc::clone(tls)).accept(stream)).await;
    match shaken {
        Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream.into()))),
        Ok(Err(error)) => {
            tracing::debug!(service = %service.id, %error, "no TLS came about");
            service.counters.ended(Ending::TlsFailed);
            None
        }
        Err(_) => {
            service.counters.ended(Ending::ClientTimeout);
            None
        }
    }
}

/// What comes after a request.
enum Next {
    /// Perhaps another one.
    Another,
    /// Nothing: the connection ends.
    None,
    /// It was none, but this beginning of an HTTP/2 connection.
    H2(BytesMut),
}

/// Serves the next request.
async fn serve_one(client: &SharedClient, origin: &Origin, cell: &ServiceCell, may_be_h2: bool) -> Next {
    let (timeouts, most) = {
        let service = cell.load();
        (service.timeouts, service.limits.head_bytes)
    };
    let head = client.next_head(&timeouts, most).await;
    // From here to the end of the answer it is one state of the service, whatever is published meanwhile.
    let service = cell.load_full();
    let head = match head {
        Ok(head) if may_be_h2 && head == h2::PREFACE => return Next::H2(head),
        head => head.and_then(|head| read_request(head).map_err(NoHead::Refused)),
    };
    let head = match head {
        Ok(head) => head,
        Err(reason) => {
            refuse(client, origin, &service, reason).await;
            return Next::None;
        }
    };
    // Boxed, so that a connection without a request is small.
    Box::pin(answer(client, origin, &service, head)).await
}

async fn answer(client: &SharedClient, origin: &Origin, service: &Service, head: RequestHead) -> Next {
    let RequestHead { mut parts, framing, keep_alive, expects_continue } = head;
    let (method, version) = (parts.method.clone(), parts.version);
    let body = if framing == Framing::Empty && tunnel::is_wanted(&parts) {
        parts.extensions.insert(tunnel::Wanted);
        client.tunnel()
    } else {
        client.body(framing, expects_continue)
    };
    let mut record = Record::begin(service, origin, version, &parts, Some(client.head_time()));
    let Answer { mut parts, body } = forward::answer(service, origin, parts, body, &mut record).await;

    let tunneled = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    let bodiless = !tunneled && is_bodiless(&method, parts.status);
    let framing = match forward::framing(&body) {
        _ if tunneled => Framing::UntilClose,
        _ if bodiless => Framing::Empty,
        Framing::Chunked if version == Version::HTTP_10 => Framing::UntilClose,
        framing => framing,
    };
    let stays = keep_alive && !service.removed && framing != Framing::UntilClose && client.may_go_on();
    if tunneled {
        tunnel::name(&mut parts.headers);
        record.tunneled();
    }
    let option = match (stays, version) {
        _ if tunneled => None,
        (false, _) => Some("close"),
        (true, Version::HTTP_10) => Some("keep-alive"),
        (true, _) => None,
    };
    let head = write_response_head(&parts, framing, bodiless, option);
    let mut sent = 0;
    let done = client.send(Sender::new(head, body, framing), &mut sent).await;
    if let Err(error) = &done {
        record.note_failure(ending_of(error), error);
    }
    let passed = Passed { received: client.take_received(), sent };
    record.finish(service, Some(parts.status), passed, passed);
    if done.is_ok() && stays { Next::Another } else { Next::None }
}

fn ending_of(error: &SendError) -> Ending {
    match error {
        SendError::Receiver(_) => Ending::ClientGone,
        SendError::Parted => Ending::ServiceGone,
        SendError::Body(BodyError::Silent) => Ending::MemberTimeout,
        SendError::Body(_) => Ending::MemberCut,
    }
}

/// Answers what is no request, if there is anybody to hear it.
async fn refuse(client: &SharedClient, origin: &Origin, service: &Service, reason: NoHead) {
    let mut record = Record::unread(origin.ends.client, Version::HTTP_11);
    record.head = Some(client.head_time());
    let (status, ending) = match reason {
        NoHead::Finished => return,
        NoHead::Gone => {
            record.note(Ending::ClientGone);
            let passed = Passed { received: client.take_received(), sent: 0 };
            return record.finish(service, None, passed, passed);
        }
        NoHead::Slow => (StatusCode::REQUEST_TIMEOUT, Ending::ClientTimeout),
        NoHead::Refused(refusal) => refusal::answer_to(refusal),
    };
    match reason {
        NoHead::Refused(refusal) => {
            tracing::debug!(service = %service.id, "refused a request: {refusal}");
            record.note_failure(ending, &refusal);
        }
        _ => record.note(ending),
    }
    let Answer { parts, body } = Answer::own(status);
    let framing = forward::framing(&body);
    let head = write_response_head(&parts, framing, false, Some("close"));
    let mut sent = 0;
    let _ = client.send(Sender::new(head, body, framing), &mut sent).await;
    let passed = Passed { received: client.take_received(), sent };
    record.finish(service, Some(status), passed, passed);
}
