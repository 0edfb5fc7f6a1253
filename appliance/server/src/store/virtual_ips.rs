//! The table of virtual IPs.

use std::net::IpAddr;

use sqlx::{FromRow, SqliteConnection};
use uuid::Uuid;

use super::StoreError;
use super::columns::Text;
use super::families;
use super::list::{Filter, FilterKind};
use super::projects::named;
use super::table::{Faults, Place, Table, Values};
use crate::domain::{Record, VirtualIp};

#[derive(FromRow)]
pub(crate) struct VirtualIpRow {
    address: Text<IpAddr>,
}

impl Table for VirtualIp {
    const TABLE: &'static str = "virtual_ips";
    const COLUMNS: &'static str = "address";
    const SELECT: &'static str = "t.address";
    const READINESS: &'static str = "iif(t.enabled, 'ready', 'disabled')";
    const SEARCHED: &'static str = "t.address";
    const FILTERS: &'static [Filter] =
        &[Filter { key: "address", kind: FilterKind::Text, sql: "t.address = ?" }];

    type Row = VirtualIpRow;

    fn from_row(VirtualIpRow { address: Text(address) }: VirtualIpRow) -> Self {
        Self { address }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { address } = self;
        values.push_bind(Text(*address));
    }

    async fn check(
        &self,
        place: &Place<Self>,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let holder: Option<(String, Text<Uuid>)> =
            sqlx::query_as("SELECT name, project_id FROM virtual_ips WHERE address = ? AND id <> ?")
                .bind(Text(self.address))
                .bind(Text(place.id))
                .fetch_optional(&mut *connection)
                .await?;
        if let Some((holder, Text(project))) = holder {
            let holder = named(place.scope, project, "virtual IP", &holder);
            faults.taken("/address", format!("{holder} has this address"));
        }
        let masked: Option<(String, Text<Uuid>)> = sqlx::query_as(
            "SELECT s.name, s.project_id FROM virtual_services s, json_each(s.local_addresses) a
             WHERE a.value = ? LIMIT 1",
        )
        .bind(Text(self.address))
        .fetch_optional(&mut *connection)
        .await?;
        if let Some((service, Text(project))) = masked {
            let service = named(place.scope, project, "virtual service", &service);
            faults.taken("/address", format!("it is a local address of {service}"));
        }
        if let Some(detail) = families::of_virtual_ip(place.id, self.address, connection).await? {
            faults.unfit("/address", detail);
        }
        Ok(())
    }

    async fn check_unused(
        record: &Record<Self>,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let user: Option<String> = sqlx::query_scalar(
            "SELECT s.name FROM virtual_service_ips i JOIN virtual_services s ON s.id = i.virtual_service_id
             WHERE i.virtual_ip_id = ? ORDER BY s.name LIMIT 1",
        )
        .bind(Text(record.id))
        .fetch_optional(connection)
        .await?;
        user.map_or(Ok(()), |user| {
            let name = &record.spec.meta.name;
            Err(StoreError::InUse(format!("virtual IP `{name}` still carries virtual service `{user}`")))
        })
    }
}
