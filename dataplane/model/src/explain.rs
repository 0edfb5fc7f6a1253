//! A request that is described, and what would become of it: asked of the layer-7 plane, which answers by the code that answers clients.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Generation, MemberId, PolicyId, PoolId};

/// A request that nobody sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedRequest {
    /// The method.
    pub method: String,
    /// What stands in `Host`.
    pub host: Option<String>,
    /// The path, and after `?` the query.
    pub target: String,
    /// Other header fields.
    pub headers: Vec<(String, String)>,
    /// The client's address.
    pub source: IpAddr,
    /// The name that it asks for when TLS begins.
    pub sni: Option<String>,
}

/// What would become of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// By this configuration.
    pub generation: Generation,
    /// The policies that were asked, in their order: the last one ended the search, or nobody was left.
    pub policies: Vec<AskedPolicy>,
    /// Who serves it.
    pub pool: Option<PoolId>,
    /// The member that gets it: by lot, by turn or because its client keeps it.
    pub member: Option<MemberId>,
    /// The path and query that the member sees.
    pub target: String,
    /// The header that the member sees.
    pub headers: Vec<(String, String)>,
    /// The answer, where no member is asked.
    pub own_answer: Option<OwnAnswer>,
}

/// A policy that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedPolicy {
    /// The policy.
    pub policy: PolicyId,
    /// The place of its first rule that the request does not fit; none, if it fits them all.
    pub misfit: Option<u32>,
}

/// An answer that no member gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAnswer {
    /// Its status.
    pub status: u16,
    /// Its header.
    pub headers: Vec<(String, String)>,
}
