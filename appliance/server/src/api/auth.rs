//! Who may come in: the guard before every route, claiming the appliance, and signing in.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;

use super::body::JsonBody;
use super::describe::Description;
use super::error::Problem;
use super::session::{self, CONSOLE};
use super::{Access, App, ROOT, Route};
use crate::domain::Fields;
use crate::domain::fields::text;
use crate::serve::Source;
use crate::signin::{Caller, Carrier, Granted, LIFETIME_S, cookie};
use crate::store::Outcome;

const TAG: &str = "sign-in";

/// The code that the console shows, and who will be the administrator.
#[derive(ToSchema)]
#[schema(as = Claim)]
pub(super) struct Claim {
    /// The one-time code, as the console shows it.
    #[schema(min_length = 1, max_length = 64, example = "7K3M-9QWX-2B4D-HN8R-VT6Z")]
    code: String,
    /// What the administrator will be called.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._@-]+$", example = "admin")]
    username: String,
    /// 12 characters or more, not one of the best known, and without the name.
    #[schema(min_length = 12, max_length = 256, format = Password, example = "sluice gate at dawn")]
    password: String,
}

/// Who signs in.
#[derive(ToSchema)]
pub(super) struct Credentials {
    /// The name.
    #[schema(min_length = 1, max_length = 64, example = "admin")]
    username: String,
    /// The password.
    #[schema(min_length = 1, max_length = 256, format = Password, example = "sluice gate at dawn")]
    password: String,
    /// What the device of your second factor shows, or a recovery code; null without one. If it is missing the answer is `second_factor_required`.
    #[schema(min_length = 1, max_length = 64, example = "287082")]
    code: Option<String>,
}

/// What exchanges for other tokens.
#[derive(ToSchema)]
pub(super) struct Refresh {
    /// The last `refresh_token` of the session.
    #[schema(min_length = 1, max_length = 256, example = "psr_01975c1e8c1b7c3a9d550a1b2c3d4e5f_mZ0b")]
    #[expect(dead_code, reason = "a shape for the API's description")]
    refresh_token: String,
}

/// Tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct Session {
    /// To be sent as `Authorization: Bearer …`.
    #[schema(max_length = 4096)]
    access_token: String,
    /// `Bearer`.
    #[schema(max_length = 16, example = "Bearer")]
    token_type: &'static str,
    /// Seconds for which the access token is good.
    #[schema(minimum = 1, maximum = 86400, example = 600)]
    expires_in: u64,
    /// Exchanges once for other tokens, as long as the session lasts: 8 hours from the password.
    #[schema(max_length = 256, example = "psr_01975c1e8c1b7c3a9d550a1b2c3d4e5f_mZ0b")]
    refresh_token: String,
}

impl Claim {
    fn read(document: &Map<String, Value>) -> Result<Self, Problem> {
        let mut fields = Fields::new(document);
        let code = fields.required("code", text(1..=64));
        let Some(Credentials { username, password, code: _ }) = Credentials::from_fields(&mut fields) else {
            return Err(Problem::invalid(fields.finish()));
        };
        match (code, fields.finish()) {
            (Some(code), faults) if faults.is_empty() => Ok(Self { code, username, password }),
            (_, faults) => Err(Problem::invalid(faults)),
        }
    }
}

impl Credentials {
    fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        let username = fields.required("username", text(1..=64));
        let password = fields.required("password", text(1..=256));
        Some(Self { username: username?, password: password?, code: None })
    }

    fn read(document: &Map<String, Value>) -> Result<Self, Problem> {
        let mut fields = Fields::new(document);
        let read = Self::from_fields(&mut fields);
        let code = fields.nullable("code", text(1..=64));
        match (read, code, fields.finish()) {
            (Some(read), Some(code), faults) if faults.is_empty() => Ok(Self { code, ..read }),
            (_, _, faults) => Err(Problem::invalid(faults)),
        }
    }
}

/// Before every route: lets pass whom its `Access` admits.
pub(super) async fn guard(
    State((app, access, scoped)): State<(App, Access, bool)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if access != Access::Open && !app.sign_in.is_claimed() {
        return Err(Problem::unclaimed());
    }
    if !matches!(access, Access::Open | Access::Claimed) {
        let (mut parts, body) = request.into_parts();
        let caller = caller(&app, &parts).await?;
        admit(&app, (access, scoped), &caller, &parts).await?;
        parts.extensions.insert(caller);
        request = Request::from_parts(parts, body);
    }
    Ok(next.run(request).await)
}

/// Lets pass who may do this. Who may not is written down.
async fn admit(
    app: &App,
    (access, scoped): (Access, bool),
    caller: &Caller,
    request: &Parts,
) -> Result<(), Problem> {
    let Some(permission) = access.permission() else { return Ok(()) };
    let may = if scoped { caller.may_within_scope(permission) } else { caller.may(permission) };
    if may || matches!(access, Access::OwnOr(_)) && is_own(caller, request.uri.path()) {
        return Ok(());
    }
    let details =
        json!({ "method": request.method.as_str(), "path": request.uri.path(), "permission": permission });
    app.store.audit(&caller.author(String::new()), "request", Outcome::Denied, details).await?;
    Err(if caller.may_within_scope(permission) {
        Problem::not_within_project()
    } else {
        Problem::forbidden(permission)
    })
}

/// Whether the address is that of the caller, or of something of theirs.
fn is_own(caller: &Caller, path: &str) -> bool {
    let user = path.strip_prefix(ROOT).and_then(|path| path.strip_prefix("/users/"));
    let user = user.and_then(|path| path.split('/').next()).and_then(|id| id.parse().ok());
    user == Some(caller.user)
}

