//! The resource `policies`.

use axum::extract::RawPathParams;

use super::resource::Resource;
use super::view::{NothingMore, Operating};
use crate::domain::Policy;
use crate::domain::Record;
use crate::probe::Board;

impl Resource for Policy {
    const COLLECTION: &'static str = "/api/v1/policies";
    const NAME: &'static str = "Policy";
    const NAMES: &'static str = "Policies";
    const TAG: &'static str = "policies";

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
