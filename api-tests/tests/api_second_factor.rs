//! The second factor: begun with a device, asked for at sign-in, good once, and taken away from who has lost the device.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::process::Command;

use serde_json::{Value, json};
use support_api::{ADMIN, Answer, Api, PASSWORD, Server};

/// What a device shows that has this secret, so many steps from now: as Python makes it.
fn code(secret: &str, steps: i64) -> String {
    let program = "import base64,hmac,struct,sys,time\n\
        k=base64.b32decode(sys.argv[1]); d=hmac.new(k,struct.pack('>Q',int(time.time())//30+int(sys.argv[2])),'sha1').digest()\n\
        o=d[-1]&15; print('%06d'%((struct.unpack('>I',d[o:o+4])[0]&0x7fffffff)%1000000),end='')";
    let output = Command::new("python3").args(["-c", program, secret, &steps.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn sign_in(server: &Server, code: Option<&str>) -> Answer {
    let credentials = json!({ "username": ADMIN, "password": PASSWORD, "code": code });
    server.anonymous().post("/api/v1/sessions", &credentials)
}

/// Begins with a second factor: the device's secret and the recovery codes.
fn begin(admin: &Api) -> (String, Vec<String>) {
    let given = admin.post("/api/v1/second-factor", &json!({ "password": PASSWORD }));
    assert_eq!(given.status, 201, "{:#}", given.body);
    let secret = given.body["secret"].as_str().unwrap().to_owned();
    assert!(given.body["uri"].as_str().unwrap().contains(&secret));
    let confirmed = admin.post("/api/v1/second-factor/confirm", &json!({ "code": code(&secret, 0) }));
    assert_eq!(confirmed.status, 200, "{:#}", confirmed.body);
    let codes = confirmed.body["recovery_codes"].as_array().unwrap();
    (secret, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

fn standing(admin: &Api) -> Value {
    admin.get("/api/v1/second-factor").body
}

#[test]
fn nobody_comes_in_without_the_code_and_no_code_is_good_twice() {
    let (server, admin) = Server::claimed();
    assert_eq!(standing(&admin), json!({ "state": "off", "recovery_codes": 0 }));
    let (secret, recovery) = begin(&admin);
    assert_eq!(standing(&admin), json!({ "state": "on", "recovery_codes": 10 }));
    sign_in(&server, None).is_problem(401, "second_factor_required", []);
    sign_in(&server, Some("12345")).is_problem(401, "unauthenticated", []);
    let next = code(&secret, 1);
    assert_eq!(sign_in(&server, Some(&next)).status, 201);
    sign_in(&server, Some(&next)).is_problem(401, "unauthenticated", []);
    assert_eq!(sign_in(&server, Some(&recovery[3])).status, 201);
    sign_in(&server, Some(&recovery[3])).is_problem(401, "unauthenticated", []);
    assert_eq!(standing(&admin)["recovery_codes"], 9);
    let audit = admin.get("/api/v1/audit?action=second_factor.recover").body;
    assert_eq!(audit["items"].as_array().unwrap().len(), 1, "{audit:#}");
}

#[test]
fn who_knows_the_password_alone_cannot_guess_on() {
    let (server, admin) = Server::claimed();
    begin(&admin);
    let answers: Vec<u16> =
        (0..8).map(|guess| sign_in(&server, Some(&format!("{guess:06}"))).status).collect();
    assert!(answers.contains(&429), "{answers:?}");
}

#[test]
fn it_is_not_asked_for_before_it_is_confirmed_and_begins_anew_until_then() {
    let (server, admin) = Server::claimed();
    let wrong = json!({ "password": "something else" });
    admin.post("/api/v1/second-factor", &wrong).is_problem(401, "unauthenticated", []);
    admin.post("/api/v1/second-factor/confirm", &json!({ "code": "1" })).is_problem(
        409,
        "not_possible_now",
        [],
    );
    assert_eq!(admin.post("/api/v1/second-factor", &json!({ "password": PASSWORD })).status, 201);
    admin.post("/api/v1/second-factor/confirm", &json!({ "code": "1" })).is_problem(
        401,
        "unauthenticated",
        [],
    );
    assert_eq!(standing(&admin)["state"], "pending");
    assert_eq!(sign_in(&server, None).status, 201, "a device that was never confirmed locks nobody out");
    begin(&admin);
    let again = json!({ "password": PASSWORD });
    admin.post("/api/v1/second-factor", &again).is_problem(409, "not_possible_now", []);
    assert_eq!(admin.post("/api/v1/second-factor/end", &again).status, 204);
    assert_eq!(sign_in(&server, None).status, 201);
    admin.post("/api/v1/second-factor/end", &again).is_problem(409, "not_possible_now", []);
}

#[test]
fn an_administrator_takes_it_away_from_who_has_lost_the_device() {
    let (server, admin) = Server::claimed();
    let jane = json!({ "name": "jane", "role": "viewer", "password": PASSWORD });
    let jane = admin.create("/api/v1/users", &jane);
    let credentials = json!({ "username": "jane", "password": PASSWORD });
    let sign_in = || server.anonymous().post("/api/v1/sessions", &credentials);
    let her = server.with_token(sign_in().body["access_token"].as_str().unwrap());
    begin(&her);
    sign_in().is_problem(401, "second_factor_required", []);
    let path = format!("{}/second-factor", jane.path);
    her.delete(&path, "*").is_problem(403, "forbidden", []);
    assert_eq!(admin.delete(&path, "*").status, 204);
    admin.delete(&path, "*").is_problem(409, "not_possible_now", []);
    assert_eq!(sign_in().status, 201);
}
