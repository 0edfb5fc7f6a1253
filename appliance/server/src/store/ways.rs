//! Checks that travel as clients' packets do need a service that forwards packets: one that asks its members itself has no such
//! way, nor has a check that speaks another protocol than the members.

use lb_model::snapshot::L4Protocol;
use lb_model::{MonitorId, PoolId};
use sqlx::SqliteConnection;
use sqlx::types::Json;

use super::StoreError;
use super::columns::{Text, Word};
use crate::domain::Check;

/// Why a monitor cannot go by way of forwarding, told: a pool of its own has no such way.
pub(super) async fn of_monitor(
    id: MonitorId,
    check: &Check,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    let pools: Vec<(Text<PoolId>, String, Word<L4Protocol>)> = sqlx::query_as(
        "SELECT p.id, p.name, p.protocol FROM pool_monitors w JOIN pools p ON p.id = w.pool_id
         WHERE w.monitor_id = ? ORDER BY p.name",
    )
    .bind(Text(id))
    .fetch_all(&mut *connection)
    .await?;
    for (Text(pool), name, Word(spoken)) in pools {
        if let Some(fault) = of_pool(pool, spoken, check, connection).await? {
            return Ok(Some(format!("it watches pool `{name}`: {fault}")));
        }
    }
    Ok(None)
}

/// Why a monitor cannot watch a pool whose members speak this protocol, told, if it is one that goes by way of forwarding.
pub(super) async fn of_watcher(
    pool: PoolId,
    spoken: L4Protocol,
    monitor: MonitorId,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    let via: Option<Json<Check>> =
        sqlx::query_scalar("SELECT definition FROM monitors WHERE id = ? AND via_forwarding")
            .bind(Text(monitor))
            .fetch_optional(&mut *connection)
            .await?;
    match via {
        Some(Json(check)) => of_pool(pool, spoken, &check, connection).await,
        None => Ok(None),
    }
}

async fn of_pool(
    pool: PoolId,
    spoken: L4Protocol,
    check: &Check,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    if check.protocol() != Some(spoken) {
        let spoken = if spoken == L4Protocol::Udp { "UDP" } else { "TCP" };
        let detail = format!("its members speak {spoken}, and a check by way of forwarding must, too");
        return Ok(Some(detail));
    }
    let proxy = proxying(pool, connection).await?;
    Ok(proxy.map(|service| {
        format!("virtual service `{service}` asks its members itself: no check can go by way of forwarding")
    }))
}

/// A service of layer 7 that asks the members of this pool, at once, by a policy or as those of a backup pool.
pub(super) async fn proxying(
    pool: PoolId,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    let service = sqlx::query_scalar(
        "WITH RECURSIVE before (id) AS (
            SELECT ? UNION SELECT p.id FROM pools p JOIN before b ON p.backup_pool_id = b.id)
         SELECT s.name FROM virtual_services s WHERE s.forwarding = 'proxy' AND (
            s.default_pool_id IN before OR EXISTS (
                SELECT 1 FROM policies y, json_each(y.pools) p
                WHERE y.virtual_service_id = s.id AND p.value ->> 'pool_id' IN before) OR EXISTS (
                SELECT 1 FROM policies y WHERE y.virtual_service_id = s.id AND y.mirror ->> 'pool_id' IN before))
         ORDER BY s.name LIMIT 1",
    );
    Ok(service.bind(Text(pool)).fetch_optional(connection).await?)
}

/// Why a service of layer 7 cannot ask the members of this pool, told: they, or those of a backup pool, are checked by way of
/// forwarding.
pub(super) async fn of_proxied(
    pool: PoolId,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    let monitor: Option<String> = sqlx::query_scalar(
        "WITH RECURSIVE behind (id) AS (
            SELECT ? UNION SELECT p.backup_pool_id FROM pools p JOIN behind b ON p.id = b.id
            WHERE p.backup_pool_id IS NOT NULL)
         SELECT m.name FROM pool_monitors w JOIN monitors m ON m.id = w.monitor_id
         WHERE w.pool_id IN behind AND m.via_forwarding ORDER BY m.name LIMIT 1",
    )
    .bind(Text(pool))
    .fetch_optional(connection)
    .await?;
    Ok(monitor.map(|monitor| {
        format!("monitor `{monitor}` checks its members by way of forwarding: this service asks them itself")
    }))
}
