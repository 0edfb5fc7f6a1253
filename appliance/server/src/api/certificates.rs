//! The resource `certificates`.

use axum::extract::RawPathParams;

use super::resource::Resource;
use super::view::{NothingMore, Operating};
use crate::domain::Certificate;
use crate::domain::Record;
use crate::probe::Board;

impl Resource for Certificate {
    const COLLECTION: &'static str = "/api/v1/certificates";
    const NAME: &'static str = "Certificate";
    const NAMES: &'static str = "Certificates";
    const TAG: &'static str = "certificates";

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
