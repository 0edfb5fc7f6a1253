//! Policies of a service: what clients and members see of what they decide.

use anyhow::{Context as _, Result, ensure};
use lab::Driver;
use lab::network::{CLIENT, MEMBERS, VIRTUAL_IP};
use serde_json::{Value, json};

use super::stage::Stage;

const PORT: u16 = 8080;

/// The stage with a service of protocol `http` that has no pool of its own, and one pool for each member.
pub(crate) struct Shop {
    pub(crate) stage: Stage,
    pub(crate) service: String,
    pub(crate) pools: [String; 2],
}

impl Shop {
    pub(crate) fn open() -> Result<Self> {
        let stage = Stage::set(Driver::AfXdp, true)?;
        let pool = |name: &str, member: usize| {
            let id = id(&stage.api.create("/pools", &json!({ "name": name }))?)?;
            let member = json!({ "address": MEMBERS[member], "port": 80 });
            stage.api.create(&format!("/pools/{id}/members"), &member)?;
            anyhow::Ok(id)
        };
        let pools = [pool("blue", 0)?, pool("green", 1)?];
        let service = json!({
            "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": PORT,
        });
        let service = id(&stage.api.create("/virtual-services", &service)?)?;
        Ok(Self { stage, service, pools })
    }

    /// Adds a policy; its name is its position.
    fn policy(&self, position: u32, fields: &Value) -> Result<String> {
        let mut document =
            json!({ "name": position.to_string(), "virtual_service_id": self.service, "position": position });
        let fields = fields.as_object().cloned().context("want fields")?;
        document.as_object_mut().context("an object")?.extend(fields);
        id(&self.stage.api.create("/policies", &document)?)
    }

    fn to(&self, pool: usize) -> Value {
        json!([{ "pool_id": self.pools[pool] }])
    }

    /// `curl` at the client: what it printed.
    pub(crate) fn curl(&self, path: &str, arguments: &[&str]) -> Result<String> {
        let url = format!("http://{VIRTUAL_IP}:{PORT}{path}");
        let fixed = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "10", "--path-as-is"];
        let all: Vec<&str> = fixed.iter().chain(arguments).copied().chain([url.as_str()]).collect();
        Ok(self.stage.lab.client().run("curl", &all)?.trim_end().to_owned())
    }

    fn status(&self, path: &str, arguments: &[&str]) -> Result<String> {
        let quiet = ["--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}"];
        self.curl(path, &[&quiet, arguments].concat())
    }
}

fn id(resource: &Value) -> Result<String> {
    Ok(resource["id"].as_str().context("a resource without an id")?.to_owned())
}

#[test]
fn requests_go_where_their_policies_say() -> Result<()> {
    let shop = Shop::open()?;
    let rule = |kind: &str, compare: &str, values: Value| json!([{ "kind": kind, "compare": compare, "values": values }]);
    shop.policy(
        10,
        &json!({ "rules": rule("path", "prefix", json!(["/private"])), "reject": { "code": 404 } }),
    )?;
    let mut robots = rule("header", "contains", json!(["bot"]));
    robots[0]["key"] = json!("user-agent");
    let page = json!({ "code": 503, "content_type": "text/html", "body": "<h1>Back at noon</h1>\n" });
    shop.policy(20, &json!({ "rules": robots, "respond": page }))?;
    let old = rule("host", "exact", json!(["old.example"]));
    shop.policy(
        30,
        &json!({ "rules": old, "redirect": { "scheme": "https", "host": "new.example", "code": 308 } }),
    )?;
    let mut beta = rule("cookie", "exact", json!(["on"]));
    beta[0]["key"] = json!("beta");
    shop.policy(40, &json!({ "rules": beta, "pools": shop.to(1) }))?;
    let source = rule("source", "network", json!([format!("{CLIENT}/32")]));
    shop.policy(50, &json!({ "rules": source, "pools": shop.to(0) }))?;
    shop.stage.await_forwarding()?;

    assert_eq!(shop.curl("/", &[])?, "member-1");
    assert_eq!(shop.curl("/", &["--cookie", "a=b; beta=on"])?, "member-2");
    assert_eq!(shop.status("/private/x", &[])?, "404");
    assert_eq!(shop.status("/x/..//%70rivate", &[])?, "404", "however it is written");
    assert_eq!(shop.curl("/", &["--user-agent", "a-bot"])?, "<h1>Back at noon</h1>");
    let moved = shop.status("/cart?a=b", &["--header", "Host: OLD.example:80"])?;
    assert_eq!(moved, "308 https://new.example/cart?a=b");
    // Nothing of a request that is rejected reaches a member, and the connection goes on.
    let body =
        ["--data", "x=1", "--next", "--silent", "--noproxy", "*", &format!("http://{VIRTUAL_IP}:{PORT}/")];
    let both = shop.stage.lab.client().run(
        "curl",
        &[&["--silent", "--noproxy", "*", &format!("http://{VIRTUAL_IP}:{PORT}/private")], &body[..]]
            .concat(),
    )?;
    ensure!(both.ends_with("member-1\n"), "{both}");
    Ok(())
}

