//! The resource `users`, and the roles that they can have.

use axum::Json;
use axum::extract::RawPathParams;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;

use super::describe::Description;
use super::resource::{self, Resource};
use super::view::{NothingMore, Operating};
use super::{Access, ROOT, Route};
use crate::domain::{Permission, ROLES, Record, Role, User};
use crate::probe::Board;

impl Resource for User {
    const COLLECTION: &'static str = "/api/v1/users";
    const NAME: &'static str = "User";
    const NAMES: &'static str = "Users";
    const TAG: &'static str = "accounts";
    const READ: Access = Access::OwnOr(Permission::AccountsRead);
    const WRITE: Access = Access::Permitted(Permission::AccountsWrite);

    fn parent(_: &RawPathParams) -> Option<()> {
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

/// The roles that a user can have.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoleList {
    /// All of them.
    #[schema(max_items = 16)]
    items: Vec<RoleEntry>,
}

/// A role, and what it lets one do.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RoleEntry {
    name: Role,
    /// What it lets one do: every operation of this description names what it needs as `x-permission`.
    #[schema(max_items = 16)]
    permissions: &'static [Permission],
}

async fn roles() -> Json<RoleList> {
    let entry = |(_, role): &(&str, Role)| RoleEntry { name: *role, permissions: role.permissions() };
    Json(RoleList { items: ROLES.iter().map(entry).collect() })
}

pub(super) fn routes() -> Vec<Route> {
    let listing = Description::new("listRoles", User::TAG, "List roles").answer(
        StatusCode::OK,
        "What each lets one do.",
        Some("RoleList"),
        &[],
    );
    let mut routes = resource::routes::<User>();
    routes.push(Route::new(HttpMethod::Get, format!("{ROOT}/roles"), Access::SignedIn, roles, listing));
    routes
}
