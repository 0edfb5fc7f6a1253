//! The whole configuration as one document, and what changes much at once: going back, changesets.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawPathParams, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use lb_model::Generation;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use uuid::Uuid;

use super::author::change_parameters;
use super::body::{ConfigBody, YAML};
use super::describe::{Description, parameter};
use super::error::Problem;
use super::etag::IfMatch;
use super::list::pairs;
use super::log::number;
use super::resource::{self, Resource, if_match, path_parameter};
use super::view::{NothingMore, Operating};
use super::{Access, App, ROOT, Route};
use crate::domain::{Author, Change, Changeset, Expected, FieldError, Permission, Record, Revision};
use crate::probe::Board;
use crate::store::{Applied, Mode};

const TAG: &str = "configuration";
const READ: Access = Access::Permitted(Permission::BalancingRead);
const WRITE: Access = Access::Permitted(Permission::BalancingWrite);

/// What was changed, or would be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Applied)]
pub(super) struct AppliedView {
    /// Whether nothing was changed and this only says what would be.
    dry_run: bool,
    /// The number that the configuration has with it.
    #[schema(minimum = 1, example = 8)]
    generation: u64,
    /// What it changes; empty if nothing.
    #[schema(max_items = 1_000_000)]
    changes: Vec<Change>,
    /// What others have changed since and was therefore left as it is, in words.
    #[schema(max_items = 1_000_000, value_type = Vec<Kept>)]
    kept: Vec<String>,
}

/// Something that was left as it is.
#[derive(ToSchema)]
#[schema(value_type = String, max_length = 320, example = "pool `web`")]
pub(super) struct Kept(#[expect(dead_code, reason = "a shape for the API's description")] String);

/// The whole configuration: under the name of each kind of resource a list of all of them, each with its `id` and
/// with what belongs to it inside. Without `id`s they are matched by their names, and name each other by their names.
#[derive(ToSchema)]
#[schema(value_type = Object)]
pub(super) struct Configuration(
    #[expect(dead_code, reason = "a shape for the API's description")]
    serde_json::Map<String, serde_json::Value>,
);

pub(super) fn view(Applied { generation, changes }: Applied, mode: Mode, kept: Vec<String>) -> Response {
    let view = AppliedView { dry_run: mode == Mode::DryRun, generation: generation.0, changes, kept };
    ([tag(generation)], Json(view)).into_response()
}

fn tag(Generation(generation): Generation) -> (axum::http::HeaderName, String) {
    (ETAG, format!("\"{generation}\""))
}

fn flag(uri: &Uri, name: &str, default: bool) -> Result<bool, Problem> {
    let value = pairs(uri).into_iter().find(|(key, _)| key == name);
    match value.as_ref().map(|(_, value)| value.as_str()) {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => {
            let fault = FieldError::new(format!("?{name}"), "wrong_type", "want true or false");
            Err(Problem::invalid(vec![fault]))
        }
    }
}

pub(super) fn mode(uri: &Uri) -> Result<Mode, Problem> {
    Ok(if flag(uri, "dry_run", false)? { Mode::DryRun } else { Mode::Apply })
}

async fn read(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let (generation, document) = app.store.document(flag(&uri, "ids", true)?).await?;
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("yaml")) {
        let text = serde_saphyr::to_string(&document).map_err(|error| Problem::internal(&error))?;
        return Ok(([tag(generation), (CONTENT_TYPE, YAML.to_owned())], text).into_response());
    }
    Ok(([tag(generation)], Json(document)).into_response())
}

async fn replace(
    State(app): State<App>,
    author: Author,
    uri: Uri,
    IfMatch(expected): IfMatch,
    ConfigBody(document): ConfigBody,
) -> Result<Response, Problem> {
    let mode = mode(&uri)?;
    let expected = match expected {
        Expected::Any => None,
        Expected::OneOf(revisions) => Some(revisions.iter().filter_map(generation).collect::<Vec<_>>()),
    };
    let applied = app.store.replace_document(&author, &document, expected.as_deref(), mode).await?;
    Ok(view(applied, mode, Vec::new()))
}

fn generation(Revision(tag): &Revision) -> Option<Generation> {
    tag.parse().ok().map(Generation)
}

type Number = Result<Path<i64>, PathRejection>;

async fn roll_back(
    State(app): State<App>,
    author: Author,
    uri: Uri,
    path: Number,
) -> Result<Response, Problem> {
    let Path(generation) = path.map_err(|_| Problem::no_route())?;
    let mode = mode(&uri)?;
    Ok(view(app.store.roll_back(&author, generation, mode).await?, mode, Vec::new()))
}

async fn revert(State(app): State<App>, author: Author, uri: Uri, path: Number) -> Result<Response, Problem> {
    let Path(generation) = path.map_err(|_| Problem::no_route())?;
    let mode = mode(&uri)?;
    let undone = app.store.revert(&author, generation, mode).await?;
    Ok(view(undone.applied, mode, undone.kept))
}

async fn confirm(State(app): State<App>, author: Author, path: Number) -> Result<StatusCode, Problem> {
    let Path(generation) = path.map_err(|_| Problem::no_route())?;
    if app.store.confirm(&author, generation).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let detail = "this revision does not wait to be confirmed";
    Err(Problem::new(StatusCode::CONFLICT, "not_pending", detail))
}

type Id = Result<Path<Uuid>, PathRejection>;

async fn preview(State(app): State<App>, author: Author, path: Id) -> Result<Response, Problem> {
    let Path(id) = path.map_err(|_| Problem::no_route())?;
    let applied = app.store.apply_changeset(&author, id, &Expected::Any, Mode::DryRun).await?;
    Ok(view(applied, Mode::DryRun, Vec::new()))
}

