//! Configurations made by chance, one applied after the other: a dry run changes nothing and says what applying does, whether
//! that is a change or a refusal; what was applied is applied again without effect.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use reqwest::Method;
use serde_json::{Value, json};
use support_api::{Answer, Api, Chance, Server};

const CONFIG: &str = "/api/v1/config";
const DOCUMENTS: usize = 40;

/// A document of few names, addresses and ports, so that each meets those of the one before.
fn document(chance: &mut Chance) -> Value {
    let mut some = |most: u64, make: &dyn Fn(u64, &mut Chance) -> Value| -> Vec<Value> {
        let count = chance.below(most + 1);
        (0..count).map(|at| make(at, chance)).collect()
    };
    let ips = some(
        3,
        &|at, chance| json!({ "name": format!("ip{at}"), "address": format!("192.0.2.{}", 3 * at + 1 + chance.below(3)) }),
    );
    let pools = some(3, &|at, chance| {
        let members: Vec<_> = (0..chance.below(4))
            .map(|member| {
                // A port that no member may have comes now and then.
                let port = [80, 81, 82, 70_000][usize::try_from(chance.below(40).saturating_sub(36)).unwrap()];
                json!({ "name": format!("m{member}"), "address": format!("198.51.100.{}", member + 1), "port": port,
                    "weight": chance.below(5) })
            })
            .collect();
        json!({ "name": format!("pool{at}"), "members": members, "enabled": chance.below(2) == 0 })
    });
    let (ip_count, pool_count) = (ips.len() as u64, pools.len() as u64);
    let services = some(4, &|at, chance| {
        // Where there is none, and now and then where there are, a name is of nothing.
        let of = |count: u64, chance: &mut Chance| chance.below(count * 4 + 1) % (count + 1);
        let (ip, pool) = (of(ip_count, chance).min(ip_count.saturating_sub(1)), of(pool_count, chance));
        json!({
            "name": format!("service{at}"), "virtual_ip_ids": [format!("ip{ip}")], "protocol": "tcp",
            "port": 80 + at * 2 + chance.below(3),
            "default_pool_id": (pool < pool_count).then(|| format!("pool{pool}")),
        })
    });
    json!({ "virtual_ips": ips, "pools": pools, "virtual_services": services })
}

/// All that a dry run must leave as it is.
fn state(api: &Api) -> (String, Value, Value) {
    let text = api.request(Method::GET, CONFIG).send().unwrap().text().unwrap();
    let status = api.get("/api/v1/status").body;
    let generations = json!([status["generation"], status["observed_generation"]]);
    (text, generations, api.get("/api/v1/audit?limit=1").body)
}

/// The answer without what is each one's own.
fn outcome(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
    for own in ["request_id", "dry_run"] {
        body.as_object_mut().unwrap().remove(own);
    }
    // What is created without an identifier is given one, each time another.
    for change in body["changes"].as_array_mut().into_iter().flatten() {
        if change["action"] == "create" {
            change
                .as_object_mut()
                .unwrap()
                .retain(|key, _| ["action", "resource", "name"].contains(&key.as_str()));
        }
        for path in ["/before/default_pool_id", "/after/default_pool_id", "/fields"] {
            change.pointer_mut(path).map(Value::take);
        }
    }
    json!([answer.status, body])
}

#[test]
fn a_dry_run_is_what_applying_is() {
    let (_server, api) = Server::claimed();
    let mut chance = Chance(2026);
    let (mut applied, mut refused) = (0, 0);
    for number in 0..DOCUMENTS {
        let document = document(&mut chance);
        let before = state(&api);
        let dry = api.put(&format!("{CONFIG}?dry_run=true"), "*", &document);
        assert_eq!(state(&api), before, "the dry run of document {number} changed something: {document:#}");
        let done = api.put(CONFIG, "*", &document);
        assert_eq!(outcome(&dry), outcome(&done), "document {number}: {document:#}");
        if done.status == 200 {
            applied += 1;
            let again = api.put(CONFIG, &done.etag(), &document);
            assert_eq!((again.status, &again.body["changes"]), (200, &json!([])), "document {number}");
        } else {
            refused += 1;
            assert_eq!(state(&api), before, "the refused document {number} changed something");
        }
    }
    println!("{applied} documents were applied, {refused} refused");
    assert!(applied >= DOCUMENTS / 4 && refused >= 2, "{applied} applied, {refused} refused");
}
