//! What ten thousand checks cost, and how they are spread: `make bench` prints it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_model::asking::Retries;
use lb_model::desired::{BelowMinHealthy, Member, MemberState, Pool};
use lb_model::l7::Manner;
use lb_model::observed::Liveness;
use lb_model::snapshot::{Scheduler, Weight};
use lb_model::{L4Port, MemberId, MonitorId, PoolId};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::task::LocalSet;

use super::servers::{Server, nowhere};
use super::ways::Plane;
use super::{Board, Engine};
use crate::domain::{Monitor, MonitorsNeeded, Spec};
use crate::events;
use crate::observed::Observed;
use crate::store::{PoolWatch, Store, Watched};

const TCP: u32 = 8_000;
const HTTP: u32 = 2_000;
const INTERVAL: Duration = Duration::from_secs(5);
/// The first checks are over, and have gone apart.
const WARM: Duration = Duration::from_secs(15);
const MEASURED: Duration = Duration::from_secs(20);

/// One nginx that is all the members: each has an address of its own, and all have its port.
fn members(folder: &Path) -> (Server, L4Port) {
    let port = nowhere().port();
    let place = folder.display();
    let config = format!(
        "daemon off; worker_processes 1; worker_rlimit_nofile 65536; pid {place}/pid; error_log /dev/null;
         events {{ worker_connections 32768; multi_accept on; }}
         http {{
            access_log off; keepalive_timeout 0;
            client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
            uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
            server {{ listen {port} backlog=16384; location / {{ return 200 'well'; }} }}
         }}"
    );
    fs::write(folder.join("nginx.conf"), config).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-e", "/dev/null", "-c"]).arg(folder.join("nginx.conf"));
    let at = (Ipv4Addr::LOCALHOST, port).into();
    (Server::listening(&mut command, at), L4Port::new(port).unwrap())
}

fn pool(first: u32, count: u32, port: L4Port) -> Pool {
    let member = |number: u32| Member {
        id: MemberId::generate(),
        address: IpAddr::V4(Ipv4Addr::from_bits(0x7f01_0000 + number)),
        port,
        state: MemberState::Enabled,
        weight: Weight::default(),
        backup: false,
        connection_limit: None,
        drain_timeout_s: None,
    };
    Pool {
        id: PoolId::generate(),
        algorithm: Scheduler::RoundRobin,
        enabled: true,
        members: (first..first + count).map(member).collect(),
        persistence: None,
        retries: Retries::default(),
        outlier: None,
        queue: None,
        breaker: None,
        hedge: None,
        manner: Manner::default(),
        min_healthy: 1,
        below_min_healthy: BelowMinHealthy::Refuse,
        probed: false,
    }
}

async fn watched(store: &Store, port: L4Port) -> Watched {
    let mut want = store.desired().await.unwrap();
    want.pools = vec![pool(1, TCP, port), pool(1 + TCP, HTTP, port)];
    let monitor = |kind: &str| {
        let document = json!({ "name": kind, "kind": kind, "interval_ms": 5000, "timeout_ms": 2000 });
        (MonitorId::generate(), Spec::<Monitor>::read(document.as_object().unwrap()).unwrap().own)
    };
    let monitors = [monitor("tcp"), monitor("http")];
    let watch = |(pool, (monitor, _)): (&Pool, &(MonitorId, Monitor))| {
        let watch =
            PoolWatch { monitors: vec![*monitor], needed: MonitorsNeeded::All, slow_start: Duration::ZERO };
        (pool.id, watch)
    };
    let of_pool = want.pools.iter().zip(&monitors).map(watch).collect();
    Watched { want, monitors: monitors.into_iter().collect(), of_pool, names: HashMap::new() }
}

