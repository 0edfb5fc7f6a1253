//! Request bodies: a JSON object, or a clear word about what came instead.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method, StatusCode};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::App;
use super::error::Problem;
use super::json;
use crate::domain::FieldError;

/// Larger than any document of one resource.
const BODY_MAX: usize = 256 << 10;
/// What a client is given to send it.
const BODY_PATIENCE: Duration = Duration::from_secs(30);

/// A JSON object.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Map<String, Value>);

impl FromRequest<App> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _app: &App) -> Result<Self, Problem> {
        check_media_type(request.method(), request.headers())?;
        let bytes = timeout(BODY_PATIENCE, to_bytes(request.into_body(), BODY_MAX)).await;
        let bytes = bytes.map_err(|_| {
            let detail = format!("the body did not arrive within {} seconds", BODY_PATIENCE.as_secs());
            Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
        })?;
        let bytes = bytes.map_err(|_| {
            let detail = format!("the body is larger than {BODY_MAX} bytes, or it was not sent whole");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
        })?;
        match json::parse(&bytes) {
            Ok(Value::Object(document)) => Ok(Self(document)),
            Ok(_) => Err(Problem::invalid(vec![FieldError::new("", "wrong_type", "want an object")])),
            Err(error) => {
                let detail = format!("the body is not JSON: {error}");
                Err(Problem::new(StatusCode::BAD_REQUEST, "malformed_json", detail))
            }
        }
    }
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
