//! `/metrics`: what Prometheus and its like collect. Totals since each process was started, straight from the planes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use lb_model::PoolId;
use lb_model::contract::{L4Status, L7QueueStatus, L7Status};
use lb_model::counters::DropReason;
use lb_model::l7::{LATENCY_BOUNDS_US, Latencies};
use lb_model::observed::Liveness;
use utoipa::openapi::path::HttpMethod;

use super::describe::Description;
use super::error::Problem;
use super::status::{FRESH, numbers};
use super::{Access, App, Route};
use crate::courier::Ledger;
use crate::domain::Permission;
use crate::probe::Survey;
use crate::stats::{Exposition, MEDIA_TYPE, MetricKind, usages};
use crate::store::Names;
use MetricKind::{Counter, Gauge};

async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, Problem> {
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], page(&app).await?))
}

/// All of it.
pub(super) async fn page(app: &App) -> Result<String, Problem> {
    let (l4, l7) = {
        let observed = app.observed.borrow();
        (observed.l4.recent(FRESH), observed.l7.recent(FRESH))
    };
    let (l4, l7) = tokio::join!(numbers(&app.l4, l4), numbers(&app.l7, l7));
    let (names, survey) = (app.store.names().await?, app.health.survey());
    let wanted = app.store.generation().await?;
    let mut text = Exposition::default();
    text.family("penstock_build", Gauge, "", "1, labelled with the version.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.family("penstock_configuration_generation", Gauge, "", "The number of the last accepted change.")
        .sample(&[], wanted.0);
    let forwarding = "The number of the configuration that is forwarded by.";
    text.family("penstock_configuration_observed_generation", Gauge, "", forwarding)
        .sample(&[], app.observed.borrow().generation.0);
    processes(app, &mut text);
    if let Ok(status) = &l4 {
        frames(status, &mut text);
        ports(status, &mut text);
        backends(status, &names, &mut text);
    }
    if let Ok(status) = &l7 {
        proxied(status, &names, &mut text);
        proxied_members(status, &names, &mut text);
        proxied_queues(status, &names, &mut text);
    }
    health(&survey, &names, &mut text);
    deliveries(&app.ledgers, &mut text);
    Ok(text.finish())
}

fn processes(app: &App, text: &mut Exposition) {
    let uses = usages(&app.observed);
    let mut connected =
        text.family("penstock_process_connected", Gauge, "", "Whether the process is there and answers.");
    for (name, usage) in &uses {
        connected.sample(&[("process", name)], u8::from(usage.is_some()));
    }
    let there = || uses.iter().filter_map(|(name, usage)| Some((*name, usage.as_ref()?)));
    let mut seconds =
        text.family("penstock_process_cpu_seconds", Counter, "seconds", "Processor time since its start.");
    for (name, usage) in there() {
        let (whole, rest) = (usage.cpu_ms / 1000, usage.cpu_ms % 1000);
        seconds.sample(&[("process", name)], format_args!("{whole}.{rest:03}"));
    }
    let mut bytes =
        text.family("penstock_process_resident_memory_bytes", Gauge, "bytes", "Memory that it has in RAM.");
    there().for_each(|(name, usage)| bytes.sample(&[("process", name)], usage.memory_bytes));
}

fn frames(status: &L4Status, text: &mut Exposition) {
    let accounting = &status.accounting;
    let mut one = |name, help, value: u64| text.family(name, Counter, "frames", help).sample(&[], value);
    one("penstock_received_frames", "Frames taken from the ports.", accounting.received);
    one("penstock_twin_received_frames", "Frames taken from twins of owned ports.", accounting.from_twin);
    one("penstock_originated_frames", "Frames that the plane made itself.", accounting.originated);
    one("penstock_sent_frames", "Frames given to the ports.", accounting.sent);
    one("penstock_punted_frames", "Frames given to the kernel.", accounting.punted);
    one("penstock_consumed_frames", "Frames that ended here by intent.", accounting.consumed);
    let mut dropped = text.family("penstock_dropped_frames", Counter, "frames", "Frames dropped, by reason.");
    for reason in DropReason::ALL {
        let reason = reason.as_str();
        let count = accounting.drops.get(reason).copied().unwrap_or_default();
        dropped.sample(&[("reason", reason)], count);
    }
    let cookies = &status.syn_cookies;
    let mut one = |name, help, value: u64| text.family(name, Counter, "cookies", help).sample(&[], value);
    one("penstock_given_syn_cookies", "SYNs that were answered with a cookie.", cookies.given);
    one("penstock_taken_syn_cookies", "Cookies that clients brought back.", cookies.taken);
    text.family("penstock_held_frames", Gauge, "frames", "Frames that wait for a neighbour.")
        .sample(&[], accounting.held);
    text.family("penstock_flows", Gauge, "flows", "Connections that are held.").sample(&[], status.flows);

    let workers: Vec<_> = status.workers.iter().enumerate().map(|(at, it)| (at.to_string(), it)).collect();
    let mut each = |name, kind, unit, help, value: fn(&lb_model::contract::WorkerStatus) -> u64| {
        let mut family = text.family(name, kind, unit, help);
        for (number, worker) in &workers {
            family.sample(&[("worker", number)], value(worker));
        }
    };
    each("penstock_worker_received_frames", Counter, "frames", "Frames taken from the ports.", |it| {
        it.received
    });
    each("penstock_worker_sent_frames", Counter, "frames", "Frames given to the ports.", |it| it.sent);
    each("penstock_worker_dropped_frames", Counter, "frames", "Frames dropped.", |it| it.dropped);
    each("penstock_worker_flows", Gauge, "flows", "Connections that it holds.", |it| it.flows);
}

fn ports(status: &L4Status, text: &mut Exposition) {
    let mut up = text.family("penstock_port_up", Gauge, "", "Whether the link is up.");
    status.ports.iter().for_each(|port| up.sample(&[("port", &port.name)], u8::from(port.up)));
    for (name, counter, unit, help) in [
        ("penstock_port_received_packets", "rx_good_packets", "packets", "Packets received."),
        ("penstock_port_received_bytes", "rx_good_bytes", "bytes", "Bytes received."),
        ("penstock_port_sent_packets", "tx_good_packets", "packets", "Packets sent."),
        ("penstock_port_sent_bytes", "tx_good_bytes", "bytes", "Bytes sent."),
        (
            "penstock_port_missed_packets",
            "rx_missed_errors",
            "packets",
            "Packets for which no buffer was free.",
        ),
        ("penstock_port_receive_errors", "rx_errors", "errors", "Packets that came damaged."),
        ("penstock_port_send_errors", "tx_errors", "errors", "Packets that could not be sent."),
    ] {
        let mut family = text.family(name, Counter, unit, help);
        for port in &status.ports {
            let count = port.driver_counters.get(counter).copied().unwrap_or_default();
            family.sample(&[("port", &port.name)], count);
        }
    }
}

/// The labels of a service's member, for layer 4.
struct Backend {
    labels: [(&'static str, String); 6],
    counters: lb_model::counters::BackendCounters,
}

fn backends(status: &L4Status, names: &Names, text: &mut Exposition) {
    let known = |backend: &lb_model::contract::BackendStatus| {
        let service = names.services.get(&backend.service).cloned().unwrap_or_default();
        let (member, pool) = names.members.get(&backend.member).cloned()?;
        let labels = [
            ("virtual_service", service),
            ("virtual_service_id", backend.service.to_string()),
            ("pool", pool_name(names, pool)),
            ("pool_id", pool.to_string()),
            ("member", member),
            ("member_id", backend.member.to_string()),
        ];
        Some(Backend { labels, counters: backend.counters })
    };
    // Those that were deleted since have no name any more.
    let backends: Vec<_> = status.backends.iter().filter_map(known).collect();
    let mut each = |name, kind, unit, help, value: fn(&Backend) -> u64| {
        let mut family = text.family(name, kind, unit, help);
        for backend in &backends {
            let labels = backend.labels.each_ref().map(|(label, value)| (*label, value.as_str()));
            family.sample(&labels, value(backend));
        }
    };
    each("penstock_l4_connections", Counter, "connections", "Connections given to the member.", |it| {
        it.counters.connections
    });
    each("penstock_l4_open_connections", Gauge, "connections", "Connections that it has.", |it| {
        it.counters.active
    });
    each("penstock_l4_received_packets", Counter, "packets", "Packets from clients.", |it| {
        it.counters.packets_in
    });
    each("penstock_l4_received_bytes", Counter, "bytes", "Bytes from clients.", |it| it.counters.bytes_in);
    each("penstock_l4_sent_packets", Counter, "packets", "Packets to clients.", |it| it.counters.packets_out);
    each("penstock_l4_sent_bytes", Counter, "bytes", "Bytes to clients.", |it| it.counters.bytes_out);
}

fn pool_name(names: &Names, pool: PoolId) -> String {
    names.pools.get(&pool).cloned().unwrap_or_default()
}

fn proxied(status: &L7Status, names: &Names, text: &mut Exposition) {
    let services: Vec<_> = status
        .services
        .iter()
        .filter_map(|service| {
            let name = names.services.get(&service.service)?;
            Some((name.as_str(), service.service.to_string(), &service.counters))
        })
        .collect();
    let mut each = |name, kind, unit, help, value: fn(&lb_model::l7::L7ServiceCounters) -> u64| {
        let mut family = text.family(name, kind, unit, help);
        for (name, id, counters) in &services {
            family.sample(&[("virtual_service", name), ("virtual_service_id", id)], value(counters));
        }
    };
    each("penstock_l7_connections", Counter, "connections", "Connections accepted.", |it| it.connections);
    each("penstock_l7_open_connections", Gauge, "connections", "Connections that are open.", |it| {
        it.connections_open
    });
    each("penstock_l7_requests", Counter, "requests", "Requests.", |it| it.requests);
    each("penstock_l7_received_bytes", Counter, "bytes", "Bytes from clients.", |it| it.bytes_in);
    each("penstock_l7_sent_bytes", Counter, "bytes", "Bytes to clients.", |it| it.bytes_out);
    let help = "Answers by the class of their code.";
    let mut answers = text.family("penstock_l7_answers", Counter, "answers", help);
    for (name, id, counters) in &services {
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(counters.answers) {
            let labels = [("virtual_service", *name), ("virtual_service_id", id), ("class", class)];
            answers.sample(&labels, count);
        }
    }
    let help = "Requests and connections that did not end well, by reason.";
    let mut endings = text.family("penstock_l7_endings", Counter, "endings", help);
    for (name, id, counters) in &services {
        for (reason, count) in &counters.endings {
            endings
                .sample(&[("virtual_service", name), ("virtual_service_id", id), ("reason", reason)], count);
        }
    }
    let mut times = |name, help, of: fn(&lb_model::l7::L7ServiceCounters) -> &Latencies| {
        let mut family = text.histograms(name, help);
        for (name, id, counters) in &services {
            let labels = [("virtual_service", *name), ("virtual_service_id", id)];
            family.sample(&labels, &LATENCY_BOUNDS_US, of(counters));
        }
    };
    let help = "From the head of a request to that of its member's answer.";
    times("penstock_l7_answer_seconds", help, |it| &it.answer_times);
    let help = "From the head of a request to the end of the answer, but of tunnels.";
    times("penstock_l7_request_seconds", help, |it| &it.request_times);
}

fn proxied_members(status: &L7Status, names: &Names, text: &mut Exposition) {
    // A member's sums: a label set must not come twice.
    let mut members = BTreeMap::new();
    for member in &status.members {
        let Some((name, _)) = names.members.get(&member.member) else { continue };
        let counted = member.counters;
        let sum = members.entry((member.pool, member.member)).or_insert((name, [0; 4]));
        let values = [counted.connections, counted.requests, counted.requests_open, counted.failures];
        sum.1.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    for (at, (name, kind, unit, help)) in [
        ("penstock_l7_member_connections", Counter, "connections", "Connections opened to the member."),
        ("penstock_l7_member_requests", Counter, "requests", "Requests that it was given."),
        ("penstock_l7_member_open_requests", Gauge, "requests", "Requests that it has not answered yet."),
        ("penstock_l7_member_failed_requests", Counter, "requests", "Requests that it did not answer."),
    ]
    .into_iter()
    .enumerate()
    {
        let mut family = text.family(name, kind, unit, help);
        for ((pool, member), (name, values)) in &members {
            let (pool_name, pool_id, id) = (pool_name(names, *pool), pool.to_string(), member.to_string());
            let labels =
                [("pool", &*pool_name), ("pool_id", &*pool_id), ("member", name), ("member_id", &*id)];
            family.sample(&labels, values[at]);
        }
    }
}

fn proxied_queues(status: &L7Status, names: &Names, text: &mut Exposition) {
    let help = "Requests that wait until a member has room.";
    let mut family = text.family("penstock_l7_waiting_requests", Gauge, "requests", help);
    for L7QueueStatus { pool, waiting } in &status.queues {
        let (name, id) = (pool_name(names, *pool), pool.to_string());
        family.sample(&[("pool", &name), ("pool_id", &id)], waiting);
    }
}

fn health(survey: &Survey, names: &Names, text: &mut Exposition) {
    let mut pools = text.family(
        "penstock_pool_members",
        Gauge,
        "members",
        "Members that would take connections, by what their checks say.",
    );
    for (id, tally) in &survey.pools {
        let (name, id) = (pool_name(names, *id), id.to_string());
        let states = [
            ("up", tally.up),
            ("down", tally.down),
            ("draining", tally.draining),
            ("unknown", tally.unknown),
            ("unwatched", tally.unwatched),
        ];
        for (state, count) in states {
            pools.sample(&[("pool", &name), ("pool_id", &id), ("state", state)], count);
        }
    }
    let mut members =
        text.family("penstock_member_up", Gauge, "", "Whether the member passes its checks; not known is 0.");
    for (id, (liveness, _)) in &survey.members {
        let Some((name, pool)) = names.members.get(id) else { continue };
        let (pool_name, pool_id, id) = (pool_name(names, *pool), pool.to_string(), id.to_string());
        let labels = [("pool", &*pool_name), ("pool_id", &*pool_id), ("member", name), ("member_id", &*id)];
        members.sample(&labels, u8::from(*liveness == Liveness::Up));
    }
}

/// How long changes of health are on their way to the planes.
fn deliveries(ledgers: &[Arc<Ledger>; 2], text: &mut Exposition) {
    let planes = [("penstock-l4", &ledgers[0]), ("penstock-l7", &ledgers[1])];
    let numbers = planes.map(|(name, ledger)| (name, ledger.deliveries().numbers()));
    let help = "Changes of members' health that the plane was told, and works by.";
    let mut family = text.family("penstock_health_deliveries", Counter, "", help);
    for (name, (count, ..)) in &numbers {
        family.sample(&[("process", name)], count);
    }
    let help = "From the decision until the plane worked by it, all of these together.";
    let mut family = text.family("penstock_health_delivery_seconds", Counter, "seconds", help);
    for (name, (_, sum, _)) in &numbers {
        family.sample(&[("process", name)], sum);
    }
    let help = "From the decision until the plane worked by it, the last time.";
    let mut family = text.family("penstock_health_last_delivery_seconds", Gauge, "seconds", help);
    for (name, (.., last)) in &numbers {
        family.sample(&[("process", name)], last);
    }
}

pub(super) fn routes() -> Vec<Route> {
    let described = Description::new("readMetrics", "status", "What is collected by Prometheus and its like")
        .explain(
            "OpenMetrics text. What was counted since each process was started, by virtual service, pool, member, \
             worker, port, drop reason and process; units are in the names. A plane that does not answer is left out, \
             and `penstock_process_connected` says so. Collect it with an API token that has `balancing:read`.",
        )
        .answer_text("application/openmetrics-text", "The metrics.");
    vec![Route::new(
        HttpMethod::Get,
        "/metrics",
        Access::Permitted(Permission::BalancingRead),
        metrics,
        described,
    )]
}
