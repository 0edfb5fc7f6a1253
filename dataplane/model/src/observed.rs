//! What was seen of the members: the input of the compiler beside what is wanted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::MemberId;
use crate::snapshot::Share;

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

/// How a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberHealth {
    /// What its checks came to.
    pub liveness: Liveness,
    /// Whether it asks for no new connections.
    pub drains: bool,
    /// How much of its weight it can be given now.
    pub share: Share,
}

impl From<Liveness> for MemberHealth {
    fn from(liveness: Liveness) -> Self {
        Self { liveness, drains: false, share: Share::FULL }
    }
}

/// What was seen of every member that is watched. A member that is not here has no checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    members: BTreeMap<MemberId, MemberHealth>,
}

impl Health {
    /// What is known of a member; nothing if nobody watches it.
    pub fn of(&self, member: MemberId) -> Option<MemberHealth> {
        self.members.get(&member).copied()
    }
}

impl<S: Into<MemberHealth>> FromIterator<(MemberId, S)> for Health {
    fn from_iter<I: IntoIterator<Item = (MemberId, S)>>(seen: I) -> Self {
        Self { members: seen.into_iter().map(|(member, seen)| (member, seen.into())).collect() }
    }
}
