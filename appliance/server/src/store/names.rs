//! What things are called, for who shows many of them by identifier alone.

use std::collections::HashMap;
use std::hash::Hash;
use std::str::FromStr;

use lb_model::{MemberId, PoolId, VirtualServiceId};
use sqlx::SqliteConnection;

use super::{Store, StoreError};

/// The names of what carries traffic.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) services: HashMap<VirtualServiceId, String>,
    pub(crate) pools: HashMap<PoolId, String>,
    /// With the pool that each belongs to.
    pub(crate) members: HashMap<MemberId, (String, PoolId)>,
}

impl Store {
    /// All names, as of one moment.
    pub(crate) async fn names(&self) -> Result<Names, StoreError> {
        let mut transaction = self.readers.begin().await?;
        let members: Vec<(String, String, String)> =
            sqlx::query_as("SELECT id, name, pool_id FROM members").fetch_all(&mut *transaction).await?;
        let known =
            |(id, name, pool): (String, String, String)| Some((id.parse().ok()?, (name, pool.parse().ok()?)));
        Ok(Names {
            services: named("SELECT id, name FROM virtual_services", &mut transaction).await?,
            pools: named("SELECT id, name FROM pools", &mut transaction).await?,
            members: members.into_iter().filter_map(known).collect(),
        })
    }
}

async fn named<K: FromStr + Eq + Hash>(
    select: &'static str,
    connection: &mut SqliteConnection,
) -> Result<HashMap<K, String>, StoreError> {
    let rows: Vec<(String, String)> = sqlx::query_as(select).fetch_all(connection).await?;
    Ok(rows.into_iter().filter_map(|(id, name)| Some((id.parse().ok()?, name))).collect())
}
