//! Errors as the client reads them: RFC 9457, with every wrong field named at once.
//!
//! A `Problem` says what to fix. Why something failed inside is logged here, once, and never told.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::backup::BackupError;
use crate::domain::{FieldError, Permission};
use crate::signin::Denied;
use crate::store::{StorageFault, StoreError};

/// So many wrong fields are named at once.
const ERRORS_MAX: usize = 1024;

/// What every answer carries, for logs and questions.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An error, before it is given the request's id.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// An error (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// The kind of error, as a name that never changes.
    #[serde(rename = "type")]
    #[schema(max_length = 128, example = "urn:penstock:problem:validation_failed")]
    kind: String,
    /// The kind of error, for people.
    #[schema(max_length = 128, example = "Unprocessable Entity")]
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 422)]
    status: u16,
    /// What is wrong this time, and what to do.
    #[schema(max_length = 4096, example = "1 field is wrong")]
    detail: String,
    /// The last part of `type`: a word for programs.
    #[schema(max_length = 64, example = "validation_failed")]
    code: &'static str,
    /// What the logs call this request.
    #[schema(max_length = 36, format = Uuid, example = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f")]
    request_id: String,
    /// Every field that is wrong.
    #[schema(max_items = 1024)]
    errors: Vec<FieldError>,
}

impl ProblemBody {
    /// The HTTP status.
    pub(super) fn status(&self) -> u16 {
        self.status
    }
}

impl Problem {
    /// What is wrong this time, for people.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// An error of this kind.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), headers: Vec::new() }
    }

    /// Wrong fields.
    pub(crate) fn invalid(mut errors: Vec<FieldError>) -> Self {
        errors.truncate(ERRORS_MAX);
        let problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", count(&errors, "wrong"));
        Self { errors, ..problem }
    }

    /// Nobody knows this address.
    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
    }

    /// This program was built without the console.
    pub(crate) fn no_console() -> Self {
        let detail = "this penstockd was built without the web console; its API is at /api/v1, described at /api/v1/docs";
        Self::new(StatusCode::NOT_FOUND, "no_console", detail)
    }

    /// The address is known, the method is not.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "this method is not offered here: see the Allow header";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// There is no good token.
    pub(crate) fn unauthenticated(detail: &'static str) -> Self {
        let challenge = HeaderValue::from_static("Bearer realm=\"penstock\"");
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail).with(WWW_AUTHENTICATE, challenge)
    }

    /// The appliance has no administrator yet.
    pub(crate) fn unclaimed() -> Self {
        let detail = "claim the appliance first: POST /api/v1/claim with the code that its console shows";
        Self::new(StatusCode::FORBIDDEN, "unclaimed", detail)
    }

    /// The caller may not do this.
    pub(crate) fn forbidden(permission: Permission) -> Self {
        let detail = format!("this needs the permission {}", permission.word());
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// The caller belongs to a project, and this is about the whole appliance.
    pub(crate) fn not_within_project() -> Self {
        let detail = "this is about the whole appliance, and you belong to a project";
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// A change with a cookie that no script of the console sent.
    pub(crate) fn not_from_console() -> Self {
        let detail = "a change that is authenticated by the cookie needs the header X-Penstock-Console: 1";
        Self::new(StatusCode::FORBIDDEN, "not_from_console", detail)
    }

    /// Something failed inside; what it was is in the log alone.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        let detail = "this failed inside the appliance: its log says why, under this request_id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// A file of the appliance's own cannot be read or written.
    #[expect(clippy::needless_pass_by_value, reason = "so it fits map_err")]
    pub(crate) fn of_file(error: io::Error) -> Self {
        let fault = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StorageFault::Full,
            io::ErrorKind::ReadOnlyFilesystem => StorageFault::Unwritable,
            _ => return Self::internal(&error),
        };
        tracing::error!(%error, "a request failed: {fault}");
        Self::of_storage(fault)
    }

    fn of_storage(fault: StorageFault) -> Self {
        let code = match fault {
            StorageFault::Full => "storage_full",
            StorageFault::Unwritable => "storage_unwritable",
            StorageFault::Damaged => "storage_damaged",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, fault.to_string())
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What is told of it, about the request with this id.
    pub(super) fn body(&self, request_id: String) -> ProblemBody {
        let Self { status, code, detail, errors, headers: _ } = self;
        ProblemBody {
            kind: format!("urn:penstock:problem:{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.clone(),
            code,
            request_id,
            errors: errors.clone(),
        }
    }
}

fn count(errors: &[FieldError], what: &str) -> String {
    match errors {
        [one] => format!("{}: {}", one.pointer, one.detail),
        many => format!("{} fields are {what}", many.len()),
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            StoreError::Stale => Self::new(StatusCode::PRECONDITION_FAILED, "stale", detail),
            StoreError::Invalid(errors) => Self::invalid(errors),
            StoreError::Taken(errors) => {
                let problem = Self::new(StatusCode::CONFLICT, "taken", count(&errors, "taken"));
                Self { errors, ..problem }
            }
            StoreError::Quota { .. } => Self::new(StatusCode::CONFLICT, "quota_exceeded", detail),
            StoreError::InUse(_) => Self::new(StatusCode::CONFLICT, "in_use", detail),
            StoreError::KeyReused => {
                let errors = vec![FieldError::new("Idempotency-Key", "reused", detail.clone())];
                let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail);
                Self { errors, ..problem }
            }
            StoreError::AlreadyClaimed => Self::new(StatusCode::CONFLICT, "already_claimed", detail),
            StoreError::Storage { fault, source } => {
                tracing::error!(error = %source, "a request failed: {fault}");
                Self::of_storage(fault)
            }
            StoreError::Database(_) | StoreError::Row(_) => Self::internal(&error),
        }
    }
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        let detail = error.to_string();
        match error {
            BackupError::NotOne | BackupError::Altered => {
                Self::invalid(vec![FieldError::new("", "invalid", detail)])
            }
            BackupError::Passphrase => Self::invalid(vec![FieldError::new("/passphrase", "wrong", detail)]),
            BackupError::Newer => Self::new(StatusCode::CONFLICT, "newer", detail),
            BackupError::Content(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
                Self::invalid(vec![FieldError::new("", "invalid", detail)])
            }
            BackupError::Enough => Self::new(StatusCode::CONFLICT, "enough", detail),
            BackupError::File(error) => Self::of_file(error),
            BackupError::Store(error) => error.into(),
            BackupError::Vault(_) => Self::internal(&error),
        }
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let detail = denied.to_string();
        match denied {
            Denied::Wrong(_) => Self { detail, ..Self::unauthenticated("") },
            Denied::SecondFactor => {
                Self { detail, code: "second_factor_required", ..Self::unauthenticated("") }
            }
            Denied::TooMany(wait) => Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail)
                .with(RETRY_AFTER, HeaderValue::from(whole_seconds(wait))),
            Denied::Unfit(errors) => Self::invalid(errors),
            Denied::Store(error) => error.into(),
            Denied::Failed(_) => Self::internal(&denied),
        }
    }
}

fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl IntoResponse for Problem {
    /// Carries the problem to `finish`, which knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.headers_mut().extend(self.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}

/// Around everything: gives the request an id, and every problem its body.
pub(crate) async fn finish(request: Request, next: Next) -> Response {
    let id = Uuid::now_v7().to_string();
    let span = tracing::info_span!("request", id, method = %request.method(), path = request.uri().path());
    let mut response = tracing::Instrument::instrument(next.run(request), span).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let body = serde_json::to_vec(&problem.body(id.clone())).unwrap_or_default();
        *response.body_mut() = Body::from(body);
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
