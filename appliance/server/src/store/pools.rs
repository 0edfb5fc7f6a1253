//! The table of pools.

use lb_model::asking::{Breaker, Hedge, Outlier, Persistence, Queue, Retries};
use lb_model::l7::{HttpVersion, ProxyProtocol};
use lb_model::snapshot::{L4Protocol, Scheduler};
use lb_model::{MonitorId, PoolId};
use sqlx::types::Json;
use sqlx::{FromRow, SqliteConnection};

use super::StoreError;
use super::certificates::check_shown;
use super::columns::{Text, Word};
use super::families;
use super::list::{Filter, FilterKind};
use super::table::{Faults, Place, Table, Values};
use super::ways;
use crate::domain::{BelowMinHealthy, MemberTls, MonitorsNeeded, Pool, Record};

#[derive(FromRow)]
pub(crate) struct PoolRow {
    protocol: Word<L4Protocol>,
    algorithm: Word<Scheduler>,
    #[sqlx(json)]
    monitor_ids: Vec<MonitorId>,
    monitors_needed: Word<MonitorsNeeded>,
    min_healthy: u32,
    below_min_healthy: Word<BelowMinHealthy>,
    backup_pool_id: Option<Text<PoolId>>,
    slow_start_s: u32,
    drain_timeout_s: Option<u32>,
    #[sqlx(json(nullable))]
    persistence: Option<Persistence>,
    #[sqlx(json)]
    retries: Retries,
    #[sqlx(json(nullable))]
    outlier: Option<Outlier>,
    #[sqlx(json(nullable))]
    queue: Option<Queue>,
    #[sqlx(json(nullable))]
    breaker: Option<Breaker>,
    #[sqlx(json(nullable))]
    hedge: Option<Hedge>,
    http_version: Word<HttpVersion>,
    #[sqlx(json(nullable))]
    tls: Option<MemberTls>,
    proxy_protocol: Word<ProxyProtocol>,
}

