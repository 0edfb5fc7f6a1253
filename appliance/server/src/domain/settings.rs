//! The machine's own settings, as an administrator writes them. What is wrong alone is told here; whether one can still
//! reach the appliance with them only a trial tells.

use std::net::Ipv4Addr;
use std::path::Path;

use lb_model::settings::{
    InterfaceAddress, InterfaceAddressError, InterfaceSettings, NetworkRoute, Settings, SyslogProtocol,
    SyslogServer,
};
use serde_json::{Map, Value};

use super::fields::{self, Fault, FieldError, Fields};
use super::merge::merge_patch;

/// Where a time zone is known, a file is.
const TIME_ZONES: &str = "/usr/share/zoneinfo";
const ROUTES_MAX: usize = 64;
/// What the C library asks.
const DNS_SERVERS_MAX: usize = 3;
const DNS_SEARCH_MAX: usize = 6;
const NTP_SERVERS_MAX: usize = 8;
const PROTOCOLS: &[(&str, SyslogProtocol)] = &[("udp", SyslogProtocol::Udp), ("tcp", SyslogProtocol::Tcp)];

/// `before` with `patch` merged in (RFC 7396).
pub(crate) fn patched(before: &Settings, patch: &Map<String, Value>) -> Result<Settings, Vec<FieldError>> {
    // Settings always serialise to an object; if they did not, every field of the patch would be unknown.
    let mut document = match serde_json::to_value(before) {
        Ok(Value::Object(document)) => document,
        _ => Map::new(),
    };
    let mut faults = merge_patch(&mut document, patch);
    let mut fields = Fields::new(&document);
    let names: Vec<&str> = before.interfaces.keys().map(String::as_str).collect();
    let read = read(&mut fields, &names);
    faults.extend(fields.finish());
    read.filter(|_| faults.is_empty()).ok_or(faults)
}

fn read(fields: &mut Fields<'_>, interfaces: &[&str]) -> Option<Settings> {
    let hostname = fields.optional("hostname", "penstock".to_owned(), domain_name);
    let time_zone = fields.optional("time_zone", "UTC".to_owned(), time_zone);
    let interfaces = fields.named_objects("interfaces", interfaces, interface);
    let dns_servers = fields.optional_list("dns_servers", DNS_SERVERS_MAX, fields::host_address_v4);
    let dns_search = fields.optional_list("dns_search", DNS_SEARCH_MAX, domain_name);
    let ntp_servers = fields.optional_list("ntp_servers", NTP_SERVERS_MAX, domain_name);
    let syslog = fields.nullable_object("syslog", syslog);
    Some(Settings {
        hostname: hostname?,
        time_zone: time_zone?,
        interfaces: interfaces?,
        dns_servers: dns_servers?,
        dns_search: dns_search?,
        ntp_servers: ntp_servers?,
        syslog: syslog?,
    })
}

fn interface(fields: &mut Fields<'_>) -> Option<InterfaceSettings> {
    let address: Option<Option<InterfaceAddress>> = fields.nullable("address", |value| {
        let text = value
            .as_str()
            .ok_or_else(|| Fault::new("wrong_type", "want an address, as \"192.0.2.10/24\""))?;
        text.parse().map_err(|error: InterfaceAddressError| Fault::new("invalid", error.to_string()))
    });
    // A wrong address is told once.
    let known = address.unwrap_or_default();
    let reachable = |gateway: Ipv4Addr| match known {
        Some(address) if !address.reaches(gateway) => {
            Err(Fault::new("invalid", format!("{gateway} is no other host of the network of {address}")))
        }
        _ => Ok(()),
    };
    let gateway = fields.nullable("gateway", |value| {
        let gateway = fields::host_address_v4(value)?;
        if address == Some(None) {
            return Err(Fault::new("invalid", "without an address there is no gateway: DHCP names one"));
        }
        reachable(gateway).map(|()| gateway)
    });
    let routes = fields.objects("routes", ROUTES_MAX, |fields| {
        let destination = fields.required("destination", fields::network_v4);
        let gateway = fields.required("gateway", |value| {
            let gateway = fields::host_address_v4(value)?;
            reachable(gateway).map(|()| gateway)
        });
        Some(NetworkRoute { destination: destination?, gateway: gateway? })
    });
    Some(InterfaceSettings { address: address?, gateway: gateway?, routes: routes? })
}

