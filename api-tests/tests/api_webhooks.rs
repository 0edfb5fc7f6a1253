//! Webhooks: a real receiver is told of what happens, in order, signed, and across failures of either side.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};
use support_api::{Api, Server};

/// What a delivery may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
const SECRET: &str = "whsec_c2x1aWNlIGFuZCB3ZWlyLCBnYXRlIGFuZCBtaWxs";

/// A message as it came.
struct Message {
    headers: BTreeMap<String, String>,
    text: String,
    body: Value,
}

/// Somebody who is told, and answers with a status that can be changed.
struct Ear {
    url: String,
    status: Arc<AtomicU16>,
    heard: Receiver<Message>,
}

impl Ear {
    fn open(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (tells, heard) = channel();
        let status = Arc::new(AtomicU16::new(status));
        let answer = Arc::clone(&status);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that keeps the connection sends the next message on another.
                let _ = hear(stream, &answer, &tells);
            }
        });
        Self { url, status, heard }
    }

    fn next(&self) -> Message {
        self.heard.recv_timeout(PATIENCE).unwrap()
    }
}

fn hear(stream: TcpStream, status: &AtomicU16, tells: &Sender<Message>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let status = status.load(Ordering::Acquire);
    let answer = format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    reader.get_mut().write_all(answer.as_bytes())?;
    let text = String::from_utf8(body).unwrap();
    let body = serde_json::from_str(&text).unwrap();
    // The test may have ended.
    let _ = tells.send(Message { headers, text, body });
    Ok(())
}

/// One whose webhooks may be on this machine.
fn claimed() -> (Server, Api) {
    let (mut server, _) = Server::claimed();
    server.stop();
    let file = server.folder().join("penstock.toml");
    OpenOptions::new().append(true).open(file).unwrap().write_all(b"[webhooks]\nlocal = true\n").unwrap();
    server.kill_and_restart();
    let api = server.sign_in();
    (server, api)
}

fn hook(url: &str, events: &[&str]) -> Value {
    json!({ "name": "hook", "url": url, "events": events, "secret": SECRET })
}

/// The signature as somebody else computes it.
fn expected_signature(message: &Message) -> String {
    let program = "import base64, hashlib, hmac, sys\n\
        key = base64.b64decode(sys.argv[1].removeprefix('whsec_'))\n\
        print('v1,' + base64.b64encode(hmac.new(key, sys.argv[2].encode(), hashlib.sha256).digest()).decode())";
    let signed = format!(
        "{}.{}.{}",
        message.headers["webhook-id"], message.headers["webhook-timestamp"], message.text
    );
    let output = Command::new("python3").args(["-c", program, SECRET, &signed]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn it_is_told_in_order_of_what_it_wants_and_signed() {
    let (_server, api) = claimed();
    let ear = Ear::open(204);
    api.create("/api/v1/pools", &json!({ "name": "before" }));
    let webhook = api.create("/api/v1/webhooks", &hook(&ear.url, &["configuration.*"]));
    assert!(!webhook.body.to_string().contains("whsec_"), "{:#}", webhook.body);
    for name in ["one", "two", "three"] {
        api.create("/api/v1/pools", &json!({ "name": name }));
        // Not what it wants.
        api.create(
            "/api/v1/users",
            &json!({ "name": name, "role": "viewer", "password": "spillway opens at noon" }),
        );
    }
    // What was there before it is not told; its own creation may be.
    let mut told = Vec::new();
    while told.len() < 3 {
        let message = ear.next();
        assert_eq!(message.headers["webhook-signature"], expected_signature(&message));
        assert_eq!(message.body["type"], "configuration.changed");
        assert_eq!(message.headers["webhook-id"], format!("evt_{}", message.body["data"]["id"]));
        if message.body["data"]["resource"] == "pools" {
            told.push(message.body["data"]["message"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(told, ["one", "two", "three"].map(|name| format!("admin created pool `{name}`")));
    let trial = api.post(&format!("{}/test", webhook.path), &json!({}));
    assert_eq!((trial.status, &trial.body["taken"]), (200, &json!(true)), "{:#}", trial.body);
    assert_eq!(ear.next().body["type"], "webhook.test");
}

#[test]
fn what_was_not_taken_comes_again_after_a_restart() {
    let (mut server, api) = claimed();
    let ear = Ear::open(503);
    let webhook = api.create("/api/v1/webhooks", &hook(&ear.url, &["configuration.changed"]));
    api.create("/api/v1/pools", &json!({ "name": "web" }));
    let first = ear.next();
    // The second time it has been written down that the first was in vain.
    assert_eq!(ear.next().headers["webhook-id"], first.headers["webhook-id"]);
    let seen = api.get(&webhook.path).body;
    assert_eq!(seen["delivery"]["last_error"], "it answered 503 Service Unavailable", "{seen:#}");
    assert_eq!(
        (&seen["operating_status"], &seen["delivery"]["last_success_at"]),
        (&json!("degraded"), &Value::Null)
    );

    server.kill_and_restart();
    ear.status.store(200, Ordering::Release);
    let mut numbers = Vec::new();
    let mut message = ear.next();
    while message.body["data"]["message"] != "admin created pool `web`" {
        numbers.push(message.headers["webhook-id"].clone());
        message = ear.next();
    }
    numbers.push(message.headers["webhook-id"].clone());
    assert_eq!(numbers[0], first.headers["webhook-id"], "the one that was refused comes first");
    let api = server.sign_in();
    let deadline = std::time::Instant::now() + PATIENCE;
    while api.get(&webhook.path).body["delivery"]["last_success_at"].is_null() {
        assert!(std::time::Instant::now() < deadline, "that it was taken is not shown");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(api.get(&webhook.path).body["delivery"]["failures"], 0);
}

#[test]
fn the_appliance_itself_is_not_asked_by_any_name() {
    let (_server, api) = Server::claimed();
    let ear = Ear::open(200);
    let port = ear.url.rsplit(':').next().unwrap().to_owned();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"] {
        let webhook = api.create("/api/v1/webhooks", &hook(&format!("http://{host}:{port}"), &[]));
        let trial = api.post(&format!("{}/test", webhook.path), &json!({})).body;
        assert_eq!(trial["taken"], false, "{host}: {trial:#}");
        assert!(trial["error"].as_str().unwrap().contains("the appliance itself"), "{host}: {trial:#}");
        assert_eq!(api.delete(&webhook.path, "*").status, 204);
    }
    assert!(ear.heard.try_recv().is_err(), "somebody was told");
    for url in [
        "ftp://hooks.example/",
        "https://user:word@hooks.example/",
        "hooks.example",
        "https://hooks.example/#a",
    ] {
        let refused = api.post("/api/v1/webhooks", &hook(url, &[]));
        refused.is_problem(422, "validation_failed", [("/url", "invalid")]);
    }
    let unsigned = json!({ "name": "hook", "url": "https://hooks.example/" });
    api.post("/api/v1/webhooks", &unsigned).is_problem(422, "validation_failed", [("/secret", "required")]);
}
