//! Checks by way of forwarding: a member that is well, and out of reach in the mode of its service.

use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use lab::network::{BACK, BACK_6, MEMBERS, MEMBERS_6, VIRTUAL_IP, VIRTUAL_IP_6};
use lab::{Driver, LabOptions, Namespace};
use serde_json::{Value, json};

use super::stage::{PATIENCE, Stage};

/// In the back network: of direct return, of the tunnel, and what members see by full NAT.
const DIRECT: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 100);
const FAR: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 101);
const LOCAL: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 200);

/// A member in one mode, and what it can lose.
struct Case {
    /// Where it is in the API.
    path: String,
    namespace: Namespace,
    /// What takes it out of reach, and what brings it back: programs with their arguments.
    lose: String,
    mend: String,
    /// What is said of it then.
    reason: String,
}

impl Stage {
    fn virtual_ip(&self, address: Ipv4Addr) -> Result<Value> {
        let made = self.api.create("/virtual-ips", &json!({ "name": address, "address": address }))?;
        Ok(made["id"].clone())
    }

    /// A pool of one member, watched like this, and a service that it serves; the member's path.
    fn offer(&self, service: Value, member: usize, monitors: &Value) -> Result<String> {
        let name = service["name"].clone();
        let pool = self.api.create("/pools", &json!({ "name": name, "monitor_ids": monitors }))?;
        let members = format!("/pools/{}/members", text(&pool["id"])?);
        let member = json!({ "name": name, "address": MEMBERS[member], "port": 80 });
        let member = self.api.create(&members, &member)?;
        let mut service = service;
        (service["protocol"], service["default_pool_id"]) = (json!("tcp"), pool["id"].clone());
        self.api.create("/virtual-services", &service)?;
        Ok(format!("{members}/{}", text(&member["id"])?))
    }

    fn cases(&self, monitors: &Value) -> Result<[Case; 4]> {
        let [direct, far] = [self.virtual_ip(DIRECT)?, self.virtual_ip(FAR)?];
        let [first, second] = [0, 1].map(|number| self.lab.members()[number].namespace.clone());
        for (member, address) in [(&first, DIRECT), (&second, FAR)] {
            for setting in
                ["all.arp_ignore=1", "all.arp_announce=2", "all.rp_filter=0", "default.rp_filter=0"]
            {
                member.run("sysctl", &["-qw", &format!("net.ipv4.conf.{setting}")])?;
            }
            member.run("ip", &["addr", "add", &format!("{address}/32"), "dev", "lo"])?;
        }
        let tunnel = format!(
            "ip link add vx7 address 02:00:c6:12:02:0c type vxlan id 7 dstport 4789 local {} nolearning && \
             ip link set vx7 up",
            MEMBERS[1]
        );
        run(&second, &tunnel)?;
        let direct = json!({ "name": "direct", "virtual_ip_ids": [direct], "port": 80, "forwarding": "dr" });
        let far = json!({
            "name": "far", "virtual_ip_ids": [far], "port": 80, "forwarding": "tunnel",
            "tunnel": { "kind": "vxlan", "port": 4789, "vni": 7 },
        });
        let masked = json!({
            "name": "masked", "virtual_ip_ids": [self.virtual_ip], "port": 81, "forwarding": "full_nat",
            "local_addresses": [LOCAL],
        });
        let refuse = format!(
            "nft 'table inet fw {{ chain in {{ type filter hook input priority 0; \
             ip saddr {LOCAL} meta l4proto tcp reject with tcp reset; }}; }}'"
        );
        Ok([
            Case {
                path: self.member_path(1),
                namespace: second.clone(),
                lose: "ip route del default".to_owned(),
                mend: format!("ip route add default via {BACK}"),
                reason: format!(
                    "by way of `web` (NAT, {VIRTUAL_IP}:80): connect timed out after 1.4 s; does its route to others \
                     lead back here?"
                ),
            },
            Case {
                path: self.offer(masked, 0, monitors)?,
                namespace: first.clone(),
                lose: refuse,
                mend: "nft delete table inet fw".to_owned(),
                reason: format!(
                    "by way of `masked` (full NAT, {VIRTUAL_IP}:81): connect refused; does it let {LOCAL} in?"
                ),
            },
            Case {
                path: self.offer(direct, 0, monitors)?,
                namespace: first,
                lose: format!("ip addr del {DIRECT}/32 dev lo"),
                mend: format!("ip addr add {DIRECT}/32 dev lo"),
                reason: format!(
                    "by way of `direct` (direct return, {DIRECT}:80): connect timed out after 1.4 s; does it hold \
                     {DIRECT} on its lo?"
                ),
            },
            Case {
                path: self.offer(far, 1, monitors)?,
                namespace: second,
                lose: "ip link del vx7".to_owned(),
                mend: tunnel,
                reason: format!(
                    "by way of `far` (tunnel, {FAR}:80): connect timed out after 1.4 s; is the tunnel's other end \
                     there, and does it hold {FAR}?"
                ),
            },
        ])
    }
}

#[test]
fn a_member_out_of_reach_in_its_mode_is_down_though_it_is_well() -> Result<()> {
    check(&LabOptions::for_test(Driver::AfPacket, false)?)
}

/// By sockets into which the steering program redirects what is ours, and answers find the worker that carried the question.
#[test]
fn two_workers_carry_checks() -> Result<()> {
    check(&LabOptions { workers: 2, ..LabOptions::for_test(Driver::AfXdp, true)? })
}

