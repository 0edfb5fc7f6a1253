//! The steering of AF_PACKET ports: the kernel drops its copies of the frames that are ours.
//!
//! A packet socket takes its copy before nftables' ingress hook, so that what is dropped there is lost to the kernel alone.
//! What is dropped is what `dataplane/xdp/steer.c` calls ours. Every change is one transaction of one table.

use std::collections::BTreeSet;
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::process::{Command, Output, Stdio};

use lb_model::snapshot::{Endpoint, L4Protocol, PortRange};
use thiserror::Error;
use tracing::warn;

use crate::plan::{Change, Tables};

/// One in each network namespace, as one appliance lives in it.
const TABLE: &str = "netdev penstock";

/// The chains of the ports jump here. Tagged frames are the kernel's; the port of a fragment is in the first one only.
const OURS: &str = "\
chain ours {
    vlan id 0-4095 return
    meta protocol ip6 jump ours6
    ip protocol != { tcp, udp } return
    ip frag-off & 0x3fff != 0 ip daddr @service_addrs counter drop
    ip frag-off & 0x3fff != 0 ip saddr @member_addrs fib daddr type != local counter drop
    ip frag-off & 0x3fff != 0 ip saddr @member_addrs ip daddr @local_addrs counter drop
    ip frag-off & 0x3fff != 0 return
    ip daddr . ip protocol . th dport @services counter drop
    ip saddr . ip protocol . th sport @members fib daddr type != local counter drop
    ip saddr . ip protocol . th sport @members ip daddr @local_addrs counter drop
    ip daddr . ip protocol . th dport @service_ranges counter drop
    ip saddr . ip protocol . th sport @member_ranges fib daddr type != local counter drop
    ip saddr . ip protocol . th sport @member_ranges ip daddr @local_addrs counter drop
}
chain ours6 {
    meta l4proto != { tcp, udp } return
    frag more-fragments 1 ip6 daddr @service_addrs6 counter drop
    frag frag-off != 0 ip6 daddr @service_addrs6 counter drop
    frag more-fragments 1 ip6 saddr @member_addrs6 fib daddr type != local counter drop
    frag frag-off != 0 ip6 saddr @member_addrs6 fib daddr type != local counter drop
    frag more-fragments 1 ip6 saddr @member_addrs6 ip6 daddr @local_addrs6 counter drop
    frag frag-off != 0 ip6 saddr @member_addrs6 ip6 daddr @local_addrs6 counter drop
    ip6 daddr . meta l4proto . th dport @services6 counter drop
    ip6 saddr . meta l4proto . th sport @members6 fib daddr type != local counter drop
    ip6 saddr . meta l4proto . th sport @members6 ip6 daddr @local_addrs6 counter drop
    ip6 daddr . meta l4proto . th dport @service_ranges6 counter drop
    ip6 saddr . meta l4proto . th sport @member_ranges6 fib daddr type != local counter drop
    ip6 saddr . meta l4proto . th sport @member_ranges6 ip6 daddr @local_addrs6 counter drop
}
";

/// The sets of one family: what they are called, and whether an address is theirs.
struct Sets {
    services: &'static str,
    service_ranges: &'static str,
    service_addrs: &'static str,
    members: &'static str,
    member_ranges: &'static str,
    member_addrs: &'static str,
    local_addrs: &'static str,
    address: &'static str,
    holds: fn(IpAddr) -> bool,
}

const FAMILIES: [Sets; 2] = [
    Sets {
        services: "services",
        service_ranges: "service_ranges",
        service_addrs: "service_addrs",
        members: "members",
        member_ranges: "member_ranges",
        member_addrs: "member_addrs",
        local_addrs: "local_addrs",
        address: "ipv4_addr",
        holds: |address| address.is_ipv4(),
    },
    Sets {
        services: "services6",
        service_ranges: "service_ranges6",
        service_addrs: "service_addrs6",
        members: "members6",
        member_ranges: "member_ranges6",
        member_addrs: "member_addrs6",
        local_addrs: "local_addrs6",
        address: "ipv6_addr",
        holds: |address| address.is_ipv6(),
    },
];

