//! What was seen of the members: the input of the compiler beside what is wanted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::MemberId;

/// What the checks of a member came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Liveness {
    /// It passes its checks.
    Up,
    /// It fails them.
    Down,
    /// It has checks, and they have come to nothing yet.
    Unknown,
}

/// What was seen of every member that is watched. A member that is not here has no checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    members: BTreeMap<MemberId, Liveness>,
}

impl Health {
    /// What is known of a member; nothing if nobody watches it.
    pub fn of(&self, member: MemberId) -> Option<Liveness> {
        self.members.get(&member).copied()
    }
}

impl FromIterator<(MemberId, Liveness)> for Health {
    fn from_iter<I: IntoIterator<Item = (MemberId, Liveness)>>(seen: I) -> Self {
        Self { members: seen.into_iter().collect() }
    }
}
