//! Checks by way of forwarding: they connect to a place on the TAP of checks, from where the layer-4 plane carries them to the member
//! as it carries clients' packets, and the answers back.
//!
//! A plane that is away, or forwards by an older configuration than the one that is checked, says nothing about members.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use lb_compile::compile;
use lb_model::snapshot::{Forwarding, L4Service};
use lb_model::{Generation, Health, MemberId};
use tokio::time::timeout;

use super::Target;
use super::kinds::{self, Outcome};
use crate::domain::Check;
use crate::observed::{Observation, Observed};
use crate::store::Watched;

/// One way to a member.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Way {
    /// Where to connect.
    pub(super) at: SocketAddr,
    /// What to ask there: clients ask the service.
    pub(super) check: Check,
    /// Which way it is, in words.
    pub(super) through: String,
    /// What to look at if nobody answers there.
    pub(super) hint: String,
}

/// The ways to all members that are checked so.
pub(super) struct Ways(HashMap<MemberId, Vec<Service>>);

/// A service, as a check sees it.
#[derive(Clone, Debug)]
struct Service {
    at: SocketAddr,
    offered: SocketAddr,
    through: String,
    hint: String,
}

impl Ways {
    pub(super) fn of_all(watched: &Watched) -> Self {
        let mut ways: HashMap<MemberId, Vec<Service>> = HashMap::new();
        if !watched.want.pools.iter().any(|pool| pool.probed) {
            return Self(ways);
        }
        // What cannot be compiled is not forwarded either, and whoever publishes it says so.
        let Ok(compiled) = compile(&watched.want, &Health::default()) else { return Self(ways) };
        let services = compiled.l4.services.iter();
        let services: HashMap<_, _> =
            services.map(|service| ((service.id, service.address), service)).collect();
        for probe in &compiled.l4.probes {
            let Some(service) = services.get(&(probe.service, probe.address)) else { continue };
            let id = service.id.to_string();
            let name = watched.names.get(&id).map_or(id.as_str(), String::as_str);
            let offered = SocketAddr::new(service.address, service.port.get());
            ways.entry(probe.member).or_default().push(Service {
                at: SocketAddr::new(probe.at.address, probe.at.port.get()),
                offered,
                through: format!("by way of `{name}` ({}, {offered})", mode(service.forwarding)),
                hint: hint(service),
            });
        }
        Self(ways)
    }

    pub(super) fn of(&self, member: MemberId, check: &Check) -> Vec<Way> {
        let services = self.0.get(&member).into_iter().flatten().cloned();
        let way =
            |Service { at, offered, through, hint }| Way { at, check: asking(check, offered), through, hint };
        services.map(way).collect()
    }
}

/// The check as a client of the service does it.
fn asking(check: &Check, offered: SocketAddr) -> Check {
    let mut check = check.clone();
    let (settings, usual) = match &mut check {
        Check::Http(settings) => (settings, 80),
        Check::Https(settings) => (&mut settings.http, 443),
        _ => return check,
    };
    let name = || if offered.port() == usual { bare(offered) } else { offered.to_string() };
    settings.host.get_or_insert_with(name);
    check
}

/// An address as it stands in `Host`.
fn bare(at: SocketAddr) -> String {
    if at.is_ipv6() { format!("[{}]", at.ip()) } else { at.ip().to_string() }
}

fn mode(forwarding: Forwarding) -> &'static str {
    match forwarding {
        Forwarding::Nat => "NAT",
        Forwarding::FullNat => "full NAT",
        Forwarding::Dr => "direct return",
        Forwarding::Tunnel => "tunnel",
    }
}

fn hint(service: &L4Service) -> String {
    let address = service.address;
    match service.forwarding {
        Forwarding::Nat => "does its route to others lead back here?".to_owned(),
        Forwarding::FullNat => {
            let seen: Vec<_> = service.local_addresses.iter().map(ToString::to_string).collect();
            format!("does it let {} in?", seen.join(", "))
        }
        Forwarding::Dr => format!("does it hold {address} on its lo?"),
        Forwarding::Tunnel => {
            format!("is the tunnel's other end there, and does it hold {address}?")
        }
    }
}

/// The layer-4 plane, as the carrier of checks.
#[derive(Clone, Debug)]
pub(super) struct Plane(Observation);

impl Plane {
    pub(super) fn seen_in(observed: Observation) -> Self {
        Self(observed)
    }

    /// Does a check by its ways, once the plane forwards by this generation or a later one.
    pub(super) async fn carry(mut self, generation: Generation, target: &Target) -> Outcome {
        let limit = Duration::from_millis(u64::from(target.monitor.timeout_ms));
        let is_ready = |observed: &Observed| process(observed, generation).is_some();
        let ready = timeout(limit, self.0.wait_for(is_ready)).await;
        let Ok(Ok(Some(before))) = ready.map(|seen| seen.map(|observed| process(&observed, generation)))
        else {
            return Outcome::ours(
                "the layer-4 plane does not forward by this configuration yet: not checked",
            );
        };
        let outcome = kinds::check(target).await;
        if !outcome.passed && process(&self.0.borrow(), generation) != Some(before) {
            return Outcome::ours("the layer-4 plane went away meanwhile: not checked");
        }
        outcome
    }
}

/// The process that forwards by this generation, to which the host steers what members answer.
fn process(observed: &Observed, generation: Generation) -> Option<u32> {
    let Observed { l4, host, .. } = observed;
    let is_ready = l4.process.generation >= generation && host.generation >= generation;
    (l4.process.is_connected() && is_ready).then_some(l4.process.pid.unwrap_or_default())
}
