//! A session as it is seen while it lasts: who is signed in, renewing a browser's token, and signing out.
//!
//! A browser holds its token in a cookie, which the console renews while somebody is there. Programs hold theirs
//! themselves and sign in again.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE as SET_COOKIE_NAME};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, Parameter, ParameterIn};

use super::describe::{Description, parameter, string};
use super::error::Problem;
use super::{Access, App, ROOT, Route};
use crate::signin::{Caller, Carrier, cookie};

const TAG: &str = "sign-in";

/// What the console sends with every request, and no page of another site can.
pub(super) const CONSOLE: HeaderName = HeaderName::from_static("x-penstock-console");
/// What an answer says that gives or takes the cookie.
pub(super) const SET_COOKIE: &[(&str, &str)] = &[("Set-Cookie", "The cookie, for this host and no script.")];

/// Who is signed in, and for how long.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CurrentSession {
    /// What they are called.
    #[schema(max_length = 64, example = "admin")]
    username: String,
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
    if caller.ticket.carrier == Carrier::Program {
        let detail = "only the console's session is renewed: sign in again for another token";
        return Err(Problem::new(StatusCode::CONFLICT, "not_renewable", detail));
    }
    let token = app.sign_in.renew(&caller)?;
    Ok(cookie(StatusCode::NO_CONTENT, &cookie::holding(&token)))
}

async fn sign_out(Extension(_caller): Extension<Caller>) -> Response {
    cookie(StatusCode::NO_CONTENT, &cookie::removal())
}

fn current(caller: &Caller) -> CurrentSession {
    let ticket = &caller.ticket;
    let session_ends_in = match ticket.carrier {
        Carrier::Browser => ticket.session_remaining_s(),
        Carrier::Program => ticket.remaining_s(),
    };
    let username = caller.username.to_string();
    CurrentSession { username, expires_in: ticket.remaining_s(), session_ends_in }
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
        .explain("Takes the cookie from the browser. A token that somebody copied stays good until it ends.")
        .answer(StatusCode::NO_CONTENT, "The cookie is gone.", None, SET_COOKIE);
    let current = format!("{ROOT}/sessions/current");
    vec![
        Route::new(HttpMethod::Get, current.clone(), Access::SignedIn, read, reading),
        Route::new(HttpMethod::Delete, current, Access::SignedIn, sign_out, leaving),
        Route::new(HttpMethod::Post, format!("{ROOT}/sessions/renew"), Access::SignedIn, renew, renewing),
    ]
}
