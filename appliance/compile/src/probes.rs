//! The ways of checks: where penstockd connects to so that what it sends reaches a member as clients' packets do.
//!
//! A place is drawn from the names of what it stands for, so that it is the same in every generation and after every restart: a
//! check that is under way while another generation is published does not end up with another member.

use std::collections::HashSet;
use std::net::IpAddr;

use lb_model::desired::DesiredState;
use lb_model::snapshot::{Endpoint, L4Probe, L4Service};
use lb_model::{MemberId, VirtualServiceId, probes};

/// One for each member that is checked by way of its services, and each of these.
pub(crate) fn probes(want: &DesiredState, services: &[L4Service]) -> Vec<L4Probe> {
    let watched = want.pools.iter().filter(|pool| pool.probed).flat_map(|pool| &pool.members);
    let watched: HashSet<MemberId> = watched.map(|member| member.id).collect();
    if watched.is_empty() {
        return Vec::new();
    }
    let mut taken = HashSet::new();
    let mut all = Vec::new();
    for service in services {
        let asked = service.backends.iter().map(|backend| backend.member);
        for member in asked.filter(|member| watched.contains(member)) {
            let number = number(service.id, service.address, member);
            // Of two with one number, which hardly ever are, the later one gets the next.
            let free = (number..=u64::MAX).map(|number| place(number, service)).find(|at| taken.insert(*at));
            let Some(at) = free else { continue };
            all.push(L4Probe { at, service: service.id, address: service.address, member });
        }
    }
    all
}

fn place(number: u64, service: &L4Service) -> Endpoint {
    let (address, port) = probes::place(number, service.address);
    Endpoint { address, port, protocol: service.protocol }
}

/// Drawn from these three.
fn number(service: VirtualServiceId, address: IpAddr, member: MemberId) -> u64 {
    let address = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    };
    let names = [*service.0.as_bytes(), address.octets(), *member.0.as_bytes()];
    let words = names.as_flattened().as_chunks::<8>().0.iter().copied().map(u64::from_le_bytes);
    // Half of all numbers, so that the next one is never past the last.
    words.fold(0, |sum, word| mix(sum ^ word)) >> 1
}

/// Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014: the finalizer.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
