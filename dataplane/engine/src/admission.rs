//! Who may begin a flow, and how many flows there may be: asked once for each new one.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use lb_model::Prefix;
use lb_model::snapshot::Admission;

use crate::network::{raw, unraw};
use crate::tables::FastHasher;

/// What a service asks of its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    /// Where the tables' limits have the service's, or nobody's.
    pub(crate) limit: u32,
    /// Networks by the length of their prefix, the longest first, and whether they may.
    networks: Box<[(u8, Networks)]>,
    /// Whether an address of no network may.
    others: bool,
}

type Networks = HashMap<u32, bool, BuildHasherDefault<FastHasher>>;

impl Gate {
    /// Of what the operator wants; `limit` is the number of its limit.
    pub(crate) fn new(admission: &Admission, limit: u32) -> Self {
        let Admission { connection_limit: _, allowed_cidrs, denied_cidrs } = admission;
        let mut by_length: HashMap<u8, Networks> = HashMap::new();
        let mut enter = |networks: &[Prefix], may: bool| {
            for network in networks {
                by_length.entry(network.len()).or_default().insert(raw(network.network()), may);
            }
        };
        // One that is in both lists may not.
        enter(allowed_cidrs, true);
        enter(denied_cidrs, false);
        let mut networks: Box<[_]> = by_length.into_iter().collect();
        networks.sort_unstable_by_key(|(len, _)| std::cmp::Reverse(*len));
        Self { limit, networks, others: allowed_cidrs.is_empty() }
    }

    /// Whether a client's address (as it lies in memory) may: the longest network that holds it says so.
    pub(crate) fn admits(&self, client: u32) -> bool {
        let address = unraw(client);
        let verdict = self.networks.iter().find_map(|(len, networks)| {
            let network = Prefix::new(address, *len).ok()?.network();
            networks.get(&raw(network)).copied()
        });
        verdict.unwrap_or(self.others)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn gate(allowed: &[&str], denied: &[&str]) -> Gate {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let admission = Admission {
            connection_limit: None,
            allowed_cidrs: networks(allowed),
            denied_cidrs: networks(denied),
        };
        Gate::new(&admission, 0)
    }

    fn admits(gate: &Gate, address: &str) -> bool {
        gate.admits(raw(address.parse::<Ipv4Addr>().unwrap()))
    }

    #[test]
    fn the_longest_network_decides() {
        let gate = gate(&["10.0.0.0/8", "10.1.2.3/32"], &["10.1.0.0/16", "0.0.0.0/0"]);
        assert!(admits(&gate, "10.2.0.1"));
        assert!(!admits(&gate, "10.1.2.4"));
        assert!(admits(&gate, "10.1.2.3"));
        assert!(!admits(&gate, "192.0.2.1"));
    }

    #[test]
    fn without_allowed_networks_all_others_may() {
        let gate = gate(&[], &["203.0.113.0/24"]);
        assert!(!admits(&gate, "203.0.113.255"));
        assert!(admits(&gate, "203.0.114.0"));
    }

    #[test]
    fn a_network_in_both_lists_may_not() {
        let gate = gate(&["203.0.113.0/24"], &["203.0.113.0/24"]);
        assert!(!admits(&gate, "203.0.113.1"));
        assert!(!admits(&gate, "203.0.112.1"), "and whoever is not allowed neither");
    }
}
