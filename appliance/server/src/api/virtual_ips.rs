//! The resource `virtual-ips`.

use axum::extract::RawPathParams;

use super::resource::Resource;
use crate::domain::VirtualIp;

impl Resource for VirtualIp {
    const COLLECTION: &'static str = "/api/v1/virtual-ips";
    const NAME: &'static str = "VirtualIp";
    const NAMES: &'static str = "VirtualIps";
    const TAG: &'static str = "virtual-ips";

    fn parent(_parameters: &RawPathParams) -> Option<()> {
        Some(())
    }

    fn collection((): ()) -> String {
        Self::COLLECTION.to_owned()
    }
}
