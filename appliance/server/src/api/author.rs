//! Who makes a change and why: what is kept of it in revisions and in the audit log.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::App;
use super::describe::{parameter, string};
use super::error::Problem;
use super::list::pairs;
use crate::domain::{Author, FieldError};
use crate::signin::Caller;

/// The longest comment.
const COMMENT_MAX: usize = 1024;

impl FromRequestParts<App> for Author {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, Problem> {
        // Only routes behind the guard ask for an author.
        let caller = parts.extensions.get::<Caller>().ok_or_else(Problem::no_route)?;
        Ok(caller.author(comment(&parts.uri)?))
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

/// The parameter that takes the comment.
pub(super) fn comment_parameter() -> Parameter {
    let text = "Why this is done: kept with the revision and in the audit log.";
    parameter("comment", ParameterIn::Query, string(COMMENT_MAX), text)
        .example(Some("more room for the sale".into()))
        .build()
}
