//! Everything that is wanted, as of one generation: what the reconciler reads.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::num::NonZeroU32;

use lb_model::desired::{self, DesiredState, MemberState, ServiceForwarding, ServiceProtocol};
use lb_model::l7::{
    HttpVersion, L7Certificate, L7PoolTls, L7Protocol, L7Timeouts, L7Tls, Manner, ProxyProtocol,
};
use lb_model::policy::L7Policy;
use lb_model::snapshot::{Admission, L4Protocol, Timeouts, Weight};
use lb_model::{L4Port, MemberId, PoolId, VirtualServiceId};
use sqlx::{FromRow, SqliteConnection};

use super::columns::{Text, Word};
use super::table::{record, select};
use super::{Store, StoreError, Table, current_generation};
use crate::domain::{
    BelowMinHealthy, Certificate, MemberTls, Policy, Pool, RateLimit, Record, RequestTimeouts, Spec, Tls,
    Tunnel, VirtualIp, VirtualService,
};

impl Store {
    /// Reads it all in one transaction, so that it is one generation, whole.
    pub(crate) async fn desired(&self) -> Result<DesiredState, StoreError> {
        let mut transaction = self.readers.begin().await?;
        read(&mut transaction).await
    }
}

/// Reads it all as part of a transaction.
pub(super) async fn read(connection: &mut SqliteConnection) -> Result<DesiredState, StoreError> {
    let generation = current_generation(connection).await?;
    let virtual_ips = all::<VirtualIp>(connection).await?;
    let services = all::<VirtualService>(connection).await?;
    let pools = all::<Pool>(connection).await?;
    let certificates = all::<Certificate>(connection).await?;
    let mut members = members_by_pool(connection).await?;
    let probed = probed(connection).await?;
    let mut policies = policies_by_service(all::<Policy>(connection).await?);
    let (mut virtual_services, mut proxied_services) = (Vec::new(), Vec::new());
    for record in services {
        let policies = policies.remove(&record.id).unwrap_or_default();
        match offered(record, policies)? {
            Offered::Packets(service) => virtual_services.push(service),
            Offered::Proxied(service) => proxied_services.push(service),
        }
    }
    Ok(DesiredState {
        generation,
        virtual_ips: virtual_ips.into_iter().map(virtual_ip).collect(),
        virtual_services,
        proxied_services,
        pools: pools.into_iter().map(|record| pool(record, &mut members, &probed)).collect(),
        certificates: certificates.into_iter().filter_map(certificate).collect(),
    })
}

/// All of one kind, by identifier.
pub(super) async fn all<K: Table>(connection: &mut SqliteConnection) -> Result<Vec<Record<K>>, StoreError> {
    let rows = select::<K>().push("TRUE ORDER BY t.id").build().fetch_all(connection).await?;
    rows.iter().map(record).collect()
}

fn virtual_ip(record: Record<VirtualIp>) -> desired::VirtualIp {
    let Spec { home: _, meta, own: VirtualIp { address } } = record.spec;
    desired::VirtualIp { id: record.id, address, enabled: meta.enabled }
}

/// A service, by who serves it.
enum Offered {
    Packets(desired::VirtualService),
    Proxied(desired::ProxiedService),
}

