//! kill -9 at any moment: what was acknowledged is there, nothing is there by halves, and the audit log is whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use support_api::{Api, Chance, Server};

/// So many write at once, each its share of the writes.
const WRITERS: usize = 4;
const WRITES: usize = 1000;

/// What the writers know to be accepted: the address of each resource with what was written of it.
type Acknowledged = Arc<Mutex<BTreeMap<String, Value>>>;

/// Somebody who writes, and counts what was accepted.
struct Writer {
    api: Api,
    accepted: Arc<AtomicUsize>,
}

/// Sends, and says what was created or read; nothing if the server is gone.
fn sent(writer: &Writer, method: Method, path: &str, body: &Value) -> Option<(Value, Option<String>)> {
    let request = writer.api.request(method, path).header("if-match", "*").json(body);
    let response = request.send().ok()?;
    assert!(response.status().is_success(), "{path}: {}", response.status());
    let header = response.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
    let body = response.json().ok()?;
    writer.accepted.fetch_add(1, Ordering::Relaxed);
    Some((body, header))
}

/// Writes until it has written all, or nobody answers any more.
fn write(api: &Writer, round: usize, writer: usize, acknowledged: &Acknowledged) -> Option<()> {
    let note = |path: String, description: &str| {
        acknowledged.lock().unwrap().insert(path, json!(description));
    };
    // Four writes each: a pool, its change, a changeset, and its three edits as one.
    for number in 0..WRITES / WRITERS / 4 {
        let name = format!("{round}-{writer}-{number}");
        let (_, path) = sent(api, Method::POST, "/api/v1/pools", &json!({ "name": name }))?;
        let path = path.unwrap();
        note(path.clone(), "");
        sent(api, Method::PATCH, &path, &json!({ "description": "changed" }))?;
        note(path, "changed");
        let pool = uuid(round, writer, number);
        let member = |port: u16| {
            json!({ "action": "create", "resource": "members", "parent_id": pool,
                "document": { "address": "198.51.100.1", "port": port } })
        };
        let operations = json!([
            { "action": "create", "resource": "pools", "id": pool, "document": { "name": format!("set-{name}") } },
            member(80), member(81),
        ]);
        let changeset = json!({ "name": name, "operations": operations });
        let (_, changeset) = sent(api, Method::POST, "/api/v1/changesets", &changeset)?;
        sent(api, Method::POST, &format!("{}/apply", changeset.unwrap()), &json!({}))?;
        note(format!("/api/v1/pools/{pool}"), "");
    }
    Some(())
}

/// An identifier of this pool's own.
fn uuid(round: usize, writer: usize, number: usize) -> String {
    format!("01975c1e-{round:04x}-7c3a-8{writer:03x}-{number:012x}")
}

/// All items of a list, page by page.
fn all(api: &Api, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut next = Some(format!("{path}?limit=500"));
    while let Some(path) = next {
        let mut page = api.get(&path).body;
        items.append(page["items"].as_array_mut().unwrap());
        next = page["next"].as_str().map(str::to_owned);
    }
    items
}

/// What was acknowledged is there. A change that nobody was told of may have been made all the same.
fn check(api: &Api, acknowledged: &BTreeMap<String, Value>) {
    for (path, description) in acknowledged {
        let read = api.get(path);
        assert_eq!(read.status, 200, "{path} was acknowledged and is gone");
        let known = read.body["description"] == *description || read.body["description"] == "changed";
        assert!(known, "{path}: {:#}", read.body);
    }
}

/// What was written in this round is there wholly or not at all, and every change has left its traces.
fn check_whole(api: &Api, round: usize) {
    let (alone, set) = (format!("{round}-"), format!("set-{round}-"));
    for pool in all(api, "/api/v1/pools") {
        let name = pool["name"].as_str().unwrap();
        if name.starts_with(&alone) || name.starts_with(&set) {
            let members = all(api, &format!("/api/v1/pools/{}/members", pool["id"].as_str().unwrap()));
            let whole = if name.starts_with("set-") { 2 } else { 0 };
            assert_eq!(members.len(), whole, "{name} is there by halves");
        }
    }
    let verified = api.get("/api/v1/audit/verification");
    assert_eq!((verified.status, &verified.body["intact"]), (200, &json!(true)), "{:#}", verified.body);
    let generation = api.get("/api/v1/status").body["generation"].as_u64().unwrap();
    let newest = api.get("/api/v1/revisions?limit=1").body["items"][0]["generation"].as_u64();
    assert_eq!(newest.unwrap_or(1), generation);
}

/// Kills so often, each time after fewer accepted writes than this.
fn rounds(rounds: usize, most: u64) {
    let (mut server, _) = Server::claimed();
    let mut everything = BTreeMap::new();
    let mut chance = Chance(4);
    for round in 0..rounds {
        let api = server.sign_in();
        let acknowledged = Acknowledged::default();
        let accepted = Arc::new(AtomicUsize::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (acknowledged, accepted) = (Arc::clone(&acknowledged), Arc::clone(&accepted));
                let api = Writer { api: api.clone(), accepted };
                thread::spawn(move || write(&api, round, writer, &acknowledged))
            })
            .collect();
        let enough = usize::try_from(chance.below(most)).unwrap();
        while accepted.load(Ordering::Relaxed) < enough && !writers.iter().all(JoinHandle::is_finished) {
            thread::sleep(Duration::from_millis(1));
        }
        server.kill_and_restart();
        let finished = writers.into_iter().filter_map(|writer| writer.join().unwrap()).count();
        let accepted = accepted.load(Ordering::Relaxed);
        let known = std::mem::take(&mut *acknowledged.lock().unwrap());
        println!("round {round}: killed after {accepted} accepted writes, {finished} writers had finished");
        let api = server.sign_in();
        check(&api, &known);
        check_whole(&api, round);
        everything.extend(known);
    }
    assert!(everything.len() > rounds, "hardly anything was written");
    check(&server.sign_in(), &everything);
}

#[test]
fn a_few_kills_at_any_moment_lose_nothing() {
    rounds(3, 200);
}

#[test]
#[ignore = "takes several minutes: make test-full"]
fn fifty_kills_at_any_moment_lose_nothing() {
    rounds(50, WRITES as u64);
}
