//! What becomes of one request, noted while it is answered: every protocol begins one, and tells the service at the end.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Method, StatusCode, Version};
use lb_model::l7::Ending;
use lb_model::{MemberId, PolicyId, PoolId};

use crate::journal::Text;
use crate::origin::Origin;
use crate::policy::authority;
use crate::serve::chain;
use crate::service::Service;

/// One request, from its head to the end of its answer. It holds no memory of its own, unless it failed.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) began: Instant,
    pub(crate) client: SocketAddr,
    pub(crate) version: Version,
    pub(crate) asks: Option<Asks>,
    pub(crate) policy: Option<PolicyId>,
    /// Who was asked last.
    pub(crate) asked: Option<(PoolId, MemberId)>,
    pub(crate) tries: u32,
    /// How long the client took for the head, where that can be seen.
    pub(crate) head: Option<Duration>,
    /// Until a member had room.
    pub(crate) queue: Duration,
    pub(crate) connect: Duration,
    pub(crate) answered: Option<Duration>,
    /// Both sides say what they like: how long they do is no matter of anybody's speed.
    tunneled: bool,
    pub(crate) ending: Option<Ending>,
    /// What the failure itself says.
    pub(crate) detail: Option<Box<str>>,
}

/// What a request asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asks {
    pub(crate) method: Method,
    pub(crate) host: Text<63>,
    /// Without the query, in which secrets may be.
    pub(crate) path: Text<127>,
}

impl Asks {
    fn of(parts: &Parts) -> Self {
        let (host, path) = (Text::of(authority(parts)), Text::of(parts.uri.path()));
        Self { method: parts.method.clone(), host, path }
    }
}

/// How many bytes came from a client and went to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Record {
    /// A request whose head was read, in so long.
    pub(crate) fn begin(
        service: &Service,
        origin: &Origin,
        version: Version,
        parts: &Parts,
        head: Option<Duration>,
    ) -> Self {
        service.counters.requested();
        Self { asks: Some(Asks::of(parts)), head, ..Self::unread(origin.ends.client, version) }
    }

    /// Something that is no request.
    pub(crate) fn unread(client: SocketAddr, version: Version) -> Self {
        Self {
            began: Instant::now(),
            client,
            version,
            asks: None,
            policy: None,
            asked: None,
            tries: 0,
            head: None,
            queue: Duration::ZERO,
            connect: Duration::ZERO,
            answered: None,
            tunneled: false,
            ending: None,
            detail: None,
        }
    }

    /// It does not end well. What was noted first was the cause of the rest.
    pub(crate) fn note(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    /// The same, by this failure.
    pub(crate) fn note_failure(&mut self, ending: Ending, failure: &dyn Error) {
        if self.ending.is_none() {
            self.ending = Some(ending);
            self.detail = Some(failure.source().map_or_else(|| failure.to_string(), chain).into());
        }
    }

    /// This was the last policy that it fits.
    pub(crate) fn decided_by(&mut self, policy: Option<PolicyId>) {
        self.policy = policy;
    }

    /// This member is asked.
    pub(crate) fn asking(&mut self, pool: PoolId, member: MemberId) {
        self.asked = Some((pool, member));
        self.tries += 1;
    }

    /// For so long no member had room.
    pub(crate) fn waited(&mut self, time: Duration) {
        self.queue = time;
    }

    /// A connection to a member was made, or not, in so long.
    pub(crate) fn connected(&mut self, took: Duration) {
        self.connect += took;
    }

    /// The head of the member's answer is there.
    pub(crate) fn answered(&mut self) {
        self.answered = Some(self.began.elapsed());
    }

    /// The member agreed to a tunnel.
    pub(crate) fn tunneled(&mut self) {
        self.tunneled = true;
    }

    /// It was answered with this, or as far as it could be. What passed for it alone may be less than what passed since the
    /// connection was last looked at.
    pub(crate) fn finish(
        self,
        service: &Service,
        status: Option<StatusCode>,
        of_connection: Passed,
        own: Passed,
    ) {
        let counters = &service.counters;
        match status {
            Some(status) => counters.answered(status, of_connection.received, of_connection.sent),
            None => counters.passed(of_connection.received, of_connection.sent),
        }
        if let Some(ending) = self.ending {
            counters.ended(ending);
        }
        let ended = Instant::now();
        let total = ended.saturating_duration_since(self.began);
        if !self.tunneled && self.asks.is_some() {
            counters.took(self.answered, total);
        }
        service.journal.keep(self, ended, status, own);
    }
}
