//! What every resource offers: list, create, read, replace, patch, delete. Written once; the four files beside this
//! one only say what each resource is called.

use axum::Json;
use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::http::header::LOCATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::author::change_parameters;
use super::body::JsonBody;
use super::describe::{Description, parameter, string};
use super::error::Problem;
use super::etag::{self, IfMatch};
use super::list::{self, LIMIT_DEFAULT, LIMIT_MAX, NUMBER_MAX};
use super::view::{Operating, View};
use super::{Access, App, Route};
use crate::domain::revision::fingerprint;
use crate::domain::{Author, FieldError, Owner, Permission, Record, Revision, Scope, Spec};
use crate::probe::Board;
use crate::signin::Caller;
use crate::store::{FilterKind, Place, Repeatable, Table};

/// The header that makes a POST safe to repeat.
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// How a resource is called in the API.
pub(crate) trait Resource: Table {
    /// The address of its list, with `{…}` for what it belongs to.
    const COLLECTION: &'static str;
    /// One of them in the names of schemas and operations, as `VirtualIp`.
    const NAME: &'static str;
    /// Many of them in the names of operations, as `VirtualIps`.
    const NAMES: &'static str;
    /// Its group in the description.
    const TAG: &'static str;

    /// Who may see it.
    const READ: Access = Access::Permitted(Permission::BalancingRead);
    /// Who may change it.
    const WRITE: Access = Access::Permitted(Permission::BalancingWrite);

    /// What it belongs to, by the parameters of the address; `None` if that cannot be.
    fn parent(parameters: &RawPathParams) -> Option<Self::Parent>;

    /// The address of the list of what belongs to `parent`.
    fn collection(parent: Self::Parent) -> String;

    /// What is shown of this kind beyond what is shown of all.
    type Seen: Serialize + ToSchema;

    /// How one serves by what was seen of its members, if its configuration lets it; and what else is shown.
    fn seen(record: &Record<Self>, health: &Board) -> (Operating, Option<String>, Self::Seen);
}

/// The list that an address means.
#[derive(Debug)]
pub(super) struct Collection<R: Resource>(pub(super) Scope, pub(super) R::Parent);

/// The one resource that an address means.
#[derive(Debug)]
pub(super) struct Item<R: Resource>(pub(super) Place<R>);

impl<R: Resource> FromRequestParts<App> for Collection<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let parameters = path(parts, app).await?;
        let parent = R::parent(&parameters).ok_or_else(Problem::no_route)?;
        Ok(Self(scope(parts)?, parent))
    }
}

impl<R: Resource> FromRequestParts<App> for Item<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let parameters = path(parts, app).await?;
        let parent = R::parent(&parameters).ok_or_else(Problem::no_route)?;
        let id = identifier(&parameters, "id").ok_or_else(Problem::no_route)?;
        Ok(Self(Place { scope: scope(parts)?, parent, id }))
    }
}

/// Whose resources the caller sees. Only routes behind the guard are about resources.
fn scope(parts: &Parts) -> Result<Scope, Problem> {
    parts.extensions.get::<Caller>().map(|caller| caller.scope).ok_or_else(Problem::no_route)
}

async fn path(parts: &mut Parts, app: &App) -> Result<RawPathParams, Problem> {
    RawPathParams::from_request_parts(parts, app).await.map_err(|_| Problem::no_route())
}

/// The identifier that stands at `name` in the address.
pub(super) fn identifier<T: std::str::FromStr>(parameters: &RawPathParams, name: &str) -> Option<T> {
    let (_, text) = parameters.iter().find(|(key, _)| *key == name)?;
    text.parse().ok()
}

/// A part of a list.
#[derive(Serialize)]
struct Listed<T> {
    items: Vec<T>,
    next: Option<String>,
}

async fn list_all<R: Resource>(
    State(app): State<App>,
    Collection(scope, parent): Collection<R>,
    uri: Uri,
) -> Result<Response, Problem> {
    let query = list::parse::<R>(&uri).map_err(Problem::invalid)?;
    let page = app.store.list::<R>((scope, parent), &query).await?;
    let next = page.next.map(|cursor| list::next_link(&uri, &query, cursor)).transpose();
    let next = next.map_err(|error| Problem::internal(&error))?;
    let observed = app.observed.borrow();
    let items = page.records.iter().map(|record| View::of(record, &observed, &app.health)).collect();
    Ok(Json(Listed { items, next }).into_response())
}

async fn create<R: Resource>(
    State(app): State<App>,
    author: Author,
    Collection(scope, parent): Collection<R>,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let collection = R::collection(parent);
    let repeatable = repeatable(&headers, &author, &collection, &Value::Object(document.clone()))?;
    let spec = Spec::read(&document).map_err(Problem::invalid)?;
    let record = app.store.create::<R>(&author, (scope, parent), spec, repeatable).await?;
    let location = [(LOCATION, format!("{collection}/{}", record.id))];
    Ok((StatusCode::CREATED, location, shown(&record, &app)).into_response())
}

