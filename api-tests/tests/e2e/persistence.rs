//! Who keeps its member, what is asked again, and who is left out for a while.

use anyhow::{Context as _, Result, ensure};
use lab::Driver;
use lab::network::VIRTUAL_IP;
use serde_json::{Value, json};

use super::stage::{PATIENCE, Stage};

const PORT: u16 = 8080;

/// The stage with a service of protocol `http` that its two members serve, and this said of the pool.
fn set(pool: &Value) -> Result<Stage> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let service = json!({
        "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": PORT,
        "default_pool_id": stage.pool,
    });
    stage.api.create("/virtual-services", &service)?;
    say(&stage, pool)?;
    Ok(stage)
}

fn say(stage: &Stage, pool: &Value) -> Result<()> {
    patch(stage, &format!("/pools/{}", stage.pool), pool)
}

fn patch(stage: &Stage, path: &str, change: &Value) -> Result<()> {
    stage.api.patch(path, "*", change)?.expect_status(200)?;
    stage.await_forwarding()
}

fn curl(stage: &Stage, path: &str, arguments: &[&str]) -> Result<String> {
    let url = format!("http://{VIRTUAL_IP}:{PORT}{path}");
    let fixed = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "10"];
    let all: Vec<&str> = fixed.iter().chain(arguments).copied().chain([url.as_str()]).collect();
    stage.lab.client().run("curl", &all)
}

/// Who answers these requests, each once.
fn who(stage: &Stage, path: &str, arguments: &[&str]) -> Result<Vec<String>> {
    let answers = curl(stage, path, arguments)?;
    let mut who: Vec<String> = answers.lines().map(str::to_owned).collect();
    who.sort();
    who.dedup();
    Ok(who)
}

#[test]
fn a_client_keeps_its_member_by_a_cookie_that_tells_nothing() -> Result<()> {
    let stage = set(&json!({ "persistence": { "kind": "cookie", "timeout_s": 3600 } }))?;
    let jar = stage.lab.folder().join("jar");
    let jar = jar.to_string_lossy();
    let head = curl(&stage, "/", &["--cookie-jar", &jar, "--include"])?;
    let cookie =
        head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).context("no cookie")?.to_owned();
    ensure!(cookie.contains("; HttpOnly; SameSite=Lax; Max-Age=3600"), "{cookie}");
    ensure!(!cookie.contains("198.18"), "{cookie} names a member's address");
    let first = head.lines().last().unwrap_or_default().to_owned();
    let kept = |requests: usize| who(&stage, &format!("/?[1-{requests}]"), &["--cookie", &jar]);
    assert_eq!(kept(10)?, [first.as_str()]);
    let again = curl(&stage, "/", &["--cookie", &jar, "--include"])?;
    ensure!(!again.contains("set-cookie"), "it is given once: {again}");
    assert_eq!(who(&stage, "/?[1-10]", &[])?.len(), 2, "others are balanced");
    assert_eq!(
        who(&stage, "/?[1-10]", &["--cookie", "penstock=AAAAAAAAAAAAAAAAAAAAAA"])?.len(),
        2,
        "nor do forged ones count"
    );

    // Across a restart, and a change.
    let l7 = &stage.lab.appliance().l7;
    l7.kill()?;
    l7.await_ready(PATIENCE)?;
    assert_eq!(kept(10)?, [first.as_str()]);
    // One that drains keeps its clients, and gets no others.
    let member = usize::from(first == "member-2");
    patch(&stage, &stage.member_path(member), &json!({ "state": "drain" }))?;
    assert_eq!(kept(4)?, [first.as_str()]);
    let other = if member == 0 { "member-2" } else { "member-1" };
    assert_eq!(who(&stage, "/?[1-4]", &[])?, [other]);
    // One that is gone is followed by another.
    stage.lab.members()[member].server.stop()?;
    assert_eq!(kept(4)?, [other]);
    Ok(())
}

#[test]
fn a_client_keeps_its_member_by_what_it_sends_anyway() -> Result<()> {
    let stage = set(&json!({ "persistence": { "kind": "app_cookie", "name": "sid" } }))?;
    let jar = stage.lab.folder().join("jar");
    let jar = jar.to_string_lossy();
    let first = curl(&stage, "/login", &["--cookie-jar", &jar])?.trim().to_owned();
    let echoes = curl(&stage, "/echo?[1-6]", &["--cookie", &jar])?;
    for echo in echoes.lines() {
        // The member sees its own cookie as it set it.
        ensure!(echo.starts_with(&first) && echo.ends_with(&format!(" cookie=sid=of-{first}")), "{echo}");
    }
    assert_eq!(echoes.lines().count(), 6);

    say(&stage, &json!({ "persistence": { "kind": "header", "name": "x-tenant", "timeout_s": null } }))?;
    let of = |tenant: usize| who(&stage, "/?[1-4]", &["--header", &format!("x-tenant: {tenant}")]);
    let members = (0..12).map(of).collect::<Result<Vec<_>>>()?;
    ensure!(members.iter().all(|who| who.len() == 1), "{members:?}");
    ensure!(members.iter().any(|who| *who != members[0]), "all tenants have {:?}", members[0]);

    say(&stage, &json!({ "persistence": { "kind": "source", "name": null } }))?;
    assert_eq!(who(&stage, "/?[1-8]", &[])?.len(), 1);
    Ok(())
}

#[test]
fn what_one_member_cannot_answer_another_is_asked() -> Result<()> {
    let stage = set(&json!({ "retries": { "attempts": 1, "codes": [503] } }))?;
    assert_eq!(who(&stage, "/moody?[1-10]", &[])?, ["member-2"]);
    // Not what would be done twice.
    let codes = ["--data", "x", "--write-out", " %{http_code} "];
    ensure!(curl(&stage, "/moody?[1-4]", &codes)?.contains("503"));
    say(&stage, &json!({ "retries": { "attempts": 0 } }))?;
    assert_eq!(who(&stage, "/moody?[1-10]", &[])?, ["member-1", "member-2"]);
    Ok(())
}

#[test]
fn a_member_that_fails_is_left_out_for_a_while() -> Result<()> {
    let outlier = json!({ "consecutive": 3, "ejection_s": 600, "max_percent": 50 });
    let stage = set(&json!({ "retries": { "attempts": 0 }, "outlier": outlier }))?;
    let codes = curl(&stage, "/moody?[1-20]", &["--output", "/dev/null", "--write-out", "%{http_code}\n"])?;
    assert_eq!(codes.matches("503").count(), 3, "{codes}");
    // penstockd hears of it.
    std::thread::sleep(std::time::Duration::from_millis(700));
    let stats = stage.api.get("/stats")?.expect_status(200)?.body["l7"]["members"].take();
    let ejected = stats
        .as_array()
        .context("no members")?
        .iter()
        .filter_map(|member| member["ejection"]["reason"].as_str());
    assert_eq!(ejected.collect::<Vec<_>>(), ["consecutive"]);
    // Rather a suspect than nobody.
    patch(&stage, &stage.member_path(1), &json!({ "state": "disabled" }))?;
    assert_eq!(who(&stage, "/?[1-4]", &[])?, ["member-1"]);
    Ok(())
}
