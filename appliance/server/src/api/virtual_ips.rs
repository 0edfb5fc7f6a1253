//! The resource `virtual-ips`.

use axum::extract::RawPathParams;

use super::resource::Resource;
use super::view::{NothingMore, Operating};
use crate::domain::Record;
use crate::domain::VirtualIp;
use crate::probe::Board;

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

    type Seen = NothingMore;

    fn seen(record: &Record<Self>, health: &Board) -> (Operating, Option<String>, NothingMore) {
        let (operating, reason) = health.virtual_ip(record.id);
        (operating, reason, NothingMore {})
    }
}
