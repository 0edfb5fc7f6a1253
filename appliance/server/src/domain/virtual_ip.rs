//! A virtual IP: an address that the appliance answers for.

use std::net::IpAddr;

use lb_model::VirtualIpId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::{self, Fields};
use super::{Kind, Owner};

/// An address that the appliance answers for. It is held on the port whose network it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct VirtualIp {
    /// An IPv4 or IPv6 address of one host, that no other virtual IP has. IPv6 is answered in the form of RFC 5952.
    #[schema(value_type = String, format = "ip", max_length = 45, example = "192.0.2.10")]
    pub(crate) address: IpAddr,
}

impl Kind for VirtualIp {
    type Id = VirtualIpId;
    type Parent = ();

    const NOUN: &'static str = "virtual IP";
    const OWNER: Owner = Owner::Project;
    const EXAMPLE: &'static str = r#"{ "name": "shop", "address": "192.0.2.10" }"#;

    fn new_id() -> VirtualIpId {
        VirtualIpId::generate()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { address: fields.required("address", fields::host_address)? })
    }
}