impl Sets {
    fn endpoints<'a>(&self, all: impl IntoIterator<Item = &'a Endpoint>) -> String {
        list(all.into_iter().filter(|endpoint| (self.holds)(endpoint.address)).map(element))
    }

    fn ranges<'a>(&self, all: impl IntoIterator<Item = &'a PortRange>) -> String {
        list(all.into_iter().filter(|range| (self.holds)(range.address)).map(range_element))
    }

    fn addresses<'a>(&self, all: impl IntoIterator<Item = &'a IpAddr>) -> String {
        list(all.into_iter().filter(|address| (self.holds)(**address)))
    }
}

/// Which half of a change is made.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Add,
    Delete,
}

impl Verb {
    fn of<T>(self, change: Change<T>) -> Vec<T> {
        match self {
            Self::Add => change.add,
            Self::Delete => change.remove,
        }
    }
}

/// Why nftables could not be changed.
#[derive(Debug, Error)]
pub(crate) enum NftError {
    #[error("cannot run `nft`: install the package nftables")]
    Run(#[source] io::Error),
    #[error("nftables refused the rules: {0}")]
    Refused(String),
}

/// The rules that are in force.
#[derive(Debug)]
pub(crate) struct Nft {
    interfaces: Vec<String>,
    tables: Tables,
}

impl Nft {
    /// Puts the rules for these interfaces in force, in the place of whatever an earlier process left.
    pub(crate) fn install(interfaces: Vec<String>, tables: Tables) -> Result<Self, NftError> {
        run(&ruleset(&interfaces, &tables))?;
        Ok(Self { interfaces, tables })
    }

    /// Drops also what is new in `tables`.
    pub(crate) fn grow(&mut self, tables: &Tables) -> Result<(), NftError> {
        self.restore()?;
        run_unless_empty(&commands(&self.tables, tables, Verb::Add))?;
        self.tables.services.extend(&tables.services);
        self.tables.service_ranges = both(&self.tables.service_ranges, &tables.service_ranges);
        self.tables.member_ranges = both(&self.tables.member_ranges, &tables.member_ranges);
        self.tables.service_addrs.extend(&tables.service_addrs);
        self.tables.members.extend(&tables.members);
        self.tables.member_addrs.extend(&tables.member_addrs);
        self.tables.local_addrs.extend(&tables.local_addrs);
        Ok(())
    }

    /// Drops nothing any more that is not in `tables`.
    pub(crate) fn shrink(&mut self, tables: &Tables) -> Result<(), NftError> {
        run_unless_empty(&commands(&self.tables, tables, Verb::Delete))?;
        self.tables = tables.clone();
        Ok(())
    }

