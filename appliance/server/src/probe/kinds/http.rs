//! HTTP and HTTPS: asks for a page and looks at its code and body.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Progress, Seen, Verdict, connect, excerpt, tls};
use crate::domain::{HttpSettings, HttpVersion, HttpsSettings};

/// How much of a body is looked at.
const BODY_MAX: usize = 64 << 10;

pub(super) async fn check(at: SocketAddr, settings: &HttpSettings, progress: &Progress) -> Verdict {
    exchange(connect(at).await?, at, ("http", 80), settings, progress).await
}

/// The same inside of TLS.
pub(super) async fn check_over_tls(at: SocketAddr, settings: &HttpsSettings, progress: &Progress) -> Verdict {
    let HttpsSettings { server_name, http } = settings;
    let speaks = match http.version {
        HttpVersion::Http1 => tls::Speaks::Anything,
        HttpVersion::Http2 => tls::Speaks::Http2,
    };
    let stream = tls::greet(connect(at).await?, at, server_name.as_deref(), speaks, progress).await?;
    exchange(stream, at, ("https", 443), http, progress).await
}

async fn exchange<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    at: SocketAddr,
    usual: (&str, u16),
    settings: &HttpSettings,
    progress: &Progress,
) -> Verdict {
    progress.now("the answer");
    let request = request(at, usual, settings)?;
    if settings.version == HttpVersion::Http2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
            judge(response, settings, progress).await
        };
        return alongside(exchange, connection).await;
    }
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        judge(response, settings, progress).await
    };
    alongside(exchange, connection).await
}

/// The connection does the work; who sees its end first is a matter of chance.
async fn alongside(exchange: impl Future<Output = Verdict>, connection: impl Future) -> Verdict {
    tokio::pin!(exchange, connection);
    tokio::select! {
        biased;
        verdict = &mut exchange => verdict,
        _ = &mut connection => exchange.await,
    }
}

fn request(
    at: SocketAddr,
    (scheme, usual_port): (&str, u16),
    settings: &HttpSettings,
) -> Result<Request<Empty<Bytes>>, Seen> {
    let HttpSettings { version, method, path, host, headers, codes: _, body: _ } = settings;
    let own = || if at.port() == usual_port { at.ip().to_string() } else { at.to_string() };
    let host = host.clone().unwrap_or_else(own);
    let request = Request::builder().method(method.as_str()).header(USER_AGENT, "Penstock");
    let mut request = match version {
        HttpVersion::Http1 => request.uri(path).header(HOST, host).header(CONNECTION, "close"),
        HttpVersion::Http2 => request.version(Version::HTTP_2).uri(format!("{scheme}://{host}{path}")),
    };
    for header in headers {
        request = request.header(&header.name, &header.value);
    }
    request.body(Empty::new()).map_err(|error| Seen::new(format!("the request cannot be made: {error}")))
}

async fn judge(response: Response<Incoming>, settings: &HttpSettings, progress: &Progress) -> Verdict {
    let code = response.status().as_u16();
    let seen = |words: String| Seen { code: Some(code), ..Seen::new(words) };
    if !settings.codes.iter().any(|codes| codes.contain(code)) {
        let wanted = settings.codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(seen(format!("HTTP {code}, want {wanted}")));
    }
    let Some(pattern) = &settings.body else { return Ok(seen(format!("HTTP {code}"))) };
    progress.now("the body");
    let body = beginning(response.into_body()).await?;
    if pattern.is_in(&body) {
        return Ok(seen(format!("HTTP {code}, the body matches")));
    }
    Err(seen(format!("HTTP {code}, but the body {} does not match `{}`", excerpt(&body), pattern.written())))
}

async fn beginning(mut body: Incoming) -> Result<Vec<u8>, Seen> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if read.len() >= BODY_MAX {
            read.truncate(BODY_MAX);
            break;
        }
    }
    Ok(read)
}

fn broken(error: &hyper::Error) -> Seen {
    Seen::new(if error.is_parse() {
        "the answer is not HTTP".to_owned()
    } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        "the member closed the connection before it answered".to_owned()
    } else {
        format!("the exchange failed: {error}")
    })
}
