//! The second factor of who is signed in, and taking away that of another who has lost the device.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;

use super::body::JsonBody;
use super::describe::Description;
use super::error::Problem;
use super::resource::{Item, path_parameter};
use super::{Access, App, ROOT, Route};
use crate::domain::fields::text;
use crate::domain::{Author, Fields, Permission, User};
use crate::signin::{Caller, Enrolment, Standing};
use crate::store::Outcome;

const TAG: &str = "sign-in";

/// How it stands with your second factor.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SecondFactor {
    state: SecondFactorState,
    /// How many recovery codes are left.
    #[schema(minimum = 0, maximum = 10, example = 10)]
    recovery_codes: u32,
}

/// `off`: there is none; `pending`: its device has not shown a code yet; `on`: it is asked for when you sign in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = "on")]
pub(super) enum SecondFactorState {
    Off,
    Pending,
    On,
}

/// The password of who is signed in.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) struct OwnPassword {
    /// The password.
    #[schema(min_length = 1, max_length = 256, format = Password, example = "sluice gate at dawn")]
    password: String,
}

/// A code of the device.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) struct DeviceCode {
    /// Its six digits.
    #[schema(min_length = 1, max_length = 64, example = "287082")]
    code: String,
}

/// What a device needs to show codes.
#[derive(Serialize, ToSchema)]
pub(super) struct DeviceSecret {
    /// The secret, in base 32: SHA-1, six digits, thirty seconds.
    #[schema(max_length = 64, example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// The same for a QR code.
    #[schema(
        max_length = 512,
        example = "otpauth://totp/Penstock:admin?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Penstock&digits=6&period=30"
    )]
    uri: String,
}

/// Codes for who has lost the device.
#[derive(Serialize, ToSchema)]
pub(super) struct RecoveryCodes {
    /// Each is good once in the place of a code. They are shown here and never again.
    #[schema(max_items = 10, example = json!(["k3mx-9qwz-2b4d-h7rv"]))]
    recovery_codes: Vec<RecoveryCode>,
}

/// A code that is good once.
#[derive(Serialize, ToSchema)]
#[schema(value_type = String, max_length = 32, example = "k3mx-9qwz-2b4d-h7rv")]
pub(super) struct RecoveryCode(String);

async fn read(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<SecondFactor>, Problem> {
    let (state, recovery_codes) = match app.sign_in.second_factor(caller.user).await? {
        Standing::Off => (SecondFactorState::Off, 0),
        Standing::Pending => (SecondFactorState::Pending, 0),
        Standing::On(left) => (SecondFactorState::On, left),
    };
    Ok(Json(SecondFactor { state, recovery_codes }))
}

async fn enrol(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let password = only("password", 256, &document)?;
    let enrolment = app.sign_in.enrol(&caller, &password).await?;
    let Some(Enrolment { secret, uri }) = enrolment else {
        return Err(conflict("a second factor is asked for already: end it first"));
    };
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(DeviceSecret { secret, uri }))
        .into_response())
}

async fn confirm(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    JsonBody(document): JsonBody,
) -> Result<Response, Problem> {
    let code = only("code", 64, &document)?;
    let codes = app.sign_in.confirm_second_factor(&caller, &code).await?;
    let codes = codes.ok_or_else(|| conflict("there is no second factor to be confirmed"))?;
    let recovery_codes = codes.into_iter().map(RecoveryCode).collect();
    Ok(([(CACHE_CONTROL, "no-store")], Json(RecoveryCodes { recovery_codes })).into_response())
}

async fn end(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    JsonBody(document): JsonBody,
) -> Result<StatusCode, Problem> {
    let password = only("password", 256, &document)?;
    if app.sign_in.end_second_factor(&caller, &password).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(conflict("there is no second factor"))
}

async fn take_away(
    State(app): State<App>,
    author: Author,
    Item(place): Item<User>,
) -> Result<StatusCode, Problem> {
    let user = app.store.get(place).await?;
    if !app.store.remove_second_factor(user.id).await? {
        return Err(conflict("this user has no second factor"));
    }
    let details = json!({ "user_id": user.id, "user": user.spec.meta.name });
    app.store.audit(&author, "second_factor.take_away", Outcome::Succeeded, details).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The one field of a body.
fn only(name: &'static str, most: usize, document: &Map<String, Value>) -> Result<String, Problem> {
    let mut fields = Fields::new(document);
    let value = fields.required(name, text(1..=most));
    match (value, fields.finish()) {
        (Some(value), faults) if faults.is_empty() => Ok(value),
        (_, faults) => Err(Problem::invalid(faults)),
    }
}

fn conflict(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "not_possible_now", detail)
}

pub(super) fn routes() -> Vec<Route> {
    let password = json!({ "password": "sluice gate at dawn" });
    let reading = Description::new("readSecondFactor", TAG, "How it stands with your second factor").answer(
        StatusCode::OK,
        "So it stands.",
        Some("SecondFactor"),
        &[],
    );
    let enrolling = Description::new("enrolSecondFactor", TAG, "Begin with a second factor")
        .explain("Gives a secret for a device that shows codes (TOTP, RFC 6238). It is asked for once it is confirmed; begin again if that fails.")
        .body(&["application/json"], "OwnPassword", password.clone())
        .answer(StatusCode::CREATED, "Tell it to the device; it is not shown again.", Some("DeviceSecret"), &[])
        .fails(&[409, 429]);
    let confirming = Description::new("confirmSecondFactor", TAG, "Confirm a second factor")
        .explain("From now on a code is asked for beside your password. A code is good once, and recovery codes in its place.")
        .body(&["application/json"], "DeviceCode", json!({ "code": "287082" }))
        .answer(StatusCode::OK, "Keep these.", Some("RecoveryCodes"), &[])
        .fails(&[409]);
    let ending = Description::new("endSecondFactor", TAG, "Do without a second factor")
        .explain("The device's codes and the recovery codes are good for nothing any more.")
        .body(&["application/json"], "OwnPassword", password)
        .answer(StatusCode::NO_CONTENT, "It is not asked for any more.", None, &[])
        .fails(&[409, 429]);
    let taking = Description::new("takeSecondFactor", "accounts", "Take away a user's second factor")
        .explain("For one who has lost the device and the recovery codes: their password alone lets them in again.")
        .parameter(path_parameter("id", "Whose."))
        .answer(StatusCode::NO_CONTENT, "It is not asked for any more.", None, &[])
        .fails(&[404, 409]);
    let path = format!("{ROOT}/second-factor");
    let of_user = format!("{ROOT}/users/{{id}}/second-factor");
    let write = Access::Permitted(Permission::AccountsWrite);
    vec![
        Route::new(HttpMethod::Get, path.clone(), Access::SignedIn, read, reading),
        Route::new(HttpMethod::Post, path.clone(), Access::SignedIn, enrol, enrolling),
        Route::new(HttpMethod::Post, format!("{path}/confirm"), Access::SignedIn, confirm, confirming),
        Route::new(HttpMethod::Post, format!("{path}/end"), Access::SignedIn, end, ending),
        Route::new(HttpMethod::Delete, of_user, write, take_away, taking),
    ]
}
