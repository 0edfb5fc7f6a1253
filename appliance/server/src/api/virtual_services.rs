//! The resource `virtual-services`.

use axum::extract::RawPathParams;

use super::resource::Resource;
use super::view::{NothingMore, Operating};
use crate::domain::Record;
use crate::domain::VirtualService;
use crate::probe::Board;

impl Resource for VirtualService {
    const COLLECTION: &'static str = "/api/v1/virtual-services";
    const NAME: &'static str = "VirtualService";
    const NAMES: &'static str = "VirtualServices";
    const TAG: &'static str = "virtual-services";

    fn parent(_parameters: &RawPathParams) -> Option<()> {
        Some(())
    }

    fn collection((): ()) -> String {
        Self::COLLECTION.to_owned()
    }

    type Seen = NothingMore;

    fn seen(record: &Record<Self>, health: &Board) -> (Operating, Option<String>, NothingMore) {
        let (operating, reason) = health.service(record.id);
        (operating, reason, NothingMore {})
    }
}
