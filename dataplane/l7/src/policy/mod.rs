//! What is done with a request, by what it is: a service's policies, made when the configuration changes into what can be
//! decided by quickly. Pure: a request's facts in, a decision out.

mod basic;
mod change;
mod cors;
mod facts;
mod jwt;
mod limit;
mod rule;

use std::collections::HashMap;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use lb_model::explain::AskedPolicy;
use lb_model::policy::{Compare, L7Policy, Mirror, Redirect, Reject, Respond, Subject, WeightedPool};
use lb_model::{PolicyId, PoolId};
use thiserror::Error;

use basic::Guard;
pub(crate) use basic::{Busy, Question};
pub(crate) use change::Changes;
use cors::Cors;
use facts::Facts;
pub(crate) use facts::{authority, cookies, without_port};
use jwt::Verifier;
use limit::Limiter;
use rule::Test;

use crate::forward::Answer;
use crate::origin::Origin;

/// Why policies cannot be worked by. The API refuses all of it before.
#[derive(Debug, Error)]
#[error("policy {policy} cannot be worked by")]
pub(crate) struct PolicyError {
    policy: PolicyId,
    source: PartError,
}

/// What is wrong with a part of a policy.
#[derive(Debug, Error)]
pub(crate) enum PartError {
    #[error("a pattern is malformed or too large")]
    Pattern(#[from] regex::Error),
    #[error("a header field's name or value is malformed")]
    Header(#[from] http::Error),
    #[error("a network is malformed")]
    Network(#[from] lb_model::addr::PrefixError),
    #[error("a rule has no key")]
    Key,
    #[error("no key by which tokens are signed can be used")]
    Keys,
    #[error("the system has no random numbers")]
    Random,
}

/// The policies of a service, in the order in which they are asked.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    all: Vec<Policy>,
    /// Those that are for a few names alone, by these, in order.
    by_host: HashMap<Box<str>, Vec<u32>>,
    /// All others, in order.
    others: Vec<u32>,
    /// The pools that are named, each once.
    pools: Vec<PoolId>,
}

/// A policy that can be asked.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) id: PolicyId,
    tests: Box<[Test]>,
    pub(crate) changes: Option<Changes>,
    limit: Option<Limiter>,
    cors: Option<Cors>,
    verifier: Option<Verifier>,
    guard: Option<Guard>,
    mirror: Option<Copies>,
    pub(crate) end: Option<End>,
}

/// Where the search for a policy ends.
#[derive(Debug)]
pub(crate) enum End {
    Pools(Split),
    Redirect(Redirect),
    Respond { status: StatusCode, content_type: HeaderValue, body: Bytes },
    Reject(StatusCode),
}

/// Where copies of requests go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Copies {
    /// The pool's place in [`Policies::pools`].
    pub(crate) place: usize,
    /// Of a hundred requests so many.
    pub(crate) percent: u32,
}

/// Pools that share requests.
#[derive(Debug)]
pub(crate) struct Split {
    /// Each pool's place in [`Policies::pools`], and the sum of the weights up to and with it.
    shares: Box<[(usize, u64)]>,
}

/// The policies that a request fits, in order: with the last one the search ended, or nobody was left to ask.
#[derive(Debug, Default)]
pub(crate) struct Decision<'p> {
    pub(crate) fitting: Vec<&'p Policy>,
}

impl Policies {
    pub(crate) fn new(of: &[L7Policy]) -> Result<Self, PolicyError> {
        let mut pools: Vec<PoolId> = of.iter().flat_map(L7Policy::pools).collect();
        pools.sort_unstable();
        pools.dedup();
        let mut policies = Self { pools, ..Self::default() };
        for (place, of) in (0u32..).zip(of) {
            let policy = Policy::new(of, &policies.pools);
            policies.all.push(policy.map_err(|source| PolicyError { policy: of.id, source })?);
            policies.index(place, of);
        }
        Ok(policies)
    }

