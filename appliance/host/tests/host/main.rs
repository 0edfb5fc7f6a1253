//! `penstock-host` with real packets, in network namespaces: what the kernel answers and what it must not. Root only.

#![expect(clippy::unwrap_used, reason = "a test ends where its scenery fails")]

mod appliance;
mod network;
mod traffic;

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use appliance::{AF_PACKET, AF_XDP, Appliance, hello};
use lb_model::Generation;
use lb_model::contract::{CONTRACT, Hello, HostAnswer, HostRequest};
use network::{BACK, CLIENT};
use traffic::Answer::{Reset, Silence};
use traffic::{connect, connect_from, segment, send_fragments, send_frame};

const VIP: &str = "10.0.0.10";
const SERVICE: &str = "10.0.0.10:80";
const SERVER: &str = "10.1.0.11:8080";

fn steering(test: &str, driver: &str) -> Appliance {
    let mut appliance = Appliance::new(test, driver);
    appliance.start();
    assert_eq!(appliance.apply(&[VIP], &[SERVICE], &[SERVER]), [] as [IpAddr; 0]);
    appliance
}

/// Waits for what another thread or process does in its own time.
fn eventually(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < deadline, "it never came about");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Without a plane: what is ours is met with silence, all else is the kernel's.
fn silence_where_no_plane_is(appliance: &Appliance) {
    let client = &appliance.network.client;
    assert_eq!(client.inside(|| connect(SERVICE)), Silence, "to a service");
    assert_eq!(client.inside(|| connect("10.0.0.10:81")), Reset, "to another port of its address");
    client.run(&format!("ping -c 1 -W 2 {VIP}"));

    let member = &appliance.network.member;
    let to_client = format!("{CLIENT}:9");
    assert_eq!(member.inside(|| connect_from(SERVER, &to_client)), Silence, "a member's reply");
    assert_eq!(member.inside(|| connect(&to_client)), Reset, "from a member, but no reply");
    let to_host = format!("{BACK}:9");
    assert_eq!(member.inside(|| connect_from(SERVER, &to_host)), Reset, "from a member to this host");
}

fn fragments_are_met_with_silence(appliance: &Appliance) {
    let client = &appliance.network.client;
    let from = format!("{CLIENT}:4000");
    assert_eq!(client.inside(|| send_fragments(&from, SERVICE)), Silence, "to a service");
    assert_eq!(client.inside(|| send_fragments(&from, "10.0.0.10:81")), Silence, "to its address");
    assert_eq!(client.inside(|| send_fragments(&from, "10.0.0.2:81")), Reset, "to this host");
}

#[test]
fn af_xdp_ports_never_answer_for_a_service() {
    let appliance = steering("xdp", AF_XDP);
    silence_where_no_plane_is(&appliance);
    fragments_are_met_with_silence(&appliance);
}

#[test]
fn af_packet_ports_never_answer_for_a_service() {
    let appliance = steering("packet", AF_PACKET);
    silence_where_no_plane_is(&appliance);
    fragments_are_met_with_silence(&appliance);
}

// The steering program's side of this is in its table of frames.
#[test]
fn tagged_frames_are_the_kernels_on_af_packet_ports_too() {
    let appliance = steering("vlan", AF_PACKET);
    let segment = segment(&format!("{CLIENT}:4000"), SERVICE);
    let dropped = || {
        let rules = appliance.network.appliance.run("nft list chain netdev penstock ours");
        let rule = rules.lines().find(|line| line.contains("@services")).unwrap().to_owned();
        rule.split_once("packets ").unwrap().1.split_once(' ').unwrap().0.parse::<u64>().unwrap()
    };
    let tag = [0x81, 0x00, 0x00, 0x07];
    appliance.network.client.inside(|| send_frame("eth0", &[&tag[..], &[0x08, 0x00], &segment].concat()));
    appliance.network.client.inside(|| send_frame("eth0", &[&[0x08, 0x00], &segment[..]].concat()));
    eventually(|| dropped() > 0);
    assert_eq!(dropped(), 1, "the untagged one");
}

