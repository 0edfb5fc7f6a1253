//! PostgreSQL: a pool of writers and one of readers follow the roles by themselves, whoever is promoted and whoever comes back.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::network::{MEMBERS, VIRTUAL_IP};
use lab::supervisor::{Service, Supervised};
use lab::{Driver, Namespace};
use serde_json::json;
use tempfile::TempDir;

use super::stage::{PATIENCE, Stage};

const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_millis(400);
const FALL: u32 = 2;
/// Where clients write, and where they read.
const WRITE: u16 = 5432;
const READ: u16 = 5433;

/// A member's database server.
struct Database {
    namespace: Namespace,
    data: PathBuf,
    server: Supervised,
    _folder: TempDir,
}

/// A program of `PostgreSQL`, which does not run as root.
fn program(namespace: &Namespace, name: &str) -> Command {
    let mut command = namespace.command("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(format!("{PROGRAMS}/{name}")).current_dir("/");
    command
}

fn done(mut command: Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

impl Database {
    /// On a member: one of its own, or one that follows another.
    fn start(stage: &Stage, member: usize, follows: Option<Ipv4Addr>) -> Result<Self> {
        let namespace = stage.lab.members()[member].namespace.clone();
        let folder = tempfile::tempdir()?;
        done({
            let mut own = Command::new("chown");
            own.arg("postgres:").arg(folder.path());
            own
        })?;
        let data = folder.path().join("data");
        match follows {
            None => install(&namespace, &data)?,
            Some(primary) => copy(&namespace, &data, primary)?,
        }
        let (place, of_service) = (namespace.clone(), data.clone());
        let server = Supervised::start(Service {
            name: format!("postgres-{}", member + 1),
            command: Box::new(move || {
                let mut command = place.command("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh", "-c"]);
                // A killed one leaves its lock behind.
                command.arg(format!(
                    "rm -f {data}/postmaster.pid; exec {PROGRAMS}/postgres -D {data} -p 5432 -c listen_addresses='*' \
                     -c unix_socket_directories= -c fsync=off 2>&1",
                    data = of_service.display()
                ));
                command.current_dir("/");
                command
            }),
            ready: "is ready to accept",
            log: folder.path().join("log"),
        });
        server.await_ready(PATIENCE)?;
        Ok(Self { namespace, data, server, _folder: folder })
    }

    fn promote(&self) -> Result<()> {
        let mut promote = program(&self.namespace, "pg_ctl");
        promote.arg("promote").arg("-D").arg(&self.data);
        done(promote).map(drop)
    }

    /// What its own rows are, asked directly.
    fn rows_written_by(&self, own: Ipv4Addr, server: Ipv4Addr) -> Result<usize> {
        let sql = format!("SELECT count(*) FROM writes WHERE server = '{server}'");
        Ok(sql_at(&self.namespace, own, WRITE, &sql)?.parse()?)
    }
}

fn install(namespace: &Namespace, data: &Path) -> Result<()> {
    let mut initdb = program(namespace, "initdb");
    initdb.arg("-D").arg(data).args(["-A", "trust", "--no-sync"]);
    done(initdb)?;
    let mut rules = OpenOptions::new().append(true).open(data.join("pg_hba.conf"))?;
    writeln!(rules, "host all all 0.0.0.0/0 trust\nhost replication all 0.0.0.0/0 trust")?;
    Ok(())
}

fn copy(namespace: &Namespace, data: &Path, primary: Ipv4Addr) -> Result<()> {
    let mut copy = program(namespace, "pg_basebackup");
    copy.arg("-D").arg(data).args(["-R", "--checkpoint=fast", "--no-sync", "-U", "postgres"]);
    done({
        copy.args(["-h", &primary.to_string()]);
        copy
    })
    .map(drop)
}

/// What a client of the database says there, from this place.
fn sql_at(from: &Namespace, at: Ipv4Addr, port: u16, sql: &str) -> Result<String> {
    let mut command = from.command(&format!("{PROGRAMS}/psql"));
    command.env("PGCONNECT_TIMEOUT", "2");
    command.args(["-h", &at.to_string(), "-p", &port.to_string(), "-U", "postgres", "-Atqc", sql]);
    done(command)
}

/// A write of the client; the server that took it.
fn write(stage: &Stage) -> Result<String> {
    let sql = "INSERT INTO writes VALUES (inet_server_addr()) RETURNING host(server)";
    sql_at(&stage.lab.client(), VIRTUAL_IP, WRITE, sql)
}

fn read(stage: &Stage) -> Result<String> {
    sql_at(&stage.lab.client(), VIRTUAL_IP, READ, "SELECT host(inet_server_addr())")
}

/// Two pools of the same servers, by role; the paths of both members of each.
fn offer(stage: &Stage) -> Result<[[String; 2]; 2]> {
    let mut paths = Vec::new();
    for (name, role, port) in [("write", "primary", WRITE), ("read", "replica", READ)] {
        let monitor = json!({
            "name": name, "kind": "postgres", "settings": { "user": "postgres", "role": role },
            "interval_ms": INTERVAL.as_millis(), "timeout_ms": TIMEOUT.as_millis(), "rise": 1, "fall": FALL,
        });
        let monitor = stage.api.create("/monitors", &monitor)?;
        let pool = stage.api.create("/pools", &json!({ "name": name, "monitor_ids": [monitor["id"]] }))?;
        let members = format!("/pools/{}/members", pool["id"].as_str().context("a pool without an id")?);
        let mut of_pool = Vec::new();
        for (number, address) in MEMBERS.iter().enumerate() {
            let member = json!({ "name": format!("db{}", number + 1), "address": address, "port": 5432 });
            let member = stage.api.create(&members, &member)?;
            of_pool.push(format!("{members}/{}", member["id"].as_str().context("a member without an id")?));
        }
        let service = json!({
            "name": name, "virtual_ip_ids": [stage.virtual_ip], "protocol": "tcp", "port": port,
            "default_pool_id": pool["id"],
        });
        stage.api.create("/virtual-services", &service)?;
        paths.push(of_pool);
    }
    stage.await_forwarding()?;
    let paths: Option<Vec<[String; 2]>> = paths.into_iter().map(|pair| pair.try_into().ok()).collect();
    paths.and_then(|pairs| pairs.try_into().ok()).context("two members in two pools")
}

/// Waits until a member is so, for this reason.
fn await_member(stage: &Stage, path: &str, status: &str, reason: &str) -> Result<()> {
    let is_so = |seen: &serde_json::Value| {
        let words = seen["last_check"]["words"].as_str().unwrap_or_default();
        seen["operating_status"] == status && words.contains(reason)
    };
    stage.api.await_that(path, PATIENCE, is_so).map(drop)
}

#[test]
fn whoever_is_promoted_takes_the_writes_and_whoever_comes_back_does_not() -> Result<()> {
    let stage = Stage::set(Driver::AfPacket, true)?;
    let [first, second] = MEMBERS.map(|address| address.to_string());
    let old = Database::start(&stage, 0, None)?;
    let new = Database::start(&stage, 1, Some(MEMBERS[0]))?;
    sql_at(&old.namespace, MEMBERS[0], WRITE, "CREATE TABLE writes (server inet)")?;
    let [writers, readers] = offer(&stage)?;
    await_member(&stage, &writers[0], "online", "primary")?;
    await_member(&stage, &writers[1], "offline", "replica, 0 s behind, want a primary")?;
    await_member(&stage, &readers[1], "online", "replica")?;
    await_member(&stage, &readers[0], "offline", "primary, want a replica")?;
    for _ in 0..5 {
        assert_eq!((write(&stage)?, read(&stage)?), (first.clone(), second.clone()));
    }

    let killed = Instant::now();
    old.server.kill_for_good()?;
    new.promote()?;
    let promoted = Instant::now();
    let (taken_by, follows) = loop {
        if let Ok(taken_by) = write(&stage) {
            break (taken_by, promoted.elapsed());
        }
        ensure!(promoted.elapsed() < PATIENCE, "nobody takes writes");
    };
    assert_eq!(taken_by, second);
    let bound = INTERVAL * FALL + TIMEOUT + Duration::from_millis(100);
    println!(
        "failover: the first write {follows:?} after the promotion ({:?} after the old one was killed), of {bound:?}",
        killed.elapsed()
    );
    await_member(&stage, &writers[0], "offline", "connect refused")?;

    // It comes back as the primary that it was.
    old.server.resume();
    let older = "primary of timeline 1, another member is that of timeline 2";
    await_member(&stage, &writers[0], "offline", older)?;
    for _ in 0..10 {
        assert_eq!(write(&stage)?, second);
    }
    assert_eq!(old.rows_written_by(MEMBERS[0], MEMBERS[0])?, 5, "no write landed on it since");
    assert_eq!(old.rows_written_by(MEMBERS[0], MEMBERS[1])?, 0);
    assert_eq!(new.rows_written_by(MEMBERS[1], MEMBERS[1])?, 11);

    // It comes back as it should: as a replica of the new one.
    old.server.kill_for_good()?;
    fs::remove_dir_all(&old.data)?;
    copy(&old.namespace, &old.data, MEMBERS[1])?;
    old.server.resume();
    await_member(&stage, &readers[0], "online", "replica")?;
    await_member(&stage, &writers[0], "offline", "replica, 0 s behind, want a primary")?;
    assert_eq!((write(&stage)?, read(&stage)?), (second, first));
    for pool in stage.api.get("/pools")?.expect_status(200)?.body["items"].as_array().into_iter().flatten() {
        let path = format!("/pools/{}", pool["id"].as_str().context("a pool without an id")?);
        stage.api.change(&path, &json!({ "monitor_ids": [] }))?;
    }
    stage.await_forwarding()?;
    stage.balanced()
}