#[test]
fn what_a_member_and_a_client_see_is_rewritten() -> Result<()> {
    let shop = Shop::open()?;
    let everywhere = json!({ "response_headers": [
        { "change": "set", "name": "x-frame-options", "value": "DENY" },
        { "change": "remove", "name": "server" },
    ] });
    shop.policy(10, &json!({ "rewrite": everywhere }))?;
    let api = json!({
        "path": { "from": "/api", "to": "/echo" }, "host": "inner.example",
        "request_headers": [{ "change": "set", "name": "x-shop", "value": "yes" }],
    });
    let below = json!([{ "kind": "path", "compare": "prefix", "values": ["/api"] }]);
    shop.policy(20, &json!({ "rules": below, "rewrite": api, "pools": shop.to(0) }))?;
    let pattern =
        json!({ "path": { "compare": "regex", "from": "^/item/([0-9]+)$", "to": "/echo/$1/show" } });
    shop.policy(30, &json!({ "rewrite": pattern, "pools": shop.to(1) }))?;
    shop.stage.await_forwarding()?;

    let echo = shop.curl("/api/v1?a=b", &["--header", "x-shop: forged"])?;
    assert_eq!(echo, "member-1 GET inner.example /echo/v1?a=b x-shop=yes cookie=");
    let echo = shop.curl("/item/7", &["--header", "Host: shop.example"])?;
    assert_eq!(echo, "member-2 GET shop.example /echo/7/show x-shop= cookie=");
    let head = shop.curl("/", &["--head"])?.to_ascii_lowercase();
    ensure!(head.contains("x-frame-options: deny") && !head.contains("server:"), "{head}");
    Ok(())
}

#[test]
fn a_canary_gets_its_share_and_changes_without_a_pause() -> Result<()> {
    let shop = Shop::open()?;
    let shares = |blue: u32, green: u32| json!([{ "pool_id": shop.pools[0], "weight": blue }, { "pool_id": shop.pools[1], "weight": green }]);
    let policy = shop.policy(10, &json!({ "pools": shares(3, 1) }))?;
    shop.stage.await_forwarding()?;
    let blue = |requests: usize| -> Result<usize> {
        let answers = shop.curl(&format!("/?[1-{requests}]"), &["--fail"])?;
        ensure!(answers.lines().count() == requests, "{answers}");
        Ok(answers.matches("member-1").count())
    };
    // By lot: of 400 three quarters, give or take what one in a million times is exceeded.
    let of_400 = blue(400)?;
    ensure!((256..=344).contains(&of_400), "{of_400} of 400 went to blue");
    let set = |shares: Value| -> Result<()> {
        shop.stage
            .api
            .patch(&format!("/policies/{policy}"), "*", &json!({ "pools": shares }))?
            .expect_status(200)?;
        shop.stage.await_forwarding()
    };
    set(shares(0, 1))?;
    assert_eq!(blue(20)?, 0);
    set(shares(1, 0))?;
    assert_eq!(blue(20)?, 20);
    // Whom nobody serves is passed over.
    set(shares(1, 1))?;
    shop.stage
        .api
        .patch(&format!("/pools/{}", shop.pools[1]), "*", &json!({ "enabled": false }))?
        .expect_status(200)?;
    shop.stage.await_forwarding()?;
    assert_eq!(blue(20)?, 20);
    Ok(())
}
