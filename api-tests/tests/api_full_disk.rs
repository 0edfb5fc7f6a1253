//! A disk without room: nothing that was acknowledged is lost, everything can be read, and who asks for a change is told why not.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use support_api::{PASSWORD, Server, credentials};

/// A small disk of its own.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Self {
        fs::create_dir(at).unwrap();
        let size = ["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"];
        assert!(Command::new("mount").args(size).arg(at).status().unwrap().success(), "mount needs root");
        Self(at.to_owned())
    }

    /// Leaves no room.
    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).unwrap();
        let piece = vec![0; 4096];
        while filler.write_all(&piece).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_takes_no_change_and_loses_none() {
    let mut disk = None;
    let mut server = Server::start_where(|folder| disk = Some(Disk::mount(&folder.join("state"))));
    let disk = disk.unwrap();
    let admin = server.claim();
    let create = |number: usize| admin.post("/api/v1/pools", &json!({ "name": format!("pool-{number}") }));
    assert_eq!(create(0).status, 201);
    assert_eq!(admin.get("/api/v1/status").body["storage"]["state"], "ok");

    disk.fill();
    // What the journal had reserved is used up first.
    let mut accepted = 1;
    let refused = loop {
        let answer = create(accepted);
        if answer.status != 201 {
            break answer;
        }
        accepted += 1;
        assert!(accepted < 5000, "the disk takes more than it has room for");
    };
    refused.is_problem(503, "storage_full", []);
    assert!(refused.body["detail"].as_str().unwrap().contains("full"), "{:#}", refused.body);
    assert_eq!(admin.get("/api/v1/status").body["storage"]["state"], "full");
    let count = || {
        let mut names = 0;
        let mut next = Some("/api/v1/pools?limit=500".to_owned());
        while let Some(path) = next {
            let page = admin.get(&path);
            assert_eq!(page.status, 200, "{:#}", page.body);
            names += page.body["items"].as_array().unwrap().len();
            next = page.body["next"].as_str().map(str::to_owned);
        }
        names
    };
    assert_eq!(count(), accepted);
    let session = server.anonymous().post("/api/v1/sessions", &credentials(PASSWORD));
    session.is_problem(503, "storage_full", []);

    disk.make_room();
    assert_eq!(create(accepted).status, 201, "there is room again");
    assert_eq!(count(), accepted + 1);
    assert_eq!(admin.get("/api/v1/audit/verification").body["intact"], true);
    server.kill_and_restart();
    assert_eq!(server.sign_in().get("/api/v1/status").body["storage"]["state"], "ok");
    let pools = server.sign_in().get("/api/v1/pools?limit=1&name=pool-0").body;
    assert_eq!(pools["items"][0]["name"], "pool-0");
}
