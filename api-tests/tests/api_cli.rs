//! The command line, against the real server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use support_api::{ADMIN, PASSWORD, Server, program};

const DOCUMENT: &str = "
virtual_ips:
  - { name: shop, address: 192.0.2.10 }
pools:
  - name: web
    members:
      - { address: 198.51.100.1, port: 80 }
virtual_services:
  - { name: shop-http, virtual_ip_ids: [shop], protocol: tcp, port: 80, default_pool_id: web }
";

/// What came of a command: how it ended, what it printed, what it complained of.
type Done = (i32, String, String);

struct Shell<'s> {
    server: &'s Server,
    token: String,
}

impl Shell<'_> {
    fn run(&self, arguments: &[&str], input: &str) -> Done {
        let binary = program(self.server.folder()).get_program().to_owned();
        let mut child = Command::new(std::path::Path::new(&binary).with_file_name("penstock"))
            .args(arguments)
            .env("PENSTOCK_URL", self.server.address())
            .env("PENSTOCK_TOKEN", &self.token)
            .env("PENSTOCK_CERTIFICATE", self.server.folder().join("state/tls/certificate.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("penstock is built: cargo build -p lb-cli");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn well(&self, arguments: &[&str], input: &str) -> String {
        let (code, output, complaint) = self.run(arguments, input);
        assert_eq!((code, complaint.as_str()), (0, ""), "{arguments:?}: {output}");
        output
    }
}

fn signed_in(server: &Server) -> Shell<'_> {
    let nobody = Shell { server, token: String::new() };
    let token = nobody.well(&["login", ADMIN], &format!("{PASSWORD}\n"));
    Shell { server, token: token.trim().to_owned() }
}

#[test]
fn a_file_is_compared_applied_and_taken_back() {
    let (server, _) = Server::claimed();
    let shell = signed_in(&server);
    let (code, output, _) = shell.run(&["diff", "-f", "-"], DOCUMENT);
    assert_eq!(code, 1, "there are differences");
    assert!(output.contains("+ virtual_services shop-http"), "{output}");
    shell.well(&["apply", "-f", "-", "-m", "first"], DOCUMENT);
    assert_eq!(shell.well(&["diff", "-f", "-"], DOCUMENT), "nothing changes\n");

    let exported = shell.well(&["export"], "");
    assert!(!exported.contains(" id:") && exported.contains("default_pool_id: web"), "{exported}");
    assert_eq!(shell.well(&["diff", "-f", "-"], &exported), "nothing changes\n");
    let other = DOCUMENT.replace("port: 80,", "port: 81,");
    let changed = shell.well(&["apply", "-f", "-"], &other);
    assert!(changed.contains("/port: 80 -> 81"), "{changed}");
    let history = shell.well(&["history"], "");
    assert!(history.starts_with("GENERATION") && history.contains("first"), "{history}");
    let back = shell.well(&["rollback", "2", "-m", "not that"], "");
    assert!(back.contains("/port: 81 -> 80"), "{back}");
    assert!(shell.well(&["verify-audit"], "").contains("\"intact\": true"));
}

#[test]
fn resources_are_shown_as_tables_and_as_json() {
    let (server, _) = Server::claimed();
    let shell = signed_in(&server);
    shell.well(&["create", "pools", r#"{ "name": "web" }"#], "");
    let table = shell.well(&["get", "pools"], "");
    assert!(table.lines().next().unwrap().starts_with("ID") && table.contains("web"), "{table}");
    let json: serde_json::Value =
        serde_json::from_str(&shell.well(&["get", "pools", "-o", "json"], "")).unwrap();
    let one = format!("pools/{}", json[0]["id"].as_str().unwrap());
    shell.well(&["patch", &one, r#"{ "name": "shop" }"#], "");
    assert!(shell.well(&["get", &one], "").contains("\"name\": \"shop\""));
    shell.well(&["delete", &one], "");
    assert!(shell.well(&["events"], "").contains("deleted pool `shop`"));
    assert!(shell.well(&["completion", "bash"], "").contains("penstock"));
}

#[test]
fn how_it_ends_says_what_went_wrong() {
    let (server, _) = Server::claimed();
    let shell = signed_in(&server);
    let (code, _, complaint) = shell.run(&["create", "pools", r#"{ "nam": 1 }"#], "");
    assert_eq!(code, 3);
    assert!(complaint.contains("/nam: there is no field `nam` here"), "{complaint}");
    assert_eq!(shell.run(&["no-such-command"], "").0, 2);
    let nobody = Shell { server: &server, token: "nonsense".to_owned() };
    assert_eq!(nobody.run(&["status"], "").0, 4);
    assert_eq!(shell.run(&["status", "--url", "https://127.0.0.1:1"], "").0, 5);
}

#[test]
fn a_support_bundle_helps_and_tells_no_secret() {
    let (server, _) = Server::claimed();
    let shell = signed_in(&server);
    shell.well(&["apply", "-f", "-", "-m", "first"], DOCUMENT);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bundle.tar.gz");
    let written = shell.well(&["support-bundle", "--file", file.to_str().unwrap()], "");
    assert_eq!(written.trim(), file.to_str().unwrap());
    let tar = Command::new("tar").arg("-xzf").arg(&file).current_dir(folder.path()).status().unwrap();
    assert!(tar.success());
    let bundle = folder.path().join("penstock-support");
    let read =
        |name: &str| fs::read_to_string(bundle.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(read("configuration.json").contains("shop-http"));
    assert!(read("revisions.json").contains("first"));
    assert!(read("audit.json").contains("system.support_bundle"));
    assert!(read("metrics.txt").contains("penstock_configuration_generation 2"));
    // The privileged hand is not there, and that is said.
    assert!(read("host.missing").contains("penstock-host"), "{}", read("host.missing"));
    for entry in fs::read_dir(&bundle).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(
            !text.contains(PASSWORD) && !text.contains(&shell.token) && !text.contains("$argon2"),
            "{text}"
        );
    }

    let nobody = Shell { server: &server, token: String::new() };
    let other = folder.path().join("other.tar.gz");
    let (code, _, _) = nobody.run(&["support-bundle", "--file", other.to_str().unwrap()], "");
    assert!(code == 4 && !other.exists(), "who may not have it gets no file");
}
