//! An appliance with one of everything.

use lab::{Certificate, in_a_year};
use serde_json::{Value, json};

use crate::support_api::{Api, Created, Server};
use crate::walk::Description;

/// Nothing has this identifier.
pub(crate) const NOBODY: &str = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";

/// One of a kind of resource.
pub(crate) struct One {
    /// The address of its list as in the description, with `{…}` for what it belongs to.
    pub(crate) collection: &'static str,
    /// The same for the one that there is.
    pub(crate) list: String,
    pub(crate) created: Created,
    /// Creates another one.
    pub(crate) another: Value,
}

/// A claimed appliance with one of everything.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) admin: Api,
    pub(crate) description: Description,
    pub(crate) resources: Vec<One>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (server, admin) = Server::claimed();
        let description = Description::read(&admin);
        let mut world = Self { server, admin, description, resources: Vec::new() };
        world.populate();
        world
    }

    /// Creates one of each. Names end with a digit that `another` raises.
    fn populate(&mut self) {
        let ip = self.add(
            "/api/v1/virtual-ips",
            "",
            |n| json!({ "name": format!("ip{n}"), "address": format!("192.0.2.{n}") }),
        );
        self.add("/api/v1/monitors", "", |n| json!({ "name": format!("monitor{n}"), "kind": "tcp" }));
        let pool = self.add("/api/v1/pools", "", |n| json!({ "name": format!("pool{n}") }));
        self.add(
            "/api/v1/pools/{pool_id}/members",
            &pool,
            |n| json!({ "name": format!("member{n}"), "address": "198.51.100.1", "port": 8000 + n }),
        );
        let Certificate { chain, private_key: key, .. } =
            Certificate::issue(self.server.folder(), "shop.example").unwrap();
        self.add(
            "/api/v1/certificates",
            "",
            |n| json!({ "name": format!("certificate{n}"), "chain": chain, "private_key": key }),
        );
        self.add("/api/v1/virtual-services", "", |n| {
            json!({
                "name": format!("service{n}"), "virtual_ip_ids": [ip], "protocol": "tcp", "port": 80 + n,
                "default_pool_id": pool,
            })
        });
        let shop = json!({ "name": "shop", "virtual_ip_ids": [ip], "protocol": "http", "port": 8080 });
        let shop = self.admin.create("/api/v1/virtual-services", &shop).id;
        self.add("/api/v1/policies", "", |n| {
            json!({
                "name": format!("policy{n}"), "virtual_service_id": shop, "position": n,
                "rules": [{ "kind": "path", "compare": "prefix", "values": ["/api"] }],
                "pools": [{ "pool_id": pool, "weight": 1 }],
            })
        });
        // Nobody is asked there: it is the appliance itself.
        let secret = "whsec_c2x1aWNlIGFuZCB3ZWlyLCBnYXRlIGFuZCBtaWxs";
        self.add(
            "/api/v1/webhooks",
            "",
            |n| json!({ "name": format!("webhook{n}"), "url": "http://127.0.0.1:9/", "secret": secret }),
        );
        self.add(
            "/api/v1/projects",
            "",
            |n| json!({ "name": format!("project{n}"), "quotas": { "pools": n } }),
        );
        self.add("/api/v1/changesets", "", |n| json!({ "name": format!("changeset{n}"), "operations": [] }));
        let user = self.add(
            "/api/v1/users",
            "",
            |n| json!({ "name": format!("user{n}"), "role": "viewer", "password": "spillway opens at noon" }),
        );
        let until = in_a_year(self.resources[0].created.body["created_at"].as_str().unwrap());
        self.add("/api/v1/users/{user_id}/tokens", &user, |n| {
            json!({ "name": format!("token{n}"), "permissions": ["balancing:read"], "expires_at": until })
        });
        self.check_that_none_is_missing();
    }

    fn add(&mut self, collection: &'static str, parent: &str, body: impl Fn(u16) -> Value) -> String {
        let list: Vec<_> =
            collection.split('/').map(|part| if part.starts_with('{') { parent } else { part }).collect();
        let list = list.join("/");
        let answer = self.admin.post(&list, &body(1));
        assert_eq!(answer.status, 201, "{:#}", answer.body);
        let id = answer.body["id"].as_str().unwrap().to_owned();
        let path = answer.header("location");
        let read = self.admin.get(&path);
        let created = Created { path, id: id.clone(), etag: read.etag(), body: read.body };
        self.resources.push(One { collection, list, created, another: body(2) });
        id
    }

    /// Every address that something can be posted to and that is a list is known here.
    fn check_that_none_is_missing(&self) {
        for operation in self.description.operations() {
            // What is made there is no resource that stays.
            let passing = ["/api/v1/sessions", "/api/v1/system/support-bundle"].contains(&&*operation.path);
            if operation.id().starts_with("create") && !passing {
                let known = self.resources.iter().any(|one| one.collection == operation.path);
                assert!(known, "say in world.rs how to create one at {}", operation.path);
            }
        }
    }

    /// A user of this role, signed in.
    pub(crate) fn user(&self, role: &str) -> Api {
        self.user_of(role, &Value::Null)
    }

    /// The same, of this project.
    pub(crate) fn user_of(&self, role: &str, project: &Value) -> Api {
        let name = format!("the-{role}{}", project.as_str().unwrap_or_default());
        let password = "spillway opens at noon";
        let body = json!({ "name": name, "role": role, "password": password, "project_id": project });
        self.admin.create("/api/v1/users", &body);
        let session = json!({ "username": name, "password": password });
        let answer = self.server.anonymous().post("/api/v1/sessions", &session);
        self.server.with_token(answer.body["access_token"].as_str().unwrap())
    }

    /// What shows that something was changed.
    pub(crate) fn state(&self) -> Vec<Value> {
        let mut state = vec![self.admin.get("/api/v1/status").body["generation"].clone()];
        state.extend(self.resources.iter().map(|one| {
            let items = self.admin.get(&format!("{}?limit=500", one.list)).body["items"].take();
            // What is observed may change by itself.
            let kept = |item: &Value| json!([item["id"], item["updated_at"], item["name"]]);
            items.as_array().unwrap().iter().map(kept).collect()
        }));
        state
    }
}
