//! An API token: what a program signs in with, for a while, to do a part of what its user may do.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::fields::{self, Fault, Fields};
use super::permission::{PERMISSIONS, Permission};
use super::{Kind, Owner, Timestamp};

/// The longest that a token is good for.
const DAYS_MAX: i64 = 366;

/// What a program signs in with: it may do what is listed here and its user may do, until it expires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Token {
    /// What it is for.
    #[schema(value_type = Vec<Permission>, min_items = 1, max_items = 16, example = json!(["balancing:read"]))]
    pub(crate) permissions: Vec<Permission>,
    /// When it ends: within 366 days.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-06-01T00:00:00Z")]
    pub(crate) expires_at: Timestamp,
    /// The one project that it is good for; null: whatever its user sees.
    #[schema(value_type = Option<super::schema::Identifier>)]
    pub(crate) project_id: Option<Uuid>,
    /// SHA-256 of the secret, which itself is shown once.
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) secret_hash: Option<String>,
}

impl Kind for Token {
    type Id = Uuid;
    type Parent = Uuid;

    const NOUN: &'static str = "token";
    const OWNER: Owner = Owner::Parent("users");
    const EXAMPLE: &'static str = r#"{ "name": "backup job", "permissions": ["balancing:read"], "expires_at": "2026-06-01T00:00:00Z" }"#;

    fn new_id() -> Uuid {
        Uuid::now_v7()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let permissions = fields.list("permissions", 1..=PERMISSIONS.len(), fields::word(PERMISSIONS));
        let expires_at = fields.required("expires_at", |value| {
            let time: Timestamp = serde_json::from_value(value.clone())
                .map_err(|_| Fault::new("invalid", "want a time as 2026-06-01T00:00:00Z"))?;
            if time > Timestamp::now().hours_before(-24 * DAYS_MAX) {
                return Err(Fault::new("out_of_range", format!("want a time within {DAYS_MAX} days")));
            }
            Ok(time)
        });
        let project_id = fields.nullable("project_id", fields::id);
        Some(Self {
            permissions: permissions?,
            expires_at: expires_at?,
            project_id: project_id?,
            secret_hash: None,
        })
    }

    fn inherit(&mut self, before: &Self) {
        self.secret_hash = self.secret_hash.take().or_else(|| before.secret_hash.clone());
    }
}
