//! Who makes a change and why: what is kept of it in revisions and in the audit log.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::App;
use super::describe::{Description, parameter};
use super::error::Problem;
use super::list::pairs;
use crate::domain::{Author, FieldError};
use crate::signin::Caller;

/// The longest time that a change waits to be confirmed.
const CONFIRM_WITHIN_MAX: u32 = 86_400;
/// The longest comment.
const COMMENT_MAX: usize = 1024;

impl FromRequestParts<App> for Author {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        // Only routes behind the guard ask for an author.
        let caller = parts.extensions.get::<Caller>().ok_or_else(Problem::no_route)?;
        let author = caller.author(comment(&parts.uri)?);
        Ok(Author { confirm_within: confirm_within(&parts.uri)?, ..author })
    }
}

fn comment(uri: &Uri) -> Result<String, Problem> {
    let comment = pairs(uri).into_iter().find(|(key, _)| key == "comment");
    let comment = comment.map(|(_, comment)| comment).unwrap_or_default();
    if comment.chars().count() <= COMMENT_MAX && !comment.chars().any(char::is_control) {
        return Ok(comment);
    }
    let detail = format!("want at most {COMMENT_MAX} characters, none of them a control character");
    Err(Problem::invalid(vec![FieldError::new("?comment", "invalid", detail)]))
}

fn confirm_within(uri: &Uri) -> Result<Option<u32>, Problem> {
    let Some((_, value)) = pairs(uri).into_iter().find(|(key, _)| key == "confirm_within") else {
        return Ok(None);
    };
    let seconds = value.parse().ok().filter(|seconds| (1..=CONFIRM_WITHIN_MAX).contains(seconds));
    seconds.map(Some).ok_or_else(|| {
        let detail = format!("want a whole number of seconds from 1 to {CONFIRM_WITHIN_MAX}");
        Problem::invalid(vec![FieldError::new("?confirm_within", "out_of_range", detail)])
    })
}

/// What every change takes: a comment, and how long it waits to be confirmed.
pub(super) fn change_parameters(described: Description) -> Description {
    let seconds =
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(CONFIRM_WITHIN_MAX));
    let text = "Seconds after which the change is reverted by itself, unless `POST \
                /api/v1/revisions/{generation}/confirm` comes before; a restart does not matter.";
    described.parameter(comment_parameter()).parameter(parameter(
        "confirm_within",
        ParameterIn::Query,
        seconds.build(),
        text,
    ))
}

/// The parameter that takes the comment.
pub(super) fn comment_parameter() -> Parameter {
    let text = "Why this is done: kept with the revision and in the audit log.";
    let comment = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(COMMENT_MAX))
        .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]*$"));
    parameter("comment", ParameterIn::Query, comment.build(), text)
        .example(Some("more room for the sale".into()))
        .build()
}
