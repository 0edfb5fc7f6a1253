//! IPv4 and IPv6: both are taken, each in one form, and not mixed where packets reach the members as clients sent them.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use serde_json::{Value, json};
use support_api::{Api, Created, Server};

const VIRTUAL_IPS: &str = "/api/v1/virtual-ips";
const SERVICES: &str = "/api/v1/virtual-services";
const POOLS: &str = "/api/v1/pools";

fn virtual_ip(api: &Api, address: &str) -> Created {
    api.create(VIRTUAL_IPS, &json!({ "name": address.replace([':', '.'], "-"), "address": address }))
}

fn pool(api: &Api, name: &str, members: &[&str]) -> Created {
    let pool = api.create(POOLS, &json!({ "name": name }));
    for address in members {
        api.create(&format!("{}/members", pool.path), &json!({ "address": address, "port": 80 }));
    }
    pool
}

fn service(name: &str, virtual_ips: &[&Created], pool: &Created, forwarding: &str) -> Value {
    let (protocol, port) = if forwarding == "proxy" { ("http", 8080) } else { ("tcp", 80) };
    json!({
        "name": name, "virtual_ip_ids": virtual_ips.iter().map(|one| &one.id).collect::<Vec<_>>(),
        "protocol": protocol, "port": port, "forwarding": forwarding, "default_pool_id": pool.id,
    })
}

#[test]
fn an_ipv6_address_has_one_form() {
    let (_server, api) = Server::claimed();
    let created = virtual_ip(&api, "2001:DB8:0:0:1:0:0:10");
    assert_eq!(api.get(&created.path).body["address"], "2001:db8::1:0:0:10");
    let again = json!({ "name": "again", "address": "2001:db8::1:0:0:0010" });
    api.post(VIRTUAL_IPS, &again).is_problem(409, "taken", [("/address", "taken")]);

    let web = pool(&api, "web", &["2001:db8:1::A"]);
    let members = api.get(&format!("{}/members", web.path)).body;
    assert_eq!(members["items"][0]["address"], "2001:db8:1::a");
    assert_eq!(members["items"][0]["name"], "[2001:db8:1::a]:80");

    let mut open = service("open", &[&created], &web, "nat");
    open["allowed_cidrs"] = json!(["2001:db8::/32", "192.0.2.0/24"]);
    open["denied_cidrs"] = json!(["2001:DB8:1::/48"]);
    api.post(SERVICES, &open).is_problem(422, "validation_failed", [("/denied_cidrs/0", "invalid")]);
    open["denied_cidrs"] = json!(["2001:db8:1::/48"]);
    let open = api.create(SERVICES, &open);
    assert_eq!(api.get(&open.path).body["allowed_cidrs"], json!(["2001:db8::/32", "192.0.2.0/24"]));
}

#[test]
fn members_are_of_the_family_that_the_service_is_offered_on() {
    let (_server, api) = Server::claimed();
    let (four, six) = (virtual_ip(&api, "192.0.2.10"), virtual_ip(&api, "2001:db8::10"));
    let (web_4, web_6) = (pool(&api, "web-4", &["198.51.100.1"]), pool(&api, "web-6", &["2001:db8:1::1"]));
    let refused = |answer: support_api::Answer, pointer: &str| {
        answer.is_problem(422, "validation_failed", [(pointer, "invalid")]);
    };
    for forwarding in ["nat", "dr"] {
        refused(api.post(SERVICES, &service("x", &[&six], &web_4, forwarding)), "/virtual_ip_ids/0");
        refused(api.post(SERVICES, &service("x", &[&four, &six], &web_4, forwarding)), "/virtual_ip_ids/1");
        refused(api.post(SERVICES, &service("x", &[&four], &web_6, forwarding)), "/virtual_ip_ids/0");
    }
    // Where the appliance asks the members itself, it is nobody's business.
    api.create(SERVICES, &service("proxied", &[&four, &six], &web_6, "proxy"));

    let shop = api.create(SERVICES, &service("shop", &[&six], &web_6, "nat"));
    let members = format!("{}/members", web_6.path);
    refused(api.post(&members, &json!({ "address": "198.51.100.2", "port": 80 })), "/address");
    refused(api.patch(&six.path, "*", &json!({ "address": "192.0.2.11" })), "/address");
    refused(api.patch(&shop.path, "*", &json!({ "default_pool_id": web_4.id })), "/virtual_ip_ids/0");
    refused(api.patch(&web_6.path, "*", &json!({ "backup_pool_id": web_4.id })), "/backup_pool_id");

    // Also by way of a backup's backup.
    let (second, third) = (pool(&api, "second", &[]), pool(&api, "third", &[]));
    for (before, behind) in [(&web_6, &second), (&second, &third)] {
        let patch = json!({ "backup_pool_id": behind.id });
        assert_eq!(api.patch(&before.path, "*", &patch).status, 200);
    }
    let members = format!("{}/members", third.path);
    refused(api.post(&members, &json!({ "address": "198.51.100.3", "port": 80 })), "/address");
    api.create(&members, &json!({ "address": "2001:db8:1::3", "port": 80 }));
}
