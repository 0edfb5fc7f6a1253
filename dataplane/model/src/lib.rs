//! The types that the planes and the server share: addresses, identifiers, what is wanted, what is published.
//!
//! No I/O and no framework live here. What is parsed here is valid for the rest of the house: a port is never
//! zero, a generation never goes back, an address is one that can be balanced.

pub mod addr;
pub mod asking;
pub mod config;
pub mod contract;
pub mod counters;
pub mod desired;
pub mod explain;
pub mod flow;
pub mod id;
pub mod l7;
pub mod observed;
pub mod policy;
pub mod probes;
pub mod record;
pub mod settings;
pub mod snapshot;
pub mod tunnel;

pub use addr::{L4Port, MacAddr, Prefix};
pub use desired::DesiredState;
pub use id::{CertificateId, MemberId, MonitorId, PolicyId, PoolId, VirtualIpId, VirtualServiceId};
pub use l7::L7Snapshot;
pub use observed::Health;
pub use snapshot::{Generation, HealthDelta, HostPlan, L4Snapshot};
pub use tunnel::{Tunnel, Vni};
