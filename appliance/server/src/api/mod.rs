//! The management API: one table of routes, from which both the router and its description are made.
//!
//! Handlers extract, call and reply; what is right is decided in `domain`, `store` and `signin`. A route says in the
//! table who may call it, so none can be open by accident.

mod audit;
mod auth;
mod author;
mod backups;
mod body;
mod certificates;
mod check_now;
mod config;
mod connections;
mod console;
mod damaged;
mod describe;
mod docs;
mod error;
mod etag;
mod events;
mod explain;
mod explain_packet;
mod history;
mod json;
mod list;
mod log;
mod members;
mod metrics;
mod monitors;
mod openapi;
mod operations;
mod policies;
mod pools;
mod projects;
mod requests;
mod resource;
mod revisions;
mod second_factor;
mod session;
mod settings;
mod stats;
mod status;
mod support_bundle;
mod system;
mod tokens;
mod users;
mod view;
mod virtual_ips;
mod virtual_services;
mod webhooks;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};
use tokio::sync::Mutex;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{HttpMethod, Operation};

use crate::backup::Shelf;
use crate::courier::Ledger;
use crate::domain::{Member, Monitor, Permission, Policy, Pool, Project, VirtualIp, VirtualService};
use crate::observed::Observation;
use crate::peer::{L4, L7, Machine, Peer};
use crate::probe::Board;
use crate::signin::SignIn;
use crate::stats::History;
use crate::store::Store;
use crate::webhook::Reach;
use describe::Description;
use error::Problem;

pub(crate) use damaged::{Damage, router as damaged_router};
pub(crate) use openapi::json as description;
pub(crate) use operations::Operations;

/// Where everything begins.
const ROOT: &str = "/api/v1";

/// What handlers work with.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) sign_in: Arc<SignIn>,
    pub(crate) observed: Observation,
    pub(crate) l4: Peer<L4>,
    pub(crate) l7: Peer<L7>,
    /// What the layer-4 plane was told of health, and the layer-7 plane.
    pub(crate) ledgers: [Arc<Ledger>; 2],
    pub(crate) machine: Peer<Machine>,
    /// Where an update is left for penstock-host, and who writes it.
    pub(crate) update_file: Arc<Path>,
    pub(crate) updating: Arc<Mutex<()>>,
    /// Where the configuration is kept.
    pub(crate) state_dir: Arc<Path>,
    /// Which addresses webhooks may be at.
    pub(crate) reach: Reach,
    /// Where backups are kept.
    pub(crate) shelf: Shelf,
    pub(crate) health: Board,
    pub(crate) history: History,
    pub(crate) operations: Operations,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, at any time.
    Open,
    /// Anybody, once the appliance is claimed.
    Claimed,
    /// Who is signed in.
    SignedIn,
    /// Who is signed in and has this permission.
    Permitted(Permission),
    /// The user whom the address names, or who has this permission.
    OwnOr(Permission),
}

impl Access {
    /// What the description says of it.
    pub(crate) fn permission(self) -> Option<Permission> {
        match self {
            Self::Open | Self::Claimed | Self::SignedIn => None,
            Self::Permitted(permission) | Self::OwnOr(permission) => Some(permission),
        }
    }
}

/// A line of the table of routes.
pub(crate) struct Route {
    pub(crate) method: HttpMethod,
    pub(crate) path: String,
    pub(crate) access: Access,
    /// Whether it keeps to what the caller sees. To all others who belongs to a project is not let.
    pub(crate) scoped: bool,
    /// Whether it goes on by itself where the client prefers so.
    pub(crate) lengthy: bool,
    /// `None` for what is part of a page, not of the API.
    pub(crate) operation: Option<Operation>,
    handler: MethodRouter<App>,
}

impl Route {
    fn new<T: 'static>(
        method: HttpMethod,
        path: impl Into<String>,
        access: Access,
        handler: impl Handler<T, App>,
        description: Description,
    ) -> Self {
        let handler = on(filter(&method), handler);
        let operation = Some(description.operation(access));
        Self { method, path: path.into(), access, scoped: false, lengthy: false, operation, handler }
    }

    /// A route that can take a while.
    fn lengthy<T: 'static>(
        method: HttpMethod,
        path: impl Into<String>,
        access: Access,
        handler: impl Handler<T, App>,
        description: Description,
    ) -> Self {
        let route = Self::new(method, path, access, handler, operations::lengthy(description));
        Self { lengthy: true, ..route }
    }

    /// It keeps to what the caller sees: its handler goes by the `Place` or `Collection` that the address means.
    fn scoped(mut self) -> Self {
        let scoped = Extensions::builder().add("x-scoped", true).build();
        if let Some(operation) = &mut self.operation {
            operation.extensions.get_or_insert_default().merge(scoped);
        }
        Self { scoped: true, ..self }
    }
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Trace => MethodFilter::TRACE,
        HttpMethod::Options => MethodFilter::OPTIONS,
    }
}

/// Every route there is.
pub(crate) fn routes() -> Vec<Route> {
    let mut routes = auth::routes();
    routes.extend(session::routes());
    routes.extend(second_factor::routes());
    routes.extend(resource::routes::<VirtualIp>());
    routes.extend(resource::routes::<VirtualService>());
    routes.extend(resource::routes::<Policy>());
    routes.extend(certificates::routes());
    routes.extend(resource::routes::<Pool>());
    routes.extend(resource::routes::<Member>());
    routes.push(check_now::route());
    routes.extend(resource::routes::<Project>());
    routes.extend(resource::routes::<Monitor>());
    routes.extend(users::routes());
    routes.extend(tokens::routes());
    routes.extend(config::routes());
    routes.extend(revisions::routes());
    routes.extend(backups::routes());
    routes.extend(operations::routes());
    routes.extend(events::routes());
    routes.extend(webhooks::routes());
    routes.extend(audit::routes());
    routes.extend(status::routes());
    routes.extend(history::routes());
    routes.extend(metrics::routes());
    routes.extend(system::routes());
    routes.extend(support_bundle::routes());
    routes.extend(settings::routes());
    routes.extend(explain::routes());
    routes.push(explain_packet::route());
    routes.extend(connections::routes());
    routes.push(requests::route());
    routes.extend(docs::routes());
    routes
}

/// The router of all routes, each behind its guard.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new();
    for Route { path, access, scoped, lengthy, operation, mut handler, .. } in routes() {
        let name = operation.and_then(|operation| operation.operation_id);
        if let (true, Some(name)) = (lengthy, name) {
            handler = handler.route_layer(from_fn_with_state((app.clone(), name), operations::perhaps_later));
        }
        let guard = from_fn_with_state((app.clone(), access, scoped), auth::guard);
        router = router.route(&path, handler.route_layer(guard));
    }
    router
        .fallback(console::serve)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(from_fn(error::finish))
        .with_state(app)
}

#[cfg(test)]
mod tests;
