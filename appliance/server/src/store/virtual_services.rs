//! The tables of virtual services and of the virtual IPs that they are offered on.

use std::net::IpAddr;
use std::num::NonZeroU32;

use lb_model::desired::{ServiceForwarding, ServiceProtocol};
use lb_model::l7::L7Compression;
use lb_model::snapshot::{Ended, L4Protocol, Timeouts, Unserved};
use lb_model::{L4Port, PoolId, Prefix, VirtualIpId, VirtualServiceId};
use sqlx::types::Json;
use sqlx::{FromRow, SqliteConnection};
use uuid::Uuid;

use super::StoreError;
use super::certificates::check_shown;
use super::columns::{Text, Word};
use super::families;
use super::list::{Filter, FilterKind};
use super::policies::has_requests;
use super::projects::named;
use super::table::{Faults, Place, Table, Values, record, select};
use super::ways;
use crate::domain::{
    Limits, Policy, RateLimit, Record, RequestTimeouts, Scope, Spec, Tls, Tunnel, VirtualService,
};

#[derive(FromRow)]
pub(crate) struct VirtualServiceRow {
    #[sqlx(json)]
    virtual_ip_ids: Vec<VirtualIpId>,
    protocol: Word<ServiceProtocol>,
    #[sqlx(try_from = "u16")]
    port: L4Port,
    port_end: Option<u16>,
    forwarding: Word<ServiceForwarding>,
    #[sqlx(json(nullable))]
    tunnel: Option<Tunnel>,
    #[sqlx(json)]
    local_addresses: Vec<IpAddr>,
    unserved: Word<Unserved>,
    ended: Word<Ended>,
    default_pool_id: Option<Text<PoolId>>,
    opening_timeout_s: u32,
    idle_timeout_s: u32,
    closing_timeout_s: u32,
    #[sqlx(json(nullable))]
    tls: Option<Tls>,
    connection_limit: Option<u32>,
    #[sqlx(json)]
    allowed_cidrs: Vec<Prefix>,
    #[sqlx(json)]
    denied_cidrs: Vec<Prefix>,
    #[sqlx(json)]
    proxy_protocol_from: Vec<Prefix>,
    #[sqlx(json(nullable))]
    request_timeouts: Option<RequestTimeouts>,
    #[sqlx(json(nullable))]
    limits: Option<Limits>,
    #[sqlx(json(nullable))]
    compression: Option<L7Compression>,
    #[sqlx(json(nullable))]
    rate_limit: Option<RateLimit>,
    syn_cookies_from: Option<u32>,
}

