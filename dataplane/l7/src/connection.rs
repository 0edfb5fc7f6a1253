//! A client's HTTP/1 connection from its first request to its last.

use std::sync::Arc;

use http::{StatusCode, Version};
use lb_model::l7::Ending;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::balance::Ends;
use crate::body::BodyError;
use crate::client::{NoHead, SharedClient, seconds};
use crate::forward::{self, Answer};
use crate::h1::{
    Framing, Refusal, RequestHead, SendError, Sender, is_bodiless, read_request, write_response_head,
};
use crate::origin::Origin;
use crate::record::Record;
use crate::service::{Service, ServiceCell};
use crate::stream::Stream;

/// Serves a connection until it ends.
pub(crate) async fn serve(stream: TcpStream, ends: Ends, cell: Arc<ServiceCell>) {
    let service = cell.load_full();
    service.counters.accepted();
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let scheme = if service.tls.is_some() { "https" } else { "http" };
    if let Some(stream) = open(stream, &service).await {
        let origin = Origin::new(ends.client, ends.service, scheme, stream.server_name());
        let client = SharedClient::new(stream, &service.timeouts);
        drop(service);
        while let Some(Next::Another) = serve_one(&client, &origin, &cell).await {}
        client.close().await;
    }
    cell.load().counters.closed();
}

/// What requests come on: inside of TLS, where the service has it.
async fn open(stream: TcpStream, service: &Service) -> Option<Stream> {
    let Some(tls) = &service.tls else { return Some(Stream::Plain(stream)) };
    let patience = seconds(service.timeouts.request_s);
    let shaken = tokio::time::timeout(patience, TlsAcceptor::from(Arc::clone(tls)).accept(stream)).await;
    match shaken {
        Ok(Ok(stream)) => Some(Stream::Tls(Box::new(stream))),
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
    Another,
}

/// Serves the next request; `None` once there will be no other.
async fn serve_one(client: &SharedClient, origin: &Origin, cell: &ServiceCell) -> Option<Next> {
    let timeouts = cell.load().timeouts;
    let head = client.next_head(&timeouts).await;
    // From here to the end of the answer it is one state of the service, whatever is published meanwhile.
    let service = cell.load_full();
    let head = match head.and_then(|head| read_request(head).map_err(NoHead::Refused)) {
        Ok(head) => head,
        Err(reason) => {
            refuse(client, &service, reason).await;
            return None;
        }
    };
    // Boxed, so that a connection without a request is small.
    Box::pin(answer(client, origin, &service, head)).await
}

async fn answer(
    client: &SharedClient,
    origin: &Origin,
    service: &Service,
    head: RequestHead,
) -> Option<Next> {
    let RequestHead { parts, framing, keep_alive, expects_continue } = head;
    let (method, version) = (parts.method.clone(), parts.version);
    let body = client.body(framing, expects_continue);
    let mut record = Record::begin(service);
    let Answer { parts, body } = forward::answer(service, origin, parts, body, &mut record).await;

    let bodiless = is_bodiless(&method, parts.status);
    let framing = match forward::framing(&body) {
        _ if bodiless => Framing::Empty,
        Framing::Chunked if version == Version::HTTP_10 => Framing::UntilClose,
        framing => framing,
    };
    let stays = keep_alive && !service.removed && framing != Framing::UntilClose && client.is_request_whole();
    let option = match (stays, version) {
        (false, _) => Some("close"),
        (true, Version::HTTP_10) => Some("keep-alive"),
        (true, _) => None,
    };
    let head = write_response_head(&parts, framing, bodiless, option);
    let mut sent = 0;
    let done = client.send(Sender::new(head, body, framing), &mut sent).await;
    if let Err(error) = &done {
        record.note(ending_of(error));
    }
    record.finish(service, parts.status, client.take_received(), sent);
    (done.is_ok() && stays).then_some(Next::Another)
}

fn ending_of(error: &SendError) -> Ending {
    match error {
        SendError::Receiver(_) => Ending::ClientGone,
        SendError::Body(BodyError::Silent) => Ending::MemberTimeout,
        SendError::Body(_) => Ending::MemberCut,
    }
}

/// Answers what is no request, if there is anybody to hear it.
async fn refuse(client: &SharedClient, service: &Service, reason: NoHead) {
    let (status, ending) = match reason {
        NoHead::Finished => return,
        NoHead::Gone => return service.counters.ended(Ending::ClientGone),
        NoHead::Slow => (StatusCode::REQUEST_TIMEOUT, Ending::ClientTimeout),
        NoHead::Refused(Refusal::HeadTooLarge | Refusal::TooManyFields) => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Ending::HeadTooLarge)
        }
        NoHead::Refused(Refusal::TargetTooLong) => (StatusCode::URI_TOO_LONG, Ending::HeadTooLarge),
        NoHead::Refused(Refusal::Method) => (StatusCode::NOT_IMPLEMENTED, Ending::BadRequest),
        NoHead::Refused(Refusal::Expectation) => (StatusCode::EXPECTATION_FAILED, Ending::BadRequest),
        NoHead::Refused(_) => (StatusCode::BAD_REQUEST, Ending::BadRequest),
    };
    if let NoHead::Refused(refusal) = reason {
        tracing::debug!(service = %service.id, "refused a request: {refusal}");
    }
    let Answer { parts, body } = Answer::own(status);
    let framing = forward::framing(&body);
    let head = write_response_head(&parts, framing, false, Some("close"));
    let mut sent = 0;
    let _ = client.send(Sender::new(head, body, framing), &mut sent).await;
    service.counters.answered(status, client.take_received(), sent);
    service.counters.ended(ending);
}
