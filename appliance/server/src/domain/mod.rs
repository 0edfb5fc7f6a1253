//! The resources as the operator writes them: what is common to all, what is each one's own, and what is checked
//! before any of it reaches the store.
//!
//! `Spec<K>` is everything that can be written of a resource of kind `K`: creating, replacing and the result of a
//! patch are the same document, read by the same code. References to other resources are checked by the store,
//! inside the transaction that writes.

mod asking;
mod author;
mod certificate;
mod changeset;
mod csr;
mod delta;
mod edge;
mod event;
pub(crate) mod fields;
mod member;
mod merge;
mod meta;
mod monitor;
mod owner;
mod permission;
mod pkcs12;
mod policy;
mod pool;
mod project;
mod rates;
pub(crate) mod revision;
pub(crate) mod schema;
mod secrets;
pub(crate) mod settings;
mod timestamp;
mod token;
mod tunnel;
mod user;
mod virtual_ip;
mod virtual_service;
mod webhook;

use std::fmt::{Debug, Display};
use std::str::FromStr;

use lb_model::Generation;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

pub(crate) use author::Author;
pub(crate) use certificate::{Asked, Certificate, PrivateKey};
pub(crate) use changeset::{Changeset, Operation};
pub(crate) use csr::CertificateRequest;
pub(crate) use delta::{Action, Change, Delta};
pub(crate) use edge::Limits;
pub(crate) use event::{NewEvent, Severity};
pub(crate) use fields::{Fault, FieldError, Fields};
pub(crate) use member::Member;
use merge::merge_patch;
pub(crate) use meta::Meta;
pub(crate) use monitor::{
    AgentSettings, Check, DatabaseSettings, GrpcSettings, HttpSettings, HttpVersion, HttpsSettings, Monitor,
    Role as ReplicationRole, RoleSettings, TcpSettings, TlsSettings, UdpSettings,
};
pub(crate) use owner::{Home, HomeShown, HomeWritten, Owner, PerhapsHome, Scope};
pub(crate) use permission::{Permission, ROLES, Role};
pub(crate) use policy::{BasicAuth, Passwords, Policy};
pub(crate) use pool::{BelowMinHealthy, MemberTls, MonitorsNeeded, Pool};
pub(crate) use project::{DEFAULT_PROJECT, Project, Quotas};
pub(crate) use rates::RateLimit;
pub(crate) use revision::{Expected, Revision};
#[cfg(test)]
pub(crate) use secrets::SECRETS;
pub(crate) use secrets::Secrets;
pub(crate) use timestamp::Timestamp;
pub(crate) use token::Token;
pub(crate) use tunnel::Tunnel;
pub(crate) use user::{PasswordHash, User};
pub(crate) use virtual_ip::VirtualIp;
pub(crate) use virtual_service::{RequestTimeouts, Tls, VirtualService};
pub(crate) use webhook::{Delivery, Webhook};

use crate::vault;

/// A kind of resource: the struct that implements it holds the fields that only this kind has.
pub(crate) trait Kind:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + ToSchema + Send + Sync + Unpin + 'static
{
    /// What identifies one.
    type Id: Copy + Debug + Display + FromStr + PartialEq + Serialize + DeserializeOwned + Send + Sync + Unpin;
    /// What it belongs to: a pool, or nothing.
    type Parent: Copy + Debug + Serialize + DeserializeOwned + Send + Sync;

    /// What one is called in a sentence.
    const NOUN: &'static str;
    /// Whose it is.
    const OWNER: Owner = Owner::Appliance;
    /// Fields that name other resources: a JSON pointer, in which `*` is every item of a list, and a table.
    const REFERENCES: &'static [(&'static str, &'static str)] = &[];
    /// Fields that are written and never shown; null where they are not written again.
    const WRITE_ONLY: &'static [&'static str] = &[];
    /// The shape of these fields, which serde skips and the API's description would miss.
    fn write_only() -> Option<RefOr<Schema>> {
        None
    }
    /// A document that creates one, for the reader of the API's description.
    const EXAMPLE: &'static str;

    /// A new identifier.
    fn new_id() -> Self::Id;

    /// Reads the own fields; `None` if any is wrong, which `fields` then remembers.
    fn read(fields: &mut Fields<'_>) -> Option<Self>;

    /// Takes over from the one before what is never shown, where it was not written again.
    fn inherit(&mut self, _before: &Self) {}

    /// What is never shown, as it was written, where it was sealed with `key`: for backups, whose every byte is sealed again.
    fn reveal(&self, _key: &vault::Key) -> Map<String, Value> {
        Map::new()
    }

    /// The name of one that was given none, by its own fields (`None` if these are wrong). No name: one must be given.
    fn default_name(_own: Option<&Self>) -> Option<String> {
        None
    }
}

/// All that can be written of a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Spec<K: Kind> {
    /// Whose it is.
    #[serde(flatten)]
    pub(crate) home: Home,
    /// What every resource has.
    #[serde(flatten)]
    pub(crate) meta: Meta,
    /// What only this kind has.
    #[serde(flatten)]
    pub(crate) own: K,
}

impl<K: Kind> Spec<K> {
    /// Reads a whole document, or says everything that is wrong with it.
    pub(crate) fn read(document: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::new(document);
        let own = K::read(&mut fields);
        let home = Home::read(K::OWNER, &mut fields);
        let meta = Meta::read(&mut fields, K::default_name(own.as_ref()));
        let faults = fields.finish();
        match (home, meta, own) {
            (Some(home), Some(meta), Some(own)) if faults.is_empty() => Ok(Self { home, meta, own }),
            _ => Err(faults),
        }
    }

    /// The document with `patch` merged in (RFC 7396), read again as a whole.
    pub(crate) fn patched(&self, patch: &Map<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut document = self.document();
        document.extend(K::WRITE_ONLY.iter().map(|key| ((*key).to_owned(), Value::Null)));
        let mut faults = merge_patch(&mut document, patch);
        match Self::read(&document) {
            Ok(spec) if faults.is_empty() => Ok(spec),
            Ok(_) => Err(faults),
            Err(more) => {
                faults.extend(more);
                Err(faults)
            }
        }
    }

    /// What was written, as JSON: every writable field is there.
    pub(crate) fn document(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(document)) => document,
            // A struct of strings, numbers and lists is always an object; an empty one fails every check.
            _ => Map::new(),
        }
    }
}

/// A resource as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Record<K: Kind> {
    pub(crate) id: K::Id,
    pub(crate) spec: Spec<K>,
    /// The generation that its last change raised.
    pub(crate) generation: Generation,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) readiness: Readiness,
}

/// Whether a resource can serve, as far as its configuration tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Readiness {
    /// Switched off by the operator.
    Disabled,
    /// A member that keeps its connections and takes no new ones.
    Draining,
    /// A virtual service without a pool.
    NoPool,
    /// No member takes new connections.
    NoMember,
    /// Nothing in the configuration keeps it from serving.
    Ready,
}

#[cfg(test)]
mod tests;