    /// The pools that [`Split`] names by their places.
    pub(crate) fn pools(&self) -> &[PoolId] {
        &self.pools
    }

    /// What is done with a request.
    pub(crate) fn decide(&self, parts: &Parts, origin: &Origin) -> Decision<'_> {
        if self.all.is_empty() {
            return Decision::default();
        }
        self.fitting(&Facts::of(parts, origin))
    }

    /// All policies that are asked for a request, one after the other.
    pub(crate) fn asked(&self, parts: &Parts, origin: &Origin) -> Vec<AskedPolicy> {
        let facts = Facts::of(parts, origin);
        let mut asked = Vec::new();
        for policy in &self.all {
            let misfit = policy.tests.iter().position(|test| !test.fits(&facts));
            let misfit = misfit.map(|at| u32::try_from(at).unwrap_or(u32::MAX));
            asked.push(AskedPolicy { policy: policy.id, misfit });
            if misfit.is_none() && policy.end.is_some() {
                break;
            }
        }
        asked
    }

    fn fitting(&self, facts: &Facts<'_>) -> Decision<'_> {
        let mut fitting = Vec::new();
        let mut named = self.by_host.get(&*facts.host).map_or(&[][..], Vec::as_slice);
        let mut others = self.others.as_slice();
        loop {
            let next = match (named, others) {
                ([one, rest @ ..], [other, ..]) if one < other => {
                    named = rest;
                    one
                }
                ([one, rest @ ..], []) => {
                    named = rest;
                    one
                }
                (_, [other, rest @ ..]) => {
                    others = rest;
                    other
                }
                ([], []) => break,
            };
            let Some(policy) = self.all.get(*next as usize) else { break };
            if policy.tests.iter().all(|test| test.fits(facts)) {
                fitting.push(policy);
                if policy.end.is_some() {
                    break;
                }
            }
        }
        Decision { fitting }
    }

    fn index(&mut self, place: u32, of: &L7Policy) {
        let named = |rule: &&lb_model::policy::Rule| {
            (rule.kind, rule.compare, rule.invert) == (Subject::Host, Compare::Exact, false)
        };
        match of.rules.iter().find(named) {
            Some(rule) => {
                for host in &rule.values {
                    self.by_host.entry(host.as_str().into()).or_default().push(place);
                }
            }
            None => self.others.push(place),
        }
    }
}

impl Decision<'_> {
    /// Where the search ended, if it did before all were asked.
    pub(crate) fn end(&self) -> Option<&End> {
        self.fitting.last()?.end.as_ref()
    }

    /// The last that fits.
    pub(crate) fn last(&self) -> Option<PolicyId> {
        Some(self.fitting.last()?.id)
    }

    /// How many such requests there may be.
    pub(crate) fn limits(&self) -> impl Iterator<Item = &Limiter> {
        self.fitting.iter().filter_map(|policy| policy.limit.as_ref())
    }

    /// Whether other pages may ask.
    pub(crate) fn has_cors(&self) -> bool {
        self.fitting.iter().any(|policy| policy.cors.is_some())
    }

    /// The answer to a browser that asks before it sends the request itself.
    pub(crate) fn preflight(&self, parts: &Parts) -> Option<Answer> {
        self.fitting.iter().filter_map(|policy| policy.cors.as_ref()).find_map(|cors| cors.preflight(parts))
    }

    /// Whether the client shows all that it must; otherwise what it is told.
    pub(crate) fn authenticate(&self, parts: &mut Parts) -> Result<(), HeaderValue> {
        let mut verifiers = self.fitting.iter().filter_map(|policy| policy.verifier.as_ref());
        verifiers.try_for_each(|verifier| verifier.admit(parts))?;
        self.guards().try_for_each(|guard| guard.admit(parts))?;
        if self.guards().next().is_some() {
            // A password is no matter of the members'.
            parts.headers.remove(AUTHORIZATION);
        }
        Ok(())
    }

    /// What has to be found out about a password before the request can go on.
    pub(crate) fn question(&self, parts: &Parts) -> Option<Question> {
        self.guards().find_map(|guard| guard.question(parts))
    }

    fn guards(&self) -> impl Iterator<Item = &Guard> {
        self.fitting.iter().filter_map(|policy| policy.guard.as_ref())
    }

    /// Who gets a copy.
    pub(crate) fn copies(&self) -> Option<Copies> {
        self.fitting.iter().find_map(|policy| policy.mirror)
    }

    /// Changes an answer to a request from this page.
    pub(crate) fn change_response(&self, asking_page: Option<&HeaderValue>, headers: &mut HeaderMap) {
        for policy in &self.fitting {
            if let Some(cors) = &policy.cors {
                cors.mark(asking_page, headers);
            }
            if let Some(changes) = &policy.changes {
                changes.change_response(headers);
            }
        }
    }

    /// What is changed, in the order of the policies.
    pub(crate) fn changes(&self) -> impl Iterator<Item = &Changes> {
        self.fitting.iter().filter_map(|policy| policy.changes.as_ref())
    }
}

