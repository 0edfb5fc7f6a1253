//! Who gets in: nobody before the appliance is claimed, and afterwards who signed in.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::os::unix::fs::PermissionsExt;

use reqwest::Method;
use serde_json::{Value, json};
use support_api::{ADMIN, PASSWORD, Server, credentials, send};

/// What anybody may call: before it is claimed, and after.
const OPEN: &[&str] = &["/api/v1/claim", "/api/v1/openapi.json", "/api/v1/docs", "/healthz", "/readyz"];
const SIGN_IN: &str = "/api/v1/sessions";

/// Every operation of the description, with identifiers of nothing in its path.
fn operations(server: &Server) -> Vec<(Method, String)> {
    let description = server.anonymous().get("/api/v1/openapi.json").body;
    let mut operations = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let id = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";
        let path = path.replace("{id}", id).replace("{pool_id}", id);
        for method in methods.as_object().unwrap().keys() {
            operations.push((method.to_uppercase().parse().unwrap(), path.clone()));
        }
    }
    assert!(operations.len() > 25, "{operations:?}");
    operations
}

#[test]
fn nothing_but_claiming_works_before_it_is_claimed() {
    let server = Server::start();
    for (method, path) in operations(&server) {
        let answer = send(server.anonymous().request(method.clone(), &path));
        if OPEN.contains(&path.as_str()) {
            assert_ne!(answer.status, 403, "{method} {path}");
        } else {
            answer.is_problem(403, "unclaimed", []);
        }
    }
}

#[test]
fn no_operation_is_open_without_a_token() {
    let (server, admin) = Server::claimed();
    let token = admin.request(Method::GET, "/").build().unwrap();
    let token =
        token.headers()["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    let forged = {
        let (head, tail) = token.rsplit_once('.').unwrap();
        let other = if tail.starts_with('A') { 'B' } else { 'A' };
        format!("{head}.{other}{}", &tail[1..])
    };
    let callers = [server.anonymous(), server.with_token("nonsense"), server.with_token(&forged)];
    for (method, path) in operations(&server) {
        if OPEN.contains(&path.as_str()) || path == SIGN_IN || path == "/api/v1/sessions/refresh" {
            continue;
        }
        for caller in &callers {
            let answer = send(caller.request(method.clone(), &path));
            answer.is_problem(401, "unauthenticated", []);
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
        }
    }
    assert_eq!(admin.get("/api/v1/status").status, 200);
}

#[test]
fn the_claim_code_is_secret_and_works_once() {
    let server = Server::start();
    let file = server.folder().join("run/claim-code");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let code = server.claim_code();
    let claim = |code: &str, password: &str| {
        server
            .anonymous()
            .post("/api/v1/claim", &json!({ "code": code, "username": ADMIN, "password": password }))
    };

    claim("0000-0000-0000-0000-0000", PASSWORD).is_problem(401, "unauthenticated", []);
    claim(&code, "password1234").is_problem(422, "validation_failed", [("/password", "too_weak")]);
    claim(&code, "short").is_problem(422, "validation_failed", [("/password", "out_of_range")]);
    let missing = server.anonymous().post("/api/v1/claim", &json!({ "coed": code }));
    let faults = [
        ("/code", "required"),
        ("/coed", "unknown_field"),
        ("/password", "required"),
        ("/username", "required"),
    ];
    missing.is_problem(422, "validation_failed", faults);

    // As somebody types who reads it from a screen.
    let answer = claim(&code.to_lowercase().replace('-', ""), PASSWORD);
    assert_eq!(answer.status, 201, "{:#}", answer.body);
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 600);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!file.exists());
    claim(&code, PASSWORD).is_problem(409, "already_claimed", []);

    let log = std::fs::read_to_string(server.folder().join("log")).unwrap();
    for secret in [code.as_str(), PASSWORD, answer.body["access_token"].as_str().unwrap()] {
        assert!(!log.contains(secret), "a secret is in the log");
    }
}

#[test]
fn an_unused_claim_code_stays_until_the_next_boot() {
    let mut server = Server::start();
    let code = server.claim_code();
    server.kill_and_restart();
    assert_eq!(server.claim_code(), code);

    // The run directory does not outlive a reboot.
    std::fs::remove_file(server.folder().join("run/claim-code")).unwrap();
    server.kill_and_restart();
    assert_ne!(server.claim_code(), code);
    let old = json!({ "code": code, "username": ADMIN, "password": PASSWORD });
    server.anonymous().post("/api/v1/claim", &old).is_problem(401, "unauthenticated", []);
    server.claim();
}

#[test]
fn sessions_are_for_who_knows_the_password() {
    let (mut server, before) = Server::claimed();
    let admin = server.sign_in();
    assert_eq!(admin.get("/api/v1/pools").status, 200);

    let wrong = server.anonymous().post("/api/v1/sessions", &credentials("a wrong password"));
    wrong.is_problem(401, "unauthenticated", []);
    let nobody = json!({ "username": "nobody", "password": PASSWORD });
    let nobody = server.anonymous().post("/api/v1/sessions", &nobody);
    assert_eq!(nobody.body["detail"], wrong.body["detail"], "it is not told which of the two is wrong");

    // A restart signs nobody out, and the claim holds.
    server.kill_and_restart();
    let token = before.request(Method::GET, "/").build().unwrap().headers()["authorization"].clone();
    let again = server.anonymous().request(Method::GET, "/api/v1/pools").header("authorization", token);
    assert_eq!(send(again).status, 200);
    assert!(!server.folder().join("run/claim-code").exists());
}

