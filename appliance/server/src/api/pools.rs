//! The resource `pools`.

use axum::extract::RawPathParams;

use super::resource::Resource;
use crate::domain::Pool;

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
}
