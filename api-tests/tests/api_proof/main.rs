//! What must hold for every route and every resource there is, shown by walking the API's own description: a new
//! resource is proved without another line here but the one in `world.rs` that creates it.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod access;
mod fields;
mod preconditions;
#[path = "../support_api/mod.rs"]
mod support_api;
mod walk;
mod world;
