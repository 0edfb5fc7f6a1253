//! What is told of requests that have ended: who asked, who answered, how long it took, and why it ended as it did.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::network::{CLIENT, MEMBERS, VIRTUAL_IP};
use lab::{Certificate, Driver};
use serde_json::{Value, json};

use super::manner::{Peer, id, nginx, python, script};
use super::stage::{PATIENCE, Stage};

const PORT: u16 = 8080;

/// `curl` at the client: what it printed, and whether it was content.
fn curl(stage: &Stage, more: &[&str], path: &str) -> (String, bool) {
    let url = format!("http://{VIRTUAL_IP}:{PORT}{path}");
    let fixed = ["--silent", "--noproxy", "*", "--max-time", "20", "--output", "/dev/null"];
    let written = ["--write-out", "%{http_code}"];
    let mut command = stage.lab.client().command("curl");
    match command.args(fixed).args(written).args(more).arg(url).output() {
        Ok(output) => (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success()),
        Err(error) => (error.to_string(), false),
    }
}

/// The last requests of these, once there are so many: a request is told of a moment after its client has all of the answer.
fn requests(stage: &Stage, query: &str, count: usize) -> Result<Vec<Value>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let body = stage.api.get(&format!("/requests?{query}"))?.expect_status(200)?.body;
        let items = body["items"].as_array().cloned().unwrap_or_default();
        if items.len() >= count {
            return Ok(items);
        }
        ensure!(Instant::now() < deadline, "{count} requests are wanted: {body:#}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What one request is told of, by these names.
fn told<const N: usize>(request: &Value, names: [&str; N]) -> Value {
    Value::from(names.map(|name| request[name].clone()).to_vec())
}

#[test]
fn what_became_of_the_last_requests_is_told() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let service = json!({
        "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": PORT,
        "default_pool_id": stage.pool,
    });
    let service = id(&stage.api.create("/virtual-services", &service)?)?;
    stage.await_forwarding()?;
    assert_eq!(curl(&stage, &[], "/"), ("200".into(), true));
    let posted = ["--http2-prior-knowledge", "--header", "Host: shop.example", "--data", "0123456789"];
    assert_eq!(curl(&stage, &posted, "/echo?token=secret"), ("200".into(), true));
    requests(&stage, "", 2)?;
    for member in stage.lab.members() {
        member.server.stop()?;
    }
    assert_eq!(curl(&stage, &[], "/gone").0, "502");
    let refused = stage.lab.client().talk(VIRTUAL_IP, PORT, b"GET / HTTP/1.1\nHost: a\n\n", PATIENCE)?;
    ensure!(refused.starts_with("HTTP/1.1 400 "), "{refused}");

    let items = requests(&stage, "", 4)?;
    assert_eq!(items.len(), 4);
    // The newest is first: it could not even be read. Both members were asked in vain before.
    let about = ["version", "method", "host", "path", "status", "tries", "ending"];
    let own = format!("{VIRTUAL_IP}:{PORT}");
    assert_eq!(told(&items[0], about), json!(["HTTP/1.1", null, null, null, 400, 0, "bad_request"]));
    assert_eq!(told(&items[1], about), json!(["HTTP/1.1", "GET", own, "/gone", 502, 2, "connect_failed"]));
    assert_eq!(told(&items[2], about), json!(["HTTP/2.0", "POST", "shop.example", "/echo", 200, 1, null]));
    assert_eq!(told(&items[3], about), json!(["HTTP/1.1", "GET", own, "/", 200, 1, null]));
    assert_eq!(told(&items[2], ["bytes_in", "reason", "policy_id"]), json!([10, null, null]));
    ensure!(!items[2].to_string().contains("secret"), "a query is nobody's matter: {:#}", items[2]);
    let (_, first) =
        stage.member_path(0).rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).context("a path")?;
    let who = ["virtual_service_id", "pool_id", "member_id"];
    assert_eq!(told(&items[3], who), json!([service, stage.pool, first]));
    assert_eq!(items[3]["client"]["address"], CLIENT.to_string());
    let times = &items[3]["times"];
    let (answered, total) = (times["answer_us"].as_u64(), times["total_us"].as_u64());
    ensure!(answered > Some(0) && answered <= total && times["connect_us"].as_u64() > Some(0), "{times:#}");

    // Page by page they are the same, and filters leave out what does not fit.
    let mut paged = Vec::new();
    let mut next = Some("/requests?limit=1".to_owned());
    while let Some(page) = next.take() {
        let body = stage.api.get(&page)?.expect_status(200)?.body;
        paged.extend(body["items"].as_array().cloned().unwrap_or_default());
        next = body["next"].as_str().map(|next| next.trim_start_matches("/api/v1").to_owned());
    }
    let order = |items: &[Value]| items.iter().map(|item| item["path"].clone()).collect::<Vec<_>>();
    assert_eq!(order(&paged), order(&items));
    for (query, paths) in [
        ("status=5xx", json!(["/gone"])),
        ("status=200", json!(["/echo", "/"])),
        ("ending=bad_request", json!([null])),
        (&format!("member_id={first}&status=200"), json!(["/"])),
        (&format!("virtual_service_id={service}&client={CLIENT}&limit=2"), json!([null, "/gone"])),
        (&format!("virtual_service_id={}", stage.pool), json!([])),
    ] {
        assert_eq!(json!(order(&requests(&stage, query, 0)?)), paths, "{query}");
    }

    // The same in numbers.
    thread::sleep(Duration::from_millis(300));
    let stats = stage.api.get("/stats")?.expect_status(200)?.body["l7"]["services"][0].take();
    let count = |times: &Value| {
        let buckets = times["buckets"].as_array().cloned().unwrap_or_default();
        buckets.iter().filter_map(|bucket| bucket["count"].as_u64()).sum::<u64>()
    };
    assert_eq!((count(&stats["answer_times"]), count(&stats["request_times"])), (2, 3), "{stats:#}");
    Ok(())
}

