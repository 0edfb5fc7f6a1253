//! What a network card, or the kernel for it, does to frames before anybody sees them.

use std::process::Command;

use tracing::warn;

/// Stops received frames from being joined to larger ones: they could not be sent on as they are.
pub(crate) fn stop_joining(interface: &str) {
    // One after the other: `ethtool` changes nothing if one of several cannot be changed.
    for feature in ["gro", "lro"] {
        match Command::new("ethtool").args(["-K", interface, feature, "off"]).output() {
            // What a card cannot do is off, and fixed.
            Ok(_) => {}
            Err(error) => {
                warn!(
                    interface,
                    "cannot run ethtool ({error}): {interface} may join received frames ({feature})"
                );
            }
        }
    }
}
