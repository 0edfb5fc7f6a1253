//! The web console's files, as they were built into this program.
//!
//! What has a hash in its name never changes and may be kept for ever; `index.html` names those files and is asked
//! for each time. An address that is no file is a screen of the console, which finds its way by itself. Built without
//! a console, there is none, and the answer says so.

use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::error::Problem;

/// A file of the console: as it is, and compressed beforehand where that pays.
struct File {
    path: &'static str,
    content_type: &'static str,
    plain: &'static [u8],
    brotli: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

const INDEX: &str = "/index.html";
/// Where the builder puts what has a hash in its name.
const HASHED: &str = "/assets/";

/// Nothing from elsewhere, nothing inline, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

/// Answers what no route of the API does.
pub(super) async fn serve(request: Request) -> Result<Response, Problem> {
    let path = request.uri().path();
    if !matches!(*request.method(), Method::GET | Method::HEAD) || of_the_api(path) {
        return Err(Problem::no_route());
    }
    match find(FILES, path) {
        Some(file) => Ok(answer(file, request.headers())),
        None if FILES.is_empty() => Err(Problem::no_console()),
        None => Err(Problem::no_route()),
    }
}

pub(super) fn of_the_api(path: &str) -> bool {
    path == "/api" || path.starts_with("/api/")
}

/// The file at `path`, or the page for what is no file.
fn find<'a>(files: &'a [File], path: &str) -> Option<&'a File> {
    let named = |name: &str| files.iter().find(|file| file.path == name);
    let screen = || (!path.starts_with(HASHED)).then(|| named(INDEX)).flatten();
    named(path).or_else(screen)
}

fn answer(file: &File, headers: &HeaderMap) -> Response {
    let keep = if file.path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let head = [(CONTENT_TYPE, file.content_type), (CACHE_CONTROL, keep), (VARY, "accept-encoding")];
    let (bytes, encoding) = encoded(file, headers);
    let mut response = (StatusCode::OK, head, HEADERS, bytes).into_response();
    if let Some(encoding) = encoding {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

/// The smallest form that the browser takes.
fn encoded(file: &File, headers: &HeaderMap) -> (&'static [u8], Option<&'static str>) {
    let smaller = [("br", file.brotli), ("gzip", file.gzip)];
    let taken = smaller.into_iter().find_map(|(encoding, bytes)| {
        bytes.filter(|_| accepts(headers, encoding)).map(|bytes| (bytes, Some(encoding)))
    });
    taken.unwrap_or((file.plain, None))
}

fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let offers = headers.get_all(ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let refused = |quality: &str| quality.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding)) && !parts.any(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &[File] = &[file("/index.html", None), file("/assets/app-1a2b.js", Some(b"br"))];

    const fn file(path: &'static str, brotli: Option<&'static [u8]>) -> File {
        File { path, content_type: "text/plain", plain: b"plain", brotli, gzip: None }
    }

    fn header(response: &Response, name: HeaderName) -> &str {
        response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn what_is_no_file_is_a_screen() {
        let found = |path| find(PAGE, path).map(|file| file.path);
        assert_eq!(found("/"), Some(INDEX));
        assert_eq!(found("/virtual-services/7"), Some(INDEX));
        assert_eq!(found("/assets/app-1a2b.js"), Some("/assets/app-1a2b.js"));
        assert_eq!(found("/assets/app-0000.js"), None);
    }

    #[test]
    fn only_what_never_changes_is_kept() {
        let [index, script] = [&PAGE[0], &PAGE[1]].map(|file| answer(file, &HeaderMap::new()));
        assert_eq!(header(&index, CACHE_CONTROL), "no-cache");
        assert!(header(&script, CACHE_CONTROL).contains("immutable"));
        assert!(header(&index, CONTENT_SECURITY_POLICY).starts_with("default-src 'none'"));
        assert!(!POLICY.contains("unsafe"));
    }

    #[test]
    fn the_browser_gets_what_it_can_read() {
        let asking = |offer: &'static str| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(offer))]);
            header(&answer(&PAGE[1], &headers), CONTENT_ENCODING).to_owned()
        };
        assert_eq!(asking("gzip, deflate, br"), "br");
        assert_eq!(asking("gzip"), "");
        assert_eq!(asking("br;q=0, gzip"), "");
        assert_eq!(asking("br;q=0.5"), "br");
    }
}
