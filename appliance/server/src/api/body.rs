//! Request bodies: a JSON object, or a clear word about what came instead.

use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode};
use hyper::body::Body as _;
use serde_json::{Map, Value};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::App;
use super::error::Problem;
use super::json;
use crate::domain::FieldError;

/// Larger than any document of one resource.
const BODY_MAX: usize = 256 << 10;
/// Larger than a configuration of 10,000 services and 100,000 members.
const CONFIG_MAX: usize = 96 << 20;
/// YAML (RFC 9512).
pub(super) const YAML: &str = "application/yaml";
/// A file, whatever is in it.
pub(super) const BYTES: &str = "application/octet-stream";
/// What is larger is read to its end and thrown away, or a client that is still sending never sees the answer; but not
/// more than this.
const DISCARDED_MAX: usize = 16 << 20;
/// What a client is given to send it.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// A JSON object.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Map<String, Value>);

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        check_media_type(request.method(), request.headers())?;
        from_json(&arrived(request, BODY_MAX).await?).map(Self)
    }
}

/// The whole configuration, in JSON or YAML.
#[derive(Debug)]
pub(crate) struct ConfigBody(pub(crate) Map<String, Value>);

impl FromRequest<App> for ConfigBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if kind.is_none_or(|kind| !kind.starts_with(YAML)) {
            check_media_type(request.method(), request.headers())?;
            return from_json(&arrived(request, CONFIG_MAX).await?).map(Self);
        }
        let bytes = arrived(request, CONFIG_MAX).await?;
        match serde_saphyr::from_slice(&bytes) {
            Ok(Value::Object(document)) => Ok(Self(document)),
            Ok(_) => Err(Problem::invalid(vec![FieldError::new("", "wrong_type", "want an object")])),
            Err(error) => {
                let detail = format!("the body is not YAML: {error}");
                Err(Problem::new(StatusCode::BAD_REQUEST, "malformed_yaml", detail))
            }
        }
    }
}

fn from_json(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    match json::parse(bytes) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(_) => Err(Problem::invalid(vec![FieldError::new("", "wrong_type", "want an object")])),
        Err(error) => {
            let detail = format!("the body is not JSON: {error}");
            Err(Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail))
        }
    }
}

async fn arrived(request: Request, most: usize) -> Result<Vec<u8>, Problem> {
    timeout(BODY_PATIENCE, read(request.into_body(), most)).await.map_err(|_| {
        let detail = format!("the body did not arrive within {} seconds", BODY_PATIENCE.as_secs());
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
    })?
}

async fn read(mut body: Body, most: usize) -> Result<Vec<u8>, Problem> {
    let (mut bytes, mut arrived) = (Vec::new(), 0);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let broken = |_| Problem::new(StatusCode::BAD_REQUEST, "body_broken", "the body was not sent whole");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        arrived += data.len();
        if arrived <= most {
            bytes.extend_from_slice(&data);
        } else if arrived > most + DISCARDED_MAX {
            break;
        }
    }
    if arrived > most {
        let detail = format!("the body is larger than {most} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail));
    }
    Ok(bytes)
}

/// Writes the body, which is a file, into `path`: whole and on disk.
pub(super) async fn into_file(body: &mut Body, path: &Path, most: usize) -> Result<(), Problem> {
    let mut file = File::create(path).await.map_err(Problem::of_file)?;
    let mut arrived = 0;
    while let Some(data) = piece(body).await? {
        arrived += data.len();
        if arrived > most {
            let detail = format!("the file is larger than {most} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail));
        }
        file.write_all(&data).await.map_err(Problem::of_file)?;
    }
    file.sync_all().await.map_err(Problem::of_file)
}

/// Reads what is left: a client that is still sending never sees the answer otherwise.
pub(super) async fn discard(body: &mut Body) {
    while let Ok(Some(_)) = piece(body).await {}
}

/// The next bytes of the body; none at its end.
async fn piece(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    let broken = || Problem::new(StatusCode::BAD_REQUEST, "body_broken", "the file was not sent whole");
    loop {
        let frame = timeout(BODY_PATIENCE, poll_fn(|context| Pin::new(&mut *body).poll_frame(context)));
        let Some(frame) = frame.await.map_err(|_| broken())? else { return Ok(None) };
        if let Ok(data) = frame.map_err(|_| broken())?.into_data() {
            return Ok(Some(data));
        }
    }
}

/// Refuses what is not sent as bytes.
pub(super) fn check_is_file(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.get(CONTENT_TYPE).is_some_and(|given| given == BYTES) {
        return Ok(());
    }
    let detail = format!("want Content-Type {BYTES}");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

fn check_media_type(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let patch = method == Method::PATCH;
    match essence.as_str() {
        "application/json" => Ok(()),
        "application/merge-patch+json" if patch => Ok(()),
        _ => {
            let also = if patch { " or application/merge-patch+json" } else { "" };
            let detail = format!("want Content-Type application/json{also}");
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
        }
    }
}
