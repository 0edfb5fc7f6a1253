//! How members are asked, mostly over HTTP: which one a client keeps, what is asked again of another, and who is left out for a while.

use serde::{Deserialize, Serialize};

/// What is authenticated to mark the member that a client keeps, so that the key is never used for two things.
pub const PERSISTENCE_SEAL: &[u8] = b"penstock persistence 1";

/// By what a client keeps its member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Persistence {
    /// By what.
    pub kind: PersistenceKind,
    /// The cookie or header field.
    pub name: Option<String>,
    /// For how many seconds the client keeps our cookie; without it, until it ends its session. By its address at layer 4: for how
    /// many after its last connection.
    pub timeout_s: Option<u32>,
    /// Of the client's IPv4 address, how many leading bits count.
    pub prefix: u8,
    /// Of its IPv6 address.
    #[serde(default = "whole_v6")]
    pub prefix_v6: u8,
    /// Whether a client has the same member in all layer-4 services of a virtual IP that say so.
    #[serde(default)]
    pub shared: bool,
}

impl Persistence {
    /// For how many seconds after its last connection a client keeps its member by its address, unless it is said.
    pub const SOURCE_TIMEOUT_S: u32 = 300;
}

fn whole_v6() -> u8 {
    128
}

/// By what a client keeps its member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PersistenceKind {
    /// A cookie of ours, which tells nothing of the member to whom has not the key.
    Cookie,
    /// The same in front of the value of the application's own cookie, taken off before the member sees it.
    AppCookie,
    /// The value of a header field: the same one has the same member.
    Header,
    /// The client's address.
    Source,
}

/// What is asked of another member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// How often one request is, at most.
    pub attempts: u32,
    /// Answers of these codes are not taken as long as another member can be asked, and it does no harm to ask twice.
    pub codes: Vec<u16>,
    /// How many there are for a hundred requests at most, over the last ten thousand of them.
    pub budget_percent: u32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 2, codes: Vec::new(), budget_percent: 100 }
    }
}

/// When a member is left out although nobody found it down: it fails while others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outlier {
    /// So many failures in a row. A failure is no answer, or one of 500 and above.
    pub consecutive: u32,
    /// Or so many of a hundred requests within ten seconds, if there were twenty at least.
    pub percent: Option<u32>,
    /// For how many seconds the first time; twice as long each time after it, up to ten minutes.
    pub ejection_s: u32,
    /// How many of a hundred members are left out at most at a time.
    pub max_percent: u32,
}

/// When a pool is left alone as a whole: too much of what it is asked fails, whoever is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// So many of a hundred requests within ten seconds. A failure is no answer, or one of 500 and above.
    pub percent: u32,
    /// If there were so many at least.
    pub requests: u32,
    /// For so many seconds; after them one request tries it.
    pub open_s: u32,
}

/// What is asked of another member as well, while the first one has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hedge {
    /// After so many milliseconds.
    pub delay_ms: u32,
}

/// Requests that wait while every member has as many as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// How many wait at most.
    pub length: u32,
    /// For how many seconds each of them does.
    pub timeout_s: u32,
}

/// A member that the plane leaves out: its suspicion, which checks may confirm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ejection {
    /// For how many seconds it still is.
    pub seconds_left: u32,
    /// The how manyeth time in a row it is.
    pub times: u32,
    /// Why.
    pub reason: EjectionReason,
}

/// Why a member is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EjectionReason {
    /// It failed so often in a row.
    Consecutive,
    /// It failed so often of a hundred.
    Rate,
}
