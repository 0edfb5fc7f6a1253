//! The lab itself, without the product: the kernel of the appliance's namespace forwards the packets.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::network::{BACK, CLIENT, FRONT, MEMBERS, VIRTUAL_IP};
use lab::{Answer, Driver, Lab, LabOptions, Resets};

/// Set for the process that is to be killed.
const VICTIM: &str = "PENSTOCK_LAB_VICTIM";
const PATIENCE: Duration = Duration::from_secs(30);

fn network(offload: bool) -> Result<Lab> {
    Lab::network(&LabOptions::for_test(Driver::AfXdp, offload)?)
}

/// Lets the client reach the members through the kernel of the appliance's namespace.
fn route_by_kernel(lab: &Lab) -> Result<()> {
    lab.appliance_namespace().run("sysctl", &["-qw", "net.ipv4.ip_forward=1"])?;
    lab.client().run("ip", &["route", "add", "198.18.2.0/24", "via", &FRONT.to_string()])?;
    Ok(())
}

/// What carries the lab's name: namespaces, and interfaces of the host.
fn named_after(lab: &str) -> Result<Vec<String>> {
    let list = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("ip").args(arguments).output().context("cannot run ip")?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let all = list(&["netns", "list"])? + &list(&["-brief", "link"])?;
    let names = all.lines().filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| name.starts_with(lab)).map(str::to_owned).collect())
}

/// `pst9-` of the namespace `pst9-client`.
fn prefix(namespace: &str) -> String {
    namespace.trim_end_matches("client").to_owned()
}

#[test]
fn members_say_who_they_are() -> Result<()> {
    let lab = network(true)?;
    for (number, address) in (1..).zip(MEMBERS) {
        let answer = lab.appliance_namespace().get(&format!("http://{address}/"), PATIENCE)?;
        assert_eq!(answer, Answer::Body(format!("member-{number}")));
    }
    assert_eq!(lab.members()[0].hits(), 1);
    Ok(())
}

#[test]
fn download_through_the_appliance_is_whole() -> Result<()> {
    for offload in [true, false] {
        let lab = network(offload)?;
        route_by_kernel(&lab)?;
        let download = lab.client().download(&format!("http://{}/big", MEMBERS[1]), 1 << 30)?;
        assert_eq!(download.member(), "member-2");
        download.await_bytes(1 << 20, PATIENCE)?;
        assert_eq!(download.finish()?, lab.big_sha256());
        assert_eq!(lab.resets()?, Resets::default());
    }
    Ok(())
}

#[test]
fn far_client_reaches_the_appliance_through_the_client() -> Result<()> {
    let lab = network(false)?;
    lab.far_client().run("ping", &["-c", "1", "-W", "2", &FRONT.to_string()])?;
    Ok(())
}

#[test]
fn silence_and_refusal_are_told_apart_and_resets_counted() -> Result<()> {
    let lab = network(true)?;
    let get = |url: String| lab.client().get(&url, Duration::from_secs(1));
    assert_eq!(get(format!("http://{FRONT}:81/"))?, Answer::Refused);
    assert_eq!(lab.resets()?, Resets { received: 1, sent: 0 });
    // Nobody holds it, so not even its address is resolved.
    assert_eq!(get(format!("http://{VIRTUAL_IP}/"))?, Answer::Silence);
    Ok(())
}

#[test]
fn host_reaches_the_appliance_and_nothing_else() -> Result<()> {
    let lab = network(true)?;
    let addresses =
        lab.appliance_namespace().run("ip", &["-4", "-brief", "address", "show", "dev", "mgmt0"])?;
    let management = addresses.split_whitespace().nth(2).context("mgmt0 has no address")?;
    let management = management.split('/').next().unwrap_or_default();
    let ping = |address: &str| -> Result<bool> {
        let status =
            Command::new("ping").args(["-c", "1", "-W", "1", address]).stdout(Stdio::null()).status()?;
        Ok(status.success())
    };
    assert!(ping(management)?);
    for address in [CLIENT, FRONT, BACK, MEMBERS[0]] {
        assert!(!ping(&address.to_string())?, "{address}");
    }
    Ok(())
}

#[test]
fn nothing_is_left_when_it_ends() -> Result<()> {
    let lab = network(true)?;
    let prefix = prefix(lab.client().name());
    let folder = lab.folder();
    ensure!(named_after(&prefix)?.len() == 7, "six namespaces and the link to the host");
    drop(lab);
    assert_eq!(named_after(&prefix)?, Vec::<String>::new());
    assert!(!folder.exists());
    Ok(())
}

#[test]
fn what_a_killed_lab_left_is_removed_by_the_next() -> Result<()> {
    let mut victim = Command::new(env::current_exe()?)
        .args(["--exact", "lab_to_be_killed", "--ignored", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let said = BufReader::new(victim.stdout.take().context("no output")?).lines();
    let client = said.map_while(Result::ok).find_map(|line| line.strip_prefix("CLIENT ").map(str::to_owned));
    let client = client.context("the lab to be killed did not start")?;
    victim.kill()?;
    victim.wait()?;
    ensure!(!named_after(&prefix(&client))?.is_empty(), "a killed lab leaves its namespaces");

    let next = network(true)?;
    let left = named_after(&prefix(&client))?;
    assert!(left.is_empty() || next.client().name() == client, "{left:?}");
    assert!(Path::new("/run/netns").join(next.client().name()).exists());
    Ok(())
}

#[test]
#[ignore = "runs until it is killed by what_a_killed_lab_left_is_removed_by_the_next"]
fn lab_to_be_killed() -> Result<()> {
    if env::var_os(VICTIM).is_none() {
        return Ok(());
    }
    let lab = network(true)?;
    println!("\nCLIENT {}", lab.client().name());
    std::thread::sleep(Duration::from_mins(1));
    Ok(())
}
