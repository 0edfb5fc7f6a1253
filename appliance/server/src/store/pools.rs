//! The table of pools.

use lb_model::snapshot::{L4Protocol, Scheduler};
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
}

impl Table for Pool {
    const TABLE: &'static str = "pools";
    const COLUMNS: &'static str = "protocol, algorithm";
    const SELECT: &'static str = "t.protocol, t.algorithm";
    const READINESS: &'static str = "CASE
        WHEN NOT t.enabled THEN 'disabled'
        WHEN EXISTS (SELECT 1 FROM members m WHERE m.pool_id = t.id AND m.enabled AND m.state = 'enabled'
                AND m.weight > 0)
            THEN 'unmonitored'
        ELSE 'no_member' END";
    const FILTERS: &'static [Filter] = &[
        Filter { key: "protocol", kind: FilterKind::Text, sql: "t.protocol = ?" },
        Filter { key: "algorithm", kind: FilterKind::Text, sql: "t.algorithm = ?" },
    ];

    type Row = PoolRow;

    fn from_row(PoolRow { protocol: Word(protocol), algorithm: Word(algorithm) }: PoolRow) -> Self {
        Self { protocol, algorithm }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { protocol, algorithm } = self;
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
        .fetch_optional(connection)
        .await?;
        if let Some(service) = other {
            faults.unfit("/protocol", format!("virtual service `{service}` speaks another with its clients"));
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