    /// A firewall that is loaded anew flushes everybody's rules, and an interface that goes away takes its chain along.
    fn restore(&self) -> Result<(), NftError> {
        let listed = nft(&["--terse", "list", "table", "netdev", "penstock"], "").map_err(NftError::Run)?;
        let listed = String::from_utf8_lossy(&listed.stdout);
        let device = |interface: &String| format!("hook ingress device \"{interface}\"");
        if self.interfaces.iter().all(|interface| listed.contains(&device(interface))) {
            return Ok(());
        }
        warn!("somebody removed our nftables rules: they are put in force again");
        run(&ruleset(&self.interfaces, &self.tables))
    }
}

/// Removes the table, if it is there.
pub(crate) fn remove() -> Result<(), NftError> {
    // Adding it first makes the removal succeed also when it was not there.
    run(&format!("add table {TABLE}\ndelete table {TABLE}\n"))
}

fn ruleset(interfaces: &[String], tables: &Tables) -> String {
    let Tables { services, service_ranges, service_addrs, local_addrs, .. } = tables;
    let Tables { members, member_ranges, member_addrs, .. } = tables;
    let mut text = format!("add table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n");
    for sets in &FAMILIES {
        let endpoint = format!("{} . inet_proto . inet_service", sets.address);
        // Of several ports the elements are intervals, and so is nothing else: those are looked up in another way.
        let intervals = format!("{endpoint}; flags interval");
        text += &set(sets.service_ranges, &intervals, &sets.ranges(service_ranges));
        text += &set(sets.member_ranges, &intervals, &sets.ranges(member_ranges));
        text += &set(sets.services, &endpoint, &sets.endpoints(services));
        text += &set(sets.service_addrs, sets.address, &sets.addresses(service_addrs));
        text += &set(sets.members, &endpoint, &sets.endpoints(members));
        text += &set(sets.member_addrs, sets.address, &sets.addresses(member_addrs));
        text += &set(sets.local_addrs, sets.address, &sets.addresses(local_addrs));
    }
    text += OURS;
    for (index, interface) in interfaces.iter().enumerate() {
        let _ = write!(
            text,
            "chain port{index} {{\n    type filter hook ingress device \"{interface}\" priority 0; policy accept;\n    \
             jump ours\n}}\n"
        );
    }
    text + "}\n"
}

fn set(name: &str, kind: &str, elements: &str) -> String {
    let elements =
        if elements.is_empty() { String::new() } else { format!("    elements = {{ {elements} }}\n") };
    // As large as the steering program's maps, for the same reason.
    format!("set {name} {{\n    type {kind}\n    size 262144\n{elements}}}\n")
}

/// One `verb` for each set that changes between two states.
fn commands(have: &Tables, want: &Tables, verb: Verb) -> String {
    let services = verb.of(Change::between(&have.services, &want.services));
    let service_addrs = verb.of(Change::between(&have.service_addrs, &want.service_addrs));
    let members = verb.of(Change::between(&have.members, &want.members));
    let member_addrs = verb.of(Change::between(&have.member_addrs, &want.member_addrs));
    let local_addrs = verb.of(Change::between(&have.local_addrs, &want.local_addrs));
    let service_ranges = ranges_change(&have.service_ranges, &want.service_ranges, verb);
    let member_ranges = ranges_change(&have.member_ranges, &want.member_ranges, verb);
    let range_commands = |set: &'static str, sets: &Sets, change: &Change<PortRange>| {
        command(Verb::Delete, set, &sets.ranges(&change.remove))
            + &command(Verb::Add, set, &sets.ranges(&change.add))
    };
    let of_family = |sets: &Sets| {
        range_commands(sets.service_ranges, sets, &service_ranges)
            + &range_commands(sets.member_ranges, sets, &member_ranges)
            + &command(verb, sets.services, &sets.endpoints(&services))
            + &command(verb, sets.service_addrs, &sets.addresses(&service_addrs))
            + &command(verb, sets.members, &sets.endpoints(&members))
            + &command(verb, sets.member_addrs, &sets.addresses(&member_addrs))
            + &command(verb, sets.local_addrs, &sets.addresses(&local_addrs))
    };
    FAMILIES.iter().map(of_family).collect()
}

/// Ranges that lie one over the other cannot be in a set at a time: one that grows or shrinks is replaced.
fn ranges_change(have: &BTreeSet<PortRange>, want: &BTreeSet<PortRange>, verb: Verb) -> Change<PortRange> {
    match verb {
        Verb::Add => Change::between(have, &both(have, want)),
        Verb::Delete => Change::between(have, want),
    }
}

fn both(have: &BTreeSet<PortRange>, want: &BTreeSet<PortRange>) -> BTreeSet<PortRange> {
    PortRange::merged(have.union(want).copied()).into_iter().collect()
}

fn command(verb: Verb, set: &str, elements: &str) -> String {
    if elements.is_empty() {
        return String::new();
    }
    let verb = match verb {
        Verb::Add => "add",
        Verb::Delete => "delete",
    };
    format!("{verb} element {TABLE} {set} {{ {elements} }}\n")
}

fn list<T: Display>(elements: impl Iterator<Item = T>) -> String {
    elements.map(|element| element.to_string()).collect::<Vec<_>>().join(", ")
}

fn element(endpoint: &Endpoint) -> String {
    let Endpoint { address, port, protocol } = endpoint;
    format!("{address} . {} . {port}", word(*protocol))
}

fn range_element(range: &PortRange) -> String {
    let PortRange { address, protocol, first, last } = range;
    format!("{address} . {} . {first}-{last}", word(*protocol))
}