/// Processor time of the thread that checks, in seconds.
fn processor_time() -> f64 {
    let mut threads = fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
    let is_ours = |thread: &std::path::PathBuf| {
        fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == "probe")
    };
    let ours = threads.find(is_ours).unwrap();
    let stat = fs::read_to_string(ours.join("stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap()..].split(' ').collect();
    // utime and stime (proc(5)), in hundredths.
    let ticks: u64 = fields[12..14].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    std::time::Duration::from_millis(ticks * 10).as_secs_f64()
}

/// Memory of the process, in MB: that of `key` in its status.
fn memory(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// How many results came in each tenth of a second of the last interval.
fn spread(board: &Board, members: &[MemberId]) -> BTreeMap<u64, u32> {
    let mut slots = BTreeMap::new();
    let mut times = Vec::new();
    for member in members {
        let seen = board.member(*member).unwrap();
        times.extend(seen.checks[0].results.iter().map(|result| result.at.millis()));
    }
    let last = times.iter().copied().max().unwrap() - 500;
    let span = u64::try_from(INTERVAL.as_millis()).unwrap();
    for ago in times.iter().filter_map(|at| u64::try_from(last - at).ok()).filter(|ago| *ago < span) {
        *slots.entry(ago / 100).or_default() += 1;
    }
    slots
}

/// Why members are not up, and how many.
fn why(board: &Board, members: &[MemberId]) -> BTreeMap<String, u32> {
    let mut reasons = BTreeMap::new();
    for seen in members.iter().filter_map(|member| board.member(*member)) {
        if seen.liveness != Liveness::Up {
            *reasons.entry(seen.reason().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    reasons
}

#[test]
#[ignore = "measures: make bench"]
fn ten_thousand_checks_take_little() {
    let folder = tempfile::tempdir().unwrap();
    let (_nginx, port) = members(folder.path());
    let database = folder.path().join("penstock.db");
    let (board, asked) = Board::new();
    let seen = board.clone();
    let (tell, told) = std::sync::mpsc::channel();
    let before = memory("VmRSS");
    let checking = async move {
        let store = Store::open(&database, Arc::new(Notify::new())).await.unwrap();
        let (events, writing) = events::queue(store.clone());
        tokio::task::spawn_local(writing);
        let watched = watched(&store, port).await;
        let members: Vec<MemberId> =
            watched.want.pools.iter().flat_map(|pool| &pool.members).map(|member| member.id).collect();
        super::concurrency();
        let (_nobody, observed) = watch::channel(Observed::default());
        let mut engine = Engine::new(store, events, board, Plane::seen_in(observed), asked, HashMap::new());
        engine.commits.mark_unchanged();
        engine.watch(&watched);
        tell.send(members).unwrap();
        engine.run().await;
    };
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, checking);
    };
    std::thread::Builder::new().name("probe".into()).spawn(run).unwrap();
    let members = told.recv().unwrap();
    std::thread::sleep(WARM);
    let (begun, used) = (Instant::now(), processor_time());
    std::thread::sleep(MEASURED);
    let share = (processor_time() - used) / begun.elapsed().as_secs_f64() * 100.0;
    let well =
        members.iter().filter(|member| seen.member(**member).unwrap().liveness == Liveness::Up).count();
    let slots = spread(&seen, &members);
    let (least, most) = (slots.values().min().unwrap(), slots.values().max().unwrap());
    let mut text = String::new();
    let _ = writeln!(text, "{TCP} TCP and {HTTP} HTTP checks every {INTERVAL:?}: {well} members are up");
    let _ = writeln!(text, "  processor   {share:.1} % of a core");
    let (now, peak) = (memory("VmRSS"), memory("VmHWM"));
    let _ = writeln!(text, "  memory      {now} MB, at most {peak} MB, {before} MB before");
    let _ =
        writeln!(text, "  spread      {least} to {most} results in a tenth of a second; even would be 200");
    for (words, count) in why(&seen, &members) {
        let _ = writeln!(text, "  not up      {count}: {words}");
    }
    println!("{text}");
    assert_eq!(well, members.len());
}
