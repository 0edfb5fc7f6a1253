//! The table of pools.

use lb_model::snapshot::{L4Protocol, Scheduler};
use lb_model::{MonitorId, PoolId};
use sqlx::{FromRow, SqliteConnection};

use super::StoreError;
use super::columns::{Text, Word};
use super::list::{Filter, FilterKind};
use super::table::{Faults, Place, Table, Values};
use crate::domain::{Pool, Record};

#[derive(FromRow)]
pub(crate) struct PoolRow {
    protocol: Word<L4Protocol>,
    algorithm: Word<Scheduler>,
    #[sqlx(json)]
    monitor_ids: Vec<MonitorId>,
}

impl Table for Pool {
    const TABLE: &'static str = "pools";
    const COLUMNS: &'static str = "protocol, algorithm";
    const SELECT: &'static str = "t.protocol, t.algorithm,
        (SELECT json_group_array(w.monitor_id ORDER BY w.position) FROM pool_monitors w WHERE w.pool_id = t.id)
            AS monitor_ids";
    const READINESS: &'static str = "CASE
        WHEN NOT t.enabled THEN 'disabled'
        WHEN EXISTS (SELECT 1 FROM members m WHERE m.pool_id = t.id AND m.enabled AND m.state = 'enabled'
                AND m.weight > 0)
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
        let PoolRow { protocol: Word(protocol), algorithm: Word(algorithm), monitor_ids } = row;
        Self { protocol, algorithm, monitor_ids }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { protocol, algorithm, monitor_ids: _ } = self;
        values.push_bind(Word(protocol)).push_bind(Word(algorithm));
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
        for (index, id) in self.monitor_ids.iter().enumerate() {
            let found: i64 = sqlx::query_scalar("SELECT count(*) FROM monitors WHERE id = ?")
                .bind(Text(*id))
                .fetch_one(&mut *connection)
                .await?;
            if found == 0 {
                faults.missing(format!("/monitor_ids/{index}"), format!("there is no monitor {id}"));
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
        .fetch_optional(connection)
        .await?;
        user.map_or(Ok(()), |user| {
            let name = &record.spec.meta.name;
            Err(StoreError::InUse(format!("pool `{name}` still serves virtual service `{user}`")))
        })
    }
}
