//! Which interface holds which virtual address, and what must change for that: pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::kernel::address::HeldAddress;

/// Where the virtual addresses of a plan go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placement {
    /// To be added, in this order.
    pub(crate) add: Vec<HeldAddress>,
    /// Ours, and no longer wanted where they are.
    pub(crate) remove: Vec<HeldAddress>,
    /// No port's network holds these: they are on the first port.
    pub(crate) off_link: Vec<IpAddr>,
}

impl Placement {
    /// Compares what is `wanted` with what the kernel holds, `now`. `ports` are the indexes of the ports' interfaces, in
    /// the order of the configuration; without ports no address has a place.
    pub(crate) fn of(wanted: &BTreeSet<IpAddr>, now: &[HeldAddress], ports: &[u32]) -> Self {
        let foreign: BTreeSet<_> = now.iter().filter(|held| !held.ours).map(|held| held.address).collect();
        let ours: BTreeSet<_> = now.iter().filter(|held| held.ours).copied().collect();
        let mut placement = Self::default();
        let mut places = BTreeSet::new();
        // What somebody else put on this host is held already, and is not ours to move.
        for address in wanted.difference(&foreign) {
            let on_link = on_link_port(*address, now, ports);
            let Some(port) = on_link.or(ports.first().copied()) else { continue };
            if on_link.is_none() {
                placement.off_link.push(*address);
            }
            places.insert(HeldAddress::virtual_ip(*address, port));
        }
        placement.add = places.difference(&ours).copied().collect();
        placement.remove = ours.difference(&places).copied().collect();
        placement
    }
}

/// The port whose network holds `address`; of several, that of the longest prefix.
fn on_link_port(address: IpAddr, now: &[HeldAddress], ports: &[u32]) -> Option<u32> {
    now.iter()
        .filter(|held| !held.ours && ports.contains(&held.interface))
        .filter_map(|held| Some((held.connected()?, held.interface)))
        .filter(|(network, _)| network.contains(address))
        .max_by_key(|(network, _)| network.len())
        .map(|(_, interface)| interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT: u32 = 2;
    const BACK: u32 = 3;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn configured(text: &str, prefix_len: u8, interface: u32) -> HeldAddress {
        HeldAddress { address: address(text), prefix_len, interface, ours: false }
    }

    fn ours(text: &str, interface: u32) -> HeldAddress {
        HeldAddress::virtual_ip(address(text), interface)
    }

    fn placed(wanted: &[&str], virtual_ips: &[HeldAddress]) -> Placement {
        let wanted = wanted.iter().map(|text| address(text)).collect();
        let mut now = vec![
            configured("10.0.0.2", 24, FRONT),
            configured("10.1.0.2", 16, BACK),
            configured("2001:db8:1::2", 64, BACK),
        ];
        now.extend(virtual_ips);
        Placement::of(&wanted, &now, &[FRONT, BACK])
    }

    #[test]
    fn an_address_goes_to_the_port_of_its_network() {
        let placement = placed(&["10.0.0.9", "10.1.7.7"], &[]);
        assert_eq!(placement.add, [ours("10.0.0.9", FRONT), ours("10.1.7.7", BACK)]);
        assert_eq!(placement.off_link, [] as [IpAddr; 0]);
    }

    #[test]
    fn an_ipv6_address_goes_to_the_port_of_its_own_network() {
        let placement = placed(&["2001:db8:1::9", "2001:db8::9"], &[]);
        assert_eq!(placement.add, [ours("2001:db8::9", FRONT), ours("2001:db8:1::9", BACK)]);
        assert_eq!(placement.add[0].prefix_len, 128);
        assert_eq!(placement.off_link, [address("2001:db8::9")]);
    }

    #[test]
    fn an_address_of_no_network_goes_to_the_first_port_and_is_told() {
        let placement = placed(&["192.0.2.1"], &[]);
        assert_eq!(placement.add, [ours("192.0.2.1", FRONT)]);
        assert_eq!(placement.off_link, [address("192.0.2.1")]);
    }

    #[test]
    fn what_is_in_place_stays_and_what_is_not_wanted_goes() {
        let placement = placed(&["10.0.0.9"], &[ours("10.0.0.9", FRONT), ours("10.0.0.8", FRONT)]);
        assert_eq!((placement.add, placement.remove), (vec![], vec![ours("10.0.0.8", FRONT)]));
    }

    #[test]
    fn an_address_follows_its_network_to_another_port() {
        let placement = placed(&["10.1.0.9"], &[ours("10.1.0.9", FRONT)]);
        assert_eq!(placement.add, [ours("10.1.0.9", BACK)]);
        assert_eq!(placement.remove, [ours("10.1.0.9", FRONT)]);
    }

    #[test]
    fn what_others_configured_is_neither_added_nor_removed() {
        let placement = placed(&["10.0.0.2", "10.0.0.7"], &[configured("10.0.0.7", 32, BACK)]);
        assert_eq!(placement, Placement::default());
        assert_eq!(placed(&[], &[configured("10.0.0.7", 32, BACK)]), Placement::default());
    }

    #[test]
    fn without_ports_nothing_has_a_place() {
        let wanted = BTreeSet::from([address("10.0.0.9")]);
        assert_eq!(Placement::of(&wanted, &[], &[]), Placement::default());
    }
}