impl Table for Pool {
    const TABLE: &'static str = "pools";
    const COLUMNS: &'static str = "protocol, algorithm, monitors_needed, min_healthy, below_min_healthy, \
        backup_pool_id, slow_start_s, drain_timeout_s, persistence, retries, outlier, queue, breaker, hedge, \
        http_version, tls, proxy_protocol";
    const SELECT: &'static str = "t.protocol, t.algorithm, t.monitors_needed, t.min_healthy, t.below_min_healthy,
        t.backup_pool_id, t.slow_start_s, t.drain_timeout_s, t.persistence, t.retries, t.outlier, t.queue, t.breaker, t.hedge,
        t.http_version, t.tls, t.proxy_protocol,
        (SELECT json_group_array(w.monitor_id ORDER BY w.position) FROM pool_monitors w WHERE w.pool_id = t.id)
            AS monitor_ids";
    const READINESS: &'static str = "CASE
        WHEN NOT t.enabled THEN 'disabled'
        WHEN EXISTS (SELECT 1 FROM members m JOIN pools p ON p.id = m.pool_id
                WHERE (p.id = t.id OR p.id = t.backup_pool_id AND t.below_min_healthy = 'backup_pool')
                AND p.enabled AND m.enabled AND m.state = 'enabled' AND m.weight > 0)
            THEN 'ready'
        ELSE 'no_member' END";
    const FILTERS: &'static [Filter] = &[
        Filter { key: "protocol", kind: FilterKind::Text, sql: "t.protocol = ?" },
        Filter { key: "algorithm", kind: FilterKind::Text, sql: "t.algorithm = ?" },
        Filter {
            key: "monitor_ids",
            kind: FilterKind::Text,
            sql: "t.id IN (SELECT pool_id FROM pool_monitors WHERE monitor_id = ?)",
        },
    ];

    type Row = PoolRow;

    fn from_row(row: PoolRow) -> Self {
        let PoolRow { protocol: Word(protocol), algorithm: Word(algorithm), monitor_ids, .. } = row;
        let PoolRow { monitors_needed: Word(monitors_needed), min_healthy, slow_start_s, .. } = row;
        let PoolRow { below_min_healthy: Word(below_min_healthy), backup_pool_id, drain_timeout_s, .. } = row;
        let PoolRow { persistence, retries, outlier, queue, breaker, hedge, .. } = row;
        let PoolRow { http_version: Word(http_version), tls, proxy_protocol: Word(proxy_protocol), .. } = row;
        Self {
            protocol,
            algorithm,
            monitor_ids,
            monitors_needed,
            min_healthy,
            below_min_healthy,
            backup_pool_id: backup_pool_id.map(|Text(id)| id),
            slow_start_s,
            drain_timeout_s,
            persistence,
            retries,
            outlier,
            queue,
            breaker,
            hedge,
            http_version,
            tls,
            proxy_protocol,
        }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { protocol, algorithm, monitor_ids: _, monitors_needed, min_healthy, .. } = self;
        let Self { below_min_healthy, backup_pool_id, slow_start_s, drain_timeout_s, .. } = self;
        let Self { persistence, retries, outlier, queue, breaker, hedge, .. } = self;
        values.push_bind(Word(protocol)).push_bind(Word(algorithm)).push_bind(Word(monitors_needed));
        values.push_bind(*min_healthy).push_bind(Word(below_min_healthy));
        values.push_bind(backup_pool_id.map(Text)).push_bind(*slow_start_s).push_bind(*drain_timeout_s);
        values
            .push_bind(persistence.clone().map(Json))
            .push_bind(Json(retries.clone()))
            .push_bind(outlier.map(Json))
            .push_bind(queue.map(Json))
            .push_bind(breaker.map(Json))
            .push_bind(hedge.map(Json));
        let Self { http_version, tls, proxy_protocol, .. } = self;
        values.push_bind(Word(http_version)).push_bind(tls.clone().map(Json)).push_bind(Word(proxy_protocol));
    }

    async fn check(
        &self,
        place: &Place<Self>,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let other: Option<String> = sqlx::query_scalar(
            "SELECT s.name FROM virtual_services s JOIN virtual_service_ips i ON i.virtual_service_id = s.id
             WHERE s.default_pool_id = ? AND i.protocol <> ? ORDER BY s.name LIMIT 1",
        )
        .bind(Text(place.id))
        .bind(Word(self.protocol))
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(service) = other {
            faults.unfit("/protocol", format!("virtual service `{service}` speaks another with its clients"));
        }
        if let Some(id) = self.tls.as_ref().and_then(|tls| tls.certificate_id) {
            check_shown("/tls/certificate_id", id, faults, connection).await?;
        }
        if let Some(id) = self.backup_pool_id {
            self.check_backup(place.id, id, faults, connection).await?;
        }
        if self.protocol == L4Protocol::Udp
            && let Some(policy) = policy_to(place.id, connection).await?
        {
            faults.unfit("/protocol", format!("policy `{policy}` sends requests to it, which come by TCP"));
        }
        for (index, id) in self.monitor_ids.iter().enumerate() {
            let found: i64 = sqlx::query_scalar("SELECT count(*) FROM monitors WHERE id = ?")
                .bind(Text(*id))
                .fetch_one(&mut *connection)
                .await?;
            if found == 0 {
                faults.missing(format!("/monitor_ids/{index}"), format!("there is no monitor {id}"));
            }
            if let Some(detail) = ways::of_watcher(place.id, self.protocol, *id, connection).await? {
                faults.unfit(format!("/monitor_ids/{index}"), detail);
            }
        }
        Ok(())
    }

    async fn relate(&self, id: PoolId, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM pool_monitors WHERE pool_id = ?")
            .bind(Text(id))
            .execute(&mut *connection)
            .await?;
        for (position, monitor) in (0i64..).zip(&self.monitor_ids) {
            sqlx::query("INSERT INTO pool_monitors (pool_id, monitor_id, position) VALUES (?, ?, ?)")
                .bind(Text(id))
                .bind(Text(*monitor))
                .bind(position)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    async fn check_unused(
        record: &Record<Self>,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let user: Option<String> = sqlx::query_scalar(
            "SELECT name FROM virtual_services WHERE default_pool_id = ? ORDER BY name LIMIT 1",
        )
        .bind(Text(record.id))
        .fetch_optional(&mut *connection)
        .await?;
        let name = &record.spec.meta.name;
        if let Some(user) = user {
            return Err(StoreError::InUse(format!("pool `{name}` still serves virtual service `{user}`")));
        }
        let before: Option<String> =
            sqlx::query_scalar("SELECT name FROM pools WHERE backup_pool_id = ? ORDER BY name LIMIT 1")
                .bind(Text(record.id))
                .fetch_optional(&mut *connection)
                .await?;
        if let Some(before) = before {
            let detail = format!("pool `{name}` is still the backup pool of pool `{before}`");
            return Err(StoreError::InUse(detail));
        }
        let user = policy_to(record.id, connection).await?;
        user.map_or(Ok(()), |user| {
            Err(StoreError::InUse(format!("policy `{user}` still sends requests to pool `{name}`")))
        })
    }
}

impl Pool {
    /// That the pool `id` can take what this one would get.
    async fn check_backup(
        &self,
        own: PoolId,
        id: PoolId,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let pointer = "/backup_pool_id";
        let behind: i64 = sqlx::query_scalar(
            "WITH RECURSIVE behind (id) AS (
                SELECT ? UNION SELECT p.backup_pool_id FROM pools p JOIN behind b ON p.id = b.id
                WHERE p.backup_pool_id IS NOT NULL)
             SELECT count(*) FROM behind WHERE id = ?",
        )
        .bind(Text(id))
        .bind(Text(own))
        .fetch_one(&mut *connection)
        .await?;
        if behind > 0 {
            faults.unfit(pointer, "this pool would be its own backup, at once or by way of others");
            return Ok(());
        }
        let spoken: Option<Word<L4Protocol>> = sqlx::query_scalar("SELECT protocol FROM pools WHERE id = ?")
            .bind(Text(id))
            .fetch_optional(&mut *connection)
            .await?;
        match spoken {
            None => faults.missing(pointer, format!("there is no pool {id}")),
            Some(Word(spoken)) if spoken != self.protocol => {
                faults.unfit(pointer, "its members speak another protocol than this pool's");
            }
            Some(_) => {}
        }
        let elsewhere: Option<(String, u16, String, u16)> = sqlx::query_as(
            "SELECT m.name, m.port, s.name, s.port FROM members m, virtual_services s
             WHERE m.pool_id = ? AND s.default_pool_id = ? AND s.forwarding IN ('dr', 'tunnel')
                 AND m.port NOT BETWEEN s.port AND coalesce(s.port_end, s.port)
             ORDER BY m.id LIMIT 1",
        )
        .bind(Text(id))
        .bind(Text(own))
        .fetch_optional(&mut *connection)
        .await?;
        if let Some((member, port, service, wanted)) = elsewhere {
            let detail = format!(
                "its member `{member}` serves on port {port}, and virtual service `{service}` leaves packets as they \
                 are: want its port, {wanted}"
            );
            faults.unfit(pointer, detail);
        }
        if let Some(detail) = families::of_backup(own, id, connection).await? {
            faults.unfit(pointer, detail);
        }
        if ways::proxying(own, connection).await?.is_some()
            && let Some(detail) = ways::of_proxied(id, connection).await?
        {
            faults.unfit(pointer, detail);
        }
        Ok(())
    }
}

/// The name of a policy that sends requests to the pool.
async fn policy_to(pool: PoolId, connection: &mut SqliteConnection) -> Result<Option<String>, StoreError> {
    let policy = sqlx::query_scalar(
        "SELECT name FROM policies WHERE
             ? IN (SELECT p.value ->> 'pool_id' FROM json_each(pools) p UNION SELECT mirror ->> 'pool_id')
         ORDER BY name LIMIT 1",
    );
    Ok(policy.bind(Text(pool)).fetch_optional(connection).await?)
}