async fn apply(
    State(app): State<App>,
    author: Author,
    path: Id,
    IfMatch(expected): IfMatch,
) -> Result<Response, Problem> {
    let Path(id) = path.map_err(|_| Problem::no_route())?;
    let applied = app.store.apply_changeset(&author, id, &expected, Mode::Apply).await?;
    Ok(view(applied, Mode::Apply, Vec::new()))
}

impl Resource for Changeset {
    const COLLECTION: &'static str = "/api/v1/changesets";
    const NAME: &'static str = "Changeset";
    const NAMES: &'static str = "Changesets";
    const TAG: &'static str = TAG;

    type Seen = NothingMore;

    fn seen(_record: &Record<Self>, _health: &Board) -> (Operating, Option<String>, NothingMore) {
        (Operating::Unknown, None, NothingMore {})
    }

    fn parent(_: &RawPathParams) -> Option<()> {
        Some(())
    }

    fn collection((): ()) -> String {
        Self::COLLECTION.to_owned()
    }
}

fn boolean(name: &str, default: bool, text: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::Boolean).default(Some(default.into()));
    parameter(name, ParameterIn::Query, schema.build(), text).build()
}

fn dry_run() -> Parameter {
    let text = "Only say what would change: everything is checked, and nothing is changed.";
    boolean("dry_run", false, text)
}

const GENERATION: (&str, &str) = ("ETag", "Changes with every accepted change of the configuration.");

fn describe_read() -> Description {
    let ids = "Without identifiers, references are by name: to be read by people, and applied elsewhere.";
    Description::new("readConfig", TAG, "Read the whole configuration")
        .explain("As JSON, or with `Accept: application/yaml` as YAML.")
        .parameter(boolean("ids", true, ids))
        .answer(StatusCode::OK, "This is all of it.", Some("Configuration"), &[GENERATION])
        .fails(&[422])
}

fn describe_replace() -> Description {
    let example = json!({
        "virtual_ips": [{ "name": "shop", "address": "192.0.2.10" }],
        "pools": [{ "name": "web", "members": [{ "address": "198.51.100.11", "port": 8080 }] }],
        "virtual_services": [{
            "name": "shop-http", "virtual_ip_ids": ["shop"], "protocol": "tcp", "port": 80,
            "default_pool_id": "web",
        }],
    });
    Description::new("replaceConfig", TAG, "Replace the whole configuration")
        .explain(
            "In one transaction, by the code that single edits go through. What is not in the document is deleted; \
             what is the same is not touched, so that the same document twice changes nothing.",
        )
        .parameter(if_match())
        .parameter(dry_run())
        .with(change_parameters)
        .body(&["application/json", YAML], "Configuration", example)
        .answer(StatusCode::OK, "This is what it changed.", Some("Applied"), &[GENERATION])
        .fails(&[409, 412, 428])
}

fn of_revision(id: &str, summary: &str, text: &str) -> Description {
    Description::new(id, TAG, summary)
        .explain(text)
        .parameter(number("generation", "The number of the revision."))
        .fails(&[404, 409, 422])
}

pub(super) fn undoing(described: Description) -> Description {
    described.parameter(dry_run()).with(change_parameters).answer(
        StatusCode::OK,
        "This is what it changed.",
        Some("Applied"),
        &[GENERATION],
    )
}

fn of_changeset(id: &str, summary: &str) -> Description {
    Description::new(id, TAG, summary)
        .parameter(path_parameter("id", "Which changeset."))
        .answer(StatusCode::OK, "This is what it changes.", Some("Applied"), &[GENERATION])
        .fails(&[404, 409, 422])
}

pub(super) fn routes() -> Vec<Route> {
    let rolling_back = undoing(of_revision(
        "rollBack",
        "Go back to a revision",
        "Makes everything as it was when the configuration had this number. That is another revision: nothing is lost.",
    ));
    let reverting = undoing(of_revision(
        "revertRevision",
        "Undo a revision",
        "Undoes what this revision changed. What others have changed since is left as it is, and named in `kept`.",
    ));
    let confirming = of_revision(
        "confirmRevision",
        "Keep a revision",
        "Otherwise it reverts by itself: see `confirm_within`.",
    )
    .answer(StatusCode::NO_CONTENT, "It stays.", None, &[]);
    let previewing = of_changeset("previewChangeset", "Preview a changeset")
        .explain("Says what applying it would change, or what is wrong with it.");
    let applying = of_changeset("applyChangeset", "Apply a changeset")
        .explain("All of it or nothing; then it is gone. 409 names what somebody else has changed since it was written.")
        .parameter(if_match())
        .with(change_parameters)
        .fails(&[412, 428]);
    let revision = |verb: &str| format!("{ROOT}/revisions/{{generation}}/{verb}");
    let changeset = |verb: &str| format!("{ROOT}/changesets/{{id}}/{verb}");
    let config = format!("{ROOT}/config");
    let mut routes = resource::routes::<Changeset>();
    routes.extend([
        Route::new(HttpMethod::Get, config.clone(), READ, read, describe_read()),
        Route::lengthy(HttpMethod::Put, config, WRITE, replace, describe_replace()),
        Route::lengthy(HttpMethod::Post, revision("rollback"), WRITE, roll_back, rolling_back),
        Route::new(HttpMethod::Post, revision("revert"), WRITE, revert, reverting),
        Route::new(HttpMethod::Post, revision("confirm"), WRITE, confirm, confirming),
        Route::new(HttpMethod::Get, changeset("preview"), WRITE, preview, previewing),
        Route::lengthy(HttpMethod::Post, changeset("apply"), WRITE, apply, applying),
    ]);
    routes
}
