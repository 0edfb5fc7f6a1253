//! What the checks need to know of the configuration, and what they came to: kept, so that a restart forgets nothing.

use std::collections::HashMap;

use lb_model::observed::Liveness;
use lb_model::{DesiredState, MemberId, MonitorId, PoolId};
use sqlx::{FromRow, QueryBuilder, Sqlite};

use super::columns::{Text, Word};
use super::{Store, StoreError};
use crate::domain::{Monitor, Timestamp};

/// Everything that decides who is checked how, as of one generation.
#[derive(Debug)]
pub(crate) struct Watched {
    /// What is wanted.
    pub(crate) want: DesiredState,
    /// The monitors that are enabled.
    pub(crate) monitors: HashMap<MonitorId, Monitor>,
    /// The monitors of each pool, in the operator's order.
    pub(crate) of_pool: HashMap<PoolId, Vec<MonitorId>>,
}

/// What the checks of a member by a monitor came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckState {
    /// Who is checked.
    pub(crate) member: MemberId,
    /// How.
    pub(crate) monitor: MonitorId,
    /// What it came to.
    pub(crate) liveness: Liveness,
    /// Since when.
    pub(crate) since: Timestamp,
    /// Why, in the words of the last check that decided it.
    pub(crate) words: String,
}

#[derive(FromRow)]
struct CheckStateRow {
    member_id: Text<MemberId>,
    monitor_id: Text<MonitorId>,
    liveness: Word<Liveness>,
    since: Timestamp,
    words: String,
}

impl Store {
    /// Reads what is watched in one transaction.
    pub(crate) async fn watched(&self) -> Result<Watched, StoreError> {
        let mut transaction = self.readers.begin().await?;
        let want = super::desired::read(&mut transaction).await?;
        let monitors = super::desired::all::<Monitor>(&mut transaction).await?;
        let enabled = monitors.into_iter().filter(|record| record.spec.meta.enabled);
        let pairs: Vec<(Text<PoolId>, Text<MonitorId>)> =
            sqlx::query_as("SELECT pool_id, monitor_id FROM pool_monitors ORDER BY pool_id, position")
                .fetch_all(&mut *transaction)
                .await?;
        let mut of_pool: HashMap<PoolId, Vec<MonitorId>> = HashMap::new();
        for (Text(pool), Text(monitor)) in pairs {
            of_pool.entry(pool).or_default().push(monitor);
        }
        Ok(Watched { want, monitors: enabled.map(|record| (record.id, record.spec.own)).collect(), of_pool })
    }

    /// What was kept.
    pub(crate) async fn check_states(&self) -> Result<Vec<CheckState>, StoreError> {
        let rows: Vec<CheckStateRow> =
            sqlx::query_as("SELECT member_id, monitor_id, liveness, since, words FROM check_states")
                .fetch_all(&self.readers)
                .await?;
        Ok(rows.into_iter().map(CheckState::from).collect())
    }

    /// Keeps what checks came to. Those of members and monitors that are gone meanwhile are left out.
    pub(crate) async fn keep_check_states(&self, states: &[CheckState]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for state in states {
            let CheckState { member, monitor, liveness, since, words } = state;
            let mut insert = QueryBuilder::<Sqlite>::new(
                "INSERT OR REPLACE INTO check_states (member_id, monitor_id, liveness, since, words) SELECT ",
            );
            let mut values = insert.separated(", ");
            values.push_bind(Text(*member)).push_bind(Text(*monitor)).push_bind(Word(*liveness));
            values.push_bind(*since).push_bind(words);
            insert.push(" WHERE EXISTS (SELECT 1 FROM members WHERE id = ").push_bind(Text(*member));
            insert
                .push(") AND EXISTS (SELECT 1 FROM monitors WHERE id = ")
                .push_bind(Text(*monitor))
                .push(")");
            insert.build().execute(&mut *transaction).await?;
        }
        // Nothing that is wanted has changed: nobody is woken.
        Ok(transaction.commit().await?)
    }
}

impl From<CheckStateRow> for CheckState {
    fn from(row: CheckStateRow) -> Self {
        let CheckStateRow {
            member_id: Text(member),
            monitor_id: Text(monitor),
            liveness: Word(liveness),
            since,
            words,
        } = row;
        Self { member, monitor, liveness, since, words }
    }
}