#[test]
fn of_ipv6_likewise() -> Result<()> {
    let stage = Stage::set_with(&LabOptions { ipv6: true, ..LabOptions::for_test(Driver::AfXdp, false)? })?;
    let monitor = json!({
        "name": "by-way", "kind": "http", "via_forwarding": true, "interval_ms": 1500, "timeout_ms": 1400, "rise": 2,
        "fall": 2,
    });
    let monitor = stage.api.create("/monitors", &monitor)?;
    let virtual_ip = json!({ "name": "six", "address": VIRTUAL_IP_6 });
    let virtual_ip = stage.api.create("/virtual-ips", &virtual_ip)?;
    let pool = stage.api.create("/pools", &json!({ "name": "six", "monitor_ids": [monitor["id"]] }))?;
    let members = format!("/pools/{}/members", text(&pool["id"])?);
    let member = json!({ "name": "six", "address": MEMBERS_6[0], "port": 80 });
    let member = stage.api.create(&members, &member)?;
    let service = json!({
        "name": "six", "virtual_ip_ids": [virtual_ip["id"]], "protocol": "tcp", "port": 80,
        "default_pool_id": pool["id"],
    });
    stage.api.create("/virtual-services", &service)?;
    stage.await_forwarding()?;
    let path = format!("{members}/{}", text(&member["id"])?);
    let is = |status: &'static str| move |seen: &Value| seen["operating_status"] == status;
    let seen = stage.api.await_that(&path, PATIENCE, is("online"))?;
    let way = format!("by way of `six` (NAT, [{VIRTUAL_IP_6}]:80)");
    assert_eq!(seen["last_check"]["words"], format!("HTTP 200, {way}"));
    let namespace = &stage.lab.members()[0].namespace;
    run(namespace, "ip -6 route del default")?;
    let seen = stage.api.await_that(&path, PATIENCE, is("offline"))?;
    ensure!(seen["status_reason"].as_str().is_some_and(|words| words.starts_with(&way)), "{seen:#}");
    run(namespace, &format!("ip -6 route add default via {BACK_6}"))?;
    stage.api.await_that(&path, PATIENCE, is("online"))?;
    stage.api.change(&format!("/pools/{}", text(&pool["id"])?), &json!({ "monitor_ids": [] }))?;
    stage.await_forwarding()?;
    stage.balanced()
}

fn check(options: &LabOptions) -> Result<()> {
    let stage = Stage::set_with(options)?;
    let pace = json!({ "interval_ms": 1500, "timeout_ms": 1400, "rise": 2, "fall": 2 });
    let monitor = |more: Value| {
        let mut document = pace.clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            document[key] = value.clone();
        }
        Ok::<_, anyhow::Error>(stage.api.create("/monitors", &document)?["id"].clone())
    };
    let direct = monitor(json!({ "name": "direct", "kind": "http" }))?;
    let by_way = monitor(json!({ "name": "by-way", "kind": "http", "via_forwarding": true }))?;
    let monitors = json!([direct, by_way]);
    stage.api.change(&format!("/pools/{}", stage.pool), &json!({ "monitor_ids": monitors }))?;
    let cases = stage.cases(&monitors)?;
    stage.await_forwarding()?;
    for case in &cases {
        stage.api.await_that(&case.path, PATIENCE, |seen| seen["operating_status"] == "online")?;
    }
    for case in &cases {
        run(&case.namespace, &case.lose)?;
    }
    for case in &cases {
        let seen =
            stage.api.await_that(&case.path, PATIENCE, |seen| seen["operating_status"] == "offline")?;
        let found = |monitor: &Value| {
            let checks = seen["checks"].as_array().into_iter().flatten();
            checks.filter(|check| check["monitor_id"] == *monitor).map(|check| check["state"].clone()).next()
        };
        ensure!(found(&direct) == Some(json!("up")), "it is well: {seen:#}");
        ensure!(found(&by_way) == Some(json!("down")), "{seen:#}");
        assert_eq!(seen["status_reason"], case.reason);
        println!("down: {}", case.reason);
    }
    let other = stage.api.get(&stage.member_path(0))?.expect_status(200)?.body;
    assert_eq!(other["operating_status"], "online", "who lost nothing is up: {other:#}");
    for case in &cases {
        run(&case.namespace, &case.mend)?;
    }
    for case in &cases {
        let seen = stage.api.await_that(&case.path, PATIENCE, |seen| seen["operating_status"] == "online")?;
        println!("up: {}", seen["last_check"]["words"]);
    }
    // A plane that is away says nothing of members.
    let l4 = &stage.lab.appliance().l4;
    l4.kill()?;
    l4.await_ready(PATIENCE)?;
    stage.await_forwarding()?;
    for case in &cases {
        let seen = stage.api.get(&case.path)?.expect_status(200)?.body;
        assert_eq!(
            (&seen["operating_status"], &seen["times_down"]),
            (&json!("online"), &json!(1)),
            "{seen:#}"
        );
    }
    // By the plane that came back.
    stage.get_many(4)?;
    for pool in stage.api.get("/pools")?.expect_status(200)?.body["items"].as_array().into_iter().flatten() {
        stage.api.change(&format!("/pools/{}", text(&pool["id"])?), &json!({ "monitor_ids": [] }))?;
    }
    stage.await_forwarding()?;
    stage.balanced()
}

fn run(member: &Namespace, orders: &str) -> Result<()> {
    member.run("sh", &["-ec", orders]).map(drop)
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is no text"))
}
