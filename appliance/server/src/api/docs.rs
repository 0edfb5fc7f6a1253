//! The API's own description, and a page to browse it that needs no network.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use utoipa::openapi::path::HttpMethod;
use utoipa_swagger_ui::{Config, SwaggerFile, serve};

use super::describe::Description;
use super::error::Problem;
use super::{Access, App, ROOT, Route, openapi};

const TAG: &str = "description";

/// Scripts and pictures from this server alone; the page sets styles of its own.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

async fn description(State(_app): State<App>) -> Response {
    ([(CONTENT_TYPE, "application/json")], openapi::json()).into_response()
}

async fn page() -> Redirect {
    // The page's own links are relative to a folder.
    Redirect::permanent("/api/v1/docs/index.html")
}

async fn file(Path(path): Path<String>) -> Result<Response, Problem> {
    let config = Config::new([format!("{ROOT}/openapi.json")]).persist_authorization(false);
    match serve(&path, Arc::new(config)) {
        Ok(Some(SwaggerFile { bytes, content_type, gzpipped, .. })) => {
            let mut response = (
                [(CONTENT_TYPE, content_type.as_str()), (CONTENT_SECURITY_POLICY, POLICY)],
                [(X_CONTENT_TYPE_OPTIONS, "nosniff")],
                bytes.into_owned(),
            )
                .into_response();
            if gzpipped {
                let gzip = axum::http::HeaderValue::from_static("gzip");
                response.headers_mut().insert(CONTENT_ENCODING, gzip);
            }
            Ok(response)
        }
        Ok(None) | Err(_) => Err(Problem::no_route()),
    }
}

pub(super) fn routes() -> Vec<Route> {
    let described = Description::new("readDescription", TAG, "This description (OpenAPI 3.1)")
        .answer_text("application/json", "The description.");
    let browsed = Description::new("browseDescription", TAG, "A page to browse this description")
        .redirects("The page is a file in the folder `docs/`.");
    let part = |path: &str, handler| Route {
        method: HttpMethod::Get,
        path: format!("{ROOT}{path}"),
        access: Access::Open,
        scoped: false,
        lengthy: false,
        operation: None,
        handler,
    };
    vec![
        Route::new(HttpMethod::Get, format!("{ROOT}/openapi.json"), Access::Open, description, described),
        Route::new(HttpMethod::Get, format!("{ROOT}/docs"), Access::Open, page, browsed),
        part("/docs/", get(page)),
        part("/docs/{*file}", get(file)),
    ]
}