fn word(protocol: L4Protocol) -> &'static str {
    match protocol {
        L4Protocol::Tcp => "tcp",
        L4Protocol::Udp => "udp",
    }
}

fn run_unless_empty(commands: &str) -> Result<(), NftError> {
    if commands.is_empty() { Ok(()) } else { run(commands) }
}

/// Runs commands as one transaction: all of them or none.
fn run(commands: &str) -> Result<(), NftError> {
    let output = nft(&["-f", "-"], commands).map_err(NftError::Run)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(NftError::Refused(said.lines().next().unwrap_or("it says nothing").to_owned()))
}

fn nft(arguments: &[&str], input: &str) -> io::Result<Output> {
    let mut nft = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = nft.stdin.take() {
        // It reads all before it says anything, so that neither waits for the other.
        stdin.write_all(input.as_bytes())?;
    }
    nft.wait_with_output()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use lb_model::L4Port;

    use super::*;

    fn tables(services: &[(u8, u16)]) -> Tables {
        let service = |&(host, port): &(u8, u16)| Endpoint {
            address: Ipv4Addr::new(10, 0, 0, host).into(),
            port: L4Port::new(port).unwrap(),
            protocol: L4Protocol::Tcp,
        };
        let services: BTreeSet<_> = services.iter().map(service).collect();
        let service_addrs = services.iter().map(|service| service.address).collect();
        Tables { services, service_addrs, ..Tables::default() }
    }

    #[test]
    fn only_what_changes_is_said() {
        let (old, new) = (tables(&[(1, 80), (1, 443)]), tables(&[(1, 80), (2, 80)]));
        assert_eq!(
            commands(&old, &new, Verb::Add),
            "add element netdev penstock services { 10.0.0.2 . tcp . 80 }\n\
             add element netdev penstock service_addrs { 10.0.0.2 }\n"
        );
        assert_eq!(
            commands(&old, &new, Verb::Delete),
            "delete element netdev penstock services { 10.0.0.1 . tcp . 443 }\n"
        );
        assert_eq!(commands(&new, &new, Verb::Add), "");
        let mut six = new.clone();
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        six.members.insert(Endpoint { address, port: L4Port::new(53).unwrap(), protocol: L4Protocol::Udp });
        assert_eq!(
            commands(&new, &six, Verb::Add),
            "add element netdev penstock members6 { 2001:db8::1 . udp . 53 }\n"
        );
    }

    #[test]
    fn a_range_that_changes_is_replaced_at_once() {
        let ranges = |first: u16, last: u16| {
            let [first, last] = [first, last].map(|port| L4Port::new(port).unwrap());
            let address = Ipv4Addr::new(10, 0, 0, 1).into();
            let range = PortRange { address, protocol: L4Protocol::Tcp, first, last };
            Tables { service_ranges: [range].into(), ..Tables::default() }
        };
        let (old, new) = (ranges(8000, 8999), ranges(8500, 9499));
        assert_eq!(
            commands(&old, &new, Verb::Add),
            "delete element netdev penstock service_ranges { 10.0.0.1 . tcp . 8000-8999 }\n\
             add element netdev penstock service_ranges { 10.0.0.1 . tcp . 8000-9499 }\n"
        );
        assert_eq!(
            commands(&ranges(8000, 9499), &new, Verb::Delete),
            "delete element netdev penstock service_ranges { 10.0.0.1 . tcp . 8000-9499 }\n\
             add element netdev penstock service_ranges { 10.0.0.1 . tcp . 8500-9499 }\n"
        );
        assert!(
            ruleset(&[], &old)
                .contains("flags interval\n    size 262144\n    elements = { 10.0.0.1 . tcp . 8000-8999 }")
        );
    }

    #[test]
    fn each_interface_gets_a_chain_and_each_set_its_elements() {
        let text = ruleset(&["front0".into(), "eth0.7".into()], &tables(&[(1, 80)]));
        assert!(text.contains("hook ingress device \"eth0.7\""));
        assert!(text.contains("elements = { 10.0.0.1 . tcp . 80 }"));
        assert_eq!(text.matches("elements").count(), 2);
    }
}
