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
        _place: &Place<Self>,
        _faults: &mut Faults,
        _connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
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
