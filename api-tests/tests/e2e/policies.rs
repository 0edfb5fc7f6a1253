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

#[test]
fn too_many_requests_are_told_when_to_come_again() -> Result<()> {
    let shop = Shop::open()?;
    let mut keyed = json!({ "requests": 3, "per_s": 3600, "key": "header", "header": "x-api-key" });
    let api = json!([{ "kind": "path", "compare": "prefix", "values": ["/echo"] }]);
    shop.policy(10, &json!({ "rules": api, "rate_limit": keyed }))?;
    keyed["key"] = json!("source");
    keyed["header"] = json!(null);
    keyed["requests"] = json!(20);
    shop.policy(20, &json!({ "rate_limit": keyed, "pools": shop.to(0) }))?;
    shop.stage.await_forwarding()?;

    let passed = |path: &str, key: &str| -> Result<usize> {
        let codes = ["--output", "/dev/null", "--write-out", "%{http_code}\n", "--header", key];
        Ok(shop.curl(path, &codes)?.matches("200").count())
    };
    assert_eq!(passed("/echo?[1-5]", "x-api-key: one")?, 3);
    assert_eq!(passed("/echo?[1-5]", "x-api-key: other")?, 3, "each has its own");
    // The second policy counts them too: six were let through by the first, and 20 are let through in all.
    assert_eq!(passed("/?[1-30]", "x-api-key: one")?, 14);
    let refused = shop.curl("/", &["--include"])?;
    ensure!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("\nretry-after: 180"), "{refused}");
    let member = shop.stage.lab.members()[0].hits();
    assert_eq!(member, 14, "what is refused does not reach a member");
    Ok(())
}

#[test]
fn a_described_request_gets_what_a_client_would() -> Result<()> {
    let shop = Shop::open()?;
    let private = json!([
        { "kind": "method", "values": ["GET"] },
        { "kind": "path", "compare": "prefix", "values": ["/private"] },
    ]);
    let first = shop.policy(10, &json!({ "rules": private, "redirect": { "path": "/sign-in" } }))?;
    let rewrite = json!({
        "path": { "from": "/api", "to": "/v2" },
        "request_headers": [{ "change": "set", "name": "x-shop", "value": "yes" }],
    });
    let second = shop.policy(20, &json!({ "rewrite": rewrite, "pools": shop.to(1) }))?;
    shop.stage.await_forwarding()?;
    let explain = |fields: Value| -> Result<Value> {
        let mut document = json!({ "virtual_service_id": shop.service, "host": "shop.example" });
        let fields = fields.as_object().cloned().context("want fields")?;
        document.as_object_mut().context("an object")?.extend(fields);
        Ok(shop.stage.api.post("/explain", &document)?.expect_status(200)?.body)
    };

    let sent =
        explain(json!({ "path": "/api/cart?item=7", "headers": [{ "name": "X-Shop", "value": "forged" }] }))?;
    let asked = json!([
        { "policy_id": first, "fits": false, "misfit": 1 },
        { "policy_id": second, "fits": true, "misfit": null },
    ]);
    assert_eq!((&sent["policies"], &sent["answer"]), (&asked, &json!(null)));
    assert_eq!((&sent["path"], &sent["pool_id"]), (&json!("/v2/cart?item=7"), &json!(shop.pools[1])));
    let members = shop.stage.api.get(&format!("/pools/{}/members", shop.pools[1]))?.expect_status(200)?.body;
    assert_eq!(sent["member_id"], members["items"][0]["id"]);
    let headers = sent["headers"].as_array().context("no headers")?;
    ensure!(headers.contains(&json!({ "name": "x-shop", "value": "yes" })), "{headers:?}");

    let redirected = explain(json!({ "path": "/x/../private?a" }))?;
    assert_eq!((&redirected["answer"]["status"], &redirected["pool_id"]), (&json!(302), &json!(null)));
    let location = json!({ "name": "location", "value": "http://shop.example/sign-in?a" });
    ensure!(
        redirected["answer"]["headers"].as_array().context("none")?.contains(&location),
        "{redirected:#}"
    );
    assert_eq!(
        shop.status("/private?a", &["--header", "Host: shop.example"])?,
        "302 http://shop.example/sign-in?a"
    );

    let wrong =
        json!({ "virtual_service_id": shop.service, "method": "G T", "path": "cart", "headers": [{}] });
    let faults = shop.stage.api.post("/explain", &wrong)?.expect_status(422)?.body;
    assert_eq!(faults["errors"].as_array().map(Vec::len), Some(4), "{faults:#}");
    let tcp = shop.stage.api.get("/virtual-services?name=web")?.expect_status(200)?.body;
    let elsewhere = json!({ "virtual_service_id": tcp["items"][0]["id"] });
    shop.stage.api.post("/explain", &elsewhere)?.expect_status(409)?;
    Ok(())
}
