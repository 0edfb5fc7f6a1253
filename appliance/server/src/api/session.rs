//! A session as it is seen while it lasts: who is signed in, renewing a browser's token, and signing out.
//!
//! A browser holds its token in a cookie, which the console renews while somebody is there. Programs hold theirs
//! themselves and sign in again.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, SET_COOKIE as SET_COOKIE_NAME};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterIn};

use super::body::JsonBody;
use super::describe::{Description, parameter, string};
use super::error::Problem;
use super::{Access, App, ROOT, Route};
use crate::domain::fields::text;
use crate::domain::schema::Identifier;
use crate::domain::{Author, Expected, FieldError, Fields, Permission, Role, Scope, Timestamp, User};
use crate::signin::{Caller, Carrier, cookie};
use crate::store::{Outcome, Place, SessionRow};
use uuid::Uuid;

const TAG: &str = "sign-in";

/// What the console sends with every request, and no page of another site can.
pub(super) const CONSOLE: HeaderName = HeaderName::from_static("x-penstock-console");
/// What an answer says that gives or takes the cookie.
pub(super) const SET_COOKIE: &[(&str, &str)] = &[("Set-Cookie", "The cookie, for this host and no script.")];

/// Who is signed in, and for how long.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CurrentSession {
    /// The user.
    #[schema(value_type = Identifier)]
    user_id: String,
    /// What they are called.
    #[schema(max_length = 64, example = "admin")]
    username: String,
    /// What they may do.
    role: Role,
    /// The project whose resources they see and change; null: those of all.
    #[schema(value_type = Option<Identifier>, required)]
    project_id: Option<Uuid>,
    /// The same in single permissions; with an API token these may be fewer.
    #[schema(max_items = 16)]
    permissions: Vec<Permission>,
    /// Seconds for which the token is good.
    #[schema(minimum = 0, maximum = 86400, example = 600)]
    expires_in: u64,
    /// Seconds after which the password is asked for again, however often the token is renewed.
    #[schema(minimum = 0, maximum = 86400, example = 28800)]
    session_ends_in: u64,
}

/// An answer that sets the cookie.
pub(super) fn cookie(status: StatusCode, set_cookie: &str) -> Response {
    (status, [(CACHE_CONTROL, "no-store"), (SET_COOKIE_NAME, set_cookie)]).into_response()
}

/// The header that asks for the token in a cookie.
pub(super) fn console_header() -> Parameter {
    let text = "With `1` the token comes as a cookie for this host that no script can read, and the answer has no \
                body. For the console.";
    parameter("X-Penstock-Console", ParameterIn::Header, string(1), text).build()
}

async fn read(Extension(caller): Extension<Caller>) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(current(&caller))).into_response()
}

async fn renew(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<Response, Problem> {
    if caller.carrier == Carrier::Program {
        let detail = "only the console's session is renewed: sign in again for another token";
        return Err(Problem::new(StatusCode::CONFLICT, "not_renewable", detail));
    }
    let token = app.sign_in.renew(&caller)?;
    Ok(cookie(StatusCode::NO_CONTENT, &cookie::holding(&token)))
}

async fn sign_out(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<Response, Problem> {
    if let Some(session) = caller.session {
        app.store.end_session(session, Some(caller.user)).await?;
    }
    Ok(cookie(StatusCode::NO_CONTENT, &cookie::removal()))
}

/// A session that goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionEntry {
    /// Which it is.
    #[schema(value_type = Identifier)]
    id: String,
    /// The user.
    #[schema(value_type = Identifier)]
    user_id: String,
    /// What they are called.
    #[schema(max_length = 64, example = "admin")]
    username: String,
    /// `penstock-console` for a browser, `penstock-api` for a program.
    #[schema(max_length = 64, example = "penstock-console")]
    carrier: String,
    /// The address it was begun from.
    #[schema(max_length = 45, example = "192.0.2.7", required)]
    source: Option<String>,
    /// When the password was given.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    created_at: Timestamp,
    /// When its tokens were last exchanged.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    used_at: Timestamp,
    /// When it ends.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T11:04:05.678Z")]
    ends_at: Timestamp,
    /// Whether it is the one that asks.
    current: bool,
}

/// The sessions that go on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SessionEntryList {
    /// The newest first.
    #[schema(max_items = 500)]
    items: Vec<SessionEntry>,
}

async fn list(State(app): State<App>, Extension(caller): Extension<Caller>) -> Result<Response, Problem> {
    let all = caller.may(Permission::AccountsRead);
    let rows = app.store.sessions((!all).then_some(caller.user)).await?;
    let own = caller.session.map(|session| session.to_string());
    let entry = |SessionRow { id, user_id, username, carrier, source, created_at, used_at, ends_at }| {
        let current = own.as_ref() == Some(&id);
        SessionEntry { id, user_id, username, carrier, source, created_at, used_at, ends_at, current }
    };
    Ok(Json(SessionEntryList { items: rows.into_iter().map(entry).collect() }).into_response())
}

