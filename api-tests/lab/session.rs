//! What the lab tells the person in front of it.

use std::time::Duration;

use anyhow::Result;
use lab::network::{MEMBERS, VIRTUAL_IP};
use lab::{Lab, LabOptions};

/// Where everything is, and commands to paste.
pub(crate) fn introduction(lab: &Lab, options: &LabOptions) -> Result<String> {
    let appliance = lab.appliance();
    let (api, code, client) = (appliance.api(), appliance.claim_code()?, lab.client().name().to_owned());
    let [member_1, member_2] = MEMBERS;
    let pages =
        if lab.in_huge_pages() { "huge pages" } else { "ordinary memory: this machine gives no huge pages" };
    let (driver, offload) = (options.driver.word(), if options.offload { "on" } else { "off" });
    let logs = lab.folder().join("logs");
    Ok(format!(
        "
  API          {api}/api/v1/
  Its pages    {api}/api/v1/docs
  Claim code   {code}
  Ports        {driver}, the peers' checksum offload {offload}, flow tables in {pages}
  Logs         {logs}

Paste this into another terminal, as root:

  API={api}/api/v1
  TOKEN=$(curl -sk $API/claim --json '{{\"code\":\"{code}\",\"username\":\"admin\",\"password\":\"sluice gate at dawn\"}}' | jq -r .access_token)
  call() {{ curl -sk -H \"Authorization: Bearer $TOKEN\" \"$@\"; }}
  VIP=$(call $API/virtual-ips --json '{{\"name\":\"front\",\"address\":\"{VIRTUAL_IP}\"}}' | jq -r .id)
  POOL=$(call $API/pools --json '{{\"name\":\"web\",\"algorithm\":\"round_robin\"}}' | jq -r .id)
  call $API/pools/$POOL/members --json '{{\"name\":\"one\",\"address\":\"{member_1}\",\"port\":80}}' | jq .
  call $API/pools/$POOL/members --json '{{\"name\":\"two\",\"address\":\"{member_2}\",\"port\":80}}' | jq .
  call $API/virtual-services --json '{{\"name\":\"web\",\"virtual_ip_ids\":[\"'$VIP'\"],\"protocol\":\"tcp\",\"port\":80,\"default_pool_id\":\"'$POOL'\"}}' | jq .

  # From the client's side of the appliance, through the virtual IP:
  for i in $(seq 100); do ip netns exec {client} curl -s http://{VIRTUAL_IP}/; done | sort | uniq -c

Ctrl-C ends it and removes everything.

",
        logs = logs.display(),
    ))
}

/// How it is doing, on one line.
pub(crate) fn status(lab: &Lab, since: Duration) -> String {
    let appliance = lab.appliance();
    let processes = [&appliance.l4, &appliance.l7, &appliance.penstockd, &appliance.host].map(|process| {
        let state = if process.pid().is_some() { "up" } else { "down" };
        let restarts = match process.restarts() {
            0 => String::new(),
            1 => " (restarted once)".to_owned(),
            times => format!(" (restarted {times} times)"),
        };
        format!("{} {state}{restarts}", process.name())
    });
    let answers: Vec<String> =
        lab.members().iter().map(|member| format!("{} {}", member.server.name(), member.hits())).collect();
    let seconds = since.as_secs();
    let clock = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{clock}  {}  answers: {}", processes.join(", "), answers.join(", "))
}
