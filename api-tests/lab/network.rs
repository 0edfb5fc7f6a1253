//! The lab's network: who is connected to whom, by which addresses.
//!
//! ```text
//!  host ──────── 198.18.0.0/30 ─────── mgmt0 ┐
//!                                            appliance
//!  far ── 198.18.3.0/24 ── client ── 198.18.1.0/24 ── front0 ┤
//!                                            back0 ── 198.18.2.0/24 ── switch ┬ member-1
//!                                                                             └ member-2
//! ```
//!
//! 198.18.0.0/15 is set aside for tests of network devices (RFC 2544). All but the link to the host lives in
//! namespaces, so every lab can use the same addresses there.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, bail};

use crate::command::{program, run, run_with_input};
use crate::namespace::Namespace;
use crate::slot::{ROLES, Role, Slot};

/// The client's address in the front network.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 2);
/// The address of the client that is one hop further away.
pub const FAR_CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 3, 2);
/// The appliance's address in the front network.
pub const FRONT: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 1);
/// The appliance's address in the back network, and the members' gateway.
pub const BACK: Ipv4Addr = Ipv4Addr::new(198, 18, 2, 1);
/// The members' addresses.
pub const MEMBERS: [Ipv4Addr; 2] = [Ipv4Addr::new(198, 18, 2, 11), Ipv4Addr::new(198, 18, 2, 12)];
/// An address of the front network that nobody holds until the appliance is told to.
pub const VIRTUAL_IP: Ipv4Addr = Ipv4Addr::new(198, 18, 1, 100);
/// The same in IPv6, where the lab has it; `2001:2::/48` is set aside as 198.18.0.0/15 is (RFC 5180).
pub const CLIENT_6: Ipv6Addr = address_6(1, 2);
/// The appliance's address in the front network.
pub const FRONT_6: Ipv6Addr = address_6(1, 1);
/// The appliance's address in the back network, and the members' gateway.
pub const BACK_6: Ipv6Addr = address_6(2, 1);
/// The members' addresses.
pub const MEMBERS_6: [Ipv6Addr; 2] = [address_6(2, 0x11), address_6(2, 0x12)];
/// An address of the front network that nobody holds until the appliance is told to.
pub const VIRTUAL_IP_6: Ipv6Addr = address_6(1, 0x100);

const fn address_6(network: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 2, 0, network, 0, 0, 0, host)
}

/// The first address of the links between the host and its labs' appliances.
pub const MANAGEMENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// Makes the namespaces, the links and the addresses. With `offload` on the peers of the appliance hand over segments as veths
/// do by default: larger than the MTU, and with only a partial checksum.
pub(crate) fn build(slot: &Slot, offload: bool) -> Result<()> {
    check_management(slot)?;
    let adds = ROLES.map(|role| format!("netns add {}\n", slot.namespace(role).name()));
    run_with_input(program("ip").args(["-batch", "-"]), &adds.concat())?;
    for role in ROLES {
        without_ipv6(&slot.namespace(role))?;
    }
    run_with_input(program("ip").args(["-batch", "-"]), &links(slot))?;
    for role in ROLES {
        slot.namespace(role).ip(&addresses(role, slot))?;
    }
    slot.namespace(Role::Client).sysctl("net.ipv4.ip_forward", "1")?;
    if !offload {
        without_offload(slot)?;
    }
    Ok(())
}

/// Its router solicitations and neighbour discovery would be noise in every count.
fn without_ipv6(namespace: &Namespace) -> Result<()> {
    namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
    namespace.sysctl("net.ipv6.conf.all.disable_ipv6", "1")
}

fn links(slot: &Slot) -> String {
    let name = |role| slot.namespace(role).name().to_owned();
    let veth = |a: &str, at_a: &str, b: &str, at_b: &str| {
        let queues = "numrxqueues 1 numtxqueues 1";
        format!("link add {a} {queues} netns {at_a} type veth peer name {b} {queues} netns {at_b}\n")
    };
    let (client, appliance, switch) = (name(Role::Client), name(Role::Appliance), name(Role::Switch));
    let host = slot.host_interface();
    [
        format!("link add {host} type veth peer name mgmt0 netns {appliance}\n"),
        format!("addr add {}/30 dev {host}\nlink set {host} up\n", slot.host_address()),
        veth("eth0", &client, "front0", &appliance),
        veth("eth0", &name(Role::Far), "far0", &client),
        veth("up0", &switch, "back0", &appliance),
        veth("eth0", &name(Role::Member(1)), "member1", &switch),
        veth("eth0", &name(Role::Member(2)), "member2", &switch),
    ]
    .concat()
}

