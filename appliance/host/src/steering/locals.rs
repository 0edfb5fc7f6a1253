//! Keeps the maps of this host's addresses current: packets from a member to one of them are the kernel's.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

use tracing::error;

use super::SteeringError;
use super::maps::{Family, PinnedSet, V4, V6, address_keys};
use crate::kernel::netlink::{AddressChanges, Netlink};

/// The maps, and the connection that says what belongs in them.
#[derive(Debug)]
pub(crate) struct Locals {
    v4: PinnedSet<<V4 as Family>::Address>,
    v6: PinnedSet<<V6 as Family>::Address>,
    netlink: Netlink,
    changes: AddressChanges,
}

impl Locals {
    pub(super) fn open(directory: &Path) -> Result<Self, SteeringError> {
        // Subscribed before the first reading, so that no change falls between the two.
        let changes = AddressChanges::subscribe()?;
        Ok(Self {
            v4: PinnedSet::open(directory, V4::NAMES.locals)?,
            v6: PinnedSet::open(directory, V6::NAMES.locals)?,
            netlink: Netlink::open()?,
            changes,
        })
    }

    /// Makes the maps what the kernel says now.
    pub(crate) fn refresh(&mut self) -> Result<(), SteeringError> {
        let held: BTreeSet<_> = self.netlink.addresses()?.iter().map(|held| held.address).collect();
        follow::<V4>(&mut self.v4, &held)?;
        follow::<V6>(&mut self.v6, &held)
    }

    /// Follows the kernel for ever.
    pub(crate) fn follow(mut self) {
        loop {
            let changed = self.changes.wait().map_err(SteeringError::from).and_then(|()| self.refresh());
            if let Err(error) = changed {
                error!("cannot follow this host's addresses: {:#}", anyhow::Error::from(error));
                // An error that lasts must not take a core.
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
        }
    }
}

fn follow<F: Family>(map: &mut PinnedSet<F::Address>, held: &BTreeSet<IpAddr>) -> Result<(), SteeringError> {
    let keys = address_keys::<F>(held);
    map.grow(&keys)?;
    map.shrink(&keys)
}