fn offered(record: Record<VirtualService>, policies: Vec<L7Policy>) -> Result<Offered, StoreError> {
    let Spec { home: _, meta, own } = record.spec;
    let VirtualService { virtual_ip_ids, protocol, port, port_end, forwarding, default_pool_id, .. } = own;
    let VirtualService {
        timeouts,
        connection_limit,
        allowed_cidrs,
        denied_cidrs,
        rate_limit,
        syn_cookies_from,
        tls,
        tunnel,
        local_addresses,
        unserved,
        ended,
        ..
    } = own;
    let VirtualService { proxy_protocol_from, request_timeouts, limits, compression, .. } = own;
    let (id, enabled) = (record.id, meta.enabled);
    match (protocol, forwarding) {
        (ServiceProtocol::L4(protocol), ServiceForwarding::Packets(forwarding)) => {
            Ok(Offered::Packets(desired::VirtualService {
                id,
                virtual_ip_ids,
                protocol,
                port,
                port_end,
                forwarding,
                tunnel: tunnel.map(|Tunnel(tunnel)| tunnel),
                local_addresses,
                default_pool_id,
                timeouts,
                admission: Admission {
                    connection_limit,
                    allowed_cidrs,
                    denied_cidrs,
                    rates: rate_limit.map(RateLimit::rates),
                    syn_cookies_from,
                },
                unserved,
                ended,
                enabled,
            }))
        }
        (ServiceProtocol::L7(_) | ServiceProtocol::L4(L4Protocol::Tcp), ServiceForwarding::Proxied(_)) => {
            let protocol = match protocol {
                ServiceProtocol::L7(protocol) => protocol,
                ServiceProtocol::L4(_) => L7Protocol::Tcp,
            };
            Ok(Offered::Proxied(desired::ProxiedService {
                id,
                virtual_ip_ids,
                protocol,
                port,
                default_pool_id,
                timeouts: l7_timeouts(timeouts, request_timeouts.unwrap_or_default()),
                proxy_protocol_from,
                limits: limits.unwrap_or_default().with(connection_limit),
                compression,
                tls: tls.map(|Tls { certificate_ids, min_version, hsts, client_auth }| L7Tls {
                    certificates: certificate_ids,
                    min_version,
                    hsts,
                    client_auth,
                }),
                policies,
                enabled,
            }))
        }
        (protocol, forwarding) => {
            let detail = format!("virtual service {id}: {protocol:?} cannot be carried by {forwarding:?}");
            Err(StoreError::Database(sqlx::Error::Decode(detail.into())))
        }
    }
}

fn l7_timeouts(timeouts: Timeouts, of_requests: RequestTimeouts) -> L7Timeouts {
    let RequestTimeouts { head_s, connect_s, answer_s, tunnel_s, drain_s } = of_requests;
    let (request_s, response_s) = (head_s, answer_s);
    L7Timeouts { idle_s: timeouts.idle_s, request_s, connect_s, response_s, tunnel_s, drain_s }
}

fn manner(http_version: HttpVersion, tls: Option<MemberTls>, proxy_protocol: ProxyProtocol) -> Manner {
    let tls = tls.map(|MemberTls { verify, ca, server_name, certificate_id }| L7PoolTls {
        ca: ca.filter(|_| verify),
        server_name,
        certificate: certificate_id,
    });
    Manner { http_version, tls, proxy_protocol }
}

/// The pools whose members are checked by way of forwarding.
async fn probed(connection: &mut SqliteConnection) -> Result<HashSet<PoolId>, StoreError> {
    let pools: Vec<Text<PoolId>> = sqlx::query_scalar(
        "SELECT DISTINCT w.pool_id FROM pool_monitors w JOIN monitors m ON m.id = w.monitor_id
         WHERE m.enabled AND m.via_forwarding",
    )
    .fetch_all(connection)
    .await?;
    Ok(pools.into_iter().map(|Text(id)| id).collect())
}

