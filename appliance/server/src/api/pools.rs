//! The resource `pools`.

use axum::extract::RawPathParams;

use super::resource::Resource;
use super::view::{NothingMore, Operating};
use crate::domain::Pool;
use crate::domain::Record;
use crate::probe::Board;

impl Resource for Pool {
    const COLLECTION: &'static str = "/api/v1/pools";
    const NAME: &'static str = "Pool";
    const NAMES: &'static str = "Pools";
    const TAG: &'static str = "pools";

    fn parent(_parameters: &RawPathParams) -> Option<()> {
        Some(())
    }

    fn collection((): ()) -> String {
        Self::COLLECTION.to_owned()
    }

    type Seen = NothingMore;

    fn seen(record: &Record<Self>, health: &Board) -> (Operating, Option<String>, NothingMore) {
        let (operating, reason) = health.pool(record.id);
        (operating, reason, NothingMore {})
    }
}
