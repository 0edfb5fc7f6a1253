//! Bad input for every field of every resource, made from the description: each is refused with a pointer to the field,
//! nothing is changed, and nothing fails inside.

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support_api::{Answer, send};
use crate::walk::{Description, Operation};
use crate::world::{One, World};

/// Lists that may be longer are not filled: the request would be too large before it is wrong.
const LIST_MOST: u64 = 5000;

/// Formats that not every text has.
const FORMATS: [&str; 5] = ["uuid", "date-time", "ipv4", "ipv6", "ip"];

/// What the settings of each kind of monitor are called in the description.
const SETTINGS: [(&str, &str); 11] = [
    ("agent", "AgentSettings"),
    ("icmp", "IcmpSettings"),
    ("tcp", "TcpSettings"),
    ("udp", "UdpSettings"),
    ("tls", "TlsSettings"),
    ("http", "HttpSettings"),
    ("https", "HttpsSettings"),
    ("grpc", "GrpcSettings"),
    ("postgres", "DatabaseSettings"),
    ("mysql", "DatabaseSettings"),
    ("redis", "RoleSettings"),
];

/// A value that a field must not have, and where the fault is.
struct Bad {
    /// The whole body.
    body: Value,
    /// The answer's pointer is this, something below it, or something above it.
    pointer: String,
}

/// Bodies that are wrong in one place each: `good`, with a bad value for each field of `schema`.
fn bad_bodies(description: &Description, schema: &Value, good: &Value) -> Vec<Bad> {
    let mut bad = Vec::new();
    let mut add = |pointer: &str, value: Value| {
        bad.push(Bad { body: with(good, pointer, Some(value)), pointer: pointer.to_owned() });
    };
    walk(description, description.follow(schema), good, "", &mut add);
    let required = description.follow(schema)["required"].as_array().into_iter().flatten();
    for name in required.map(|name| format!("/{}", name.as_str().unwrap())) {
        bad.push(Bad { body: with(good, &name, None), pointer: name });
    }
    bad
}

/// `body` with another value, or none, at `pointer`; what leads there is made as needed.
fn with(body: &Value, pointer: &str, value: Option<Value>) -> Value {
    let mut body = body.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let mut place = &mut body;
    for part in parent.split('/').skip(1) {
        place = if let Ok(index) = part.parse::<usize>() {
            if !place.is_array() {
                *place = json!([]);
            }
            let list = place.as_array_mut().unwrap();
            if list.len() <= index {
                list.push(Value::Null);
            }
            &mut list[index]
        } else {
            if place[part].is_null() {
                place[part] = json!({});
            }
            &mut place[part]
        };
    }
    match (value, name.parse::<usize>()) {
        (Some(value), Ok(_)) => *place = json!([value]),
        (Some(value), Err(_)) => {
            if !place.is_object() {
                *place = json!({});
            }
            place[name] = value;
        }
        (None, _) => drop(place.as_object_mut().unwrap().remove(name)),
    }
    body
}

/// Says bad values for each field of an object.
fn walk(
    description: &Description,
    schema: &Value,
    good: &Value,
    at: &str,
    add: &mut impl FnMut(&str, Value),
) {
    add(&format!("{at}/no_such_field"), json!(1));
    let fields = schema["properties"].as_object().cloned().unwrap_or_else(Map::new);
    for (name, field) in &fields {
        let at = format!("{at}/{name}");
        for value in bad_values(description, field) {
            add(&at, value);
        }
        let (field, _) = concrete(description, field);
        let items = description.follow(&field["items"]).clone();
        for (below, at) in [(&field, at.clone()), (&items, format!("{at}/0"))] {
            if below["properties"].is_object() {
                walk(description, below, &good[name], &at, add);
            }
        }
        for value in bad_items(description, &field) {
            add(&format!("{at}/0"), value);
        }
    }
}

fn bad_items(description: &Description, field: &Value) -> Vec<Value> {
    if field["items"].is_null() { Vec::new() } else { bad_values(description, &field["items"]) }
}

/// What stands behind references and choices, and whether null may stand there too.
fn concrete(description: &Description, schema: &Value) -> (Value, bool) {
    let schema = description.follow(schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let is_null = |choice: &&Value| choice["type"] == "null";
        let other = choices.iter().find(|choice| !is_null(choice)).unwrap();
        let (concrete, _) = concrete(description, other);
        return (concrete, choices.iter().any(|choice| is_null(&choice)));
    }
    let nullable = schema["type"].as_array().is_some_and(|types| types.contains(&json!("null")));
    (schema.clone(), nullable)
}

