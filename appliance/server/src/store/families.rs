//! IPv4 and IPv6 do not mix where packets of clients reach the members: who serves a virtual service there has addresses of
//! the same family as it is offered on.

use std::net::IpAddr;

use lb_model::{PoolId, VirtualIpId};
use sqlx::SqliteConnection;

use super::StoreError;
use super::columns::Text;

/// Two addresses that cannot serve each other, and what they are of.
type Apart = Option<(String, String, String)>;

/// A service that a new member of this pool could not serve, told.
pub(super) async fn of_member(
    pool: PoolId,
    address: IpAddr,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    let apart: Option<(String, String)> = sqlx::query_as(
        "WITH RECURSIVE before (id) AS (
            SELECT ? UNION SELECT p.id FROM pools p JOIN before b ON p.backup_pool_id = b.id)
         SELECT s.name, v.address FROM virtual_services s
         JOIN virtual_service_ips i ON i.virtual_service_id = s.id JOIN virtual_ips v ON v.id = i.virtual_ip_id
         WHERE s.default_pool_id IN before AND s.forwarding <> 'proxy' AND (instr(v.address, ':') > 0) <> ?
         ORDER BY s.name LIMIT 1",
    )
    .bind(Text(pool))
    .bind(address.is_ipv6())
    .fetch_optional(connection)
    .await?;
    Ok(apart.map(|(service, offered)| {
        format!("virtual service `{service}` is offered on {offered}: want an address of the same family")
    }))
}

/// A member that could not serve a service of this virtual IP, told.
pub(super) async fn of_virtual_ip(
    id: VirtualIpId,
    address: IpAddr,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    let apart: Option<(String, String)> = sqlx::query_as(
        "WITH RECURSIVE behind (id) AS (
            SELECT s.default_pool_id FROM virtual_service_ips i JOIN virtual_services s ON s.id = i.virtual_service_id
            WHERE i.virtual_ip_id = ? AND s.forwarding <> 'proxy'
            UNION SELECT p.backup_pool_id FROM pools p JOIN behind b ON p.id = b.id)
         SELECT name, address FROM members
         WHERE pool_id IN behind AND (instr(address, ':') > 0) <> ? ORDER BY id LIMIT 1",
    )
    .bind(Text(id))
    .bind(address.is_ipv6())
    .fetch_optional(connection)
    .await?;
    Ok(apart.map(|(member, its)| {
        format!("member `{member}` of a service on it has the address {its}: want one of the same family")
    }))
}

/// A member of the pool, or of one behind it, that could not serve a service on this virtual IP, told.
pub(super) async fn of_service(
    virtual_ip: VirtualIpId,
    pool: PoolId,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    let apart: Apart = sqlx::query_as(
        "WITH RECURSIVE behind (id) AS (
            SELECT ? UNION SELECT p.backup_pool_id FROM pools p JOIN behind b ON p.id = b.id)
         SELECT m.name, m.address, v.address FROM members m JOIN virtual_ips v ON v.id = ?
         WHERE m.pool_id IN behind AND (instr(m.address, ':') > 0) <> (instr(v.address, ':') > 0)
         ORDER BY m.id LIMIT 1",
    )
    .bind(Text(pool))
    .bind(Text(virtual_ip))
    .fetch_optional(connection)
    .await?;
    Ok(apart.map(|(member, its, offered)| {
        format!(
            "member `{member}` has the address {its}, of another family than {offered}: this forwarding cannot reach it"
        )
    }))
}

/// A member of the pool `backup`, or of one behind it, that could not serve what the pool `own` serves, told.
pub(super) async fn of_backup(
    own: PoolId,
    backup: PoolId,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    let apart: Apart = sqlx::query_as(
        "WITH RECURSIVE
         before (id) AS (SELECT ? UNION SELECT p.id FROM pools p JOIN before b ON p.backup_pool_id = b.id),
         behind (id) AS (SELECT ? UNION SELECT p.backup_pool_id FROM pools p JOIN behind b ON p.id = b.id)
         SELECT m.name, m.address, s.name FROM members m, virtual_services s
         JOIN virtual_service_ips i ON i.virtual_service_id = s.id JOIN virtual_ips v ON v.id = i.virtual_ip_id
         WHERE m.pool_id IN behind AND s.default_pool_id IN before AND s.forwarding <> 'proxy'
         AND (instr(m.address, ':') > 0) <> (instr(v.address, ':') > 0)
         ORDER BY m.id LIMIT 1",
    )
    .bind(Text(own))
    .bind(Text(backup))
    .fetch_optional(connection)
    .await?;
    Ok(apart.map(|(member, its, service)| {
        format!(
            "its member `{member}` has the address {its}, of another family than virtual service `{service}` is offered on"
        )
    }))
}
