//! The resource `users/{user_id}/tokens`: API tokens. The token itself is in the answer that creates it, and nowhere else.

use axum::Json;
use axum::extract::{RawPathParams, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;
use uuid::Uuid;

use super::author::comment_parameter;
use super::body::JsonBody;
use super::describe::Description;
use super::error::Problem;
use super::resource::{self, Collection, Resource, identifier, path_parameter};
use super::view::{NothingMore, Operating};
use super::{Access, App, Route};
use crate::domain::schema::Identifier;
use crate::domain::{Author, Permission, Record, Spec, Token};
use crate::probe::Board;
use crate::signin::api_token;
use crate::store::Place;

impl Resource for Token {
    const COLLECTION: &'static str = "/api/v1/users/{user_id}/tokens";
    const NAME: &'static str = "Token";
    const NAMES: &'static str = "Tokens";
    const TAG: &'static str = "accounts";
    const READ: Access = Access::OwnOr(Permission::AccountsRead);
    const WRITE: Access = Access::OwnOr(Permission::AccountsWrite);

    fn parent(parameters: &RawPathParams) -> Option<Uuid> {
        identifier(parameters, "user_id")
    }

    fn collection(user: Uuid) -> String {
        format!("/api/v1/users/{user}/tokens")
    }

    type Seen = NothingMore;

    fn seen(_record: &Record<Self>, _health: &Board) -> (Operating, Option<String>, NothingMore) {
        (Operating::Unknown, None, NothingMore {})
    }
}

/// A token that was created.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedToken {
    /// Which it is.
    #[schema(value_type = Identifier)]
    id: Uuid,
    /// The token, to be sent as `Authorization: Bearer …`. It is shown here and never again.
    #[schema(max_length = 128, example = "pst_01975c1e8c1b7c3a9d550a1b2c3d4e5f_mZ0b")]
    token: String,
}

async fn create(
    State(app): State<App>,
    author: Author,
    Collection(scope, parent): Collection<Token>,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let mut spec = Spec::<Token>::read(&document).map_err(Problem::invalid)?;
    let place = Place { scope, parent, id: Uuid::now_v7() };
    let id = place.id;
    let (token, hash) = api_token(id)?;
    spec.own.secret_hash = Some(hash);
    app.store.create_at(&author, place, spec).await?;
    let location = format!("{}/{}", Token::collection(parent), id);
    let headers = [(LOCATION, location), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::CREATED, headers, Json(CreatedToken { id, token })).into_response())
}

pub(super) fn routes() -> Vec<Route> {
    let creating = Description::new("createToken", Token::TAG, "Create a token")
        .explain("It may do what is listed and what its user may do, whichever is less, until it expires.")
        .parameter(path_parameter("user_id", "Whose it is."))
        .parameter(comment_parameter())
        .body(&["application/json"], "TokenSpec", resource::example::<Token>())
        .answer(
            StatusCode::CREATED,
            "It was created; keep it, it is not shown again.",
            Some("CreatedToken"),
            &[("Location", "The address of what was created.")],
        )
        .fails(&[404, 409]);
    let mut routes = resource::routes::<Token>();
    routes.retain(|route| route.method != HttpMethod::Post);
    routes.push(Route::new(HttpMethod::Post, Token::COLLECTION, Token::WRITE, create, creating).scoped());
    routes
}
