//! What became of a request at layer 7: who asked, who answered, how long each part took, and why it ended as it did.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{MemberId, PolicyId, PoolId, Prefix, VirtualServiceId};

/// A request that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The service that it came to.
    pub service: VirtualServiceId,
    /// When its head was there, in microseconds of Unix time.
    pub began_us: u64,
    /// Who asked.
    pub client: SocketAddr,
    /// The version of HTTP, as `HTTP/1.1`.
    pub version: String,
    /// The method; this and the other two are none where the head could not be read.
    pub method: Option<String>,
    /// What stood in `Host`, or its beginning.
    pub host: Option<String>,
    /// The path without the query, or its beginning.
    pub path: Option<String>,
    /// The last policy that it fits.
    pub policy: Option<PolicyId>,
    /// Who was to serve it.
    pub pool: Option<PoolId>,
    /// The member that was asked last.
    pub member: Option<MemberId>,
    /// How often a member was asked.
    pub tries: u32,
    /// How long each part took.
    pub times: RequestTimes,
    /// The status of the answer, if one was begun.
    pub status: Option<u16>,
    /// Bytes from the client.
    pub bytes_in: u64,
    /// Bytes to it.
    pub bytes_out: u64,
    /// Why it did not end well, by [`crate::l7::Ending::as_str`].
    pub ending: Option<String>,
    /// What that ending means, and what the failure itself says.
    pub reason: Option<String>,
}

/// How long the parts of a request took, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTimes {
    /// From the first byte of its head to the last; none where that cannot be seen, as in HTTP/2.
    pub head_us: Option<u64>,
    /// Waiting until a member had room.
    pub queue_us: u64,
    /// Making connections to members; nothing where one was waiting.
    pub connect_us: u64,
    /// From the end of its head to that of the member's answer's; none where no member answered.
    pub answer_us: Option<u64>,
    /// From the end of its head to the end of all.
    pub total_us: u64,
}

/// Which requests are wanted: those that fit all that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestFilter {
    /// To this service.
    pub service: Option<VirtualServiceId>,
    /// For this pool.
    pub pool: Option<PoolId>,
    /// That this member was asked last.
    pub member: Option<MemberId>,
    /// Of clients in this network.
    pub client: Option<Prefix>,
    /// Answered with one of these, from the first to the last.
    pub status: Option<(u16, u16)>,
    /// That ended so, by [`crate::l7::Ending::as_str`].
    pub ending: Option<String>,
}

/// Where a list of requests goes on: with those that ended before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestCursor {
    /// When it ended, in nanoseconds of the plane's own clock.
    pub ended_ns: u64,
    /// The worker that served it, which ends no two at once.
    pub worker: u16,
}
