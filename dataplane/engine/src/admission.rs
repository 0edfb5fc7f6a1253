//! Who may begin a flow, and how many flows there may be: asked once for each new one.

use std::net::IpAddr;

use lb_model::Prefix;
use lb_model::explain::NetworkRule;
use lb_model::snapshot::Admission;

use crate::half_open::Guard;
use crate::prefixes::PrefixMap;
use crate::rates::Metered;

/// What a service asks of its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    /// Where the tables' limits have the service's, or nobody's.
    pub(crate) limit: u32,
    /// Whether the clients of a network may.
    networks: PrefixMap<bool>,
    /// Whether an address of no network may.
    others: bool,
    metered: Option<Metered>,
    guard: Option<Guard>,
}

impl Gate {
    /// Of what the operator wants; `limit` is the number of its limit.
    pub(crate) fn new(
        admission: &Admission,
        limit: u32,
        metered: Option<Metered>,
        guard: Option<Guard>,
    ) -> Self {
        let Admission { connection_limit: _, allowed_cidrs, denied_cidrs, rates: _, syn_cookies_from: _ } =
            admission;
        let mut networks = PrefixMap::default();
        let mut enter = |prefixes: &[Prefix], may: bool| {
            for prefix in prefixes {
                networks.entry(*prefix).insert_entry(may);
            }
        };
        // One that is in both lists may not.
        enter(allowed_cidrs, true);
        enter(denied_cidrs, false);
        Self { limit, networks, others: allowed_cidrs.is_empty(), metered, guard }
    }

    /// Whether a client may: the longest network that holds its address says so.
    pub(crate) fn admits(&self, client: IpAddr) -> bool {
        self.rule(client).allowed
    }

    /// What decides that.
    pub(crate) fn rule(&self, client: IpAddr) -> NetworkRule {
        match self.networks.longest_entry(client) {
            Some((network, allowed)) => NetworkRule { network: Some(network), allowed: *allowed },
            None => NetworkRule { network: None, allowed: self.others },
        }
    }

    /// How fast.
    pub(crate) fn metered(&self) -> Option<&Metered> {
        self.metered.as_ref()
    }

    /// When floods are answered with cookies, if ever.
    pub(crate) fn guard(&self) -> Option<Guard> {
        self.guard
    }

    /// Whether any network is named.
    pub(crate) fn has_rules(&self) -> bool {
        !self.networks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(allowed: &[&str], denied: &[&str]) -> Gate {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let admission = Admission {
            allowed_cidrs: networks(allowed),
            denied_cidrs: networks(denied),
            ..Admission::default()
        };
        Gate::new(&admission, 0, None, None)
    }

    fn admits(gate: &Gate, address: &str) -> bool {
        gate.admits(address.parse().unwrap())
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
    fn networks_of_one_family_say_nothing_of_the_other() {
        let gate = gate(&["2001:db8::/32", "10.0.0.0/8"], &["2001:db8:1::/48", "0.0.0.0/0"]);
        assert!(admits(&gate, "2001:db8::1"));
        assert!(!admits(&gate, "2001:db8:1::1"));
        assert!(!admits(&gate, "2001:db9::1"), "of no network, where some are allowed");
        assert!(admits(&gate, "10.0.0.1"));
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