#[test]
fn a_plan_that_is_in_force_changes_nothing_and_a_smaller_one_removes_exactly() {
    for (test, driver) in [("shrinkxdp", AF_XDP), ("shrinkpacket", AF_PACKET)] {
        let mut appliance = steering(test, driver);
        let (addresses, services) = ([VIP, "10.0.0.11"], [SERVICE, "10.0.0.10:81", "10.0.0.11:80"]);
        appliance.apply(&addresses, &services, &[SERVER]);
        assert_eq!(appliance.addresses("front0"), ["10.0.0.2/24", "10.0.0.10/32", "10.0.0.11/32"]);
        appliance.apply(&addresses, &services, &[SERVER]);
        assert!(appliance.log().contains("generation 3: 2 addresses held (0 added, 0 removed)"));
        let client = &appliance.network.client;
        assert_eq!(client.inside(|| connect("10.0.0.10:81")), Silence);

        appliance.apply(&[VIP], &[SERVICE], &[]);
        assert_eq!(appliance.addresses("front0"), ["10.0.0.2/24", "10.0.0.10/32"]);
        let (client, member) = (&appliance.network.client, &appliance.network.member);
        assert_eq!(client.inside(|| connect(SERVICE)), Silence);
        assert_eq!(client.inside(|| connect("10.0.0.10:81")), Reset);
        assert_eq!(member.inside(|| connect_from(SERVER, &format!("{CLIENT}:9"))), Reset);
    }
}

