//! The resource `backups`: files that hold everything, sealed by a passphrase. Restoring one goes through the code that the
//! whole configuration is replaced by, so it can be tried, leaves a revision, and can be taken back.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::fs::File;
use tokio_util::io::ReaderStream;
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;
use uuid::Uuid;

use super::author::comment_parameter;
use super::body::{self, BYTES, JsonBody};
use super::config::{self, mode, undoing};
use super::describe::Description;
use super::error::Problem;
use super::resource::path_parameter;
use super::{Access, App, ROOT, Route};
use crate::backup::{Backup, Shelf};
use crate::domain::fields::text;
use crate::domain::{Author, Fields, Permission};
use crate::store::{Outcome, StoreError};

const TAG: &str = "backups";
const READ: Access = Access::Permitted(Permission::SystemRead);
const WRITE: Access = Access::Permitted(Permission::SystemWrite);
/// Larger than any backup.
pub(super) const BACKUP_MAX: usize = 1 << 30;
/// The fewest characters of a passphrase, which a thief of the file can try out for ever.
const PASSPHRASE_MIN: usize = 12;
const PASSPHRASE_MAX: usize = 256;

/// What seals a backup.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) struct BackupOrder {
    /// 12 characters or more. Without it nobody opens the backup, not even this appliance: keep it elsewhere.
    #[schema(min_length = 12, max_length = 256, format = Password, example = "weir and sluice")]
    passphrase: String,
}

/// What opens a backup.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) struct Unsealing {
    /// What it was sealed with.
    #[schema(min_length = 1, max_length = 256, format = Password, example = "weir and sluice")]
    passphrase: String,
}

/// The backups that the appliance keeps.
#[derive(Serialize, ToSchema)]
pub(super) struct BackupList {
    /// The newest first.
    #[schema(max_items = 32)]
    items: Vec<Backup>,
}

pub(super) type Id = Result<Path<Uuid>, PathRejection>;

pub(super) fn passphrase(document: &Map<String, Value>, least: usize) -> Result<String, Problem> {
    let mut fields = Fields::new(document);
    let passphrase = fields.required("passphrase", text(least..=PASSPHRASE_MAX));
    match (passphrase, fields.finish()) {
        (Some(passphrase), faults) if faults.is_empty() => Ok(passphrase),
        (_, faults) => Err(Problem::invalid(faults)),
    }
}

/// The one that the address means.
pub(super) fn find(shelf: &Shelf, id: Id) -> Result<Backup, Problem> {
    let Path(id) = id.map_err(|_| Problem::no_route())?;
    let missing = || StoreError::NotFound { noun: "backup", id: id.to_string() };
    Ok(shelf.find(id)?.ok_or_else(missing)?)
}

pub(super) fn listed(shelf: &Shelf) -> Result<Json<BackupList>, Problem> {
    Ok(Json(BackupList { items: shelf.list().map_err(Problem::of_file)? }))
}

pub(super) fn created(backup: Backup) -> Response {
    let location = [(LOCATION, format!("{ROOT}/backups/{}", backup.id))];
    (StatusCode::CREATED, location, Json(backup)).into_response()
}

async fn list(State(app): State<App>) -> Result<Json<BackupList>, Problem> {
    listed(&app.shelf)
}

async fn read(State(app): State<App>, id: Id) -> Result<Json<Backup>, Problem> {
    Ok(Json(find(&app.shelf, id)?))
}

async fn take(
    State(app): State<App>,
    author: Author,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let passphrase = passphrase(&document, PASSPHRASE_MIN)?;
    let backup = app.shelf.take(&app.store, author.comment.clone(), passphrase).await?;
    note(&app, &author, "backup.take", &backup).await?;
    Ok(created(backup))
}

async fn note(app: &App, author: &Author, action: &str, backup: &Backup) -> Result<(), Problem> {
    let details = json!({ "backup": backup, "comment": author.comment });
    Ok(app.store.audit(author, action, Outcome::Succeeded, details).await?)
}

async fn upload(State(app): State<App>, author: Author, request: Request) -> Result<Response, Problem> {
    let backup = received(&app.shelf, request).await?;
    note(&app, &author, "backup.upload", &backup).await?;
    Ok(created(backup))
}

/// Keeps the backup that is the body.
pub(super) async fn received(shelf: &Shelf, request: Request) -> Result<Backup, Problem> {
    let is_file = body::check_is_file(request.headers());
    let mut sent = request.into_body();
    let done = match is_file {
        Ok(()) => keep(shelf, &mut sent).await,
        Err(problem) => Err(problem),
    };
    if done.is_err() {
        body::discard(&mut sent).await;
    }
    done
}

async fn keep(shelf: &Shelf, sent: &mut Body) -> Result<Backup, Problem> {
    let draft = shelf.draft()?;
    body::into_file(sent, &draft.path, BACKUP_MAX).await?;
    Ok(draft.keep()?)
}

