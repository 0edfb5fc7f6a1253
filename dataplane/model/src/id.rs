//! One identifier type per resource, so that a pool's id can never be passed where a member's is wanted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new identifier; they sort by the time they were made (RFC 9562, version 7).
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )+};
}

ids! {
    /// A virtual IP: an address that the appliance answers for.
    VirtualIpId,
    /// A virtual service: a protocol and port on one or more virtual IPs.
    VirtualServiceId,
    /// A pool of members.
    PoolId,
    /// A monitor: how members are watched.
    MonitorId,
    /// A member of a pool: one server's address and port.
    MemberId,
    /// A certificate with its private key.
    CertificateId,
    /// A policy of a virtual service.
    PolicyId,
}
