//! Who does something, from where, and why.

use std::net::IpAddr;

use uuid::Uuid;

/// Who does something, from where, and why.
#[derive(Clone, Debug)]
pub(crate) struct Author {
    /// The user; none if it is the appliance itself, or somebody who is not signed in.
    pub(crate) id: Option<Uuid>,
    /// What they are called.
    pub(crate) name: String,
    /// Where they are.
    pub(crate) source: Option<IpAddr>,
    /// Why, in their words.
    pub(crate) comment: String,
    /// Seconds after which a change of the configuration is reverted unless somebody confirms it.
    pub(crate) confirm_within: Option<u32>,
}

impl Author {
    /// The appliance itself.
    pub(crate) fn appliance(comment: impl Into<String>) -> Self {
        Self {
            id: None,
            name: "penstock".to_owned(),
            source: None,
            comment: comment.into(),
            confirm_within: None,
        }
    }
}
