//! What can be written, and what is said about the rest.

use serde_json::{Value, json};

use super::*;

const IP: &str = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f";

fn read<K: Kind>(document: &Value) -> Result<Spec<K>, Vec<(String, String)>> {
    let told =
        |faults: Vec<FieldError>| faults.into_iter().map(|fault| (fault.pointer, fault.code)).collect();
    Spec::read(document.as_object().unwrap()).map_err(told)
}

fn faults<K: Kind>(document: &Value) -> Vec<(String, String)> {
    let mut faults = read::<K>(document).unwrap_err();
    faults.sort();
    faults
}

fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())).to_vec()
}

fn service() -> Value {
    json!({ "name": "shop", "virtual_ip_ids": [IP], "protocol": "tcp", "port": 80 })
}

fn with(mut document: Value, field: &str, value: Value) -> Value {
    document[field] = value;
    document
}

#[test]
fn what_is_not_given_has_its_default() {
    let spec = read::<VirtualService>(&service()).unwrap();
    let expected = json!({
        "name": "shop", "description": "", "tags": [], "enabled": true,
        "virtual_ip_ids": [IP], "protocol": "tcp", "port": 80, "forwarding": "nat",
        "default_pool_id": null, "timeouts": { "opening_s": 60, "idle_s": 300, "closing_s": 60 },
        "connection_limit": null, "allowed_cidrs": [], "denied_cidrs": [], "tls": null, "tunnel": null, "local_addresses": [], "unserved": "silence", "ended": "silence",
        "proxy_protocol_from": [], "request_timeouts": null, "limits": null, "compression": null, "port_end": null, "rate_limit": null,
        "syn_cookies_from": null,
    });
    assert_eq!(Value::Object(spec.document()), expected);
    let dns = read::<VirtualService>(&with(service(), "protocol", json!("udp"))).unwrap();
    assert_eq!((dns.own.timeouts.opening_s, dns.own.timeouts.idle_s), (30, 120), "by UDP");
    let member = read::<Member>(&json!({ "address": "198.51.100.1", "port": 8080 })).unwrap();
    assert_eq!(member.meta.name, "198.51.100.1:8080");
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let document = json!({
        "name": "", "tags": ["a", 1, "a"], "enabled": "yes", "virtual_ip_ids": [IP, "x"], "protocol": "ipx",
        "port": 70000, "timeouts": { "idle_s": 0, "idle_ms": 5 }, "id": IP, "colour": "blue",
    });
    let expected = [
        ("/colour", "unknown_field"),
        ("/enabled", "wrong_type"),
        ("/id", "read_only"),
        ("/name", "out_of_range"),
        ("/port", "out_of_range"),
        ("/protocol", "unsupported"),
        ("/tags/1", "wrong_type"),
        ("/tags/2", "duplicate"),
        ("/timeouts/idle_ms", "unknown_field"),
        ("/timeouts/idle_s", "out_of_range"),
        ("/virtual_ip_ids/1", "invalid"),
    ];
    assert_eq!(faults::<VirtualService>(&document), pairs(expected));
    let missing = [
        ("/name", "required"),
        ("/port", "required"),
        ("/protocol", "required"),
        ("/virtual_ip_ids", "required"),
    ];
    assert_eq!(faults::<VirtualService>(&json!({})), pairs(missing));
}

#[test]
fn ports_are_whole_numbers_from_1_to_65535() {
    for (port, code) in [
        (json!(0), "out_of_range"),
        (json!(70000), "out_of_range"),
        (json!(-1), "out_of_range"),
        (json!(80.5), "out_of_range"),
        (json!("80"), "wrong_type"),
        (json!(null), "wrong_type"),
    ] {
        assert_eq!(faults::<VirtualService>(&with(service(), "port", port)), pairs([("/port", code)]));
    }
    assert!(read::<VirtualService>(&with(service(), "port", json!(65535))).is_ok());
}

#[test]
fn addresses_are_those_of_one_host() {
    for (address, code) in [
        (json!("shop"), "invalid"),
        (json!("192.0.2.300"), "invalid"),
        (json!("192.0.2.1/24"), "invalid"),
        (json!("0.0.0.0"), "invalid"),
        (json!("127.0.0.1"), "invalid"),
        (json!("224.0.0.1"), "invalid"),
        (json!("255.255.255.255"), "invalid"),
        (json!("::1"), "invalid"),
        (json!("::"), "invalid"),
        (json!("ff02::1"), "invalid"),
        (json!("fe80::1"), "invalid"),
        (json!("::ffff:192.0.2.1"), "invalid"),
        (json!(7), "wrong_type"),
    ] {
        let document = json!({ "name": "shop", "address": address });
        assert_eq!(faults::<VirtualIp>(&document), pairs([("/address", code)]), "{document}");
    }
    let spec = read::<VirtualIp>(&json!({ "name": "shop", "address": "2001:DB8:0:0::1" })).unwrap();
    assert_eq!(spec.document()["address"], "2001:db8::1");
}

