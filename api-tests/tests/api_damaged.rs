//! A database that is not as it was written: nothing of it is touched, everybody is told, and a backup takes its place.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use support_api::{Api, PASSWORD, Server, credentials};

const PASSPHRASE: &str = "weir and sluice";

fn database(server: &Server) -> PathBuf {
    server.folder().join("state/penstock.db")
}

fn pools(api: &Api) -> usize {
    for number in 0..80 {
        api.create(
            "/api/v1/pools",
            &json!({ "name": format!("pool-{number}"), "description": "x".repeat(200) }),
        );
    }
    80
}

/// Bytes that are not as they were, in ways that disks and people have.
fn damages(whole: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut damaged = whole.to_vec();
        change(&mut damaged);
        damaged
    };
    let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    let middle = whole.len() / page / 2 * page;
    vec![
        ("no header", with(&|bytes| bytes[..100].fill(0xaa))),
        ("pages of zeros", with(&|bytes| bytes[middle..middle + 4 * page].fill(0))),
        ("pages of something else", with(&|bytes| bytes[middle..middle + 4 * page].fill(0x5a))),
        ("the end is missing", with(&|bytes| bytes.truncate(middle))),
        ("empty", Vec::new()),
    ]
}

#[test]
fn a_damaged_database_is_told_of_and_left_as_it_is() {
    let (mut server, api) = Server::claimed();
    pools(&api);
    server.stop();
    let file = database(&server);
    let whole = fs::read(&file).unwrap();
    for (what, damaged) in damages(&whole) {
        fs::write(&file, &damaged).unwrap();
        server.kill_and_restart();
        let nobody = server.anonymous();
        for path in ["/api/v1/pools", "/api/v1/status", "/api/v1/backups", "/readyz", "/metrics"] {
            let answer = nobody.get(path);
            answer.is_problem(503, "storage_damaged", []);
            let detail = answer.body["detail"].as_str().unwrap().to_owned();
            assert!(
                detail.contains("Restore a backup") && detail.contains("traffic goes on"),
                "{what}: {detail}"
            );
        }
        nobody.post("/api/v1/sessions", &credentials(PASSWORD)).is_problem(503, "storage_damaged", []);
        assert_eq!(nobody.get("/healthz").status, 200, "{what}");
        assert!(server.stop().success(), "{what}: it stops when asked to");
        assert!(fs::read(&file).unwrap() == damaged, "{what}: the file was changed");
    }
    fs::write(&file, &whole).unwrap();
    server.kill_and_restart();
    assert_eq!(server.sign_in().get("/api/v1/pools?limit=1").status, 200);
    assert!(!server.folder().join("run/recovery-code").exists());
}

#[test]
fn a_backup_takes_the_place_of_a_damaged_database() {
    let (mut server, api) = Server::claimed();
    let count = pools(&api);
    api.create("/api/v1/monitors", &json!({ "name": "cache", "kind": "redis", "password": "lock-keeper" }));
    let backup = api.post("/api/v1/backups", &json!({ "passphrase": PASSPHRASE })).header("location");
    server.stop();
    let file = database(&server);
    let whole = fs::read(&file).unwrap();
    let damaged = damages(&whole).swap_remove(2).1;
    fs::write(&file, &damaged).unwrap();
    // The key went with it.
    let key_file = server.folder().join("state/seal.key");
    let key = fs::read(&key_file).unwrap();
    fs::write(&key_file, [7; 32]).unwrap();
    server.kill_and_restart();

    let code = fs::read_to_string(server.folder().join("run/recovery-code")).unwrap();
    server.with_token("7K3M-9QWX").get("/api/v1/backups").is_problem(401, "unauthenticated", []);
    let rescuer = server.with_token(code.trim());
    assert_eq!(rescuer.get("/api/v1/backups").body["items"].as_array().unwrap().len(), 1);
    rescuer.get("/api/v1/pools").is_problem(503, "storage_damaged", []);
    let restore =
        |passphrase: &str| rescuer.post(&format!("{backup}/restore"), &json!({ "passphrase": passphrase }));
    restore("another one, alas").is_problem(422, "validation_failed", [("/passphrase", "wrong")]);
    assert!(fs::read(&file).unwrap() == damaged, "the file was changed");
    let done = restore(PASSPHRASE);
    assert_eq!(done.status, 202, "{:#}", done.body);

    let deadline = Instant::now() + Duration::from_mins(2);
    while server.anonymous().get("/api/v1/status").status == 503 {
        assert!(Instant::now() < deadline, "it does not begin again");
        std::thread::sleep(Duration::from_millis(50));
    }
    let admin = server.sign_in();
    let page = admin.get("/api/v1/pools?limit=500").body;
    assert_eq!(page["items"].as_array().unwrap().len(), count);
    assert_eq!(admin.get("/api/v1/audit/verification").body["intact"], true);
    assert_eq!(fs::read(&key_file).unwrap(), key);
    // Its secrets can be read with it.
    let again = admin.post(&format!("{backup}/restore"), &json!({ "passphrase": PASSPHRASE }));
    assert_eq!((again.status, &again.body["changes"]), (200, &json!([])), "{:#}", again.body);
    assert!(!server.folder().join("run/recovery-code").exists());
    let aside = |name: &str| {
        let mut found =
            fs::read_dir(server.folder().join("state")).unwrap().map(|entry| entry.unwrap().path());
        // Its journal is kept beside it.
        let is_it = |file: &str| file.starts_with(name) && !file.ends_with("-wal") && !file.ends_with("-shm");
        found.find(|path| is_it(path.file_name().unwrap().to_str().unwrap())).unwrap()
    };
    let kept = fs::read(aside("penstock.db.damaged-")).unwrap();
    let first = kept.iter().zip(&damaged).position(|(kept, damaged)| kept != damaged);
    assert_eq!((kept.len(), first), (damaged.len(), None), "what was damaged is kept");
    assert_eq!(fs::read(aside("seal.key.damaged-")).unwrap(), [7; 32]);
    server.kill_and_restart();
    assert_eq!(server.sign_in().get("/api/v1/pools?limit=1").status, 200);
}
