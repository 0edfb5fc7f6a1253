//! What somebody may do. Every route names the permission that it needs; a role is a set of permissions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) enum Permission {
    /// See what is balanced, its history and its numbers.
    #[serde(rename = "balancing:read")]
    BalancingRead,
    /// Change what is balanced.
    #[serde(rename = "balancing:write")]
    BalancingWrite,
    /// See users, and what others signed in with.
    #[serde(rename = "accounts:read")]
    AccountsRead,
    /// Change users, and end sessions and tokens of others.
    #[serde(rename = "accounts:write")]
    AccountsWrite,
    /// Read the audit log.
    #[serde(rename = "audit:read")]
    AuditRead,
    /// See the appliance's slots and updates.
    #[serde(rename = "system:read")]
    SystemRead,
    /// Update, restart and reset the appliance.
    #[serde(rename = "system:write")]
    SystemWrite,
}

/// All of them, by their words.
pub(crate) const PERMISSIONS: &[(&str, Permission)] = &[
    ("balancing:read", Permission::BalancingRead),
    ("balancing:write", Permission::BalancingWrite),
    ("accounts:read", Permission::AccountsRead),
    ("accounts:write", Permission::AccountsWrite),
    ("audit:read", Permission::AuditRead),
    ("system:read", Permission::SystemRead),
    ("system:write", Permission::SystemWrite),
];

impl Permission {
    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        PERMISSIONS.iter().find(|(_, permission)| *permission == self).map_or("", |(word, _)| word)
    }
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Everything.
    Admin,
    /// See and change what is balanced.
    Operator,
    /// See what is balanced.
    Viewer,
    /// See what is balanced, who may do what, and who did what.
    Auditor,
}

/// All of them, by their words.
pub(crate) const ROLES: &[(&str, Role)] = &[
    ("admin", Role::Admin),
    ("operator", Role::Operator),
    ("viewer", Role::Viewer),
    ("auditor", Role::Auditor),
];

/// What belongs to a project as to the appliance: the rest is the appliance's alone.
const WITHIN_PROJECTS: &[Permission] = &[
    Permission::BalancingRead,
    Permission::BalancingWrite,
    Permission::AccountsRead,
    Permission::AccountsWrite,
];

impl Permission {
    /// Whether who belongs to a project can have it there.
    pub(crate) fn is_within_projects(self) -> bool {
        WITHIN_PROJECTS.contains(&self)
    }
}

impl Role {
    /// What it lets one do.
    pub(crate) fn permissions(self) -> &'static [Permission] {
        use Permission::{
            AccountsRead, AccountsWrite, AuditRead, BalancingRead, BalancingWrite, SystemRead, SystemWrite,
        };
        match self {
            Self::Admin => &[
                BalancingRead,
                BalancingWrite,
                AccountsRead,
                AccountsWrite,
                AuditRead,
                SystemRead,
                SystemWrite,
            ],
            Self::Operator => &[BalancingRead, BalancingWrite, SystemRead],
            Self::Viewer => &[BalancingRead],
            Self::Auditor => &[BalancingRead, AccountsRead, AuditRead, SystemRead],
        }
    }
}
