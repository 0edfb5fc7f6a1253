//! The words of lb-model's enums, for the API's description: lb-model itself knows no framework.

use utoipa::ToSchema;

/// What clients speak: `tcp` is carried as it comes, `http` is understood (HTTP/1.1, and HTTP/2 by prior knowledge).
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "tcp")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum Protocol {
    Tcp,
    Http,
}

/// What members speak.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "tcp")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum MemberProtocol {
    Tcp,
}

/// How what clients send reaches the members: `nat` rewrites the destination of packets and keeps the client's address;
/// replies come back through the appliance. With `proxy` the appliance answers itself, over connections of its own.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "nat")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum Forwarding {
    Nat,
    Proxy,
}

/// How a member is chosen for a new connection: `round_robin` takes one after the other.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "round_robin")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum Algorithm {
    RoundRobin,
}

/// Whether a member takes new connections and keeps its old ones.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "enabled")]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(crate) enum MemberState {
    Enabled,
    Drain,
    Disabled,
}

/// What identifies a resource: a UUID.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    format = Uuid,
    min_length = 36,
    max_length = 36,
    example = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f"
)]
pub(crate) struct Identifier(#[expect(dead_code, reason = "a shape for the API's description")] String);