fn pool(
    record: Record<Pool>,
    members: &mut HashMap<PoolId, Vec<desired::Member>>,
    probed: &HashSet<PoolId>,
) -> desired::Pool {
    // The protocol says what the members speak; a pool of another protocol than its service's cannot be written.
    let Spec { home: _, meta, own } = record.spec;
    let drain_timeout_s = own.drain_timeout_s;
    let Pool { protocol: _, algorithm, min_healthy, below_min_healthy, backup_pool_id, .. } = own;
    let Pool {
        monitor_ids: _,
        monitors_needed: _,
        slow_start_s: _,
        persistence,
        retries,
        outlier,
        queue,
        breaker,
        hedge,
        ..
    } = own;
    let Pool { http_version, tls, proxy_protocol, .. } = own;
    let manner = manner(http_version, tls, proxy_protocol);
    let below_min_healthy = match (below_min_healthy, backup_pool_id) {
        (BelowMinHealthy::AllMembers, _) => desired::BelowMinHealthy::AllMembers,
        (BelowMinHealthy::BackupPool, Some(pool)) => desired::BelowMinHealthy::BackupPool(pool),
        // The second is never written.
        (BelowMinHealthy::Refuse, _) | (BelowMinHealthy::BackupPool, None) => {
            desired::BelowMinHealthy::Refuse
        }
    };
    let mut members = members.remove(&record.id).unwrap_or_default();
    for member in &mut members {
        member.drain_timeout_s = drain_timeout_s;
    }
    desired::Pool {
        id: record.id,
        algorithm,
        enabled: meta.enabled,
        members,
        manner,
        min_healthy,
        below_min_healthy,
        persistence,
        retries,
        outlier,
        queue,
        breaker,
        hedge,
        probed: probed.contains(&record.id),
    }
}

/// The enabled policies of each service, in the order in which they are asked.
fn policies_by_service(mut records: Vec<Record<Policy>>) -> HashMap<VirtualServiceId, Vec<L7Policy>> {
    records.sort_by_key(|record| (record.spec.own.position, record.id));
    let mut services: HashMap<VirtualServiceId, Vec<L7Policy>> = HashMap::new();
    for Record { id, spec: Spec { meta, own, .. }, .. } in records {
        let Policy { virtual_service_id, position: _, rules, rewrite, rate_limit, cors, jwt, mirror, .. } =
            own;
        let Policy { basic_auth, passwords, pools, redirect, respond, reject, .. } = own;
        if meta.enabled {
            let policy = L7Policy {
                id,
                rules,
                rewrite,
                rate_limit,
                cors,
                jwt,
                basic_auth: basic_auth.map(|basic| basic.with(&passwords)),
                mirror,
                pools,
                redirect,
                respond,
                reject,
            };
            services.entry(virtual_service_id).or_default().push(policy);
        }
    }
    services
}

fn certificate(record: Record<Certificate>) -> Option<L7Certificate> {
    let Certificate { chain, private_key, asked: _ } = record.spec.own;
    // One that is still to be signed has neither, and nobody shows it.
    let sealed_key = private_key?.sealed.0;
    Some(L7Certificate { id: record.id, chain: chain?, sealed_key })
}

/// A member with its pool: the one resource of which there are many, read without what only people need.
#[derive(FromRow)]
struct MemberOfPool {
    id: Text<MemberId>,
    pool_id: Text<PoolId>,
    address: Text<IpAddr>,
    #[sqlx(try_from = "u16")]
    port: L4Port,
    state: Word<MemberState>,
    enabled: bool,
    #[sqlx(try_from = "u16")]
    weight: Weight,
    backup: bool,
    connection_limit: Option<u32>,
}

async fn members_by_pool(
    connection: &mut SqliteConnection,
) -> Result<HashMap<PoolId, Vec<desired::Member>>, StoreError> {
    // Identifiers sort by the time they were made: this is the order in which members were added.
    let rows: Vec<MemberOfPool> = sqlx::query_as(
        "SELECT id, pool_id, address, port, state, enabled, weight, backup, connection_limit
        FROM members ORDER BY id",
    )
    .fetch_all(connection)
    .await?;
    let mut pools: HashMap<PoolId, Vec<desired::Member>> = HashMap::new();
    for row in rows {
        let MemberOfPool { id: Text(id), pool_id: Text(pool), address: Text(address), port, .. } = row;
        let MemberOfPool { state, enabled, weight, backup, connection_limit, .. } = row;
        let state = if enabled { state.0 } else { MemberState::Disabled };
        let connection_limit = connection_limit.and_then(NonZeroU32::new);
        // Its pool says it.
        let drain_timeout_s = None;
        let member =
            desired::Member { id, address, port, state, weight, backup, connection_limit, drain_timeout_s };
        pools.entry(pool).or_default().push(member);
    }
    Ok(pools)
}