/// Who calls: by the header where there is one, else by the cookie.
async fn caller(app: &App, request: &Parts) -> Result<Caller, Problem> {
    let (token, carrier) = match (bearer(&request.headers), in_cookie(&request.headers)) {
        (Some(token), _) => (token, Carrier::Program),
        (None, Some(token)) => (token, Carrier::Browser),
        (None, None) => return Err(Problem::unauthenticated("send a token: Authorization: Bearer …")),
    };
    let source = request.extensions.get::<Source>().map(|Source(address)| *address);
    let caller = app.sign_in.caller(token, carrier, source).await?;
    let caller = caller.ok_or(Problem::unauthenticated("the token is not good, or no longer"))?;
    if carrier == Carrier::Browser && changes(&request.method) && !from_console(&request.headers) {
        return Err(Problem::not_from_console());
    }
    Ok(caller)
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn in_cookie(headers: &HeaderMap) -> Option<&str> {
    // HTTP/2 may send each cookie in a header of its own (RFC 9113, 8.2.3).
    headers.get_all(COOKIE).into_iter().filter_map(|header| header.to_str().ok()).find_map(cookie::token)
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Whether a script of our own origin sent this: a page elsewhere, or a form, cannot set the header.
fn from_console(headers: &HeaderMap) -> bool {
    headers.get(&CONSOLE).is_some_and(|value| value == "1")
}

/// The address that a request came from.
pub(super) fn address(source: Option<Extension<Source>>) -> Option<IpAddr> {
    source.map(|Extension(Source(address))| address)
}

fn carrier(headers: &HeaderMap) -> Carrier {
    if from_console(headers) { Carrier::Browser } else { Carrier::Program }
}

async fn claim(
    State(app): State<App>,
    source: Option<Extension<Source>>,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    if app.sign_in.is_claimed() {
        return Err(crate::store::StoreError::AlreadyClaimed.into());
    }
    let Claim { code, username, password } = Claim::read(&document)?;
    let carrier = carrier(&headers);
    let granted = app.sign_in.claim(&code, &username, &password, carrier, address(source)).await?;
    Ok(given(granted))
}

async fn sign_in(
    State(app): State<App>,
    source: Option<Extension<Source>>,
    headers: HeaderMap,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let Credentials { username, password, code } = Credentials::read(&document)?;
    let carrier = carrier(&headers);
    let who = (username.as_str(), password.as_str(), code.as_deref());
    let granted = app.sign_in.sign_in(who, carrier, address(source)).await?;
    Ok(given(granted))
}

async fn refresh(
    State(app): State<App>,
    source: Option<Extension<Source>>,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(&document);
    let token = fields.required("refresh_token", text(1..=256));
    match (token, fields.finish()) {
        (Some(token), faults) if faults.is_empty() => {
            Ok(given(app.sign_in.refresh(&token, address(source)).await?))
        }
        (_, faults) => Err(Problem::invalid(faults)),
    }
}

/// The tokens, where their carrier keeps them.
fn given(Granted { access_token, refresh_token }: Granted) -> Response {
    match refresh_token {
        None => session::cookie(StatusCode::NO_CONTENT, &cookie::holding(&access_token)),
        Some(refresh_token) => {
            let session =
                Session { access_token, token_type: "Bearer", expires_in: LIFETIME_S, refresh_token };
            (StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(session)).into_response()
        }
    }
}

pub(super) fn routes() -> Vec<Route> {
    let claiming = Description::new("claim", TAG, "Claim the appliance")
        .explain(
            "Creates the one administrator, with the one-time code that the appliance's console shows. Until then \
             nothing else works; afterwards this does not work any more.",
        )
        .body(
            &["application/json"],
            "Claim",
            json!({
                "code": "7K3M-9QWX-2B4D-HN8R-VT6Z",
                "username": "admin",
                "password": "sluice gate at dawn",
            }),
        )
        .parameter(session::console_header())
        .answer(StatusCode::CREATED, "The appliance is yours.", Some("Session"), &[])
        .answer(StatusCode::NO_CONTENT, "It is, and the token is in a cookie.", None, session::SET_COOKIE)
        .fails(&[401, 409]);
    let signing_in = Description::new("createSession", TAG, "Sign in")
        .explain("After some failures an account is closed for a while, and longer each time.")
        .body(
            &["application/json"],
            "Credentials",
            json!({ "username": "admin", "password": "sluice gate at dawn" }),
        )
        .parameter(session::console_header())
        .answer(StatusCode::CREATED, "You are signed in.", Some("Session"), &[])
        .answer(StatusCode::NO_CONTENT, "You are, and the token is in a cookie.", None, session::SET_COOKIE)
        .fails(&[401, 429]);
    let refreshing = Description::new("refreshSession", TAG, "Get other tokens")
        .explain("Each refresh token is good once. Using one again ends the session: somebody has a copy.")
        .body(
            &["application/json"],
            "Refresh",
            json!({ "refresh_token": "psr_01975c1e8c1b7c3a9d550a1b2c3d4e5f_mZ0b" }),
        )
        .answer(StatusCode::CREATED, "These are the next.", Some("Session"), &[])
        .fails(&[401]);
    vec![
        Route::new(
            HttpMethod::Post,
            format!("{ROOT}/sessions/refresh"),
            Access::Claimed,
            refresh,
            refreshing,
        ),
        Route::new(HttpMethod::Post, format!("{ROOT}/claim"), Access::Open, claim, claiming),
        Route::new(HttpMethod::Post, format!("{ROOT}/sessions"), Access::Claimed, sign_in, signing_in),
    ]
}
