//! The web console's files as penstockd serves them. A penstockd that was built without them says so.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use reqwest::Method;
use support_api::{Answer, Server, send};

/// The page, or nothing if this penstockd has none.
fn page(server: &Server, path: &str) -> Option<Answer> {
    let answer = server.anonymous().get(path);
    if answer.status == 404 {
        answer.is_problem(404, "no_console", []);
        return None;
    }
    assert_eq!(answer.status, 200);
    Some(answer)
}

/// The addresses that a page names in `src` and `href`.
fn links(html: &str) -> Vec<&str> {
    html.split('"').filter(|text| text.starts_with('/')).collect()
}

#[test]
fn every_screen_is_the_page_and_its_files_are_kept() {
    let server = Server::start();
    let Some(index) = page(&server, "/") else { return };
    assert_eq!(index.header("cache-control"), "no-cache");
    let screen = page(&server, "/virtual-services/01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f").unwrap();
    assert_eq!(screen.body, index.body);

    let html = index.body.as_str().unwrap();
    let scripts: Vec<_> = links(html).into_iter().filter(|link| link.starts_with("/assets/")).collect();
    assert!(scripts.len() >= 3, "{html}");
    for link in scripts {
        let asking = server.anonymous().request(Method::GET, link).header("accept-encoding", "br");
        let file = send(asking);
        // The shortest files gain nothing by it.
        let encoding = file.headers.get("content-encoding").and_then(|value| value.to_str().ok());
        let short = encoding.is_none() && file.body.as_str().is_some_and(|text| text.len() < 128);
        assert!(file.status == 200 && (encoding == Some("br") || short), "{link}: {encoding:?}");
        assert!(file.header("cache-control").contains("immutable"), "{link}");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
    }
    server.anonymous().get("/assets/gone-0000.js").is_problem(404, "not_found", []);
}

#[test]
fn the_page_allows_nothing_inline_and_nothing_from_elsewhere() {
    let server = Server::start();
    let Some(index) = page(&server, "/") else { return };
    let policy = index.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let html = index.body.as_str().unwrap();
    assert!(!html.contains("//") && !html.contains("<style") && !html.contains("style="), "{html}");
}
