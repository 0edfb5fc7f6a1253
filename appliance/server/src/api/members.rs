//! The resource `pools/{pool_id}/members`.

use axum::extract::RawPathParams;
use lb_model::observed::Liveness;
use lb_model::{MonitorId, PoolId};
use serde::Serialize;
use utoipa::ToSchema;

use super::resource::{Resource, identifier};
use super::view::Operating;
use crate::domain::{Member, Record, Timestamp};
use crate::probe::{Board, CheckResult, MemberSeen};

impl Resource for Member {
    const COLLECTION: &'static str = "/api/v1/pools/{pool_id}/members";
    const NAME: &'static str = "Member";
    const NAMES: &'static str = "Members";
    const TAG: &'static str = "pools";

    fn parent(parameters: &RawPathParams) -> Option<PoolId> {
        identifier(parameters, "pool_id")
    }

    fn collection(pool: PoolId) -> String {
        format!("/api/v1/pools/{pool}/members")
    }

    type Seen = MemberHealth;

    fn seen(record: &Record<Self>, health: &Board) -> (Operating, Option<String>, MemberHealth) {
        let Some(seen) = health.member(record.id) else {
            return (Operating::Unknown, None, MemberHealth::default());
        };
        let reason = seen.reason().map(str::to_owned);
        let (operating, reason) = match seen.liveness {
            Liveness::Up | Liveness::Unknown if seen.draining().is_some() => {
                (Operating::Draining, seen.draining().map(str::to_owned))
            }
            Liveness::Up => match seen.warning() {
                Some(warning) => (Operating::Degraded, Some(warning.to_owned())),
                None => (Operating::Online, None),
            },
            Liveness::Down => (Operating::Offline, reason),
            Liveness::Unknown => (Operating::Unknown, reason.or_else(|| Some("not checked yet".to_owned()))),
        };
        (operating, reason, seen.into())
    }
}

/// What its checks saw of a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberHealth {
    /// The newest result of all its checks; null as long as there is none.
    #[schema(required)]
    last_check: Option<LastCheck>,
    /// Since when it has been up or down; null where nobody watches it.
    #[schema(value_type = Option<String>, format = DateTime, max_length = 35, required, example = "2026-01-02T03:04:05.678Z")]
    last_change: Option<Timestamp>,
    /// How often it came up since penstockd was started.
    #[schema(minimum = 0)]
    times_up: u64,
    /// How often it went down since then.
    #[schema(minimum = 0)]
    times_down: u64,
    /// How often it was suspected since then: connections to it or requests did not come about, as the planes saw them. It is
    /// checked at once then.
    #[schema(minimum = 0)]
    times_suspected: u64,
    /// How much of its weight it is given now, in percent: less than all while it warms up after it came back, or if it says so.
    #[schema(minimum = 1, maximum = 100, example = 100)]
    share: u8,
    /// What each monitor of its pool saw.
    #[schema(max_items = 8)]
    checks: Vec<MonitorResults>,
}

impl Default for MemberHealth {
    /// Nobody watches it.
    fn default() -> Self {
        Self {
            last_check: None,
            last_change: None,
            times_up: 0,
            times_down: 0,
            times_suspected: 0,
            share: 100,
            checks: Vec::new(),
        }
    }
}

/// What one monitor saw of a member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonitorResults {
    /// The monitor.
    #[schema(value_type = crate::domain::schema::Identifier)]
    monitor_id: MonitorId,
    /// What its results came to: `up`, `down` or `unknown`.
    #[schema(value_type = String, max_length = 16, example = "up")]
    state: Liveness,
    /// Its last results, the newest first.
    #[schema(max_items = 10)]
    results: Vec<LastCheck>,
}

/// The result of a check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastCheck {
    /// When it came.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:05.678Z")]
    time: Timestamp,
    /// Whether the member was well.
    passed: bool,
    /// Whether somebody should look all the same: its certificate ends soon.
    warning: bool,
    /// A number of the protocol, as an HTTP status; null where there is none.
    #[schema(minimum = 0, maximum = 65535, required, example = 503)]
    code: Option<u16>,
    /// What was seen, and what was wanted if that is something else.
    #[schema(max_length = 4096, example = "HTTP 503, want 200-399")]
    words: String,
    /// Milliseconds that it took.
    #[schema(minimum = 0, example = 3)]
    duration_ms: u32,
}

impl From<MemberSeen> for MemberHealth {
    fn from(seen: MemberSeen) -> Self {
        let last_check = seen.last().map(LastCheck::from);
        let checks = seen.checks.iter().map(|check| MonitorResults {
            monitor_id: check.monitor,
            state: check.liveness,
            results: check.results.iter().rev().map(LastCheck::from).collect(),
        });
        Self {
            last_check,
            last_change: Some(seen.since),
            times_up: seen.transitions.up,
            times_down: seen.transitions.down,
            times_suspected: seen.suspicions,
            share: seen.health().share.get(),
            checks: checks.collect(),
        }
    }
}

impl From<&CheckResult> for LastCheck {
    fn from(CheckResult { at, passed, warns, code, words, took_ms }: &CheckResult) -> Self {
        Self {
            time: *at,
            passed: *passed,
            warning: *warns,
            code: *code,
            words: words.clone(),
            duration_ms: *took_ms,
        }
    }
}
