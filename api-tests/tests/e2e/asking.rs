//! Whom else a request goes to, or does not: pools that fail as a whole, members that take long, mirrors.

use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use lab::Driver;
use lab::network::{MEMBERS, VIRTUAL_IP};
use serde_json::{Value, json};

use super::manner::{Peer, id, python, script};
use super::stage::{PATIENCE, Stage};

const PORT: u16 = 8080;
/// Where the members serve.
const SERVES: u16 = 5000;
const H2: &str = "--http2-prior-knowledge";

/// A service whose pool has two wilful members, `first` and `second`, of which the first is asked as long as it can be.
struct Asked {
    first: Peer,
    second: Peer,
    stage: Stage,
    service: String,
    pool: String,
}

fn pool(stage: &Stage, name: &str, members: &[usize]) -> Result<String> {
    let document = json!({ "name": name, "algorithm": "ordered", "retries": { "attempts": 0 } });
    let pool = id(&stage.api.create("/pools", &document)?)?;
    for member in members {
        let document =
            json!({ "name": format!("member-{member}"), "address": MEMBERS[*member], "port": SERVES });
        stage.api.create(&format!("/pools/{pool}/members"), &document)?;
    }
    Ok(pool)
}

impl Asked {
    fn set() -> Result<Self> {
        let stage = Stage::set(Driver::AfXdp, true)?;
        let peer = |member: usize, name: &str| {
            let inside = &stage.lab.members()[member].namespace;
            Peer::start(&mut python(inside, &[&script("wilful_peer"), &SERVES.to_string(), name]))
        };
        let (first, second) = (peer(0, "first")?, peer(1, "second")?);
        let pool = pool(&stage, "wilful", &[0, 1])?;
        let service = json!({
            "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": PORT,
            "default_pool_id": pool,
        });
        let service = id(&stage.api.create("/virtual-services", &service)?)?;
        stage.await_forwarding()?;
        Ok(Self { first, second, stage, service, pool })
    }

    fn change_pool(&self, patch: &Value) -> Result<()> {
        self.stage.api.change(&format!("/pools/{}", self.pool), patch)?;
        self.stage.await_forwarding()
    }

