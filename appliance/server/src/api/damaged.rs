//! The API while the database is damaged: it says so to everybody, and takes a backup from who has the code that the appliance's own
//! console shows. Accounts are in the database, so nobody can sign in.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{Mutex, watch};

use super::body::JsonBody;
use super::error::{self, Problem};
use super::{ROOT, auth, backups, console, status, system};
use crate::backup::Shelf;
use crate::peer::{Machine, Peer};
use crate::signin::ClaimCode;

/// A damaged database, and what can be done about it.
pub(crate) struct Damage {
    /// What is the matter with it.
    pub(crate) reason: String,
    /// The hash of the code that lets one restore a backup.
    pub(crate) code_hash: String,
    pub(crate) shelf: Shelf,
    pub(crate) database: PathBuf,
    pub(crate) key_file: PathBuf,
    /// Who can reset the appliance.
    pub(crate) machine: Peer<Machine>,
    /// Whether another database is in its place.
    pub(crate) repaired: watch::Sender<bool>,
    /// One restores at a time.
    pub(crate) restoring: Mutex<()>,
}

type Known = State<Arc<Damage>>;

impl Damage {
    fn problem(&self) -> Problem {
        let detail = format!(
            "the database is damaged ({}): nothing can be read or changed, traffic goes on as it was. Restore a backup \
             (POST {ROOT}/backups/upload, then POST {ROOT}/backups/{{id}}/restore, with the code that the appliance's console \
             shows as token), or reset the appliance from its console. The damaged file is kept.",
            self.reason
        );
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "storage_damaged", detail)
    }

    /// Lets in who has the code; the others are told what is the matter.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let code = auth::bearer(headers).ok_or_else(|| self.problem())?;
        if ClaimCode::typed(code).matches(&self.code_hash) {
            return Ok(());
        }
        Err(Problem::unauthenticated(
            "while the database is damaged only the code that the appliance's console shows is a good token",
        ))
    }
}

async fn guard(State(damage): Known, request: Request, next: Next) -> Result<Response, Problem> {
    damage.admit(request.headers())?;
    Ok(next.run(request).await)
}

async fn list(State(damage): Known) -> Result<impl IntoResponse, Problem> {
    backups::listed(&damage.shelf)
}

async fn upload(State(damage): Known, request: Request) -> Result<Response, Problem> {
    Ok(backups::created(backups::received(&damage.shelf, request).await?))
}

async fn restore(
    State(damage): Known,
    id: backups::Id,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let backup = backups::find(&damage.shelf, id)?;
    let passphrase = backups::passphrase(&document, 1)?;
    let _alone = damage.restoring.lock().await;
    if !*damage.repaired.borrow() {
        damage.shelf.replace(backup.id, passphrase, &damage.database, &damage.key_file).await?;
        tracing::warn!(backup = %backup.id, "the damaged database is replaced by that of a backup");
        damage.repaired.send_replace(true);
    }
    Ok((StatusCode::ACCEPTED, axum::Json(backup)).into_response())
}

async fn reset(State(damage): Known) -> Result<impl IntoResponse, Problem> {
    tracing::warn!("the appliance is reset by who has its recovery code");
    system::reset(&damage.machine).await
}

async fn refuse(State(damage): Known) -> Problem {
    damage.problem()
}

/// The console's files are there: it says what the API says.
async fn rest(State(damage): Known, request: Request) -> Result<Response, Problem> {
    if console::of_the_api(request.uri().path()) {
        Err(damage.problem())
    } else {
        console::serve(request).await
    }
}

/// The routes that there are while the database is damaged.
pub(crate) fn router(damage: Arc<Damage>) -> Router {
    let path = |rest: &str| format!("{ROOT}/backups{rest}");
    Router::new()
        .route(&path(""), get(list))
        .route(&path("/upload"), post(upload))
        .route(&path("/{id}/restore"), post(restore))
        .route(&format!("{ROOT}/system/factory-reset"), post(reset))
        .route_layer(from_fn_with_state(Arc::clone(&damage), guard))
        .route("/healthz", get(status::healthy))
        .route("/readyz", get(refuse))
        .route("/metrics", get(refuse))
        .fallback(rest)
        .method_not_allowed_fallback(refuse)
        .layer(from_fn(error::finish))
        .with_state(damage)
}
