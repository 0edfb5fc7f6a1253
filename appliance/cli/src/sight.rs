//! What the planes have and do: connections, the last requests, and what would become of a packet.

use std::net::SocketAddr;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::client::{Client, send};

/// As many come in one answer.
const PAGE: usize = 500;

/// Which connections are listed.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// Those of this client: its address, or a network.
    #[arg(long)]
    client: Option<String>,
    /// Those of the virtual service with this identifier.
    #[arg(long)]
    service: Option<String>,
    /// Those with the member of this identifier.
    #[arg(long)]
    member: Option<String>,
    /// Those by this protocol: `tcp` or `udp`.
    #[arg(long)]
    protocol: Option<String>,
    /// Those that are `opening`, `established`, `closing` or `reset`.
    #[arg(long)]
    state: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 1000)]
    limit: usize,
}

/// Which requests are listed.
#[derive(clap::Args)]
pub(crate) struct WantedRequests {
    /// Those to the virtual service with this identifier.
    #[arg(long)]
    service: Option<String>,
    /// Those for the pool of this identifier.
    #[arg(long)]
    pool: Option<String>,
    /// Those that the member of this identifier was asked last.
    #[arg(long)]
    member: Option<String>,
    /// Those of this client: its address, or a network.
    #[arg(long)]
    client: Option<String>,
    /// Those answered with this status, as `502`, or of this class, as `5xx`.
    #[arg(long)]
    status: Option<String>,
    /// Those that ended so, as `member_timeout`.
    #[arg(long)]
    ending: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

/// A packet that is described.
#[derive(clap::Args)]
pub(crate) struct Packet {
    /// Where it comes from, as `192.0.2.7:40000` or `[2001:db8::7]:40000`.
    #[arg(required_unless_present = "frame", requires = "destination")]
    source: Option<SocketAddr>,
    /// Where it goes.
    destination: Option<SocketAddr>,
    /// `tcp` or `udp`.
    #[arg(long, default_value = "tcp")]
    protocol: String,
    /// The control bits of TCP, as `syn,ack`.
    #[arg(long, value_delimiter = ',', default_value = "syn")]
    flags: Vec<String>,
    /// A captured Ethernet frame in hexadecimal instead.
    #[arg(long, conflicts_with = "source")]
    frame: Option<String>,
    /// The port of the appliance that it comes in by.
    #[arg(long)]
    port: Option<String>,
}

/// The last requests of those that are wanted, the newest first.
pub(crate) fn requests(client: &Client, wanted: &WantedRequests) -> anyhow::Result<Vec<Value>> {
    let WantedRequests { service, pool, member, client: of, status, ending, limit } = wanted;
    let filters = [
        ("virtual_service_id", service),
        ("pool_id", pool),
        ("member_id", member),
        ("client", of),
        ("status", status),
        ("ending", ending),
    ];
    listed(client, "/requests", &filters, *limit)
}

/// Requests with what matters first, in lines.
pub(crate) fn lines(items: &[Value]) -> Vec<Value> {
    let line = |item: &Value| {
        let mut line = Map::new();
        for name in ["began_at", "status", "method", "host", "path", "tries", "member_id", "ending"] {
            line.insert(name.to_owned(), item[name].clone());
        }
        line.insert("client".to_owned(), end(&item["client"]).into());
        line.insert("total_us".to_owned(), item["times"]["total_us"].clone());
        Value::Object(line)
    };
    items.iter().map(line).collect()
}

/// The connections that are wanted.
pub(crate) fn connections(client: &Client, wanted: &Wanted) -> anyhow::Result<Vec<Value>> {
    let Wanted { client: of, service, member, protocol, state, limit } = wanted;
    let filters = [
        ("client", of),
        ("virtual_service_id", service),
        ("member_id", member),
        ("protocol", protocol),
        ("state", state),
    ];
    listed(client, "/connections", &filters, *limit)
}

/// Those that fit the filters, page by page.
fn listed(
    client: &Client,
    path: &str,
    filters: &[(&str, &Option<String>)],
    limit: usize,
) -> anyhow::Result<Vec<Value>> {
    let chosen = filters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let page = limit.clamp(1, PAGE).to_string();
    let query: Vec<_> = chosen.chain([("limit", page.as_str())]).collect();
    let first = send(client.request(Method::GET, path).query(&query))?.json()?;
    let mut items = first["items"].as_array().cloned().unwrap_or_default();
    if let Some(next) = first["next"].as_str() {
        items.extend(
            client.list_up_to(next.trim_start_matches("/api/v1"), limit.saturating_sub(items.len()))?,
        );
    }
    items.truncate(limit);
    Ok(items)
}

/// Connections with their ends as people write them.
pub(crate) fn flat(items: &[Value]) -> Vec<Value> {
    let line = |item: &Value| {
        let mut line: Map<String, Value> = item.as_object().cloned().unwrap_or_default();
        for name in ["client", "virtual_ip", "local", "member"] {
            line.insert(name.to_owned(), end(&item[name]).into());
        }
        Value::Object(line)
    };
    items.iter().map(line).collect()
}

fn end(end: &Value) -> String {
    let address = end["address"].as_str().unwrap_or_default();
    if address.contains(':') {
        format!("[{address}]:{}", end["port"])
    } else {
        format!("{address}:{}", end["port"])
    }
}

/// Ends a connection.
pub(crate) fn end_connection(client: &Client, id: &str) -> anyhow::Result<()> {
    send(client.request(Method::DELETE, &format!("/connections/{id}")))?;
    Ok(())
}

/// What would become of a packet.
pub(crate) fn explain(client: &Client, packet: &Packet) -> anyhow::Result<Value> {
    let Packet { source, destination, protocol, flags, frame, port } = packet;
    let host = |end: SocketAddr| json!({ "address": end.ip(), "port": end.port() });
    let headers = source.zip(*destination).map(|(source, destination)| {
        json!({ "protocol": protocol, "source": host(source), "destination": host(destination), "flags": flags })
    });
    let body = json!({ "packet": headers, "frame": frame, "port": port });
    send(client.request(Method::POST, "/explain/packet").json(&body))?.json()
}

/// The same in words, one line for each thing that was decided.
pub(crate) fn told(found: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines = Vec::new();
    if let packet @ Value::Object(_) = &found["packet"] {
        lines.push(format!("packet      {}", ends(packet)));
    }
    lines.push(format!("comes in    by {}, at worker {}", text(&found["port"]), found["worker"]));
    if !found["virtual_service_id"].is_null() {
        lines.push(format!("service     {}", text(&found["virtual_service_id"])));
    }
    if let Value::Object(rule) = &found["network"] {
        let network = rule["network"].as_str().unwrap_or("no network of the service's");
        let may = if rule["allowed"] == true { "may" } else { "may not" };
        lines.push(format!("client      {may}, by {network}"));
    }
    if !found["member_id"].is_null() {
        let choice = &found["choice"];
        let why = match (&choice["by"], &choice["instead_of"]) {
            (by, _) if by == "connection" => "it has the connection".to_owned(),
            (_, Value::Null) => format!("chosen by {}", text(&choice["algorithm"])),
            (_, full) => format!("chosen by {}, as {} is full", text(&choice["algorithm"]), text(full)),
        };
        lines.push(format!("member      {}: {why}", text(&found["member_id"])));
    }
    let reason = found["reason"].as_str().map_or_else(String::new, |reason| format!(": {reason}"));
    lines.push(format!("verdict     {}{reason}", text(&found["verdict"])));
    if let leaves @ Value::Object(_) = &found["leaves"] {
        let hop = leaves["next_hop"].as_str().map_or_else(String::new, |hop| format!(" to {hop}"));
        lines.push(format!("leaves      by {}{hop}", text(&leaves["port"])));
        if let packet @ Value::Object(_) = &leaves["packet"] {
            lines.push(format!("as          {}", ends(packet)));
        }
    }
    lines.join("\n")
}

fn ends(packet: &Value) -> String {
    let protocol = packet["protocol"].as_str().unwrap_or_default();
    format!("{protocol} {} -> {}", end(&packet["source"]), end(&packet["destination"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_written_as_one_reads_them() {
        let v6 = json!({ "address": "2001:db8::1", "port": 80 });
        let v4 = json!({ "address": "192.0.2.1", "port": 80 });
        assert_eq!((end(&v6), end(&v4)), ("[2001:db8::1]:80".to_owned(), "192.0.2.1:80".to_owned()));
    }

    #[test]
    fn an_explanation_reads_line_by_line() {
        let found = json!({
            "packet": null, "port": "front", "worker": 0, "virtual_service_id": "s", "member_id": "m",
            "network": { "network": "192.0.2.0/24", "allowed": true },
            "choice": { "by": "algorithm", "algorithm": "round_robin", "instead_of": "n" },
            "verdict": "send", "reason": null, "leaves": { "port": "back", "next_hop": "192.0.2.9", "packet": null },
        });
        let expected = "comes in    by front, at worker 0\nservice     s\nclient      may, by 192.0.2.0/24\n\
                        member      m: chosen by round_robin, as n is full\nverdict     send\nleaves      by back to 192.0.2.9";
        assert_eq!(told(&found), expected);
    }
}
