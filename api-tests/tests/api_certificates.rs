//! Certificates: what is accepted, what is refused, and that no private key ever comes back.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// An authority, and another that it vouches for: both made by openssl, as is what they sign.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn found(folder: &Path) -> Self {
        let authority = Self { folder: folder.to_owned() };
        authority.openssl(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=Root -keyout root.key -out root.pem",
        );
        authority
            .openssl("req -newkey rsa:2048 -nodes -subj /CN=Between -keyout between.key -out between.csr");
        fs::write(folder.join("ca.ext"), "basicConstraints=critical,CA:TRUE\n").unwrap();
        authority.openssl(
            "x509 -req -in between.csr -CA root.pem -CAkey root.key -days 30 -extfile ca.ext -out between.pem",
        );
        authority
    }

    /// Runs openssl, and gives what it wrote.
    fn openssl(&self, arguments: &str) -> String {
        let mut command = Command::new("openssl");
        let output = command.args(arguments.split(' ')).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Signs what `csr` asks for; the answer is the certificate with the one that vouches for it.
    fn sign(&self, csr: &str) -> String {
        fs::write(self.folder.join("asked.csr"), csr).unwrap();
        self.openssl(
            "x509 -req -in asked.csr -CA between.pem -CAkey between.key -days 90 -copy_extensions copy -out signed.pem",
        );
        self.read("signed.pem") + &self.read("between.pem")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// What the root vouches for, by openssl's own judgement.
    fn verifies(&self, chain: &str) -> bool {
        fs::write(self.folder.join("chain.pem"), chain).unwrap();
        self.openssl("verify -CAfile root.pem -untrusted chain.pem chain.pem").ends_with("OK\n")
    }
}

#[test]
fn pkcs12_files_of_today_and_of_old_are_taken() {
    let stage = Stage::set();
    let authority = Authority::found(stage.folder.path());
    let vouching = authority.read("root.pem") + &authority.read("between.pem");
    fs::write(stage.folder.path().join("vouching.pem"), vouching).unwrap();
    let ways = [
        ("ec -pkeyopt ec_paramgen_curve:P-256", "", "spillway"),
        ("rsa:2048", "-legacy ", "spillway"),
        ("rsa:2048", "-legacy -descert ", "weir \u{e4}\u{6c34}"),
        ("ec -pkeyopt ec_paramgen_curve:P-384", "-certpbe AES-128-CBC -macalg sha512 -iter 4096 ", ""),
    ];
    for (key, way, passphrase) in ways {
        authority.openssl(&format!(
            "req -newkey {key} -nodes -subj /CN=shop.example -addext subjectAltName=DNS:shop.example -keyout own.key -out own.csr"
        ));
        let chain = authority.sign(&authority.read("own.csr"));
        fs::write(stage.folder.path().join("passphrase"), format!("{passphrase}\n")).unwrap();
        authority.openssl(&format!(
            "pkcs12 -export {way}-in signed.pem -inkey own.key -certfile vouching.pem -passout file:passphrase -out own.p12"
        ));
        let file = authority.openssl("base64 -A -in own.p12");
        let document = json!({ "name": "shop", "pkcs12": file, "passphrase": passphrase });
        let created = stage.api.create(CERTIFICATES, &document);
        // The certificate first, and without the root, wherever they stand in the file.
        assert_eq!(created.body["chain"], chain, "{way}");
        assert!(authority.verifies(created.body["chain"].as_str().unwrap()));
        assert_eq!(created.body["names"], json!(["shop.example"]));
        for never in ["private_key", "pkcs12", "passphrase"] {
            assert_eq!(created.body.get(never), None);
        }

        let wrong = json!({ "pkcs12": file, "passphrase": "something else" });
        let refused = stage.api.patch(&created.path, "*", &wrong);
        refused.is_problem(422, "validation_failed", [("/passphrase", "wrong")]);
        let deleted = stage.api.delete(&created.path, &created.etag);
        assert_eq!(deleted.status, 204);
    }
}

#[test]
fn a_pkcs12_file_takes_the_place_of_what_was_there_and_nonsense_does_not() {
    let stage = Stage::set();
    let created = stage.api.create(CERTIFICATES, &stage.certificate("old.example"));
    let new = stage.certificate("new.example");
    let authority = Authority { folder: stage.folder.path().to_owned() };
    authority
        .openssl("pkcs12 -export -in new.example.pem -inkey new.example.key -passout pass:x -out new.p12");
    let file = authority.openssl("base64 -in new.p12");
    let body = json!({ "pkcs12": file, "passphrase": "x" });
    let replaced = stage.api.patch(&created.path, &created.etag, &body);
    assert_eq!((replaced.status, &replaced.body["names"]), (200, &json!(["new.example"])));
    // It is the same as its parts are.
    let parts = json!({ "chain": replaced.body["chain"], "private_key": new["private_key"] });
    assert_eq!(stage.api.patch(&created.path, "*", &parts).etag(), replaced.etag());

    let post = |fields: Value| {
        let mut body = fields;
        body["name"] = json!("other");
        stage.api.post(CERTIFICATES, &body)
    };
    let fault = |fault| [fault];
    let twice = json!({ "pkcs12": file, "passphrase": "x", "private_key": new["private_key"] });
    post(twice).is_problem(422, "validation_failed", fault(("/private_key", "unsupported")));
    let nothing = json!({ "passphrase": "x", "chain": new["chain"], "private_key": new["private_key"] });
    post(nothing).is_problem(422, "validation_failed", fault(("/passphrase", "unsupported")));
    let text = json!({ "pkcs12": "c2xhY2sgd2F0ZXI=", "passphrase": "x" });
    post(text).is_problem(422, "validation_failed", fault(("/pkcs12", "invalid")));
    authority.openssl("pkcs12 -export -nokeys -in new.example.pem -passout pass:x -out keyless.p12");
    let keyless = json!({ "pkcs12": authority.openssl("base64 -A -in keyless.p12"), "passphrase": "x" });
    post(keyless).is_problem(422, "validation_failed", fault(("/pkcs12", "invalid")));
}

#[test]
fn what_is_asked_for_inside_is_signed_outside_and_nobody_shows_it_before() {
    let mut stage = Stage::set();
    let authority = Authority::found(stage.folder.path());
    let pending = stage.api.create(CERTIFICATES, &json!({ "name": "shop" }));
    assert_eq!((&pending.body["chain"], &pending.body["csr"]), (&Value::Null, &Value::Null));
    assert_eq!(pending.body["operating_status"], "offline");
    let request =
        json!({ "names": ["shop.example", "192.0.2.10"], "organization": "Weir & Sons", "country": "CH" });
    let asked = stage.api.post(&format!("{}/request", pending.path), &request);
    assert_eq!(asked.status, 200, "{:#}", asked.body);
    let csr = asked.body["csr"].as_str().unwrap();
    fs::write(stage.folder.path().join("shown.csr"), csr).unwrap();
    let text = authority.openssl("req -in shown.csr -verify -noout -text -nameopt RFC2253");
    for part in
        ["CN=shop.example,O=Weir & Sons,C=CH", "DNS:shop.example, IP Address:192.0.2.10", "prime256v1"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }

    // Nobody can be shown what nobody has signed.
    let ip = stage.api.create("/api/v1/virtual-ips", &json!({ "name": "front", "address": "192.0.2.10" }));
    let service = json!({
        "name": "shop", "virtual_ip_ids": [ip.id], "protocol": "https", "port": 443,
        "tls": { "certificate_ids": [pending.id] },
    });
    let refused = stage.api.post("/api/v1/virtual-services", &service);
    refused.is_problem(422, "validation_failed", [("/tls/certificate_ids/0", "invalid")]);
    let pool = json!({ "name": "web", "tls": { "verify": false, "certificate_id": pending.id } });
    let refused = stage.api.post("/api/v1/pools", &pool);
    refused.is_problem(422, "validation_failed", [("/tls/certificate_id", "invalid")]);

    // The key outlives a power cut, and only its own certificate comes to it.
    stage.server.kill_and_restart();
    stage.api = stage.server.sign_in();
    let stranger = stage.certificate("shop.example");
    let refused = stage.api.patch(&pending.path, "*", &json!({ "chain": stranger["chain"] }));
    refused.is_problem(422, "validation_failed", [("/chain", "invalid")]);
    let signed = stage.api.patch(&pending.path, "*", &json!({ "chain": authority.sign(csr) }));
    assert_eq!((signed.status, &signed.body["csr"]), (200, &Value::Null), "{:#}", signed.body);
    assert_eq!(signed.body["names"], json!(["shop.example", "192.0.2.10"]));
    assert!(authority.verifies(signed.body["chain"].as_str().unwrap()));
    stage.api.create("/api/v1/virtual-services", &service);

    // While the next one is asked for, this one serves; and it cannot be taken away.
    let asked = stage
        .api
        .post(&format!("{}/request", pending.path), &json!({ "names": ["shop.example"], "key": "rsa_2048" }));
    assert_eq!((&asked.body["chain"], asked.etag()), (&signed.body["chain"], signed.etag()));
    let taken = stage.api.patch(&pending.path, "*", &json!({ "chain": null }));
    taken.is_problem(422, "validation_failed", [("/chain", "required")]);
    let refused = stage.api.patch(&pending.path, "*", &json!({ "chain": stranger["chain"] }));
    refused.is_problem(422, "validation_failed", [("/chain", "invalid")]);
    let renewed = authority.sign(asked.body["csr"].as_str().unwrap());
    let renewed = stage.api.patch(&pending.path, "*", &json!({ "chain": renewed }));
    assert_eq!((renewed.status, &renewed.body["csr"]), (200, &Value::Null), "{:#}", renewed.body);
    assert_ne!(renewed.body["fingerprint"], signed.body["fingerprint"]);
}

#[test]
fn a_request_says_everything_that_is_wrong_with_it() {
    let stage = Stage::set();
    let pending = stage.api.create(CERTIFICATES, &json!({ "name": "shop" }));
    let request = json!({
        "names": ["shop.example", "shop example", "shop.example"], "key": "rsa_512", "country": "Switzerland", "weight": 1,
    });
    let refused = stage.api.post(&format!("{}/request", pending.path), &request);
    let faults = [
        ("/country", "out_of_range"),
        ("/key", "invalid"),
        ("/names/1", "invalid"),
        ("/names/2", "duplicate"),
        ("/weight", "unknown_field"),
    ];
    refused.is_problem(422, "validation_failed", faults);
    assert_eq!(stage.api.get(&pending.path).body["csr"], Value::Null);
    let nowhere = format!("{CERTIFICATES}/01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f/request");
    stage.api.post(&nowhere, &json!({ "names": ["shop.example"] })).is_problem(404, "not_found", []);
}
