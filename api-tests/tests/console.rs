//! The web console in a real browser on the real product: claimed, used and watched while connections flow.
//!
//! The story is told in `web-ui/e2e/console.mjs`; here is the lab in which it plays, and the traffic it asks for.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::network::{MEMBERS, VIRTUAL_IP};
use lab::{Driver, Lab, LabOptions};

/// For one request through the virtual IP.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes a second of a download that outlasts what is looked at meanwhile.
const SLOW: u64 = 100_000;

/// Where the console was built, with its packages; the folder that penstockd serves is in it.
fn sources() -> Result<PathBuf> {
    let missing = "without PENSTOCK_CONSOLE_DIR there is no console to test: run `make test`";
    let folder = env::var_os("PENSTOCK_CONSOLE_DIR").context(missing)?;
    Path::new(&folder).parent().map(Path::to_owned).context(missing)
}

#[test]
fn an_administrator_claims_creates_and_watches() -> Result<()> {
    play("e2e/console.mjs", &[])
}

/// In both languages and themes and on both widths; the pictures are the gallery.
#[test]
#[ignore = "every screen in every way takes minutes"]
fn every_screen_is_well_in_every_way() -> Result<()> {
    let parts = "claim,createService,seeTraffic,healthChecks,certificates,policies,viewer,hostileEverywhere,everyScreen";
    play("e2e/console.mjs", &[("PENSTOCK_STORY", parts), ("PENSTOCK_MATRIX", "full")])
}

/// Its figures are printed; they are of this machine, and fail nothing.
#[test]
#[ignore = "it measures"]
fn the_console_is_measured() -> Result<()> {
    play("e2e/bench.mjs", &[])
}

/// Runs a story of the browser in a lab of its own.
fn play(story: &str, settings: &[(&str, &str)]) -> Result<()> {
    let sources = sources()?;
    let lab = Lab::start(&LabOptions::for_test(Driver::AfXdp, true)?)?;
    let gallery = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    let mut browser = Command::new("node")
        .arg(story)
        .arg(lab.appliance().api())
        .arg(lab.appliance().claim_code()?)
        .arg(MEMBERS.map(|address| format!("{address}:80")).join(","))
        .arg(VIRTUAL_IP.to_string())
        .arg(&gallery)
        .envs(settings.iter().copied())
        .current_dir(sources)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run node")?;
    let wishes = BufReader::new(browser.stdout.take().context("node has no output")?);
    let mut reply = browser.stdin.take().context("node has no input")?;

    let big = format!("http://{VIRTUAL_IP}/big");
    let over = AtomicBool::new(false);
    let status = thread::scope(|threads| {
        let mut downloads = Vec::new();
        for wish in wishes.lines().map_while(Result::ok) {
            match wish.as_str() {
                "traffic please" => drop(threads.spawn(|| knock(&lab, &over))),
                "a long download please" => downloads.extend(lab.client().download(&big, SLOW)),
                "requests please" => {
                    let site = format!("https://{VIRTUAL_IP}");
                    let (page, secret) = (format!("{site}/"), format!("{site}/admin"));
                    lab.client().run("curl", &["-sk", "--noproxy", "*", &page, &secret]).map(drop).ok();
                }
                "member 2 dies please" => drop(lab.members()[1].server.kill_for_good()),
                "member 2 lives please" => lab.members()[1].server.resume(),
                _ => continue,
            }
            // It has ended early if it does not read this; its status tells.
            let _ = writeln!(reply, "{wish}");
        }
        let status = browser.wait();
        over.store(true, Ordering::Relaxed);
        status
    })
    .context("cannot wait for node")?;
    ensure!(status.success(), "the browser's story ended badly; its pictures are in {}", gallery.display());
    Ok(())
}

/// Connections of a client, one after the other, until the story is over.
fn knock(lab: &Lab, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        // Towards the end nobody answers: the story disables the members.
        let _ = lab.client().get(&format!("http://{VIRTUAL_IP}/"), PATIENCE);
    }
}
