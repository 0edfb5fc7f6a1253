//! Lists: pages, orders and filters.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use serde_json::{Value, json};
use support_api::{Api, Server};

const POOLS: &str = "/api/v1/pools";

fn names(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

/// All pages from `path` on, one after the other.
fn walk(api: &Api, path: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let answer = api.get(&path);
        assert_eq!(answer.status, 200, "{:#}", answer.body);
        pages.push(names(&answer.body));
        assert!(pages.len() < 20, "the list has no end");
        next = answer.body["next"].as_str().map(str::to_owned);
    }
    pages
}

fn five_pools() -> (Server, Api) {
    let (server, api) = Server::claimed();
    for (name, tags, enabled) in [
        ("b", json!(["red", "big"]), true),
        ("d", json!(["red"]), false),
        ("a", json!([]), true),
        ("e", json!(["big"]), true),
        ("c", json!(["red"]), true),
    ] {
        api.create(POOLS, &json!({ "name": name, "tags": tags, "enabled": enabled }));
    }
    (server, api)
}

#[test]
fn pages_follow_each_other_in_any_order() {
    let (_server, api) = five_pools();
    assert_eq!(walk(&api, POOLS), [["b", "d", "a", "e", "c"]]);
    assert_eq!(walk(&api, &format!("{POOLS}?limit=2")), [vec!["b", "d"], vec!["a", "e"], vec!["c"]]);
    let sorted = format!("{POOLS}?limit=2&sort=name:desc");
    assert_eq!(walk(&api, &sorted), [vec!["e", "d"], vec!["c", "b"], vec!["a"]]);
    assert_eq!(walk(&api, &format!("{POOLS}?sort=created_at:desc&limit=5")), [["c", "e", "a", "d", "b"]]);
}

#[test]
fn a_page_is_not_disturbed_by_what_happens_before_it() {
    let (_server, api) = five_pools();
    let first = api.get(&format!("{POOLS}?sort=name&limit=2")).body;
    assert_eq!(names(&first), ["a", "b"]);
    // The last of the page goes, and another comes before it.
    let gone = first["items"][1]["id"].as_str().unwrap();
    assert_eq!(api.delete(&format!("{POOLS}/{gone}"), "*").status, 204);
    api.create(POOLS, &json!({ "name": "aa" }));
    assert_eq!(walk(&api, first["next"].as_str().unwrap()), [vec!["c", "d"], vec!["e"]]);
}

#[test]
fn filters_are_exact_and_joined_by_and() {
    let (_server, api) = five_pools();
    let listed = |query: &str| walk(&api, &format!("{POOLS}?{query}&sort=name")).concat();
    assert_eq!(listed("name=b"), ["b"]);
    assert_eq!(listed("tags=red"), ["b", "c", "d"]);
    assert_eq!(listed("tags=red&tags=big"), ["b"]);
    assert_eq!(listed("not_tags=red"), ["a", "e"]);
    assert_eq!(listed("tags=red&enabled=true"), ["b", "c"]);
    assert_eq!(listed("tags=red&enabled=true&limit=1"), ["b", "c"], "also across pages");
    assert_eq!(listed("algorithm=round_robin").len(), 5);
    assert!(listed("name=B").is_empty());
    assert!(listed("name=%25").is_empty(), "no pattern: %");
}

#[test]
fn a_search_looks_at_what_people_remember() {
    let (_server, api) = five_pools();
    let found = |path: &str| walk(&api, path).concat();
    assert_eq!(
        found(&format!("{POOLS}?q=RED&sort=name&limit=1")),
        ["b", "c", "d"],
        "tags, also across pages"
    );
    assert!(found(&format!("{POOLS}?q=%25")).is_empty(), "no pattern: %");
    let vip = api.create("/api/v1/virtual-ips", &json!({ "name": "shop", "address": "192.0.2.77" }));
    let service = json!({ "name": "s", "description": "Winter sale", "virtual_ip_ids": [vip.id],
        "protocol": "tcp", "port": 8443 });
    api.create("/api/v1/virtual-services", &service);
    for words in ["winter", "192.0.2.77:84", "S"] {
        assert_eq!(found(&format!("/api/v1/virtual-services?q={words}&sort=port")), ["s"], "{words}");
    }
    assert!(found("/api/v1/virtual-services?q=192.0.2.78").is_empty());
    assert_eq!(found("/api/v1/virtual-ips?q=2.77"), ["shop"]);
}

#[test]
fn services_and_members_are_found_by_what_they_name() {
    let (_server, api) = Server::claimed();
    let ip = |name: &str, address: &str| {
        api.create("/api/v1/virtual-ips", &json!({ "name": name, "address": address })).id
    };
    let (one, two) = (ip("one", "192.0.2.1"), ip("two", "192.0.2.2"));
    let pool = api.create(POOLS, &json!({ "name": "web" }));
    for (name, ips, port) in
        [("s1", json!([one]), 80), ("s2", json!([one, two]), 443), ("s3", json!([two]), 80)]
    {
        let service = json!({ "name": name, "virtual_ip_ids": ips, "protocol": "tcp", "port": port });
        api.create("/api/v1/virtual-services", &service);
    }
    let services = |query: &str| walk(&api, &format!("/api/v1/virtual-services?sort=port&{query}")).concat();
    assert_eq!(services(&format!("virtual_ip_ids={one}")), ["s1", "s2"]);
    assert_eq!(services("port=80&limit=1"), ["s1", "s3"]);
    assert_eq!(walk(&api, "/api/v1/virtual-ips?address=192.0.2.2"), [["two"]]);

    let members = format!("{}/members", pool.path);
    for port in [8082, 8081, 8083] {
        api.create(&members, &json!({ "address": "198.51.100.1", "port": port }));
    }
    let sorted = walk(&api, &format!("{members}?sort=port:desc&limit=2")).concat();
    assert_eq!(sorted, ["198.51.100.1:8083", "198.51.100.1:8082", "198.51.100.1:8081"]);
    assert_eq!(walk(&api, &format!("{members}?port=8081")).concat(), ["198.51.100.1:8081"]);
}

#[test]
fn every_wrong_parameter_is_named() {
    let (_server, api) = five_pools();
    let answer = api.get(&format!("{POOLS}?limit=0&sort=colour&enabled=maybe&colour=blue&cursor=x"));
    let faults = [
        ("?colour", "unknown_parameter"),
        ("?cursor", "invalid"),
        ("?enabled", "wrong_type"),
        ("?limit", "out_of_range"),
        ("?sort", "invalid"),
    ];
    answer.is_problem(422, "validation_failed", faults);
    let next = api.get(&format!("{POOLS}?limit=1")).body["next"].as_str().unwrap().to_owned();
    let other_order = format!("{next}&sort=name");
    api.get(&other_order).is_problem(422, "validation_failed", [("?cursor", "invalid")]);
}