/// The orders for `ip` inside of a namespace.
fn addresses(role: Role, slot: &Slot) -> String {
    let interface = |name: &str, address: Ipv4Addr, length: u8| {
        format!("addr add {address}/{length} dev {name}\nlink set {name} up\n")
    };
    let router_to_far = Ipv4Addr::new(198, 18, 3, 1);
    let own = match role {
        Role::Client => [interface("eth0", CLIENT, 24), interface("far0", router_to_far, 24)].concat(),
        Role::Far => interface("eth0", FAR_CLIENT, 24) + &format!("route add default via {router_to_far}\n"),
        Role::Appliance => [
            interface("mgmt0", slot.appliance_address(), 30),
            interface("front0", FRONT, 24),
            interface("back0", BACK, 24),
            format!("route add 198.18.3.0/24 via {CLIENT}\n"),
        ]
        .concat(),
        Role::Switch => {
            let ports = ["up0", "member1", "member2"];
            let enslaved = ports.map(|port| format!("link set {port} master bridge0\nlink set {port} up\n"));
            format!("link add bridge0 type bridge\n{}link set bridge0 up\n", enslaved.concat())
        }
        Role::Member(number) => {
            interface("eth0", MEMBERS[number - 1], 24) + &format!("route add default via {BACK}\n")
        }
    };
    format!("link set lo up\n{own}")
}

/// Gives everybody IPv6 on the interfaces where they have IPv4. Addresses count at once: nobody else has them.
pub(crate) fn add_ipv6(slot: &Slot) -> Result<()> {
    let member = |number: usize| (Role::Member(number), "eth0", MEMBERS_6[number - 1], Some(BACK_6));
    let all = [
        (Role::Client, "eth0", CLIENT_6, None),
        (Role::Appliance, "front0", FRONT_6, None),
        (Role::Appliance, "back0", BACK_6, None),
        member(1),
        member(2),
    ];
    for (role, interface, address, gateway) in all {
        let namespace = slot.namespace(role);
        for scope in ["all", "default", "lo", interface] {
            namespace.sysctl(&format!("net.ipv6.conf.{scope}.disable_ipv6"), "0")?;
        }
        let route = gateway.map(|gateway| format!("route add ::/0 via {gateway}\n"));
        namespace
            .ip(&format!("addr add {address}/64 dev {interface} nodad\n{}", route.unwrap_or_default()))?;
    }
    Ok(())
}

/// Leaves the appliance's interfaces to the forwarder, and their addresses to the twins, as on a machine whose cards are owned.
pub(crate) fn move_to_twins(appliance: &Namespace) -> Result<()> {
    for (card, twin, address) in [("front0", "front", FRONT), ("back0", "back", BACK)] {
        appliance.run("ip", &["addr", "flush", "dev", card])?;
        appliance.run("ip", &["addr", "add", &format!("{address}/24"), "dev", twin])?;
        let chain = format!("{{ type filter hook ingress device {card} priority 0; policy drop; }}");
        appliance.run("nft", &["add", "table", "netdev", "cards"])?;
        appliance.run("nft", &["add", "chain", "netdev", "cards", card, &chain])?;
    }
    let far = ["route", "replace", "198.18.3.0/24", "via", &CLIENT.to_string(), "dev", "front"];
    appliance.run("ip", &far).map(drop)
}

/// On every interface whose packets reach the appliance; the appliance's own are its business.
fn without_offload(slot: &Slot) -> Result<()> {
    let peers = [
        (Role::Client, vec!["eth0", "far0"]),
        (Role::Far, vec!["eth0"]),
        (Role::Switch, vec!["up0", "member1", "member2"]),
        (Role::Member(1), vec!["eth0"]),
        (Role::Member(2), vec!["eth0"]),
    ];
    for (role, interfaces) in peers {
        for interface in interfaces {
            slot.namespace(role)
                .run("ethtool", &["-K", interface, "tx", "off", "tso", "off", "gso", "off"])?;
        }
    }
    Ok(())
}

/// A host that uses these addresses already must hear so, not lose its own route to them.
fn check_management(slot: &Slot) -> Result<()> {
    let network = format!("{}/30", Ipv4Addr::from(u32::from(slot.host_address()) - 1));
    let addresses = run(program("ip").args(["-4", "-oneline", "address", "show", "to", &network]))?;
    let routes = run(program("ip").args(["-4", "route", "show", "to", "root", &network]))?;
    if let Some(taken) = addresses.lines().chain(routes.lines()).next() {
        let taken = taken.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
        bail!(
            "this machine uses {network} already ({taken}): name a free /24 in MANAGEMENT, as MANAGEMENT=10.99.0.0"
        );
    }
    Ok(())
}

/// Reads what the operator chose for [`MANAGEMENT`].
pub fn management_from(text: &str) -> Result<Ipv4Addr> {
    let address: Ipv4Addr =
        text.parse().with_context(|| format!("MANAGEMENT: `{text}` is not an IPv4 address"))?;
    if address.octets()[3] != 0 {
        bail!("MANAGEMENT: want the first address of a /24, as 10.99.0.0, not {address}");
    }
    Ok(address)
}