async fn download(State(app): State<App>, author: Author, id: Id) -> Result<Response, Problem> {
    let backup = find(&app.shelf, id)?;
    let file = File::open(app.shelf.path(backup.id)).await.map_err(Problem::of_file)?;
    let length = file.metadata().await.map_err(Problem::of_file)?.len();
    note(&app, &author, "backup.download", &backup).await?;
    let disposition =
        format!("attachment; filename=\"penstock-{}.backup\"", backup.about.created_at.second());
    let headers = [
        (CONTENT_TYPE, BYTES.to_owned()),
        (CONTENT_DISPOSITION, disposition),
        (CONTENT_LENGTH, length.to_string()),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

async fn delete(State(app): State<App>, author: Author, id: Id) -> Result<StatusCode, Problem> {
    let backup = find(&app.shelf, id)?;
    app.shelf.remove(backup.id).map_err(Problem::of_file)?;
    note(&app, &author, "backup.delete", &backup).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn restore(
    State(app): State<App>,
    author: Author,
    uri: Uri,
    id: Id,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let backup = find(&app.shelf, id)?;
    let passphrase = passphrase(&document, 1)?;
    let mode = mode(&uri)?;
    let wanted = app.shelf.configuration(backup.id, passphrase).await?;
    let author = if author.comment.is_empty() {
        Author { comment: format!("restored from backup {}", backup.id), ..author }
    } else {
        author
    };
    let applied = app.store.replace_document(&author, &wanted, None, mode).await?;
    Ok(config::view(applied, mode, Vec::new()))
}

fn one(id: &str, summary: &str) -> Description {
    Description::new(id, TAG, summary).parameter(path_parameter("id", "Which backup.")).fails(&[404])
}

pub(super) fn routes() -> Vec<Route> {
    let location = ("Location", "The address of the backup.");
    let passphrase = json!({ "passphrase": "weir and sluice" });
    let listing = Description::new("listBackups", TAG, "List backups").answer(
        StatusCode::OK,
        "These are kept, the newest first.",
        Some("BackupList"),
        &[],
    );
    let taking = Description::new("takeBackup", TAG, "Take a backup")
        .explain(
            "Of everything as it is at this moment, while all goes on: configuration with its secrets, accounts, history and \
             audit log. Its file is sealed by the passphrase (Argon2id, AES-256-GCM) and says in two lines of text what it \
             is. The appliance keeps at most 32.",
        )
        .parameter(comment_parameter())
        .body(&["application/json"], "BackupOrder", passphrase.clone())
        .answer(StatusCode::CREATED, "It was taken.", Some("Backup"), &[location])
        .fails(&[409]);
    let uploading = Description::new("uploadBackup", TAG, "Upload a backup")
        .explain("A file that was downloaded before, of this appliance or another. What it says of itself is proved when it is opened.")
        .body_bytes(BYTES, BACKUP_MAX)
        .answer(StatusCode::CREATED, "It is kept.", Some("Backup"), &[location])
        .fails(&[409, 422]);
    let reading = one("readBackup", "Read about a backup").answer(
        StatusCode::OK,
        "This is what it says of itself.",
        Some("Backup"),
        &[],
    );
    let downloading = one("downloadBackup", "Download a backup").answer_file(BYTES, "This is its file.");
    let deleting = one("deleteBackup", "Delete a backup").parameter(comment_parameter()).answer(
        StatusCode::NO_CONTENT,
        "It is deleted.",
        None,
        &[],
    );
    let restoring = undoing(one("restoreBackup", "Restore the configuration of a backup").explain(
        "Makes the configuration, with all its secrets, what it was then: one change, with a revision, that can be \
         tried with `dry_run`, wait to be confirmed, and be rolled back. Accounts and history stay as they are. While the \
         appliance's own database is damaged, and only then, the code that its console shows is a good token for the routes \
         of backups, and all that is in the backup takes the place of what is damaged: the answer is 202 then, with the backup that the \
         appliance begins with.",
    ))
    .body(&["application/json"], "Unsealing", passphrase)
    .fails(&[409]);
    let path = |rest: &str| format!("{ROOT}/backups{rest}");
    vec![
        Route::new(HttpMethod::Get, path(""), READ, list, listing),
        Route::lengthy(HttpMethod::Post, path(""), WRITE, take, taking),
        Route::new(HttpMethod::Post, path("/upload"), WRITE, upload, uploading),
        Route::new(HttpMethod::Get, path("/{id}"), READ, read, reading),
        Route::new(HttpMethod::Delete, path("/{id}"), WRITE, delete, deleting),
        Route::new(HttpMethod::Get, path("/{id}/file"), WRITE, download, downloading),
        Route::lengthy(HttpMethod::Post, path("/{id}/restore"), WRITE, restore, restoring),
    ]
}
