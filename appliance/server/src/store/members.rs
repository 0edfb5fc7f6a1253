//! The table of members.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::num::NonZeroU32;

use lb_model::desired::MemberState;
use lb_model::snapshot::Weight;
use lb_model::{L4Port, MemberId, PoolId};
use sqlx::{FromRow, QueryBuilder, SqliteConnection};

use super::columns::{Text, Word};
use super::families;
use super::list::{Filter, FilterKind};
use super::table::{Faults, Place, Table, Values, check_there};
use super::{Store, StoreError};
use crate::domain::{Member, Pool, Scope};

impl Store {
    /// The pools of those of these members that there are.
    pub(crate) async fn pools_of(
        &self,
        members: impl IntoIterator<Item = MemberId>,
    ) -> Result<HashMap<MemberId, PoolId>, StoreError> {
        let wanted: BTreeSet<String> = members.into_iter().map(|member| member.to_string()).collect();
        if wanted.is_empty() {
            return Ok(HashMap::new());
        }
        let mut sql = QueryBuilder::new("SELECT id, pool_id FROM members WHERE id IN (");
        let mut list = sql.separated(", ");
        for member in wanted {
            list.push_bind(member);
        }
        sql.push(")");
        let rows: Vec<(Text<MemberId>, Text<PoolId>)> = sql.build_query_as().fetch_all(&self.readers).await?;
        Ok(rows.into_iter().map(|(Text(member), Text(pool))| (member, pool)).collect())
    }
}

#[derive(FromRow)]
pub(crate) struct MemberRow {
    address: Text<IpAddr>,
    #[sqlx(try_from = "u16")]
    port: L4Port,
    state: Word<MemberState>,
    #[sqlx(try_from = "u16")]
    weight: Weight,
    backup: bool,
    connection_limit: Option<u32>,
}

impl Table for Member {
    const TABLE: &'static str = "members";
    const PARENT: Option<&'static str> = Some("pool_id");
    const COLUMNS: &'static str = "address, port, state, weight, backup, connection_limit";
    const SELECT: &'static str = "t.address, t.port, t.state, t.weight, t.backup, t.connection_limit";
    const READINESS: &'static str = "CASE
        WHEN NOT t.enabled OR t.state = 'disabled' THEN 'disabled'
        WHEN t.state = 'drain' OR t.weight = 0 THEN 'draining'
        ELSE 'ready' END";
    const SORTS: &'static [&'static str] = &["port", "weight"];
    const SEARCHED: &'static str = "t.address || ':' || t.port";
    const FILTERS: &'static [Filter] = &[
        Filter { key: "address", kind: FilterKind::Text, sql: "t.address = ?" },
        Filter { key: "port", kind: FilterKind::Number, sql: "t.port = ?" },
        Filter { key: "state", kind: FilterKind::Text, sql: "t.state = ?" },
    ];

    type Row = MemberRow;

    fn from_row(row: MemberRow) -> Self {
        let MemberRow { address: Text(address), port, state: Word(state), weight, backup, connection_limit } =
            row;
        let connection_limit = connection_limit.and_then(NonZeroU32::new);
        Self { address, port, state, weight, backup, connection_limit }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { address, port, state, weight, backup, connection_limit } = self;
        values.push_bind(Text(*address)).push_bind(port.get()).push_bind(Word(state));
        values.push_bind(weight.get()).push_bind(*backup).push_bind(connection_limit.map(NonZeroU32::get));
    }

    fn parent_id(parent: PoolId) -> Option<String> {
        Some(parent.to_string())
    }

    async fn check_parent(
        scope: Scope,
        parent: PoolId,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        check_there::<Pool>(&Place { scope, parent: (), id: parent }, connection).await
    }

    async fn check(
        &self,
        place: &Place<Self>,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let holder: Option<String> = sqlx::query_scalar(
            "SELECT name FROM members WHERE pool_id = ? AND address = ? AND port = ? AND id <> ?",
        )
        .bind(Text(place.parent))
        .bind(Text(self.address))
        .bind(self.port.get())
        .bind(Text(place.id))
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(holder) = holder {
            faults.taken("/port", format!("member `{holder}` of this pool has this address and port"));
        }
        self.check_address(place, faults, connection).await?;
        let fixed: Option<(String, u16, Option<u16>)> = sqlx::query_as(
            "SELECT s.name, s.port, s.port_end FROM virtual_services s JOIN pools p ON p.id = s.default_pool_id
             WHERE ? IN (p.id, p.backup_pool_id) AND s.forwarding IN ('dr', 'tunnel')
                 AND ? NOT BETWEEN s.port AND coalesce(s.port_end, s.port)
             ORDER BY s.name LIMIT 1",
        )
        .bind(Text(place.parent))
        .bind(self.port.get())
        .fetch_optional(&mut *connection)
        .await?;
        if let Some((service, port, port_end)) = fixed {
            let its = match port_end {
                Some(port_end) => format!("one of its ports, {port} to {port_end}"),
                None => format!("its port, {port}"),
            };
            let detail = format!("virtual service `{service}` leaves packets as they are: want {its}");
            faults.unfit("/port", detail);
        }
        if let Some(detail) = families::of_member(place.parent, self.address, connection).await? {
            faults.unfit("/address", detail);
        }
        Ok(())
    }
}

impl Member {
    /// Of a service of several ports a server is one member, whatever port it is checked on.
    async fn check_address(
        &self,
        place: &Place<Self>,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let doubled: Option<(String, String)> = sqlx::query_as(
            "SELECT m.name, s.name FROM members m JOIN virtual_services s ON s.default_pool_id = m.pool_id
             WHERE m.pool_id = ? AND m.address = ? AND m.id <> ? AND s.port_end IS NOT NULL
             ORDER BY m.id, s.name LIMIT 1",
        )
        .bind(Text(place.parent))
        .bind(Text(self.address))
        .bind(Text(place.id))
        .fetch_optional(connection)
        .await?;
        if let Some((member, service)) = doubled {
            let detail = format!(
                "member `{member}` has it, and of virtual service `{service}`, which has several ports, both would be one"
            );
            faults.taken("/address", detail);
        }
        Ok(())
    }
}