/// Values that no field of this schema may have.
fn bad_values(description: &Description, schema: &Value) -> Vec<Value> {
    let (schema, _) = concrete(description, schema);
    let has = |kind: &str| {
        schema["type"] == kind || schema["type"].as_array().is_some_and(|types| types.contains(&json!(kind)))
    };
    let limit = |name: &str| schema[name].as_i64();
    let mut bad = Vec::new();
    let kinds = [
        ("string", json!("a word")),
        ("integer", json!(7)),
        ("boolean", json!(true)),
        ("array", json!([[1]])),
        ("object", json!({ "no_such_field": { "deep": [] } })),
    ];
    let is_any = !["string", "integer", "boolean", "array", "object"].iter().any(|kind| has(kind));
    if !is_any {
        bad.extend(kinds.into_iter().filter(|(kind, _)| !has(kind)).map(|(_, value)| value));
    }
    if has("string") {
        let most = limit("maxLength").unwrap_or(64);
        bad.push(json!("x".repeat(usize::try_from(most).unwrap() + 1)));
        bad.push(json!("a\u{0}b"));
        if limit("minLength").is_some_and(|least| least > 0) {
            bad.push(json!(""));
        }
        if schema["enum"].is_array() || FORMATS.contains(&schema["format"].as_str().unwrap_or_default()) {
            bad.push(json!("no such word"));
        }
    }
    if has("integer") {
        bad.push(json!(1.5));
        bad.push(json!(1e300));
        bad.extend(limit("minimum").map(|least| json!(least - 1)));
        bad.extend(limit("maximum").filter(|most| *most < i64::MAX).map(|most| json!(most + 1)));
    }
    if has("array") {
        let most = schema["maxItems"].as_u64().unwrap();
        if most <= LIST_MOST {
            bad.push(Value::Array(vec![json!("same"); usize::try_from(most).unwrap() + 1]));
        }
        if limit("minItems").is_some_and(|least| least > 0) {
            bad.push(json!([]));
        }
    }
    bad
}

/// Where an answer falls short, if it does.
fn shortcoming(answer: &Answer, pointer: &str) -> Option<String> {
    if answer.status != 422 {
        return Some(format!("answered {}", answer.status));
    }
    let faults = answer.faults();
    let named = |(at, _): &(String, String)| {
        at.starts_with(pointer) || (!at.is_empty() && pointer.starts_with(at.as_str()))
    };
    (!faults.iter().any(named)).then(|| format!("named {faults:?}"))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.len() > 60 {
        format!("{}… ({} bytes)", text.chars().take(50).collect::<String>(), text.len())
    } else {
        text
    }
}

#[test]
fn every_bad_value_of_every_field_is_refused_by_name() {
    let world = World::new();
    let operations = world.description.operations();
    let mut complaints = Vec::new();
    let mut tried = 0;
    for One { collection, list, created, another } in &world.resources {
        let create =
            operations.iter().find(|it| it.path == *collection && it.method == Method::POST).unwrap();
        let before = world.state();
        for Bad { body, pointer } in bad_bodies(&world.description, create.body().unwrap(), another) {
            let value = short(body.pointer(&pointer).unwrap_or(&json!("(none)")));
            let mut check = |verb: &str, answer: Answer| {
                tried += 1;
                if let Some(what) = shortcoming(&answer, &pointer) {
                    complaints.push(format!("{verb} {collection} {pointer} = {value}: {what}"));
                }
            };
            check("POST", world.admin.post(list, &body));
            check("PUT", world.admin.put(&created.path, "*", &body));
            // A merge patch cannot take a field away from what is not there, nor say null of it.
            let first = format!("/{}", pointer.split('/').nth(1).unwrap());
            if let Some(field) = body.pointer(&first) {
                check("PATCH", world.admin.patch(&created.path, "*", &json!({ &first[1..]: field })));
            }
        }
        if world.state() != before {
            complaints.push(format!("{collection}: something was changed"));
        }
    }
    println!("{tried} bad values were sent");
    assert!(complaints.is_empty(), "{} of {tried}:\n{}", complaints.len(), complaints.join("\n"));
    assert!(tried > 1000, "only {tried} values were tried");
}

