//! The table of members.

use std::net::Ipv4Addr;

use lb_model::desired::MemberState;
use lb_model::{L4Port, PoolId};
use sqlx::{FromRow, SqliteConnection};

use super::StoreError;
use super::columns::{Text, Word};
use super::list::{Filter, FilterKind};
use super::table::{Faults, Place, Table, Values};
use crate::domain::{Kind, Member, Pool};

#[derive(FromRow)]
pub(crate) struct MemberRow {
    address: Text<Ipv4Addr>,
    #[sqlx(try_from = "u16")]
    port: L4Port,
    state: Word<MemberState>,
}

impl Table for Member {
    const TABLE: &'static str = "members";
    const PARENT: Option<&'static str> = Some("pool_id");
    const COLUMNS: &'static str = "address, port, state";
    const SELECT: &'static str = "t.address, t.port, t.state";
    const READINESS: &'static str = "CASE
        WHEN NOT t.enabled OR t.state = 'disabled' THEN 'disabled'
        WHEN t.state = 'drain' THEN 'draining'
        ELSE 'unmonitored' END";
    const SORTS: &'static [&'static str] = &["port"];
    const FILTERS: &'static [Filter] = &[
        Filter { key: "address", kind: FilterKind::Text, sql: "t.address = ?" },
        Filter { key: "port", kind: FilterKind::Number, sql: "t.port = ?" },
        Filter { key: "state", kind: FilterKind::Text, sql: "t.state = ?" },
    ];

    type Row = MemberRow;

    fn from_row(MemberRow { address: Text(address), port, state: Word(state) }: MemberRow) -> Self {
        Self { address, port, state }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { address, port, state } = self;
        values.push_bind(Text(*address)).push_bind(port.get()).push_bind(Word(state));
    }

    fn parent_id(parent: PoolId) -> Option<String> {
        Some(parent.to_string())
    }

    async fn check_parent(parent: PoolId, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let pools: i64 = sqlx::query_scalar("SELECT count(*) FROM pools WHERE id = ?")
            .bind(Text(parent))
            .fetch_one(connection)
            .await?;
        if pools == 0 {
            return Err(StoreError::NotFound { noun: Pool::NOUN, id: parent.to_string() });
        }
        Ok(())
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
        .fetch_optional(connection)
        .await?;
        if let Some(holder) = holder {
            faults.taken("/port", format!("member `{holder}` of this pool has this address and port"));
        }
        Ok(())
    }
}
