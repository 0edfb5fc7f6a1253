//! The table of policies.

use lb_model::VirtualServiceId;
use lb_model::desired::{ServiceForwarding, ServiceProtocol};
use lb_model::policy::{
    Cors, Jwt, Mirror, RateLimit, Redirect, Reject, Respond, Rewrite, Rule, WeightedPool,
};
use lb_model::snapshot::L4Protocol;
use sqlx::types::Json;
use sqlx::{FromRow, SqliteConnection};

use super::StoreError;
use super::columns::{Text, Word};
use super::list::{Filter, FilterKind};
use super::table::{Faults, Place, Table, Values};
use super::ways;
use crate::domain::{BasicAuth, Passwords, Policy};

/// The most policies that one service has.
const POLICIES_MAX: i64 = 1000;

#[derive(FromRow)]
pub(crate) struct PolicyRow {
    virtual_service_id: Text<VirtualServiceId>,
    position: u32,
    #[sqlx(json)]
    rules: Vec<Rule>,
    #[sqlx(json(nullable))]
    rewrite: Option<Rewrite>,
    #[sqlx(json(nullable))]
    rate_limit: Option<RateLimit>,
    #[sqlx(json(nullable))]
    cors: Option<Cors>,
    #[sqlx(json(nullable))]
    jwt: Option<Jwt>,
    #[sqlx(json(nullable))]
    basic_auth: Option<BasicAuth>,
    #[sqlx(json(nullable))]
    passwords: Option<Passwords>,
    #[sqlx(json(nullable))]
    mirror: Option<Mirror>,
    #[sqlx(json)]
    pools: Vec<WeightedPool>,
    #[sqlx(json(nullable))]
    redirect: Option<Redirect>,
    #[sqlx(json(nullable))]
    respond: Option<Respond>,
    #[sqlx(json(nullable))]
    reject: Option<Reject>,
}

impl Table for Policy {
    const TABLE: &'static str = "policies";
    const COLUMNS: &'static str = "virtual_service_id, position, rules, rewrite, pools, redirect, respond, reject, \
        rate_limit, cors, jwt, mirror, basic_auth, passwords";
    const SELECT: &'static str = "t.virtual_service_id, t.position, t.rules, t.rewrite, t.pools, t.redirect,
        t.respond, t.reject, t.rate_limit, t.cors, t.jwt, t.mirror,
        t.basic_auth, t.passwords";
    const READINESS: &'static str = "iif(t.enabled, 'ready', 'disabled')";
    const SORTS: &'static [&'static str] = &["position"];
    const FILTERS: &'static [Filter] = &[
        Filter { key: "virtual_service_id", kind: FilterKind::Text, sql: "t.virtual_service_id = ?" },
        Filter {
            key: "pool_id",
            kind: FilterKind::Text,
            sql: "? IN (SELECT p.value ->> 'pool_id' FROM json_each(t.pools) p UNION SELECT t.mirror ->> 'pool_id')",
        },
    ];

    type Row = PolicyRow;

    fn from_row(row: PolicyRow) -> Self {
        let PolicyRow { virtual_service_id: Text(virtual_service_id), position, rules, rewrite, .. } = row;
        let PolicyRow { basic_auth, passwords, mirror, .. } = row;
        let PolicyRow { rate_limit, cors, jwt, pools, redirect, respond, reject, .. } = row;
        Self {
            virtual_service_id,
            position,
            rules,
            rewrite,
            rate_limit,
            cors,
            jwt,
            basic_auth,
            passwords: passwords.unwrap_or_default(),
            mirror,
            pools,
            redirect,
            respond,
            reject,
        }
    }

    fn bind(&self, values: &mut Values<'_>) {
        let Self { virtual_service_id, position, rules, rewrite, rate_limit, cors, jwt, .. } = self;
        let Self { basic_auth, passwords, mirror, pools, redirect, respond, reject, .. } = self;
        values.push_bind(Text(*virtual_service_id)).push_bind(*position).push_bind(Json(rules.clone()));
        values.push_bind(rewrite.clone().map(Json)).push_bind(Json(pools.clone()));
        values.push_bind(redirect.clone().map(Json)).push_bind(respond.clone().map(Json));
        values.push_bind(reject.map(Json)).push_bind(rate_limit.clone().map(Json));
        values.push_bind(cors.clone().map(Json)).push_bind(jwt.clone().map(Json));
        values.push_bind(mirror.map(Json)).push_bind(basic_auth.clone().map(Json));
        values.push_bind(basic_auth.is_some().then(|| Json(passwords.clone())));
    }

    async fn check(
        &self,
        place: &Place<Self>,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let service = self.virtual_service_id;
        let spoken: Option<(Word<ServiceProtocol>, Word<ServiceForwarding>)> =
            sqlx::query_as("SELECT protocol, forwarding FROM virtual_services WHERE id = ?")
                .bind(Text(service))
                .fetch_optional(&mut *connection)
                .await?;
        let pointer = "/virtual_service_id";
        match spoken {
            None => faults.missing(pointer, format!("there is no virtual service {service}")),
            Some((_, Word(ServiceForwarding::Packets(_)))) => {
                faults.unfit(pointer, "only services that are proxied have policies");
            }
            Some((Word(protocol), Word(ServiceForwarding::Proxied(_)))) => {
                if !has_requests(protocol)
                    && let Some((pointer, why)) = self.of_requests()
                {
                    faults.unfit(pointer, format!("the service passes connections on as they are: {why}"));
                }
                self.check_count(place, faults, connection).await?;
            }
        }
        let serving = self.pools.iter().enumerate();
        let serving = serving.map(|(index, pool)| (pool.pool_id, format!("/pools/{index}/pool_id")));
        let mirror = self.mirror.map(|mirror| (mirror.pool_id, "/mirror/pool_id".to_owned()));
        for user in self.basic_auth.iter().flat_map(|basic| &basic.users) {
            if !self.passwords.has(user) {
                faults.required("/passwords", format!("user `{user}` has no password"));
            }
        }
        for (id, pointer) in serving.chain(mirror) {
            let spoken: Option<Word<L4Protocol>> =
                sqlx::query_scalar("SELECT protocol FROM pools WHERE id = ?")
                    .bind(Text(id))
                    .fetch_optional(&mut *connection)
                    .await?;
            match spoken {
                None => faults.missing(pointer, format!("there is no pool {id}")),
                Some(Word(L4Protocol::Udp)) => faults.unfit(pointer, "the pool's members speak UDP"),
                Some(Word(L4Protocol::Tcp)) => {
                    if let Some(detail) = ways::of_proxied(id, connection).await? {
                        faults.unfit(pointer, detail);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether a proxied service of this protocol understands requests.
pub(super) fn has_requests(protocol: ServiceProtocol) -> bool {
    matches!(protocol, ServiceProtocol::L7(protocol) if protocol.has_requests())
}

impl Policy {
    async fn check_count(
        &self,
        place: &Place<Self>,
        faults: &mut Faults,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        let others: i64 =
            sqlx::query_scalar("SELECT count(*) FROM policies WHERE virtual_service_id = ? AND id <> ?")
                .bind(Text(self.virtual_service_id))
                .bind(Text(place.id))
                .fetch_one(connection)
                .await?;
        if others >= POLICIES_MAX {
            faults.unfit("/virtual_service_id", format!("a service has {POLICIES_MAX} policies at most"));
        }
        Ok(())
    }
}