#[test]
fn the_settings_of_every_kind_of_monitor_are_checked_alike() {
    let world = World::new();
    let one = world.resources.iter().find(|one| one.collection == "/api/v1/monitors").unwrap();
    let settings = world.description.schema("MonitorSettings");
    for choice in settings["anyOf"].as_array().unwrap() {
        let name = choice["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
        assert!(SETTINGS.iter().any(|(_, known)| *known == name), "say which kind has {name}");
    }
    let mut complaints = Vec::new();
    for (kind, name) in SETTINGS {
        let good = json!({ "name": "monitor", "kind": kind, "settings": {} });
        let mut bad = Vec::new();
        let mut add = |pointer: &str, value: Value| {
            bad.push(Bad { body: with(&good, pointer, Some(value)), pointer: pointer.to_owned() });
        };
        walk(&world.description, world.description.schema(name), &json!({}), "/settings", &mut add);
        for Bad { body, pointer } in bad {
            let answer = world.admin.post(&one.list, &body);
            if let Some(what) = shortcoming(&answer, &pointer) {
                let value = short(body.pointer(&pointer).unwrap());
                complaints.push(format!("{kind} {pointer} = {value}: {what}"));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What the description gives as right.
fn good_value(schema: &Value) -> Value {
    schema.get("example").or_else(|| schema.get("default")).cloned().unwrap_or_default()
}

#[test]
fn bodies_that_are_no_resources_are_checked_alike() {
    let world = World::new();
    let mut complaints = Vec::new();
    let resource = |path: &str| world.resources.iter().any(|one| path.starts_with(one.collection));
    let others: Vec<Operation> =
        world.description.operations().into_iter().filter(|it| !resource(&it.path)).collect();
    for operation in others.iter().filter(|it| it.body().is_some() && !it.path.contains('{')) {
        // Nothing else than an object is in these; and the machine's settings need penstock-host to be read.
        let others = ["/api/v1/config", "/api/v1/claim", "/api/v1/system/settings"];
        if others.contains(&operation.path.as_str()) {
            continue;
        }
        let schema = world.description.follow(operation.body().unwrap());
        let good: Map<String, Value> = schema["properties"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, field)| (name.clone(), good_value(world.description.follow(field))))
            .collect();
        for Bad { body, pointer } in bad_bodies(&world.description, operation.body().unwrap(), &json!(good)) {
            let request = world.admin.request(operation.method.clone(), &operation.path);
            let answer = send(request.header("if-match", "*").json(&body));
            if let Some(what) = shortcoming(&answer, &pointer) {
                let value = short(body.pointer(&pointer).unwrap_or(&json!("(none)")));
                complaints
                    .push(format!("{} {} {pointer} = {value}: {what}", operation.method, operation.path));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_bad_parameter_is_refused_by_name() {
    let world = World::new();
    let mut complaints = Vec::new();
    for operation in world.description.operations() {
        if operation.method != Method::GET || operation.is_open() || operation.id() == "streamEvents" {
            continue;
        }
        let path =
            world.resources.iter().find(|one| one.collection == operation.path).map(|one| one.list.clone());
        let path = path.unwrap_or_else(|| operation.path.clone());
        if path.contains('{') {
            continue;
        }
        let lists = operation.takes("query", "limit");
        let unknown = lists.then(|| ("no_such_parameter", json!(1)));
        let bad = operation.parameters("query").into_iter().flat_map(|(name, schema)| {
            let texts = bad_texts(&world.description, schema);
            texts.into_iter().map(move |text| (name, text))
        });
        for (name, value) in bad.chain(unknown) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let request = world.admin.request(Method::GET, &path).query(&[(name, text.as_str())]);
            let answer = send(request);
            if let Some(what) = shortcoming(&answer, &format!("?{name}")) {
                complaints.push(format!("GET {path}?{name}={}: {what}", short(&value)));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Bad values of a parameter, which is always a text.
fn bad_texts(description: &Description, schema: &Value) -> Vec<Value> {
    let (schema, _) = concrete(description, schema);
    match schema["type"].as_str() {
        Some("integer" | "boolean") => {
            let numbers = bad_values(description, &schema);
            numbers.into_iter().filter(|value| !value.is_array() && !value.is_object()).collect()
        }
        Some("string") if schema["enum"].is_array() => vec![json!("no such word")],
        _ => Vec::new(),
    }
}