#[test]
fn names_are_1_to_255_characters_without_control_characters() {
    let named = |name: &str| read::<Pool>(&json!({ "name": name }));
    assert!(named(&"ü".repeat(255)).is_ok());
    assert!(named(&"ü".repeat(256)).is_err());
    assert!(named("two\nlines").is_err());
    assert!(named("").is_err());
}

#[test]
fn a_patch_changes_what_it_names_and_null_brings_back_the_default() {
    let before = with(service(), "timeouts", json!({ "idle_s": 60 }));
    let before = read::<VirtualService>(&with(before, "default_pool_id", json!(IP))).unwrap();
    let patch = |patch: Value| before.patched(patch.as_object().unwrap());

    let after = patch(json!({ "port": 443, "timeouts": null, "default_pool_id": null })).unwrap();
    assert_eq!(after.own.port.get(), 443);
    assert_eq!(after.own.timeouts.idle_s, 300);
    assert_eq!(after.own.default_pool_id, None);
    assert_eq!(after.own.virtual_ip_ids, before.own.virtual_ip_ids);
    assert_eq!(patch(json!({})).unwrap(), before);

    let mut codes: Vec<_> = patch(json!({ "port": null, "generation": 1, "colour": null }))
        .unwrap_err()
        .into_iter()
        .map(|fault| (fault.pointer, fault.code))
        .collect();
    codes.sort();
    let expected = [("/colour", "unknown_field"), ("/generation", "read_only"), ("/port", "required")];
    assert_eq!(codes, pairs(expected));
}

#[test]
fn what_is_understood_is_always_proxied() {
    let http = with(service(), "protocol", json!("http"));
    let spec = read::<VirtualService>(&http).unwrap();
    assert_eq!(spec.document()["forwarding"], "proxy");
    assert_eq!(
        faults::<VirtualService>(&with(http, "forwarding", json!("nat"))),
        pairs([("/forwarding", "unsupported")])
    );
    let udp = with(service(), "protocol", json!("udp"));
    assert_eq!(
        faults::<VirtualService>(&with(udp, "forwarding", json!("proxy"))),
        pairs([("/forwarding", "unsupported")])
    );
}

#[test]
fn what_is_passed_on_is_proxied_too() {
    let tcp = with(service(), "forwarding", json!("proxy"));
    let document = read::<VirtualService>(&tcp).unwrap().document();
    assert_eq!(document["request_timeouts"]["connect_s"], 5);
    assert_eq!(read::<VirtualService>(&Value::Object(document.clone())).unwrap().document(), document);
    assert_eq!(document["limits"]["head_bytes"], 32768);
    assert_eq!(
        faults::<VirtualService>(&with(tcp, "allowed_cidrs", json!(["192.0.2.0/24"]))),
        pairs([("/allowed_cidrs/0", "unsupported")])
    );
    let tls = with(service(), "protocol", json!("tls"));
    assert_eq!(read::<VirtualService>(&tls).unwrap().document()["tls"], Value::Null);
    assert_eq!(
        faults::<VirtualService>(&with(tls, "tls", json!({}))),
        pairs([("/tls/certificate_ids", "required")])
    );
}