impl Table for VirtualService {
    const TABLE: &'static str = "virtual_services";
    const COLUMNS: &'static str = "protocol, port, forwarding, default_pool_id, opening_timeout_s, idle_timeout_s, \
        closing_timeout_s, connection_limit, allowed_cidrs, denied_cidrs, tls, \
        tunnel, local_addresses, unserved, proxy_protocol_from, request_timeouts, limits, compression, port_end, \
        rate_limit, ended, syn_cookies_from";
    const SELECT: &'static str = "t.protocol, t.port, t.forwarding, t.default_pool_id,
        t.opening_timeout_s, t.idle_timeout_s, t.closing_timeout_s,
        t.connection_limit, t.allowed_cidrs, t.denied_cidrs, t.tls, t.tunnel, t.local_addresses, t.unserved,
        t.proxy_protocol_from, t.request_timeouts, t.limits, t.compression, t.port_end, t.rate_limit, t.ended,
        t.syn_cookies_from,
        (SELECT json_group_array(i.virtual_ip_id ORDER BY i.position) FROM virtual_service_ips i
         WHERE i.virtual_service_id = t.id) AS virtual_ip_ids";
    const READINESS: &'static str = "CASE
        WHEN NOT t.enabled OR NOT EXISTS (
            SELECT 1 FROM virtual_service_ips i JOIN virtual_ips v ON v.id = i.virtual_ip_id
            WHERE i.virtual_service_id = t.id AND v.enabled) THEN 'disabled'
        WHEN t.default_pool_id IS NULL AND NOT EXISTS (
            SELECT 1 FROM policies p WHERE p.virtual_service_id = t.id AND p.enabled) THEN 'no_pool'
        WHEN EXISTS (
            SELECT 1 FROM members m JOIN pools p ON p.id = m.pool_id
            WHERE p.enabled AND m.enabled AND m.state = 'enabled' AND m.weight > 0
                AND (p.id = t.default_pool_id OR EXISTS (
                    SELECT 1 FROM pools b WHERE b.id = t.default_pool_id AND b.enabled
                    AND b.below_min_healthy = 'backup_pool' AND b.backup_pool_id = p.id)))
            THEN 'ready'
        WHEN EXISTS (SELECT 1 FROM policies p WHERE p.virtual_service_id = t.id AND p.enabled) THEN 'ready'
        ELSE 'no_member' END";
    const SORTS: &'static [&'static str] = &["port"];
    const SEARCHED: &'static str = "(SELECT group_concat(v.address || ':' || t.port, ' ')
        FROM virtual_service_ips i JOIN virtual_ips v ON v.id = i.virtual_ip_id WHERE i.virtual_service_id = t.id)";
    const FILTERS: &'static [Filter] = &[
        Filter { key: "protocol", kind: FilterKind::Text, sql: "t.protocol = ?" },
        Filter { key: "port", kind: FilterKind::Number, sql: "t.port = ?" },
        Filter { key: "forwarding", kind: FilterKind::Text, sql: "t.forwarding = ?" },
        Filter { key: "default_pool_id", kind: FilterKind::Text, sql: "t.default_pool_id = ?" },
        Filter {
            key: "virtual_ip_ids",
            kind: FilterKind::Text,
            sql: "t.id IN (SELECT virtual_service_id FROM virtual_service_ips WHERE virtual_ip_id = ?)",
        },
    ];

    type Row = VirtualServiceRow;

    fn from_row(row: VirtualServiceRow) -> Self {
        let VirtualServiceRow {
            virtual_ip_ids,
            protocol: Word(protocol),
            port,
            port_end,
            forwarding: Word(forwarding),
            tunnel,
            local_addresses,
            unserved: Word(unserved),
            ended: Word(ended),
            default_pool_id,
            opening_timeout_s,
            idle_timeout_s,
            closing_timeout_s,
            tls,
            connection_limit,
            allowed_cidrs,
            denied_cidrs,
            proxy_protocol_from,
            request_timeouts,
            limits,
            compression,
            rate_limit,
            syn_cookies_from,
        } = row;
        Self {
            virtual_ip_ids,
            protocol,
            port,
            port_end: port_end.and_then(|port| L4Port::new(port).ok()),
            forwarding,
            tunnel,
            local_addresses,
            default_pool_id: default_pool_id.map(|Text(id)| id),
            timeouts: Timeouts {
                opening_s: opening_timeout_s,
                idle_s: idle_timeout_s,
                closing_s: closing_timeout_s,
            },
            tls,
            connection_limit: connection_limit.and_then(NonZeroU32::new),
            allowed_cidrs,
            denied_cidrs,
            unserved,
            ended,
            proxy_protocol_from,
            request_timeouts,
            limits,
            compression,
            rate_limit,
            syn_cookies_from,
        }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self {
            virtual_ip_ids: _,
            protocol,
            port,
            port_end,
            forwarding,
            tunnel,
            local_addresses,
            unserved,
            ended,
            default_pool_id,
            timeouts: Timeouts { opening_s, idle_s, closing_s },
            tls,
            connection_limit,
            allowed_cidrs,
            denied_cidrs,
            proxy_protocol_from,
            request_timeouts,
            limits,
            compression,
            rate_limit,
            syn_cookies_from,
        } = self;
        values.push_bind(Word(protocol)).push_bind(port.get()).push_bind(Word(forwarding));
        values.push_bind(default_pool_id.map(Text)).push_bind(*opening_s);
        values.push_bind(*idle_s).push_bind(*closing_s);
        values.push_bind(connection_limit.map(NonZeroU32::get));
        values.push_bind(Json(allowed_cidrs.clone())).push_bind(Json(denied_cidrs.clone()));
        values.push_bind(tls.clone().map(Json)).push_bind(tunnel.map(Json));
        values.push_bind(Json(local_addresses.clone())).push_bind(Word(unserved));
        values.push_bind(Json(proxy_protocol_from.clone())).push_bind(request_timeouts.map(Json));
        values.push_bind(limits.map(Json)).push_bind(compression.clone().map(Json));
        values.push_bind(port_end.map(L4Port::get)).push_bind(rate_limit.map(Json));
        values.push_bind(Word(ended)).push_bind(*syn_cookies_from);
    }

    async fn check(
        &self,
        place: &Place<Self>,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        for (index, id) in self.virtual_ip_ids.iter().enumerate() {
            if !exists("virtual_ips", Text(id), connection).await? {
                faults.missing(format!("/virtual_ip_ids/{index}"), format!("there is no virtual IP {id}"));
            } else if let Some(clash) = self.clash(*id, place.id, connection).await? {
                let Clash { service, address, port, port_end } = clash;
                let its = if port_end == port { format!("{port}") } else { format!("{port} to {port_end}") };
                // Where the first port is free, it is the last one that goes too far.
                let pointer = if port > self.port.get() { "/port_end" } else { "/port" };
                faults.taken(pointer, format!("virtual service `{service}` is on {address} port {its}"));
            }
        }
        for (index, address) in self.local_addresses.iter().enumerate() {
            if let Some(holder) = holder(place.scope, *address, connection).await? {
                faults.taken(format!("/local_addresses/{index}"), format!("{address} is that of {holder}"));
            }
        }
        if let Some(id) = self.default_pool_id {
            let spoken: Option<Word<L4Protocol>> =
                sqlx::query_scalar("SELECT protocol FROM pools WHERE id = ?")
                    .bind(Text(id))
                    .fetch_optional(&mut *connection)
                    .await?;
            match spoken {
                None => faults.missing("/default_pool_id", format!("there is no pool {id}")),
                Some(Word(spoken)) if spoken != self.protocol.transport() => faults.unfit(
                    "/default_pool_id",
                    "the pool's members speak another protocol than the service's clients",
                ),
                Some(_) => {
                    self.check_ports(id, faults, connection).await?;
                    self.check_families(id, faults, connection).await?;
                    if let ServiceProtocol::L7(_) = self.protocol
                        && let Some(detail) = ways::of_proxied(id, connection).await?
                    {
                        faults.unfit("/default_pool_id", detail);
                    }
                }
            }
        }
        self.check_policies(place.id, faults, connection).await?;
        let certificates = self.tls.iter().flat_map(|tls| &tls.certificate_ids).enumerate();
        for (index, id) in certificates {
            check_shown(&format!("/tls/certificate_ids/{index}"), *id, faults, connection).await?;
        }
        Ok(())
    }

    async fn check_unused(
        record: &Record<Self>,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        policy_of(record.id, connection).await?.map_or(Ok(()), |policy| {
            let name = &record.spec.meta.name;
            Err(StoreError::InUse(format!("policy `{policy}` still decides about virtual service `{name}`")))
        })
    }

    async fn relate(
        &self,
        id: VirtualServiceId,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM virtual_service_ips WHERE virtual_service_id = ?")
            .bind(Text(id))
            .execute(&mut *connection)
            .await?;
        for (position, virtual_ip) in (0i64..).zip(&self.virtual_ip_ids) {
            sqlx::query(
                "INSERT INTO virtual_service_ips (virtual_service_id, virtual_ip_id, position, protocol, port, port_end)
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(Text(id))
            .bind(Text(virtual_ip))
            .bind(position)
            .bind(Word(self.protocol.transport()))
            .bind(self.port.get())
            .bind(self.last_port().get())
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

impl VirtualService {
    /// What its policies are about must be there.
    async fn check_policies(
        &self,
        id: VirtualServiceId,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if let ServiceForwarding::Packets(_) = self.forwarding {
            if let Some(policy) = policy_of(id, connection).await? {
                let detail = format!("policy `{policy}` decides about its requests: this protocol has none");
                faults.unfit("/protocol", detail);
            }
            return Ok(());
        }
        if has_requests(self.protocol) {
            return Ok(());
        }
        let mut query = select::<Policy>();
        query.push("t.virtual_service_id = ").push_bind(Text(id)).push(" ORDER BY t.name");
        for row in query.build().fetch_all(&mut *connection).await? {
            let Spec { home: _, meta, own } = record::<Policy>(&row)?.spec;
            if own.of_requests().is_some() {
                let detail =
                    format!("policy `{}` decides about its requests: this protocol has none", meta.name);
                faults.unfit("/protocol", detail);
                break;
            }
        }
        Ok(())
    }

    fn last_port(&self) -> L4Port {
        self.port_end.unwrap_or(self.port)
    }

    /// Members that get packets with the service's port must serve on it. By several ports a server is one member.
    async fn check_ports(
        &self,
        pool: PoolId,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if self.port_end.is_some()
            && let Some(detail) = doubled(pool, connection).await?
        {
            faults.unfit("/default_pool_id", detail);
        }
        if !self.forwarding.keeps_port() {
            return Ok(());
        }
        let elsewhere: Option<(String, u16)> = sqlx::query_as(
            "SELECT m.name, m.port FROM members m JOIN pools p ON p.id = ?
             WHERE m.pool_id IN (p.id, p.backup_pool_id) AND m.port NOT BETWEEN ? AND ? ORDER BY m.id LIMIT 1",
        )
        .bind(Text(pool))
        .bind(self.port.get())
        .bind(self.last_port().get())
        .fetch_optional(connection)
        .await?;
        if let Some((member, port)) = elsewhere {
            let detail = format!(
                "member `{member}` serves on port {port}, and would get packets for port {}: this forwarding leaves \
                 them as they are",
                self.port
            );
            faults.unfit("/forwarding", detail);
        }
        Ok(())
    }

    /// Members that get packets as clients sent them are of the same family as the address these were sent to.
    async fn check_families(
        &self,
        pool: PoolId,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if self.forwarding.joins_families() {
            return Ok(());
        }
        for (index, virtual_ip) in self.virtual_ip_ids.iter().enumerate() {
            self.check_local_families(*virtual_ip, faults, connection).await?;
            if let Some(detail) = families::of_service(*virtual_ip, pool, connection).await? {
                faults.unfit(format!("/virtual_ip_ids/{index}"), detail);
            }
        }
        Ok(())
    }

    /// What members see in the place of clients is of that family too.
    async fn check_local_families(
        &self,
        virtual_ip: VirtualIpId,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if self.local_addresses.is_empty() {
            return Ok(());
        }
        let offered: Option<Text<IpAddr>> =
            sqlx::query_scalar("SELECT address FROM virtual_ips WHERE id = ?")
                .bind(Text(virtual_ip))
                .fetch_optional(connection)
                .await?;
        let Some(Text(offered)) = offered else { return Ok(()) };
        for (index, local) in self.local_addresses.iter().enumerate() {
            if local.is_ipv4() != offered.is_ipv4() {
                let detail =
                    format!("the service is offered on {offered}: want an address of the same family");
                faults.unfit(format!("/local_addresses/{index}"), detail);
            }
        }
        Ok(())
    }

    /// Another service that takes the same packets on `virtual_ip`.
    async fn clash(
        &self,
        virtual_ip: VirtualIpId,
        this: VirtualServiceId,
        connection: &mut SqliteConnection,
    ) -> Result<Option<Clash>, StoreError> {
        let other = sqlx::query_as(
            "SELECT s.name AS service, v.address, i.port, i.port_end FROM virtual_service_ips i
             JOIN virtual_services s ON s.id = i.virtual_service_id
             JOIN virtual_ips v ON v.id = i.virtual_ip_id
             WHERE i.virtual_ip_id = ? AND i.protocol = ? AND i.port <= ? AND i.port_end >= ? AND s.id <> ?
             ORDER BY i.port LIMIT 1",
        )
        .bind(Text(virtual_ip))
        .bind(Word(self.protocol.transport()))
        .bind(self.last_port().get())
        .bind(self.port.get())
        .bind(Text(this))
        .fetch_optional(connection)
        .await?;
        Ok(other)
    }
}

/// A service that has a port already.
#[derive(FromRow)]
struct Clash {
    service: String,
    address: String,
    port: u16,
    port_end: u16,
}

/// Two members of a pool with one address, told: of a service of several ports they would be one.
async fn doubled(pool: PoolId, connection: &mut SqliteConnection) -> Result<Option<String>, StoreError> {
    let pair: Option<(String, String, String)> = sqlx::query_as(
        "SELECT a.name, b.name, a.address FROM members a JOIN members b
             ON b.pool_id = a.pool_id AND b.address = a.address AND b.id > a.id
         WHERE a.pool_id = ? ORDER BY a.id LIMIT 1",
    )
    .bind(Text(pool))
    .fetch_optional(connection)
    .await?;
    Ok(pair.map(|(one, other, address)| {
        format!(
            "its members `{one}` and `{other}` are both {address}: of a service of several ports they are one"
        )
    }))
}

/// The name of the service's first policy.
async fn policy_of(
    service: VirtualServiceId,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    let policy = sqlx::query_scalar(
        "SELECT name FROM policies WHERE virtual_service_id = ? ORDER BY position, id LIMIT 1",
    );
    Ok(policy.bind(Text(service)).fetch_optional(connection).await?)
}

/// Who has an address already, so that members could not answer to it.
async fn holder(
    scope: Scope,
    address: IpAddr,
    connection: &mut SqliteConnection,
) -> Result<Option<String>, StoreError> {
    let holder: Option<(String, String, Text<Uuid>)> = sqlx::query_as(
        "SELECT 'virtual IP', name, project_id FROM virtual_ips WHERE address = ?1 UNION ALL
         SELECT 'member', m.name, p.project_id FROM members m JOIN pools p ON p.id = m.pool_id WHERE m.address = ?1
         LIMIT 1",
    )
    .bind(Text(address))
    .fetch_optional(connection)
    .await?;
    Ok(holder.map(|(noun, name, Text(project))| named(scope, project, &noun, &name)))
}

async fn exists<T: std::fmt::Display + Send>(
    table: &'static str,
    id: Text<T>,
    connection: &mut SqliteConnection,
) -> Result<bool, StoreError> {
    let mut query =
        sqlx::QueryBuilder::<sqlx::Sqlite>::new(format!("SELECT count(*) FROM {table} WHERE id = "));
    let found: i64 = query.push_bind(id).build_query_scalar().fetch_one(connection).await?;
    Ok(found > 0)
}
