//! Keeps the map of this host's addresses current: packets from a member to one of them are the kernel's.

use std::collections::BTreeSet;
use std::path::Path;

use tracing::error;

use super::SteeringError;
use super::maps::{AddressKey, PinnedSet, address_keys};
use crate::kernel::netlink::{AddressChanges, Netlink};

/// The map, and the connection that says what belongs in it.
#[derive(Debug)]
pub(crate) struct Locals {
    map: PinnedSet<AddressKey>,
    netlink: Netlink,
    changes: AddressChanges,
}

impl Locals {
    pub(super) fn open(directory: &Path) -> Result<Self, SteeringError> {
        // Subscribed before the first reading, so that no change falls between the two.
        let changes = AddressChanges::subscribe()?;
        Ok(Self { map: PinnedSet::open(directory, "locals")?, netlink: Netlink::open()?, changes })
    }

    /// Makes the map what the kernel says now.
    pub(crate) fn refresh(&mut self) -> Result<(), SteeringError> {
        let held: BTreeSet<_> = self.netlink.addresses()?.iter().map(|held| held.address).collect();
        let keys = address_keys(&held);
        self.map.grow(&keys)?;
        self.map.shrink(&keys)
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
