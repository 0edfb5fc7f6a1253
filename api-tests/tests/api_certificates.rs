//! Certificates: what is accepted, what is refused, and that no private key ever comes back.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::fs;

use lab::Certificate;
use serde_json::{Value, json};
use support_api::{Api, Server};
use tempfile::TempDir;

const CERTIFICATES: &str = "/api/v1/certificates";

struct Stage {
    server: Server,
    api: Api,
    folder: TempDir,
}

impl Stage {
    fn set() -> Self {
        let (server, api) = Server::claimed();
        Self { server, api, folder: tempfile::tempdir().unwrap() }
    }

    fn certificate(&self, name: &str) -> Value {
        let Certificate { chain, private_key, .. } = Certificate::issue(self.folder.path(), name).unwrap();
        json!({ "name": name, "chain": chain, "private_key": private_key })
    }
}

#[test]
fn a_private_key_never_comes_back_and_stays_where_it_is_not_written_again() {
    let stage = Stage::set();
    let document = stage.certificate("shop.example");
    let created = stage.api.create(CERTIFICATES, &document);
    assert_eq!(created.body["chain"], document["chain"]);
    assert_eq!(created.body.get("private_key"), None);
    let patched = stage.api.patch(&created.path, "*", &json!({ "description": "the shop's" }));
    assert_eq!((patched.status, patched.body.get("private_key")), (200, None));

    // Neither in the answers nor in any file.
    let secret: String = document["private_key"].as_str().unwrap().lines().nth(1).unwrap().to_owned();
    for place in ["/api/v1/revisions", "/api/v1/audit", "/api/v1/events", CERTIFICATES] {
        assert!(!stage.api.get(place).body.to_string().contains(&secret), "{place}");
    }
    let folder = stage.server.folder().to_owned();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let content = fs::read(entry.path()).unwrap();
                let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds the key", entry.path().display());
            }
        }
    }
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let stage = Stage::set();
    let (one, other) = (stage.certificate("one.example"), stage.certificate("other.example"));
    let post = |document: &Value| stage.api.post(CERTIFICATES, document);
    let mut mixed = one.clone();
    mixed["private_key"] = other["private_key"].clone();
    post(&mixed).is_problem(422, "validation_failed", [("/private_key", "invalid")]);
    let mut keyless = one.clone();
    keyless.as_object_mut().unwrap().remove("private_key");
    post(&keyless).is_problem(422, "validation_failed", [("/private_key", "required")]);
    let mut nonsense = one.clone();
    nonsense["chain"] = json!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    nonsense["private_key"] = json!("secret");
    let faults = [("/chain", "invalid"), ("/private_key", "invalid")];
    post(&nonsense).is_problem(422, "validation_failed", faults);

    let created = stage.api.create(CERTIFICATES, &one);
    let replaced = stage.api.patch(&created.path, "*", &json!({ "chain": other["chain"] }));
    replaced.is_problem(422, "validation_failed", [("/private_key", "invalid")]);
    let both = json!({ "chain": other["chain"], "private_key": other["private_key"] });
    assert_eq!(stage.api.patch(&created.path, "*", &both).status, 200);
}

#[test]
fn it_is_shown_what_a_certificate_is_for_and_until_when() {
    let stage = Stage::set();
    let shown = stage.api.create(CERTIFICATES, &stage.certificate("*.shop.example")).body;
    assert_eq!(shown["names"], json!(["*.shop.example"]));
    assert_eq!(shown["issuer"], "CN=*.shop.example");
    assert_eq!(shown["fingerprint"].as_str().map(str::len), Some(64));
    assert!(shown["not_before"].as_str() < shown["not_after"].as_str(), "{shown:#}");
    // The lab's are good for thirty days.
    assert_eq!(shown["operating_status"], "degraded");
}

#[test]
fn a_service_ends_tls_with_certificates_that_exist() {
    let stage = Stage::set();
    let virtual_ip =
        stage.api.create("/api/v1/virtual-ips", &json!({ "name": "front", "address": "192.0.2.10" }));
    let certificate = stage.api.create(CERTIFICATES, &stage.certificate("shop.example"));
    let service = |protocol: &str, tls: Value| {
        let document = json!({
            "name": "shop", "virtual_ip_ids": [virtual_ip.id], "protocol": protocol, "port": 443, "tls": tls,
        });
        stage.api.post("/api/v1/virtual-services", &document)
    };
    let of = |id: &str| json!({ "certificate_ids": [id] });
    let nobody = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";
    service("http", of(&certificate.id)).is_problem(422, "validation_failed", [("/tls", "unsupported")]);
    service("https", json!({})).is_problem(422, "validation_failed", [("/tls/certificate_ids", "required")]);
    service("https", of(nobody)).is_problem(
        422,
        "validation_failed",
        [("/tls/certificate_ids/0", "not_found")],
    );
    let created = service("https", of(&certificate.id));
    assert_eq!((created.status, &created.body["tls"]["min_version"]), (201, &json!("1.2")));
    stage.api.delete(&certificate.path, "*").is_problem(409, "in_use", []);
}