async fn read<R: Resource>(
    State(app): State<App>,
    Item(place): Item<R>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = app.store.get(place).await?;
    let revision = Revision::of(&record);
    if etag::is_known(&headers, &revision)? {
        return Ok((StatusCode::NOT_MODIFIED, [etag::header(&revision)]).into_response());
    }
    Ok(shown(&record, &app))
}

async fn replace<R: Resource>(
    State(app): State<App>,
    author: Author,
    Item(place): Item<R>,
    IfMatch(expected): IfMatch,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let record = app.store.change(&author, place, &expected, |_| Spec::read(&document)).await?;
    Ok(shown(&record, &app))
}

async fn patch<R: Resource>(
    State(app): State<App>,
    author: Author,
    Item(place): Item<R>,
    IfMatch(expected): IfMatch,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let record =
        app.store.change(&author, place, &expected, |spec: &Spec<R>| spec.patched(&document)).await?;
    Ok(shown(&record, &app))
}

async fn delete<R: Resource>(
    State(app): State<App>,
    author: Author,
    Item(place): Item<R>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, Problem> {
    app.store.delete(&author, place, &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) fn shown<R: Resource>(record: &Record<R>, app: &App) -> Response {
    let view = View::of(record, &app.observed.borrow(), &app.health);
    ([etag::header(&Revision::of(record))], Json(view)).into_response()
}

fn repeatable(
    headers: &HeaderMap,
    author: &Author,
    collection: &str,
    body: &Value,
) -> Result<Option<Repeatable>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len())).ok_or_else(|| {
        let detail = "want 1 to 255 visible ASCII characters";
        Problem::invalid(vec![FieldError::new(IDEMPOTENCY_KEY, "invalid", detail)])
    })?;
    let fingerprint = fingerprint(&[collection, &body.to_string()]);
    let user = author.id.unwrap_or_default();
    Ok(Some(Repeatable { key: format!("{user}/{key}"), fingerprint }))
}

/// The routes of one resource.
pub(super) fn routes<R: Resource>() -> Vec<Route> {
    let (collection, item) = (R::COLLECTION, format!("{}/{{id}}", R::COLLECTION));
    let routes = vec![
        Route::new(HttpMethod::Get, collection, R::READ, list_all::<R>, describe_list::<R>()),
        Route::new(HttpMethod::Post, collection, R::WRITE, create::<R>, describe_create::<R>()),
        Route::new(HttpMethod::Get, &item, R::READ, read::<R>, describe_read::<R>()),
        Route::new(HttpMethod::Put, &item, R::WRITE, replace::<R>, describe_replace::<R>()),
        Route::new(HttpMethod::Patch, &item, R::WRITE, patch::<R>, describe_patch::<R>()),
        Route::new(HttpMethod::Delete, &item, R::WRITE, delete::<R>, describe_delete::<R>()),
    ];
    // A project's own users see what it may have, and do not decide it.
    let is_scoped = |route: &Route| match R::OWNER {
        Owner::Appliance => false,
        Owner::Itself => route.method == HttpMethod::Get,
        Owner::Project | Owner::Either | Owner::Parent(_) => true,
    };
    routes.into_iter().map(|route| if is_scoped(&route) { route.scoped() } else { route }).collect()
}

pub(super) const ETAG: (&str, &str) =
    ("ETag", "Changes with what can be written, not with what is observed.");
const JSON: &[&str] = &["application/json"];
const JSON_PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

fn describe_list<R: Resource>() -> Description {
    let words = |keys: Vec<String>| keys.join("`, `");
    let sorts = words(list::sorts::<R>().map(str::to_owned).collect());
    let limit = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(LIMIT_MAX))
        .default(Some(LIMIT_DEFAULT.into()));
    let sort = format!("One of `{sorts}`, with `:asc` or `:desc`.");
    let cursor = "Where the page begins: taken from `next` of the page before.";
    let described = within::<R>(Description::new(
        format!("list{}", R::NAMES),
        R::TAG,
        format!("List {}", plural(R::NOUN)),
    ))
    .explain("Filters but `q` are exact, and all are joined by AND.")
    .parameter(parameter("limit", ParameterIn::Query, limit.build(), "How many items to return at most."))
    .parameter(parameter("cursor", ParameterIn::Query, string(1024), cursor))
    .parameter(parameter("sort", ParameterIn::Query, string(64), &sort).example(Some("name:desc".into())));
    list::filters::<R>()
        .fold(described, |described, filter| {
            let schema = match filter.kind {
                FilterKind::Text => string(1024),
                FilterKind::Boolean => ObjectBuilder::new().schema_type(Type::Boolean).build().into(),
                FilterKind::Number => ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .minimum(Some(0))
                    .maximum(Some(NUMBER_MAX))
                    .build()
                    .into(),
            };
            let text = match filter.key {
                "tags" => "Those that have this tag.".to_owned(),
                "q" => "Those that have this in their name, description, tags or addresses; case does not matter.".to_owned(),
                "not_tags" => "Those that do not have this tag.".to_owned(),
                key => format!("Those with this `{key}`."),
            };
            described.parameter(parameter(filter.key, ParameterIn::Query, schema, &text))
        })
        .answer(StatusCode::OK, "A page of the list.", Some(&format!("{}List", R::NAME)), &[])
        .fails(&[422])
}