/// Members that fail, one pool for each way, and the service that leads to them by path.
struct Failing {
    stage: Stage,
    service: String,
}

impl Failing {
    fn pool(&self, name: &str, port: u16, fields: &Value) -> Result<()> {
        let mut document = json!({ "name": name });
        let fields = fields.as_object().cloned().context("want fields")?;
        document.as_object_mut().context("an object")?.extend(fields);
        let pool = id(&self.stage.api.create("/pools", &document)?)?;
        let member = json!({ "name": name, "address": MEMBERS[0], "port": port });
        self.stage.api.create(&format!("/pools/{pool}/members"), &member)?;
        let policy = json!({
            "name": name, "virtual_service_id": self.service, "pools": [{ "pool_id": pool }],
            "rules": [{ "kind": "path", "compare": "exact", "values": [format!("/{name}")] }],
        });
        self.stage.api.create("/policies", &policy).map(drop)
    }

    /// The client gets this status (and not all of the answer, if `whole` is false), and the record says why.
    fn fails(&self, name: &str, status: u16, whole: bool, ending: &str, reason: &str) -> Result<Value> {
        let got = curl(&self.stage, &[], &format!("/{name}"));
        assert_eq!(got, (status.to_string(), whole), "{name}");
        let newest = requests(&self.stage, &format!("ending={ending}&limit=1"), 1)?.remove(0);
        let expected = json!([format!("/{name}"), status, 1, ending]);
        assert_eq!(told(&newest, ["path", "status", "tries", "ending"]), expected, "{newest:#}");
        ensure!(newest["reason"].as_str().is_some_and(|text| text.contains(reason)), "{newest:#}");
        Ok(newest)
    }
}

#[test]
fn whatever_a_member_fails_by_the_client_and_the_record_hear_of_it() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let folder = stage.lab.folder();
    let (good, old) =
        (Certificate::issue(&folder, "inside.example")?, Certificate::expired(&folder, "inside.example")?);
    let server = |port: u16, of: &Certificate| {
        let (file, key) = (of.file.display(), of.file.with_extension("key"));
        format!(
            "server {{ listen {port} ssl; ssl_certificate {file}; ssl_certificate_key {}; }}",
            key.display()
        )
    };
    let servers = format!("server {{ listen 7000; }} {} {}", server(7443, &good), server(7444, &old));
    let _nginx = nginx(&stage, &servers)?;
    let member = &stage.lab.members()[0].namespace;
    let _peer = Peer::start(&mut python(member, &[&script("failing_peer"), "5000"]))?;
    let service = json!({
        "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": PORT,
        "request_timeouts": { "answer_s": 1 },
    });
    let service = id(&stage.api.create("/virtual-services", &service)?)?;
    let failing = Failing { stage, service };
    let once = json!({ "retries": { "attempts": 0 } });
    for (name, port) in [("stalled", 5000), ("closed", 5001), ("cut", 5002), ("babble", 5003), ("dead", 5009)]
    {
        failing.pool(name, port, &once)?;
    }
    let tls = |of: &Certificate, name: &str| json!({ "retries": { "attempts": 0 }, "tls": { "ca": of.chain, "server_name": name } });
    failing.pool("name", 7443, &tls(&good, "other.example"))?;
    failing.pool("expired", 7444, &tls(&old, "inside.example"))?;
    failing.pool("stranger", 7443, &tls(&old, "inside.example"))?;
    failing.stage.await_forwarding()?;

    failing.fails("dead", 502, true, "connect_failed", "refused")?;
    let stalled = failing.fails("stalled", 504, true, "member_timeout", "took too long")?;
    ensure!(stalled["times"]["total_us"].as_u64() >= Some(1_000_000), "{stalled:#}");
    failing.fails("closed", 502, true, "member_closed", "before it answered")?;
    let cut = failing.fails("cut", 200, false, "member_cut", "broke off")?;
    ensure!(cut["times"]["answer_us"].as_u64() > Some(0), "{cut:#}");
    failing.fails("babble", 502, true, "member_protocol", "no HTTP")?;
    failing.fails("name", 502, true, "member_tls", "not valid for name")?;
    failing.fails("expired", 502, true, "member_tls", "expired")?;
    failing.fails("stranger", 502, true, "member_tls", "certificate")?;
    // Nobody at all is there.
    let (status, _) = curl(&failing.stage, &[], "/nowhere");
    assert_eq!(status, "503");
    let newest = requests(&failing.stage, "ending=no_member", 1)?.remove(0);
    assert_eq!(told(&newest, ["path", "pool_id", "tries"]), json!(["/nowhere", null, 0]));
    Ok(())
}
