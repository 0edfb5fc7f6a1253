//! gRPC: asks the standard health service (`grpc.health.v1.Health/Check`) over HTTP/2 without TLS.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, TE, USER_AGENT};
use hyper::{HeaderMap, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Progress, Seen, Verdict, connect};
use crate::domain::GrpcSettings;

pub(super) async fn check(at: SocketAddr, settings: &GrpcSettings, progress: &Progress) -> Verdict {
    let stream = connect(at).await?;
    progress.now("the answer");
    let failed = |error: hyper::Error| Seen::new(format!("gRPC failed: {error}"));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(failed)?;
    let exchange = async {
        let response = sender.send_request(request(at, &settings.service)?).await.map_err(failed)?;
        let head = response.headers().clone();
        let body = response.into_body().collect().await.map_err(failed)?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        judge(&head, &trailers, &body.to_bytes())
    };
    tokio::pin!(exchange, connection);
    tokio::select! {
        biased;
        verdict = &mut exchange => verdict,
        _ = &mut connection => exchange.await,
    }
}

fn request(at: SocketAddr, service: &str) -> Result<Request<Full<Bytes>>, Seen> {
    let request = Request::post(format!("http://{at}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, "Penstock")
        .body(Full::new(message(service)));
    request.map_err(|error| Seen::new(format!("the request cannot be made: {error}")))
}

/// `HealthCheckRequest { string service = 1; }` behind gRPC's prefix: not compressed, and a length of four bytes. The name
/// is shorter than 128 bytes, so that its own length is one byte.
fn message(service: &str) -> Bytes {
    let mut message = Vec::new();
    if let (false, Ok(length)) = (service.is_empty(), u8::try_from(service.len())) {
        message.extend_from_slice(&[0x0a, length]);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0, 0, 0, 0];
    framed.push(u8::try_from(message.len()).unwrap_or(u8::MAX));
    framed.extend(message);
    framed.into()
}

/// `HealthCheckResponse { ServingStatus status = 1; }`.
fn judge(head: &HeaderMap, trailers: &HeaderMap, body: &[u8]) -> Verdict {
    let status = trailers.get("grpc-status").or_else(|| head.get("grpc-status"));
    let status = status.and_then(|status| status.to_str().ok()?.parse::<u16>().ok());
    let seen = |words: String| Seen { code: status, ..Seen::new(words) };
    match (status, body) {
        (Some(0), [_, _, _, _, 2, 0x08, 1]) => Ok(seen("gRPC: serving".to_owned())),
        (Some(0), [_, _, _, _, 2, 0x08, 2]) => Err(seen("gRPC: not serving".to_owned())),
        (Some(0), _) => Err(seen("gRPC: its state is unknown".to_owned())),
        (Some(5), _) => Err(seen("gRPC status 5: it knows no such service".to_owned())),
        (Some(12), _) => Err(seen("gRPC status 12: it has no health service".to_owned())),
        (Some(other), _) => Err(seen(format!("gRPC status {other}, want 0"))),
        (None, _) => Err(seen("the answer is not gRPC".to_owned())),
    }
}
