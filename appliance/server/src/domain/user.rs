//! A user: somebody who signs in by name and password. The name is what every resource has.

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use super::fields::{self, Fault, Fields};
use super::permission::{ROLES, Role};
use super::{Kind, Owner};
use crate::signin::password;

/// Somebody who signs in. A disabled user cannot, and their sessions and tokens do not work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct User {
    /// What they may do.
    #[schema(value_type = Role, example = "operator")]
    pub(crate) role: Role,
    #[serde(skip)]
    pub(crate) password: Option<PasswordHash>,
}

/// What is written and never shown.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
struct Written {
    /// 12 characters or more, not one of the best known, and without the name. Needed to create a user; never shown.
    /// Whoever changes it ends the user's sessions.
    #[schema(write_only, min_length = 12, max_length = 256, format = Password, example = "spillway opens at noon")]
    password: Option<String>,
}

/// The hash of a password, with its parameters and salt (PHC string).
#[derive(Clone, PartialEq)]
pub(crate) struct PasswordHash(pub(crate) String);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash")
    }
}

impl Kind for User {
    type Id = Uuid;
    type Parent = ();

    const NOUN: &'static str = "user";
    const OWNER: Owner = Owner::Either;
    const WRITE_ONLY: &'static [&'static str] = &["password"];
    const EXAMPLE: &'static str =
        r#"{ "name": "jane", "role": "operator", "password": "spillway opens at noon" }"#;

    fn write_only() -> Option<RefOr<Schema>> {
        Some(Written::schema())
    }

    fn new_id() -> Uuid {
        Uuid::now_v7()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let name = fields.peek("name").unwrap_or_default().to_owned();
        let role = fields.required("role", fields::word(ROLES));
        let password = fields.nullable("password", |value| {
            let text = fields::text(1..=256)(value)?;
            password::check(&name, &text)?;
            let hash = password::hash(&text).map_err(|error| Fault::new("invalid", error.to_string()))?;
            Ok(PasswordHash(hash))
        });
        if let Err(fault) = password::check_username(&name) {
            fields.fault("name", fault);
        }
        Some(Self { role: role?, password: password? })
    }

    fn inherit(&mut self, before: &Self) {
        self.password = self.password.take().or_else(|| before.password.clone());
    }
}