#[test]
fn addresses_go_where_their_network_is_and_others_are_left_alone() {
    let mut appliance = steering("place", AF_PACKET);
    appliance.network.appliance.ip("addr add 10.0.0.50/32 dev front0");
    let off_link = appliance.apply(&[VIP, "10.1.0.10", "192.0.2.1", "10.0.0.50"], &[], &[]);
    assert_eq!(off_link, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
    assert_eq!(appliance.addresses("back0"), ["10.1.0.2/24", "10.1.0.10/32"]);
    appliance.apply(&[], &[], &[]);
    assert_eq!(appliance.addresses("back0"), ["10.1.0.2/24"]);
    assert_eq!(appliance.addresses("front0"), ["10.0.0.2/24", "10.0.0.50/32"]);
}

#[test]
fn a_new_address_is_announced() {
    let mut appliance = steering("garp", AF_PACKET);
    // An entry for the address that some other machine had.
    let client = &appliance.network.client;
    client.ip("neigh replace 10.0.0.20 lladdr 02:00:00:00:00:01 dev eth0 nud stale");
    appliance.apply(&[VIP, "10.0.0.20"], &[], &[]);
    eventually(|| !appliance.network.client.ip("neigh show 10.0.0.20").contains("02:00:00:00:00:01"));
}

#[test]
fn a_new_address_of_this_host_is_not_steered_away() {
    let appliance = steering("locals", AF_XDP);
    let member = &appliance.network.member;
    appliance.network.appliance.ip("addr add 10.1.0.3/24 dev back0");
    eventually(|| member.inside(|| connect_from(SERVER, "10.1.0.3:9")) == Reset);
}

#[test]
fn a_restart_leaves_everything_in_place() {
    for (test, driver) in [("restartxdp", AF_XDP), ("restartpacket", AF_PACKET)] {
        let mut appliance = steering(test, driver);
        let programs = ["front0", "back0"].map(|interface| appliance.program(interface));
        assert!(programs.iter().all(Option::is_some));

        appliance.kill();
        silence_where_no_plane_is(&appliance);
        appliance.start();
        silence_where_no_plane_is(&appliance);
        appliance.terminate();
        silence_where_no_plane_is(&appliance);
        appliance.start();

        assert_eq!(["front0", "back0"].map(|interface| appliance.program(interface)), programs);
        assert_eq!(appliance.addresses("front0"), ["10.0.0.2/24", "10.0.0.10/32"]);
        let applied = HostAnswer::Applied { generation: Generation(1), off_link: Vec::new() };
        assert_eq!(appliance.call(&HostRequest::Status, None), applied);
    }
}

#[test]
fn after_a_reboot_the_last_plan_is_in_force_before_anybody_asks() {
    for (test, driver) in [("bootxdp", AF_XDP), ("bootpacket", AF_PACKET)] {
        let mut appliance = steering(test, driver);
        appliance.kill();
        // What a reboot does to all but the disk.
        let plan = std::fs::read(appliance.path("state/host/plan.json")).unwrap();
        appliance.clean_up();
        std::fs::create_dir_all(appliance.path("state/host")).unwrap();
        std::fs::write(appliance.path("state/host/plan.json"), plan).unwrap();
        assert_eq!(appliance.addresses("front0"), ["10.0.0.2/24"]);

        appliance.start();
        assert_eq!(appliance.addresses("front0"), ["10.0.0.2/24", "10.0.0.10/32"]);
        silence_where_no_plane_is(&appliance);
    }
}

#[test]
fn rules_that_a_firewall_flushed_come_back() {
    let mut appliance = steering("flush", AF_PACKET);
    appliance.network.appliance.run("nft flush ruleset");
    assert_eq!(appliance.network.client.inside(|| connect(SERVICE)), Reset);
    appliance.apply(&[VIP], &[SERVICE], &[SERVER]);
    silence_where_no_plane_is(&appliance);
}

#[test]
fn cleaning_up_leaves_nothing_that_was_not_there() {
    let twin = "[[port]]\nname = \"own\"\ndriver = { vdev = { device = \"net_null0\", twin = \"own0\" } }\n";
    for (test, driver) in [("cleanxdp", AF_XDP), ("cleanpacket", AF_PACKET)] {
        let shared = format!(
            "[[port]]\nname = \"front\"\ndriver = {{ {driver} = {{ interface = \"front0\" }} }}\n{twin}"
        );
        let mut appliance = Appliance::with_ports(test, &shared);
        let links_before = links(&appliance);
        let addresses_before = appliance.addresses("front0");
        appliance.start();
        appliance.apply(&[VIP], &[SERVICE], &[SERVER]);
        let links_meanwhile = links(&appliance);
        // The TAP of the shared port, the twin of the other one, and the TAP of checks.
        assert_eq!(links_meanwhile.len(), links_before.len() + 3, "{links_meanwhile:?}");

        appliance.clean_up();
        assert_eq!(links(&appliance), links_before);
        assert_eq!(appliance.addresses("front0"), addresses_before);
        assert_eq!(appliance.network.appliance.run("nft list ruleset"), "");
        assert_eq!(appliance.program("front0"), None);
        assert!(!appliance.path("bpf").exists() && !appliance.path("state/host").exists());
        appliance.clean_up();
    }
}

/// The names of the interfaces.
fn links(appliance: &Appliance) -> Vec<String> {
    let shown = appliance.network.appliance.ip("-o link show");
    shown.lines().filter_map(|line| line.split(": ").nth(1)).map(str::to_owned).collect()
}

#[test]
fn taps_are_made_once_and_kept_with_what_was_put_on_them() {
    let own = "[[port]]\nname = \"own\"\ndriver = { vdev = { device = \"net_null0\", twin = \"own0\" } }\n";
    let front = "[[port]]\nname = \"front\"\ndriver = { af_packet = { interface = \"front0\" } }\n";
    let mut appliance = Appliance::with_ports("tap", &format!("{own}{front}"));
    appliance.start();
    let inside = &appliance.network.appliance;
    inside.ip("addr add 10.9.0.1/24 dev own0");
    let mac = |interface: &str| {
        let shown = inside.ip(&format!("-o link show dev {interface}"));
        shown.split_once("link/ether ").unwrap().1[..17].to_owned()
    };
    assert_eq!(mac("pst-back1"), mac("front0"));
    assert_eq!(inside.run("cat /proc/sys/net/ipv4/conf/pst-back1/rp_filter").trim(), "0");

    appliance.kill();
    appliance.start();
    assert_eq!(appliance.addresses("own0"), ["10.9.0.1/24"]);
    appliance.apply(&["10.9.0.7"], &[], &[]);
    assert_eq!(appliance.addresses("own0"), ["10.9.0.1/24", "10.9.0.7/32"]);
}

#[test]
fn a_setting_for_all_interfaces_stays_for_those_that_are_not_ours() {
    let mut appliance = Appliance::new("sysctl", AF_PACKET);
    let setting = |appliance: &Appliance, interface: &str| {
        let path = format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter");
        appliance.network.appliance.run(&format!("cat {path}")).trim().to_owned()
    };
    appliance.network.appliance.run("sysctl -qw net.ipv4.conf.all.rp_filter=1");
    appliance.network.appliance.run("sysctl -qw net.ipv4.conf.lo.rp_filter=0");
    appliance.start();
    let settings = ["all", "lo", "front0", "pst-back0"].map(|interface| setting(&appliance, interface));
    assert_eq!(settings, ["0", "1", "2", "0"]);
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    let mut appliance = steering("refuse", AF_XDP);
    assert!(appliance.refused(&["127.0.0.1"], &[], &[]).contains("loopback"));
    assert!(appliance.refused(&[VIP], &[], &["224.0.0.1:80"]).contains("multicast"));
    assert!(appliance.refused(&["fe80::1"], &[], &[]).contains("fe80::1"));
    assert!(appliance.refused(&[], &["10.0.0.2:8443"], &[]).contains("no virtual IP"));
    let generation = Generation(99);
    let without_plan = appliance.call(&HostRequest::Apply { generation }, None);
    assert!(matches!(without_plan, HostAnswer::Refused { generation: Generation(99), .. }));

    silence_where_no_plane_is(&appliance);
    assert_eq!(appliance.addresses("front0"), ["10.0.0.2/24", "10.0.0.10/32"]);
    assert!(matches!(appliance.call(&HostRequest::Status, None), HostAnswer::Refused { .. }));
    appliance.apply(&[VIP], &[SERVICE], &[SERVER]);
}

#[test]
fn a_peer_of_another_contract_is_left_and_others_are_served() {
    let appliance = steering("contract", AF_PACKET);
    let mut stranger = appliance.connect();
    stranger.send(&hello(CONTRACT + 1), None).unwrap();
    assert_eq!(stranger.receive::<Hello>().unwrap().0.contract, CONTRACT);
    assert!(stranger.call::<_, HostAnswer>(&HostRequest::Status, None).is_err());
    assert!(matches!(appliance.call(&HostRequest::Status, None), HostAnswer::Applied { .. }));
}

#[test]
fn what_is_missing_is_said_in_one_sentence() {
    let appliance = Appliance::new("missing", AF_XDP);
    let said = |arguments: &[&str]| {
        let output = appliance.run_once(arguments);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    appliance.configure("no-such-user", "");
    assert!(said(&[]).contains("there is no user `no-such-user`"));
    let port = "[[port]]\nname = \"x\"\ndriver = { af_xdp = { interface = \"nic7\" } }\n";
    appliance.configure("root", port);
    assert!(said(&[]).contains("there is no interface `nic7`"));
    let twin = "[[port]]\nname = \"x\"\ndriver = { vdev = { device = \"net_null0\", twin = \"front0\" } }\n";
    appliance.configure("root", twin);
    assert!(said(&[]).contains("`front0` is there and is no TAP"));
}

#[test]
fn a_second_process_ends_before_it_touches_anything() {
    let appliance = steering("second", AF_PACKET);
    for arguments in [&[][..], &["--cleanup"]] {
        assert!(!appliance.run_once(arguments).status.success());
    }
    assert_eq!(appliance.network.member.inside(|| connect_from(SERVER, &format!("{CLIENT}:9"))), Silence);
    assert_eq!(appliance.addresses("front0"), ["10.0.0.2/24", "10.0.0.10/32"]);
}

#[test]
fn an_ipv6_address_is_held_at_once_and_announced() {
    let mut appliance = steering("naddv", AF_XDP);
    let network = &appliance.network;
    for (place, interface, own) in
        [(&network.appliance, "front0", "2001:db8::2/64"), (&network.client, "eth0", "2001:db8::7/64")]
    {
        for scope in ["all", "default", interface] {
            place.run(&format!("sysctl -qw net.ipv6.conf.{scope}.disable_ipv6=0"));
        }
        place.ip(&format!("-6 addr add {own} dev {interface} nodad"));
    }
    // An entry for the address that some other machine had.
    network.client.ip("-6 neigh replace 2001:db8::20 lladdr 02:00:00:00:00:01 dev eth0 nud stale");
    appliance.apply(&[VIP, "2001:db8::20"], &["2001:db8::20:80"], &["2001:db8:1::11:80"]);
    eventually(|| !appliance.network.client.ip("-6 neigh show 2001:db8::20").contains("02:00:00:00:00:01"));
    let held = appliance.network.appliance.ip("-6 -oneline addr show dev front0 to 2001:db8::20");
    assert!(held.contains("2001:db8::20/128") && !held.contains("tentative"), "{held}");
    assert!(held.contains("deprecated"), "the host's own connections come from elsewhere: {held}");
    appliance.apply(&[VIP], &[], &[]);
    assert_eq!(appliance.network.appliance.ip("-6 addr show dev front0 to 2001:db8::20"), "");
}