fn syslog(fields: &mut Fields<'_>) -> Option<SyslogServer> {
    let server = fields.required("server", domain_name);
    let port = fields.required("port", fields::port);
    let protocol = fields.required("protocol", fields::word(PROTOCOLS));
    Some(SyslogServer { server: server?, port: port?, protocol: protocol? })
}

/// RFC 1123; an IPv4 address has this form too.
fn domain_name(value: &Value) -> Result<String, Fault> {
    let name = fields::text(1..=253)(value)?;
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.split('.').all(is_label) {
        return Ok(name);
    }
    Err(Fault::new("invalid", "want a name of letters, digits, hyphens and dots, as \"lb.example.net\""))
}

fn time_zone(value: &Value) -> Result<String, Fault> {
    let name = fields::text(1..=64)(value)?;
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
    };
    if name.split('/').all(is_word) && Path::new(TIME_ZONES).join(&name).is_file() {
        return Ok(name);
    }
    Err(Fault::new("invalid", "want a time zone, as \"Europe/Zurich\""))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn before() -> Settings {
        Settings::untold(["management", "port1"].map(str::to_owned))
    }

    fn faults(patch: &Value) -> BTreeSet<String> {
        let faults = patched(&before(), patch.as_object().unwrap()).unwrap_err();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn a_patch_changes_what_it_names() {
        let patch = json!({
            "hostname": "lb-1",
            "interfaces": { "management": { "address": "192.0.2.10/24", "gateway": "192.0.2.1" } },
            "syslog": { "server": "192.0.2.9", "port": 514, "protocol": "udp" },
        });
        let settings = patched(&before(), patch.as_object().unwrap()).unwrap();
        assert_eq!(settings.hostname, "lb-1");
        assert_eq!(settings.interfaces["port1"], InterfaceSettings::default());
        let text = settings.to_lines();
        assert!(text.contains("management.address=192.0.2.10/24\nmanagement.gateway=192.0.2.1\n"), "{text}");
        assert!(text.contains("syslog=udp 192.0.2.9 514\n"), "{text}");
        // Null is what there is without a word.
        let patch =
            json!({ "interfaces": { "management": { "address": null, "gateway": null } }, "syslog": null });
        let settings = patched(&settings, patch.as_object().unwrap()).unwrap();
        assert_eq!(settings, Settings { hostname: "lb-1".to_owned(), ..before() });
    }

    #[test]
    fn every_wrong_field_is_named() {
        let pointer = |text: &str| text.to_owned();
        let patch = json!({
            "hostname": "no good",
            "time_zone": "../etc/passwd",
            "dns_servers": ["192.0.2.53", "name"],
            "interfaces": {
                "management": { "gateway": "192.0.2.1" },
                "port1": {
                    "address": "10.0.0.1/24",
                    "routes": [{ "destination": "10.9.0.0/16", "gateway": "10.1.0.254" }],
                },
                "port2": {},
            },
            "syslog": { "server": "log" },
            "colour": "red",
        });
        let wanted = [
            "/colour",
            "/dns_servers/1",
            "/hostname",
            "/interfaces/management/gateway",
            "/interfaces/port1/routes/0/gateway",
            "/interfaces/port2",
            "/syslog/port",
            "/syslog/protocol",
            "/time_zone",
        ];
        assert_eq!(faults(&patch), wanted.map(pointer).into());
        assert_eq!(
            faults(&json!({ "interfaces": { "port1": { "address": "10.0.0.0/24" } } })),
            [pointer("/interfaces/port1/address")].into()
        );
    }
}
