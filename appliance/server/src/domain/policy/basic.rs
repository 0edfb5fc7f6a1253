//! Names and passwords that clients must show.

use std::collections::BTreeMap;

use argon2::password_hash::phc::PasswordHash;
use lb_model::policy as model;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::fields::{self, Fault, Fields};
use super::rule::header_name;
use crate::signin::password;

/// The most users of one policy: their passwords may be hashed while a request waits.
const USERS_MAX: usize = 64;
const TEXT_MAX: usize = 32 << 10;
/// What a hash may cost whoever checks it: memory in KiB, rounds, lanes.
const COST_MAX: [(&str, u32); 3] = [("m", 65_536), ("t", 10), ("p", 4)];

/// Names and passwords that clients must show (RFC 7617). The field `Authorization` does not reach the member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct BasicAuth {
    /// What the client is asked for a password of.
    #[schema(min_length = 1, max_length = 128, default = "restricted", example = "shop")]
    pub(crate) realm: String,
    /// Who is let in. Each has its password in `passwords`, at least the first time.
    #[schema(value_type = Vec<UserName>, min_items = 1, max_items = 64)]
    pub(crate) users: Vec<String>,
    /// The header field that tells the member who it is. What the client itself says there is taken off. Null: none.
    #[schema(min_length = 1, max_length = 256, example = "x-user")]
    pub(crate) user_header: Option<String>,
}

/// The name of somebody who is let in.
#[derive(ToSchema)]
#[schema(value_type = String, min_length = 1, max_length = 64, example = "ann")]
pub(crate) struct UserName(#[expect(dead_code, reason = "a shape for the API's description")] String);

/// What is written and never shown.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the API's description")]
pub(super) struct Written {
    /// For `basic_auth`: a line for each user, `NAME:PASSWORD`, the password of 8 to 256 characters, or a hash of one (`$argon2id$…`, a PHC string of
    /// 64 MiB, ten rounds and four lanes at most). What is kept is a hash. Who is not named here keeps the one that there is.
    #[schema(write_only, min_length = 10, max_length = 32768, example = "ann:sluice gate at dawn")]
    passwords: Option<String>,
}

/// Hashes of passwords (Argon2id, PHC strings), by the names of those who have them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Passwords(BTreeMap<String, String>);

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passwords")
    }
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<BasicAuth> {
    let realm = fields.optional("realm", "restricted".to_owned(), realm);
    let users = fields.list("users", 1..=USERS_MAX, user);
    let user_header = fields.nullable("user_header", |value| header_name(&fields::text(1..=256)(value)?));
    Some(BasicAuth { realm: realm?, users: users?, user_header: user_header? })
}

/// It stands between quotes in a header field.
fn realm(value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=128)(value)?;
    let plain =
        |letter: char| (letter == ' ' || letter.is_ascii_graphic()) && letter != '"' && letter != '\\';
    if text.chars().all(plain) { Ok(text) } else { Err(Fault::new("invalid", "want ASCII without quotes")) }
}

fn user(value: &Value) -> Result<String, Fault> {
    let text = fields::text(1..=64)(value)?;
    if text.chars().all(|letter| letter.is_ascii_graphic() && letter != ':') {
        Ok(text)
    } else {
        Err(Fault::new("invalid", "want ASCII without spaces and colons"))
    }
}

pub(super) fn passwords(value: &Value) -> Result<Passwords, Fault> {
    let text = value.as_str().ok_or_else(|| Fault::new("wrong_type", "want a text"))?;
    if !(10..=TEXT_MAX).contains(&text.len()) {
        return Err(Fault::new("out_of_range", format!("want 10 to {TEXT_MAX} bytes")));
    }
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.len() > USERS_MAX {
        return Err(Fault::new("out_of_range", format!("want {USERS_MAX} lines at most")));
    }
    let entry = |line: &&str| {
        let pair = line.split_once(':').ok_or_else(|| Fault::new("invalid", "want lines as `NAME:PASSWORD`"));
        let (name, password) = pair?;
        let name = user(&Value::from(name))?;
        let hash = hash(&Value::from(password)).map_err(|fault| fault.of(&name))?;
        Ok((name, hash))
    };
    lines.iter().map(entry).collect::<Result<_, _>>().map(Passwords)
}

fn hash(value: &Value) -> Result<String, Fault> {
    let text = fields::text(8..=256)(value)?;
    if !text.starts_with("$argon2id$") {
        return password::hash(&text).map_err(|error| Fault::new("invalid", error.to_string()));
    }
    let hash = PasswordHash::new(&text).map_err(|_| Fault::new("invalid", "want a PHC string"))?;
    let fits = |(name, most): (&str, u32)| hash.params.get_decimal(name).is_some_and(|cost| cost <= most);
    if hash.salt.is_some() && hash.hash.is_some() && COST_MAX.into_iter().all(fits) {
        Ok(text)
    } else {
        let detail = "want a hash with its salt, of 64 MiB, ten rounds and four lanes at most";
        Err(Fault::new("out_of_range", detail))
    }
}

impl Passwords {
    /// These, and of the `others` those that are not among them; of these users alone.
    pub(super) fn beside(&self, others: &Self, users: &[String]) -> Self {
        let find = |user: &String| self.0.get(user).or_else(|| others.0.get(user)).cloned();
        Self(users.iter().filter_map(|user| Some((user.clone(), find(user)?))).collect())
    }

    /// Whether this user has one.
    pub(crate) fn has(&self, user: &str) -> bool {
        self.0.contains_key(user)
    }

    /// As they can be written again.
    pub(super) fn reveal(&self) -> Option<String> {
        let lines: Vec<_> = self.0.iter().map(|(user, hash)| format!("{user}:{hash}")).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

impl BasicAuth {
    /// As the plane is told.
    pub(crate) fn with(self, passwords: &Passwords) -> model::BasicAuth {
        let Self { realm, users, user_header } = self;
        let user = |name: String| {
            let hash = passwords.0.get(&name)?.clone();
            Some(model::BasicUser { name, hash })
        };
        model::BasicAuth { realm, users: users.into_iter().filter_map(user).collect(), user_header }
    }
}
