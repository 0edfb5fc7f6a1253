//! Statistics: their history, and what is collected from outside. Nobody forwards here; penstockd measures itself.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support_api;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support_api::{Api, Server};

const HISTORY: &str = "/api/v1/stats/history";
const NOBODY: &str = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";

/// The values of one metric of penstockd itself.
fn values(api: &Api, query: &str) -> Vec<f64> {
    let answer = api.get(&format!("{HISTORY}?resource=processes&id=penstockd&metric=memory_bytes&{query}"));
    assert_eq!(answer.status, 200, "{:#}", answer.body);
    let [series] = answer.body["series"].as_array().unwrap().as_slice() else { panic!("{:#}", answer.body) };
    assert_eq!(
        (&series["id"], &series["kind"], &series["unit"]),
        (&json!("penstockd"), &json!("gauge"), &json!("bytes"))
    );
    series["values"].as_array().unwrap().iter().filter_map(Value::as_f64).collect()
}

fn await_values(api: &Api, query: &str, wanted: usize) -> Vec<f64> {
    let until = Instant::now() + Duration::from_mins(1);
    loop {
        let found = values(api, query);
        if found.len() >= wanted {
            return found;
        }
        assert!(Instant::now() < until, "only {} values came", found.len());
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_second_is_measured_after_the_other_and_kept_across_a_restart() {
    let (mut server, api) = Server::claimed();
    let before = await_values(&api, "step_s=1", 3);
    assert!(before.iter().all(|memory| *memory > f64::from(1 << 20)), "{before:?}");
    server.stop();
    server.kill_and_restart();
    let api = server.sign_in();
    let after = values(&api, "step_s=1");
    assert!(after.len() >= before.len(), "{before:?} became {after:?}");

    // A crash while the file is being written loses the file at worst, never the start.
    std::fs::write(server.folder().join("state/stats.db"), "no database").unwrap();
    server.kill_and_restart();
    await_values(&server.sign_in(), "step_s=1", 1);
}

#[test]
fn a_question_is_answered_in_steps() {
    let (_server, api) = Server::claimed();
    await_values(&api, "step_s=1", 2);
    let answer = api.get(&format!("{HISTORY}?resource=processes&range_s=600&step_s=60&aggregation=max"));
    let body = &answer.body;
    assert_eq!(
        (&body["step_s"], &body["resolution_s"], &body["aggregation"]),
        (&json!(60), &json!(1), &json!("max"))
    );
    let series = body["series"].as_array().unwrap();
    assert_eq!(series.len(), 4 * 3, "four processes, three metrics each");
    assert!(series.iter().all(|series| series["values"].as_array().unwrap().len() == 10), "{body:#}");
    let value = |id: &str, metric: &str| {
        let found = series.iter().find(|series| series["id"] == id && series["metric"] == metric).unwrap();
        found["values"].as_array().unwrap().iter().filter_map(Value::as_f64).next_back()
    };
    assert_eq!((value("penstockd", "connected"), value("penstock-l4", "connected")), (Some(1.0), Some(0.0)));

    let day = api.get(&format!("{HISTORY}?resource=appliance&range_s=86400")).body;
    assert_eq!((&day["step_s"], &day["resolution_s"]), (&json!(290), &json!(10)));
    let unknown = api.get(&format!("{HISTORY}?resource=pools&id={NOBODY}&range_s=10&step_s=1")).body;
    assert!(
        unknown["series"]
            .as_array()
            .unwrap()
            .iter()
            .all(|series| series["values"] == json!(vec![Value::Null; 10]))
    );
}

#[test]
fn every_wrong_word_of_a_question_is_named() {
    let (_server, api) = Server::claimed();
    let refused = |query: &str| {
        let answer = api.get(&format!("{HISTORY}?{query}"));
        assert_eq!(
            (answer.status, answer.body["code"].as_str()),
            (422, Some("validation_failed")),
            "{:#}",
            answer.body
        );
        answer.faults()
    };
    let faults = |faults: &[(&str, &str)]| {
        faults.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(refused(""), faults(&[("?resource", "required")]));
    assert_eq!(refused("resource=weather"), faults(&[("?resource", "unsupported")]));
    assert_eq!(refused("resource=pools"), faults(&[("?id", "required")]));
    let wrong = "resource=ports&metric=colour&to=noon&range_s=0&step_s=x&aggregation=mode&colour=blue";
    let all = [
        ("?aggregation", "unsupported"),
        ("?colour", "unknown_parameter"),
        ("?metric", "unsupported"),
        ("?range_s", "out_of_range"),
        ("?step_s", "out_of_range"),
        ("?to", "invalid"),
    ];
    assert_eq!(refused(wrong), faults(&all));
    assert_eq!(
        refused("resource=ports&range_s=3500&step_s=1&to=2026-01-01T00:00:00Z&metric=up&metric=x").len(),
        1
    );
    let far = "resource=ports&range_s=86400&step_s=1";
    assert_eq!(api.get(&format!("{HISTORY}?{far}")).body["step_s"], 10, "a day in seconds is a day in tens");
}

#[test]
fn metrics_are_for_those_who_may_read() {
    let (server, api) = Server::claimed();
    server.anonymous().get("/metrics").is_problem(401, "unauthenticated", []);
    let answer = api.get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    let text = answer.body.as_str().unwrap();
    assert!(text.ends_with("# EOF\n"));
    assert!(text.contains("penstock_process_connected{process=\"penstockd\"} 1\n"), "{text}");
    assert!(text.contains("penstock_process_connected{process=\"penstock-l4\"} 0\n"), "{text}");
}