    fn begin(&self, path: &str, arguments: &[&str]) -> Result<Child> {
        let mut curl = self.stage.lab.client().command("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "60", "--write-out", "%{http_code}"]);
        curl.args(arguments).arg(format!("http://{VIRTUAL_IP}:{PORT}{path}"));
        curl.stdout(Stdio::piped()).spawn().context("cannot run curl")
    }

    /// What the client is answered, and the status.
    fn ask(&self, path: &str, arguments: &[&str]) -> Result<String> {
        Ok(String::from_utf8(self.begin(path, arguments)?.wait_with_output()?.stdout)?)
    }
}

#[test]
fn requests_are_spared_what_fails_doubled_where_it_takes_long_and_copied() -> Result<()> {
    let mut asked = Asked::set()?;
    a_pool_that_fails_is_left_alone(&mut asked)?;
    what_takes_long_is_asked_of_another_as_well(&mut asked)?;
    a_mirror_gets_copies_and_nobody_waits_for_it(&mut asked)
}

fn a_pool_that_fails_is_left_alone(asked: &mut Asked) -> Result<()> {
    asked.change_pool(&json!({ "breaker": { "percent": 50, "requests": 4, "open_s": 600 } }))?;
    for _ in 0..4 {
        assert_eq!(asked.ask("/fail", &[])?, "first\n500");
        assert_eq!(asked.first.line()?, "GET /fail 0");
    }
    assert_eq!(asked.ask("/spared", &[])?, "503 Service Unavailable\n503");
    let ended = &asked.stage.api.get("/requests?ending=circuit_open")?.expect_status(200)?.body["items"];
    assert_eq!((&ended[0]["path"], &ended[0]["tries"]), (&json!("/spared"), &json!(0)));
    // A canary that is as it should be takes its place.
    let canary = pool(&asked.stage, "canary", &[1])?;
    let shares = json!([{ "pool_id": asked.pool, "weight": 256 }, { "pool_id": canary, "weight": 1 }]);
    let policy = json!({ "name": "canary", "virtual_service_id": asked.service, "pools": shares });
    let policy = format!("/policies/{}", id(&asked.stage.api.create("/policies", &policy)?)?);
    asked.stage.await_forwarding()?;
    for _ in 0..5 {
        assert_eq!(asked.ask("/canary", &[])?, "second\n200");
        assert_eq!(asked.second.line()?, "GET /canary 0");
    }
    asked.stage.api.remove(&policy)?;

    // Sooner or later one request tries it, and then all are served.
    asked.change_pool(&json!({ "breaker": null }))?;
    asked.change_pool(&json!({ "breaker": { "percent": 50, "requests": 4, "open_s": 1 } }))?;
    for _ in 0..4 {
        assert_eq!(asked.ask("/fail", &[])?, "first\n500");
        assert_eq!(asked.first.line()?, "GET /fail 0");
    }
    let deadline = Instant::now() + PATIENCE;
    while asked.ask("/trial", &[])? != "first\n200" {
        ensure!(Instant::now() < deadline, "nobody tries the pool");
    }
    // Nobody asked it meanwhile.
    assert_eq!(asked.first.line()?, "GET /trial 0");
    assert_eq!(asked.ask("/again", &[])?, "first\n200");
    assert_eq!(asked.first.line()?, "GET /again 0");
    asked.change_pool(&json!({ "breaker": null }))
}

fn what_takes_long_is_asked_of_another_as_well(asked: &mut Asked) -> Result<()> {
    asked.change_pool(&json!({ "hedge": { "delay_ms": 50 } }))?;
    // What is not idempotent waits.
    let waiting = asked.begin("/hold-first", &[H2, "--data", "once"])?;
    assert_eq!(asked.first.line()?, "POST /hold-first 4");
    assert_eq!(asked.ask("/quick", &[])?, "first\n200");
    assert_eq!(asked.first.line()?, "GET /quick 0");
    assert_eq!(asked.ask("/hold-first", &[])?, "second\n200");
    assert_eq!((asked.first.line()?, asked.second.line()?), told("GET /hold-first 0"));
    assert_eq!(asked.first.line()?, "gone", "it was taken back");
    let held = &asked.stage.api.get("/requests?status=200&limit=1")?.expect_status(200)?.body["items"][0];
    assert_eq!((&held["path"], &held["tries"]), (&json!("/hold-first"), &json!(2)));
    // From both, if the client leaves, of which a client of HTTP/2 tells at once.
    leave(asked.begin("/hold", &[H2])?, || {
        assert_eq!((asked.first.line()?, asked.second.line()?), told("GET /hold 0"));
        Ok(())
    })?;
    assert_eq!((asked.first.line()?, asked.second.line()?), told("gone"));
    leave(waiting, || Ok(()))?;
    assert_eq!(asked.first.line()?, "gone");
    asked.change_pool(&json!({ "hedge": null }))
}

fn told(line: &str) -> (String, String) {
    (line.to_owned(), line.to_owned())
}

/// Ends a client once this has come about.
fn leave(mut client: Child, after: impl FnOnce() -> Result<()>) -> Result<()> {
    after()?;
    client.kill()?;
    client.wait()?;
    Ok(())
}

fn a_mirror_gets_copies_and_nobody_waits_for_it(asked: &mut Asked) -> Result<()> {
    let shadow = pool(&asked.stage, "shadow", &[1])?;
    let policy =
        json!({ "name": "mirror", "virtual_service_id": asked.service, "mirror": { "pool_id": shadow } });
    asked.stage.api.create("/policies", &policy)?;
    asked.stage.await_forwarding()?;
    let body = "a".repeat(100_000);
    let chunked = ["--http1.1", "--header", "Transfer-Encoding: chunked", "--data", &body];
    let cases: [(&[&str], &str); 4] = [
        (&[], "GET /seen 0"),
        (&["--http1.1", "--data", &body], "POST /seen 100000"),
        (&[H2, "--data", &body], "POST /seen 100000"),
        (&chunked, "POST /seen 100000"),
    ];
    for (arguments, line) in cases {
        assert_eq!(asked.ask("/seen", arguments)?, "first\n200");
        assert_eq!((asked.first.line()?, asked.second.line()?), told(line));
    }
    // What is too large is not copied.
    let large = asked.stage.lab.folder().join("large");
    std::fs::write(&large, vec![b'a'; 300_000])?;
    assert_eq!(asked.ask("/large", &["--data-binary", &format!("@{}", large.display())])?, "first\n200");
    assert_eq!(asked.first.line()?, "POST /large 300000");
    // A mirror that does not answer, and one where nobody is.
    assert_eq!(asked.ask("/hold-second", &[])?, "first\n200");
    assert_eq!((asked.first.line()?, asked.second.line()?), told("GET /hold-second 0"));
    let members = asked.stage.api.get(&format!("/pools/{shadow}/members"))?.expect_status(200)?.body;
    asked.stage.api.remove(&format!("/pools/{shadow}/members/{}", id(&members["items"][0])?))?;
    asked.stage.await_forwarding()?;
    assert_eq!(asked.ask("/alone", &[])?, "first\n200");
    asked.stage.api.delete(&format!("/pools/{shadow}"), "*")?.expect_status(409)?;
    Ok(())
}
