//! What the checks need to know of the configuration, and what they came to: kept, so that a restart forgets nothing.

use std::collections::HashMap;
use std::time::Duration;

use lb_model::observed::Liveness;
use lb_model::{DesiredState, MemberId, MonitorId, PoolId};
use sqlx::{FromRow, QueryBuilder, Sqlite};

use super::columns::{Text, Word};
use super::{Store, StoreError};
use crate::domain::{Monitor, MonitorsNeeded, Timestamp};

/// Everything that decides who is checked how, as of one generation.
#[derive(Debug)]
pub(crate) struct Watched {
    /// What is wanted.
    pub(crate) want: DesiredState,
    /// The monitors that are enabled.
    pub(crate) monitors: HashMap<MonitorId, Monitor>,
    /// How the members of each pool are watched.
    pub(crate) of_pool: HashMap<PoolId, PoolWatch>,
    /// How pools, virtual services and virtual IPs are called, by identifier.
    pub(crate) names: HashMap<String, String>,
}

/// How the members of a pool are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PoolWatch {
    /// By these monitors, in the operator's order.
    pub(crate) monitors: Vec<MonitorId>,
    /// Which of them must be content.
    pub(crate) needed: MonitorsNeeded,
    /// How long a member that comes back takes to get all of its weight.
    pub(crate) slow_start: Duration,
}

#[derive(FromRow)]
struct PoolWatchRow {
    id: Text<PoolId>,
    monitors_needed: Word<MonitorsNeeded>,
    slow_start_s: u32,
    #[sqlx(json)]
    monitor_ids: Vec<MonitorId>,
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
        let pools: Vec<PoolWatchRow> = sqlx::query_as(
            "SELECT p.id, p.monitors_needed, p.slow_start_s,
             (SELECT json_group_array(w.monitor_id ORDER BY w.position) FROM pool_monitors w WHERE w.pool_id = p.id)
                AS monitor_ids
             FROM pools p",
        )
        .fetch_all(&mut *transaction)
        .await?;
        let names: Vec<(String, String)> = sqlx::query_as(
            "SELECT id, name FROM pools UNION ALL SELECT id, name FROM virtual_services
             UNION ALL SELECT id, name FROM virtual_ips",
        )
        .fetch_all(&mut *transaction)
        .await?;
        Ok(Watched {
            want,
            monitors: enabled.map(|record| (record.id, record.spec.own)).collect(),
            of_pool: pools.into_iter().map(PoolWatchRow::watch).collect(),
            names: names.into_iter().collect(),
        })
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

impl PoolWatchRow {
    fn watch(self) -> (PoolId, PoolWatch) {
        let Self { id: Text(id), monitors_needed: Word(needed), slow_start_s, monitor_ids: monitors } = self;
        (id, PoolWatch { monitors, needed, slow_start: Duration::from_secs(slow_start_s.into()) })
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
