//! The resource `pools/{pool_id}/members`.

use axum::extract::RawPathParams;
use lb_model::PoolId;

use super::resource::{Resource, identifier};
use crate::domain::Member;

impl Resource for Member {
    const COLLECTION: &'static str = "/api/v1/pools/{pool_id}/members";
    const NAME: &'static str = "Member";
    const NAMES: &'static str = "Members";
    const TAG: &'static str = "pools";

    fn parent(parameters: &RawPathParams) -> Option<PoolId> {
        identifier(parameters, "pool_id")
    }

    fn collection(pool: PoolId) -> String {
        format!("/api/v1/pools/{pool}/members")
    }
}
