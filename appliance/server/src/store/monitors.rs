//! The table of monitors.

use std::net::IpAddr;

use lb_model::L4Port;
use sqlx::types::Json;
use sqlx::{FromRow, SqliteConnection};

use super::StoreError;
use super::columns::Text;
use super::list::{Filter, FilterKind};
use super::table::{Faults, Place, Table, Values};
use super::ways;
use crate::domain::{Check, Monitor, Record};
use crate::vault::Sealed;

#[derive(FromRow)]
pub(crate) struct MonitorRow {
    #[sqlx(json)]
    definition: Check,
    interval_ms: u32,
    down_interval_ms: Option<u32>,
    timeout_ms: u32,
    rise: u32,
    fall: u32,
    jitter_percent: u32,
    address: Option<Text<IpAddr>>,
    port: Option<u16>,
    via_forwarding: bool,
    sealed_password: Option<String>,
}

impl Table for Monitor {
    const TABLE: &'static str = "monitors";
    const COLUMNS: &'static str = "definition, interval_ms, down_interval_ms, timeout_ms, rise, fall, jitter_percent, address, port, \
        via_forwarding, sealed_password";
    const SELECT: &'static str = "t.definition, t.interval_ms, t.down_interval_ms, t.timeout_ms, t.rise, t.fall, \
        t.jitter_percent, t.address, t.port, t.via_forwarding, t.sealed_password";
    const READINESS: &'static str = "CASE WHEN NOT t.enabled THEN 'disabled' ELSE 'ready' END";
    const FILTERS: &'static [Filter] =
        &[Filter { key: "kind", kind: FilterKind::Text, sql: "t.definition ->> 'kind' = ?" }];

    type Row = MonitorRow;

    fn from_row(row: MonitorRow) -> Self {
        let MonitorRow { definition, interval_ms, down_interval_ms, timeout_ms, rise, fall, .. } = row;
        let MonitorRow { jitter_percent, address, port, via_forwarding, sealed_password, .. } = row;
        Self {
            check: definition,
            interval_ms,
            down_interval_ms,
            timeout_ms,
            rise,
            fall,
            jitter_percent,
            address: address.map(|Text(address)| address),
            port: port.and_then(|port| L4Port::new(port).ok()),
            via_forwarding,
            password: sealed_password.map(Sealed),
        }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { check, interval_ms, down_interval_ms, timeout_ms, rise, fall, .. } = self;
        let Self { jitter_percent, address, port, via_forwarding, password, .. } = self;
        values.push_bind(Json(check.clone())).push_bind(*interval_ms).push_bind(*down_interval_ms);
        values.push_bind(*timeout_ms).push_bind(*rise).push_bind(*fall);
        values.push_bind(*jitter_percent).push_bind(address.map(Text)).push_bind(port.map(L4Port::get));
        values.push_bind(*via_forwarding);
        // The sign that there is none is not kept.
        let password = password.as_ref().filter(|password| !password.is_none());
        values.push_bind(password.map(|password| password.0.clone()));
    }

    async fn check(
        &self,
        place: &Place<Self>,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if self.via_forwarding
            && let Some(detail) = ways::of_monitor(place.id, &self.check, connection).await?
        {
            faults.unfit("/via_forwarding", detail);
        }
        Ok(())
    }

    async fn check_unused(
        record: &Record<Self>,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let user: Option<String> = sqlx::query_scalar(
            "SELECT p.name FROM pool_monitors w JOIN pools p ON p.id = w.pool_id
             WHERE w.monitor_id = ? ORDER BY p.name LIMIT 1",
        )
        .bind(Text(record.id))
        .fetch_optional(connection)
        .await?;
        user.map_or(Ok(()), |user| {
            let name = &record.spec.meta.name;
            Err(StoreError::InUse(format!("monitor `{name}` still watches pool `{user}`")))
        })
    }
}
