//! The resource `monitors`.

use axum::extract::RawPathParams;

use super::resource::Resource;
use super::view::{NothingMore, Operating};
use crate::domain::Monitor;
use crate::domain::Record;
use crate::probe::Board;

impl Resource for Monitor {
    const COLLECTION: &'static str = "/api/v1/monitors";
    const NAME: &'static str = "Monitor";
    const NAMES: &'static str = "Monitors";
    const TAG: &'static str = "monitors";

    fn parent(_parameters: &RawPathParams) -> Option<()> {
        Some(())
    }

    fn collection((): ()) -> String {
        Self::COLLECTION.to_owned()
    }

    type Seen = NothingMore;

    fn seen(_record: &Record<Self>, _health: &Board) -> (Operating, Option<String>, NothingMore) {
        (Operating::Unknown, None, NothingMore {})
    }
}