fn describe_create<R: Resource>() -> Description {
    let key = "A text of your choice that makes this request safe to repeat for 24 hours: the same key with the \
               same body gets the first answer, with another body 422.";
    let location = ("Location", "The address of what was created.");
    within::<R>(Description::new(format!("create{}", R::NAME), R::TAG, format!("Create a {}", R::NOUN)))
        .explain(
            "The answer comes once the change is on disk; `observed_generation` reaches `generation` when it is \
             forwarded by.",
        )
        .parameter(parameter(IDEMPOTENCY_KEY, ParameterIn::Header, string(255), key))
        .with(change_parameters)
        .body(JSON, &format!("{}Spec", R::NAME), example::<R>())
        .answer(StatusCode::CREATED, "It was created.", Some(&view::<R>()), &[ETAG, location])
        .fails(&[409])
}

fn describe_read<R: Resource>() -> Description {
    let known = "The ETag that you have: if it is still right, the answer is 304 without a body.";
    one::<R>("read", "Read")
        .parameter(parameter("If-None-Match", ParameterIn::Header, string(1024), known))
        .answer(StatusCode::OK, "This is it.", Some(&view::<R>()), &[ETAG])
        .answer(StatusCode::NOT_MODIFIED, "It is what you have.", None, &[ETAG])
}

fn describe_replace<R: Resource>() -> Description {
    one::<R>("replace", "Replace")
        .explain("What the body does not name gets its default.")
        .parameter(if_match())
        .with(change_parameters)
        .body(JSON, &format!("{}Spec", R::NAME), example::<R>())
        .answer(StatusCode::OK, "It is replaced.", Some(&view::<R>()), &[ETAG])
        .fails(&[409, 412, 428])
}

fn describe_patch<R: Resource>() -> Description {
    one::<R>("patch", "Change")
        .explain(
            "A JSON Merge Patch (RFC 7396): what the body does not name stays, null brings back the default.",
        )
        .parameter(if_match())
        .with(change_parameters)
        .body(
            JSON_PATCH,
            &format!("{}Patch", R::NAME),
            serde_json::json!({ "description": "Moved to rack 4" }),
        )
        .answer(StatusCode::OK, "It is changed.", Some(&view::<R>()), &[ETAG])
        .fails(&[409, 412, 428])
}

fn describe_delete<R: Resource>() -> Description {
    one::<R>("delete", "Delete")
        .parameter(if_match())
        .with(change_parameters)
        .answer(StatusCode::NO_CONTENT, "It is deleted.", None, &[])
        .fails(&[409, 412, 422, 428])
}

fn one<R: Resource>(verb: &str, summary: &str) -> Description {
    let described =
        Description::new(format!("{verb}{}", R::NAME), R::TAG, format!("{summary} a {}", R::NOUN));
    within::<R>(described).parameter(path_parameter("id", "Which one.")).fails(&[404])
}

/// Adds what the resource belongs to.
fn within<R: Resource>(described: Description) -> Description {
    let owners = R::COLLECTION.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    owners.fold(described, |described, owner| {
        described.parameter(path_parameter(owner, "What it belongs to.")).fails(&[404])
    })
}

pub(super) fn path_parameter(name: &str, text: &str) -> Parameter {
    parameter(name, ParameterIn::Path, Ref::from_schema_name("Identifier"), text).build()
}

pub(super) fn if_match() -> Parameter {
    let text = "The ETag of what you have read, or `*` for whatever is there. Required.";
    parameter("If-Match", ParameterIn::Header, string(1024), text)
        .required(utoipa::openapi::Required::True)
        .build()
}

fn view<R: Resource>() -> String {
    format!("{}View", R::NAME)
}

pub(super) fn example<R: Resource>() -> Value {
    serde_json::from_str(R::EXAMPLE).unwrap_or_default()
}

/// Several of a kind.
fn plural(noun: &str) -> String {
    noun.strip_suffix('y').map_or_else(|| format!("{noun}s"), |stem| format!("{stem}ies"))
}