#[test]
fn guessing_is_slowed_down() {
    let (server, admin) = Server::claimed();
    let mut statuses = Vec::new();
    let refused = loop {
        let answer = server.anonymous().post("/api/v1/sessions", &credentials("a wrong password"));
        statuses.push(answer.status);
        assert!(statuses.len() < 20, "{statuses:?}");
        if answer.status == 429 {
            break answer;
        }
    };
    refused.is_problem(429, "too_many_attempts", []);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(statuses.len() > 3, "people mistype: {statuses:?}");
    // The right password does not help now, and who is in stays in.
    assert_eq!(server.anonymous().post("/api/v1/sessions", &credentials(PASSWORD)).status, 429);
    assert_eq!(admin.get("/api/v1/status").status, 200);
}

#[test]
fn health_says_no_more_than_that_it_is_there() {
    let server = Server::start();
    assert_eq!(server.anonymous().get("/healthz").body, json!({ "status": "ok" }));
}

#[test]
fn the_description_is_the_one_in_the_repository_and_its_page_needs_no_network() {
    let server = Server::start();
    let golden = std::fs::read_to_string("../appliance/server/openapi.json").unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    assert_eq!(server.anonymous().get("/api/v1/openapi.json").body, golden);

    let page = server.anonymous().get("/api/v1/docs");
    assert_eq!((page.status, page.header("location").as_str()), (308, "/api/v1/docs/index.html"));
    let page = server.anonymous().get("/api/v1/docs/index.html");
    let html = page.body.as_str().unwrap();
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    let links: Vec<_> = html.split(['"', '\'']).filter(|text| text.starts_with("./")).collect();
    assert!(links.len() >= 3, "{html}");
    for link in links {
        let file = server.anonymous().get(&format!("/api/v1/docs/{}", &link[2..]));
        assert_eq!(file.status, 200, "{link}");
    }
    assert!(!html.contains("//"), "the page loads something from elsewhere: {html}");
    server.anonymous().get("/api/v1/docs/no-such-file").is_problem(404, "not_found", []);
}

/// Signs in as the console does; the cookie as the browser would send it back.
fn console_cookie(server: &Server) -> String {
    let request = server.anonymous().request(Method::POST, SIGN_IN).header("x-penstock-console", "1");
    let answer = send(request.json(&credentials(PASSWORD)));
    assert_eq!((answer.status, &answer.body), (204, &Value::Null));
    let cookie = answer.header("set-cookie");
    for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn a_browser_holds_its_token_in_a_cookie() {
    let (server, admin) = Server::claimed();
    let cookie = console_cookie(&server);
    let with_cookie =
        |method: Method, path: &str| server.anonymous().request(method, path).header("cookie", &cookie);
    let session = send(with_cookie(Method::GET, "/api/v1/sessions/current"));
    assert_eq!((session.status, &session.body["username"]), (200, &json!(ADMIN)));
    assert!(session.body["session_ends_in"].as_u64().unwrap() > 8 * 3600 - 60);

    // Another site can make the browser send a form, but not this header.
    let pool = json!({ "name": "web" });
    let forged = send(with_cookie(Method::POST, "/api/v1/pools").json(&pool));
    forged.is_problem(403, "not_from_console", []);
    let ours = with_cookie(Method::POST, "/api/v1/pools").header("x-penstock-console", "1");
    assert_eq!(send(ours.json(&pool)).status, 201);

    let renewed = send(with_cookie(Method::POST, "/api/v1/sessions/renew").header("x-penstock-console", "1"));
    assert_eq!(renewed.status, 204);
    assert!(renewed.header("set-cookie").starts_with("__Host-penstock=ey"));
    admin.post("/api/v1/sessions/renew", &json!({})).is_problem(409, "not_renewable", []);
    let left =
        send(with_cookie(Method::DELETE, "/api/v1/sessions/current").header("x-penstock-console", "1"));
    assert!(left.header("set-cookie").contains("Max-Age=0"));
}

#[test]
fn a_cookies_token_is_not_good_in_a_header_nor_the_other_way() {
    let (server, admin) = Server::claimed();
    let cookie = console_cookie(&server);
    let token = cookie.split_once('=').unwrap().1;
    server.with_token(token).get("/api/v1/pools").is_problem(401, "unauthenticated", []);
    let request = admin.request(Method::GET, "/").build().unwrap();
    let bearer = request.headers()["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let smuggled = server
        .anonymous()
        .request(Method::GET, "/api/v1/pools")
        .header("cookie", format!("__Host-penstock={bearer}"));
    send(smuggled).is_problem(401, "unauthenticated", []);
}