impl Policy {
    fn new(of: &L7Policy, pools: &[PoolId]) -> Result<Self, PartError> {
        let tests = of.rules.iter().map(Test::new).collect::<Result<Box<[_]>, _>>()?;
        let changes = of.rewrite.as_ref().map(Changes::new).transpose()?;
        let end = match of {
            L7Policy { redirect: Some(redirect), .. } => Some(End::Redirect(redirect.clone())),
            L7Policy { respond: Some(respond), .. } => Some(End::respond(respond)?),
            L7Policy { reject: Some(Reject { code }), .. } => Some(End::Reject(status(*code)?)),
            L7Policy { pools: shares, .. } if !shares.is_empty() => {
                Some(End::Pools(Split::new(shares, pools)))
            }
            _ => None,
        };
        let limit = of.rate_limit.as_ref().map(Limiter::new).transpose()?;
        let cors = of.cors.as_ref().map(Cors::new).transpose()?;
        let verifier = of.jwt.as_ref().map(Verifier::new).transpose()?;
        let mirror = of.mirror.and_then(|Mirror { pool_id, percent }| {
            Some(Copies { place: pools.binary_search(&pool_id).ok()?, percent })
        });
        let guard = of.basic_auth.as_ref().map(Guard::new).transpose()?;
        Ok(Self { id: of.id, tests, changes, limit, cors, verifier, guard, mirror, end })
    }
}

impl End {
    fn respond(of: &Respond) -> Result<Self, PartError> {
        Ok(Self::Respond {
            status: status(of.code)?,
            content_type: HeaderValue::from_str(&of.content_type).map_err(http::Error::from)?,
            body: Bytes::copy_from_slice(of.body.as_bytes()),
        })
    }
}

fn status(code: u16) -> Result<StatusCode, PartError> {
    Ok(StatusCode::from_u16(code).map_err(http::Error::from)?)
}

impl Split {
    fn new(of: &[WeightedPool], pools: &[PoolId]) -> Self {
        let mut sum = 0;
        let share = |share: &WeightedPool| {
            sum += u64::from(share.weight.get());
            Some((pools.binary_search(&share.pool_id).ok()?, sum))
        };
        // Those of weight 0 take nothing, not even what nobody else can take.
        let of = of.iter().filter(|share| share.weight.get() > 0);
        Self { shares: of.filter_map(share).collect() }
    }

    /// All places, beginning with the one that this lot falls on.
    pub(crate) fn drawn(&self, lot: u64) -> impl Iterator<Item = usize> + '_ {
        let sum = self.shares.last().map_or(1, |(_, sum)| *sum).max(1);
        let first = self.shares.partition_point(|(_, upto)| *upto <= lot % sum);
        let (before, after) = self.shares.split_at(first);
        after.iter().chain(before).map(|(pool, _)| *pool)
    }
}

#[cfg(test)]
mod tests;