async fn end(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<Uuid>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let Path(session) = path.map_err(|_| Problem::no_route())?;
    let anybodys = caller.may(Permission::AccountsWrite);
    if !app.store.end_session(session, (!anybodys).then_some(caller.user)).await? {
        return Err(Problem::no_route());
    }
    let details = serde_json::json!({ "session": session });
    app.store.audit(&caller.author(String::new()), "session.end", Outcome::Succeeded, details).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rotate_key(State(app): State<App>, author: Author) -> Result<StatusCode, Problem> {
    app.sign_in.rotate_key().map_err(|error| Problem::internal(&error))?;
    app.store.audit(&author, "session.rotate_key", Outcome::Succeeded, serde_json::json!({})).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change_password(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    JsonBody(document): JsonBody,
) -> Result<StatusCode, Problem> {
    let mut fields = Fields::new(&document);
    let password = fields.required("password", text(1..=256));
    let next = fields.required("new_password", text(1..=256));
    let faults = fields.finish();
    let (Some(password), Some(next), true) = (password, next, faults.is_empty()) else {
        return Err(Problem::invalid(faults));
    };
    app.sign_in.confirm(&caller, &password).await?;
    let patch = serde_json::json!({ "password": next });
    let patch = patch.as_object().cloned().unwrap_or_default();
    let place = Place::<User> { scope: Scope::Appliance, parent: (), id: caller.user };
    let author = caller.author(String::new());
    app.store
        .change(&author, place, &Expected::Any, |spec| {
            spec.patched(&patch).map_err(|faults| faults.into_iter().map(as_new).collect())
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Here the field is called otherwise.
fn as_new(fault: FieldError) -> FieldError {
    FieldError { pointer: "/new_password".to_owned(), ..fault }
}

/// A password, and the one that takes its place.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) struct PasswordChange {
    /// The password.
    #[schema(min_length = 1, max_length = 256, format = Password, example = "sluice gate at dawn")]
    password: String,
    /// The next one: 12 characters or more, not one of the best known, and without the name.
    #[schema(min_length = 12, max_length = 256, format = Password, example = "spillway opens at noon")]
    new_password: String,
}

fn current(caller: &Caller) -> CurrentSession {
    CurrentSession {
        user_id: caller.user.to_string(),
        username: caller.username.to_string(),
        role: caller.role,
        project_id: caller.scope.project(),
        permissions: caller.permissions.clone(),
        expires_in: caller.remaining_s(),
        session_ends_in: caller.session_remaining_s(),
    }
}

pub(super) fn routes() -> Vec<Route> {
    let reading = Description::new("readSession", TAG, "Who is signed in").answer(
        StatusCode::OK,
        "You are, as this user.",
        Some("CurrentSession"),
        &[],
    );
    let renewing = Description::new("renewSession", TAG, "Renew the console's session")
        .explain(
            "Gives the browser another token while its session lasts: 8 hours from the password at most. A token that \
             a program holds is not renewed.",
        )
        .answer(StatusCode::NO_CONTENT, "The cookie holds another token.", None, SET_COOKIE)
        .fails(&[409]);
    let leaving = Description::new("deleteSession", TAG, "Sign out")
        .explain("Ends the session: none of its tokens is good any more. A browser loses its cookie.")
        .answer(StatusCode::NO_CONTENT, "The cookie is gone.", None, SET_COOKIE);
    let listing = Description::new("listSessions", TAG, "List sessions")
        .explain("Your own; with the permission accounts:read everybody's.")
        .answer(StatusCode::OK, "These go on.", Some("SessionEntryList"), &[]);
    let ending = Description::new("endSession", TAG, "End a session")
        .explain("One of your own; with the permission accounts:write anybody's. None of its tokens is good any more.")
        .parameter(parameter("id", ParameterIn::Path, Ref::from_schema_name("Identifier"), "Which one."))
        .answer(StatusCode::NO_CONTENT, "It is ended.", None, &[])
        .fails(&[404]);
    let changing = Description::new("changePassword", TAG, "Change your password")
        .explain("Ends all your sessions, this one too.")
        .body(
            &["application/json"],
            "PasswordChange",
            serde_json::json!({ "password": "sluice gate at dawn", "new_password": "spillway opens at noon" }),
        )
        .answer(StatusCode::NO_CONTENT, "It is changed: sign in again.", None, &[])
        .fails(&[429]);
    let rotating = Description::new("rotateKey", TAG, "Sign tokens with another key")
        .explain(
            "Access tokens that were given are good until they end, in ten minutes at most. By itself the appliance takes another key every 30 days.",
        )
        .answer(StatusCode::NO_CONTENT, "Another key signs from now on.", None, &[]);
    let current = format!("{ROOT}/sessions/current");
    let write = Access::Permitted(Permission::AccountsWrite);
    vec![
        Route::new(HttpMethod::Post, format!("{ROOT}/sessions/rotate-key"), write, rotate_key, rotating),
        Route::new(HttpMethod::Get, current.clone(), Access::SignedIn, read, reading),
        Route::new(HttpMethod::Get, format!("{ROOT}/sessions"), Access::SignedIn, list, listing),
        Route::new(HttpMethod::Delete, format!("{ROOT}/sessions/{{id}}"), Access::SignedIn, end, ending),
        Route::new(HttpMethod::Post, format!("{ROOT}/password"), Access::SignedIn, change_password, changing),
        Route::new(HttpMethod::Delete, current, Access::SignedIn, sign_out, leaving),
        Route::new(HttpMethod::Post, format!("{ROOT}/sessions/renew"), Access::SignedIn, renew, renewing),
    ]
}