#[test]
fn a_tunnel_says_what_it_is_and_only_where_there_is_one() {
    let tunnel = |tunnel: Value| with(with(service(), "forwarding", json!("tunnel")), "tunnel", tunnel);
    for (written, kept) in [
        (json!({ "kind": "ipip" }), json!({ "kind": "ipip", "port": null, "vni": null })),
        (json!({ "kind": "gre", "port": null }), json!({ "kind": "gre", "port": null, "vni": null })),
        (json!({ "kind": "gue" }), json!({ "kind": "gue", "port": 6080, "vni": null })),
        (json!({ "kind": "vxlan", "vni": 7 }), json!({ "kind": "vxlan", "port": 4789, "vni": 7 })),
        (json!({ "kind": "geneve", "vni": 0, "port": 9 }), json!({ "kind": "geneve", "port": 9, "vni": 0 })),
    ] {
        let document = read::<VirtualService>(&tunnel(written)).unwrap().document();
        assert_eq!(document["tunnel"], kept);
        assert_eq!(read::<VirtualService>(&Value::Object(document.clone())).unwrap().document(), document);
    }
    for (written, pointer, code) in [
        (json!({}), "/tunnel/kind", "required"),
        (json!({ "kind": "wormhole", "vni": 7 }), "/tunnel/kind", "invalid"),
        (json!({ "kind": "vxlan" }), "/tunnel/vni", "required"),
        (json!({ "kind": "vxlan", "vni": 1 << 24 }), "/tunnel/vni", "out_of_range"),
        (json!({ "kind": "gre", "vni": 7 }), "/tunnel/vni", "unsupported"),
        (json!({ "kind": "gue", "port": 0 }), "/tunnel/port", "out_of_range"),
    ] {
        assert_eq!(faults::<VirtualService>(&tunnel(written)), pairs([(pointer, code)]));
    }
    let missing = with(service(), "forwarding", json!("tunnel"));
    assert_eq!(faults::<VirtualService>(&missing), pairs([("/tunnel/kind", "required")]));
    let idle = with(service(), "tunnel", json!({ "kind": "ipip" }));
    assert_eq!(faults::<VirtualService>(&idle), pairs([("/tunnel", "unsupported")]));
}

#[test]
fn full_nat_has_local_addresses_and_nothing_else_does() {
    let masked = |addresses: Value| {
        with(with(service(), "forwarding", json!("full_nat")), "local_addresses", addresses)
    };
    let document = read::<VirtualService>(&masked(json!(["198.18.2.200"]))).unwrap().document();
    assert_eq!(document["local_addresses"], json!(["198.18.2.200"]));
    for (addresses, pointer, code) in [
        (json!([]), "/local_addresses", "out_of_range"),
        (json!(["127.0.0.1"]), "/local_addresses/0", "invalid"),
        (json!(["198.18.2.200", "198.18.2.200"]), "/local_addresses/1", "duplicate"),
    ] {
        assert_eq!(faults::<VirtualService>(&masked(addresses)), pairs([(pointer, code)]));
    }
    let missing = with(service(), "forwarding", json!("full_nat"));
    assert_eq!(faults::<VirtualService>(&missing), pairs([("/local_addresses", "required")]));
    let idle = with(service(), "local_addresses", json!(["198.18.2.200"]));
    assert_eq!(faults::<VirtualService>(&idle), pairs([("/local_addresses/0", "unsupported")]));
}

#[test]
fn wrong_monitors_are_named_by_what_is_wrong_with_them() {
    let explodes =
        json!({ "name": "m", "kind": "http", "settings": { "body": "(a{1000}){1000}", "codes": ["99"] } });
    let expected = pairs([("/settings/body", "invalid"), ("/settings/codes/0", "invalid")]);
    assert_eq!(faults::<Monitor>(&explodes), expected);
    let slow = json!({ "name": "m", "kind": "tcp", "interval_ms": 1000, "timeout_ms": 1001, "rise": 0 });
    assert_eq!(faults::<Monitor>(&slow), pairs([("/rise", "out_of_range"), ("/timeout_ms", "out_of_range")]));
    let foreign = json!({ "name": "m", "kind": "icmp", "settings": { "path": "/" } });
    assert_eq!(faults::<Monitor>(&foreign), pairs([("/settings/path", "unknown_field")]));
    let unknown = json!({ "name": "m", "kind": "telepathy", "settings": { "path": "/" } });
    assert_eq!(faults::<Monitor>(&unknown), pairs([("/kind", "invalid")]));
    let garbled = json!({ "name": "m", "kind": "tcp", "settings": { "send": "\\q" } });
    assert_eq!(faults::<Monitor>(&garbled), pairs([("/settings/send", "invalid")]));
}

#[test]
fn a_monitor_is_what_was_written_whatever_it_went_through() {
    let written = json!({ "name": "m", "kind": "https", "settings": { "path": "/a", "codes": ["200", "301-302"], "body": "x+" } });
    let spec = read::<Monitor>(&written).unwrap();
    let document = spec.document();
    assert_eq!(document["settings"]["codes"], json!(["200", "301-302"]));
    assert_eq!((&document["timeout_ms"], &document["settings"]["server_name"]), (&json!(2000), &Value::Null));
    assert_eq!(read::<Monitor>(&Value::Object(document.clone())).unwrap(), spec);
    assert_eq!(serde_json::from_value::<Spec<Monitor>>(Value::Object(document)).unwrap(), spec);
}
