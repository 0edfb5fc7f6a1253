//! The watch as a whole, over real sockets: members of every kind that stop, hang, get slow and answer wrong, and come back.

use std::fmt::Write as _;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_model::desired::MemberState;
use lb_model::observed::Liveness;
use lb_model::snapshot::Weight;
use lb_model::{L4Port, MemberId};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use super::relay::{Manner, Relay};
use super::servers::*;
use super::{Board, Decided, Told};
use crate::domain::{Author, Home, Member, Meta, Monitor, Pool, Scope, Spec};
use crate::events;
use crate::store::Store;

/// A busy machine takes its time.
const PATIENCE: Duration = Duration::from_mins(1);

/// Those who watch, with a database of their own.
struct Watch {
    store: Store,
    board: Board,
    folder: TempDir,
}

/// How often, how long, and how many times in a row.
#[derive(Clone, Copy)]
struct Pace {
    interval: Duration,
    timeout: Duration,
    fall: u32,
}

impl Pace {
    /// What it may take until a member is out.
    fn bound(self) -> Duration {
        self.interval * self.fall + self.timeout
    }
}

impl Watch {
    async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, board) = Self::open(folder.path().join("penstock.db")).await;
        Self { store, board, folder }
    }

    async fn open(database: PathBuf) -> (Store, Board) {
        let store = Store::open(&database, Arc::new(Notify::new())).await.unwrap();
        let (events, writing) = events::queue(store.clone());
        tokio::spawn(writing);
        let board = super::start(store.clone(), events, Arc::<watch::Sender<_>>::default().subscribe())
            .await
            .unwrap();
        (store, board)
    }

    /// Watches a member of a pool of its own.
    async fn member(&self, name: &str, at: SocketAddr, monitor: &Value) -> MemberId {
        let author = Author::appliance("a test");
        let mut document = monitor.clone();
        document["name"] = name.into();
        let monitor = Spec::<Monitor>::read(document.as_object().unwrap()).unwrap();
        let monitor = self.store.create(&author, (Scope::Appliance, ()), monitor, None).await.unwrap();
        let pool = json!({ "name": name, "monitor_ids": [monitor.id] });
        let pool = Spec::<Pool>::read(pool.as_object().unwrap()).unwrap();
        let pool = self.store.create(&author, (Scope::Appliance, ()), pool, None).await.unwrap();
        let meta =
            Meta { name: name.to_owned(), description: String::new(), tags: Vec::new(), enabled: true };
        // Loopback is nobody's address outside of a test: it cannot be written over the API.
        let own = Member {
            address: at.ip(),
            port: L4Port::new(at.port()).unwrap(),
            state: MemberState::Enabled,
            weight: Weight::default(),
            backup: false,
            connection_limit: None,
        };
        let spec = Spec { home: Home::default(), meta, own };
        let id = self.store.create(&author, (Scope::Appliance, pool.id), spec, None).await.unwrap().id;
        while self.board.member(id).is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        id
    }

    /// How long it takes until the member is so.
    async fn until(&self, member: MemberId, wanted: Liveness) -> Duration {
        let begin = Instant::now();
        loop {
            let seen = self.board.member(member);
            if seen.as_ref().is_some_and(|seen| seen.liveness == wanted) {
                return begin.elapsed();
            }
            assert!(begin.elapsed() < PATIENCE, "not {wanted:?} within {PATIENCE:?}: {seen:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for what the last check says: on a busy machine one may have run out of time.
    async fn until_reason(&self, member: MemberId, wanted: &str) {
        let begin = Instant::now();
        while !self.reason(member).contains(wanted) {
            assert!(begin.elapsed() < PATIENCE, "{}, want {wanted}", self.reason(member));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn reason(&self, member: MemberId) -> String {
        self.board.member(member).and_then(|seen| seen.reason().map(str::to_owned)).unwrap_or_default()
    }
}

/// A server that is tried, and how it is asked.
struct Kind {
    name: &'static str,
    settings: Value,
    at: SocketAddr,
    /// What a server says that is well, and not what is wanted.
    wrong: &'static [u8],
    udp: bool,
}

/// One line of the table.
struct Line {
    kind: &'static str,
    fault: &'static str,
    out: Duration,
    back: Duration,
    reason: String,
}

/// Lets a member of this kind go wrong in a manner and be well again.
async fn misbehave(watch: &Watch, kind: &Kind, pace: Pace, (fault, manner): (&'static str, Manner)) -> Line {
    let relay = Relay::begin(kind.at, kind.udp, kind.wrong).await;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap();
    let monitor = json!({
        "kind": kind.name, "settings": kind.settings, "fall": pace.fall, "rise": 1,
        "interval_ms": millis(pace.interval), "timeout_ms": millis(pace.timeout),
    });
    let member = watch.member(&format!("{}-{fault}", kind.name), relay.at(), &monitor).await;
    watch.until(member, Liveness::Up).await;
    relay.behave(manner).await;
    let out = watch.until(member, Liveness::Down).await;
    let reason = watch.reason(member);
    relay.behave(Manner::Well).await;
    let back = watch.until(member, Liveness::Up).await;
    Line { kind: kind.name, fault, out, back, reason }
}

/// Every kind against its server, behind a relay that stands for the ways in which servers fail.
async fn table(pace: Pace) -> Vec<Line> {
    let watch = Watch::begin().await;
    let folder_of = |name: &str| {
        let folder = watch.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let web = folder_of("web");
    let (plain, secure, both) = (nowhere(), nowhere(), nowhere());
    let _nginx = nginx(&web, [plain, secure, both]);
    let (dns, cache, data, files) = (nowhere(), nowhere(), nowhere(), nowhere());
    let _dns = dnsmasq(dns);
    let _redis = redis(cache, &[]);
    install_mariadb(&folder_of("mysql"));
    let _mariadb = mariadb(&watch.folder.path().join("mysql"), data, &[]);
    std::os::unix::fs::chown(watch.folder.path(), Some(user("postgres")), None).unwrap();
    let postgres_data = watch.folder.path().join("postgres");
    install_postgres(&postgres_data);
    let _postgres = postgres(&postgres_data, files);
    let health = grpc_server(1).await;

    let http = json!({ "path": "/well", "body": "all is well" });
    let two = json!({ "version": "2", "path": "/well" });
    let send = json!({ "send": "HEAD / HTTP/1.0\\r\\n\\r\\n", "expect": "nginx" });
    let query = json!({ "send": DNS_QUERY, "expect": DNS_ANSWER });
    let kind = |name, settings: &Value, at, wrong: &'static [u8]| Kind {
        name,
        settings: settings.clone(),
        at,
        wrong,
        udp: name == "udp",
    };
    let refuses = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    let kinds = [
        kind("tcp", &send, plain, b"220 somebody else\r\n"),
        kind("udp", &query, dns, b"what?"),
        kind("tls", &json!({ "server_name": "shop.test" }), secure, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        kind("http", &http, plain, refuses),
        kind("http", &two, both, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        kind("https", &http, secure, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        kind("grpc", &json!({ "service": "shop" }), health, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        kind(
            "postgres",
            &json!({ "user": "postgres", "role": "primary" }),
            files,
            b"E\0\0\0\x0eMno room\0\0",
        ),
        kind("mysql", &json!({ "user": "root" }), data, b"\x0c\0\0\0\xff\x10\x04Too many!"),
        kind("redis", &json!({ "role": "primary" }), cache, b"-LOADING the dataset\r\n"),
    ];
    let faults = [
        ("stopped", Manner::Stopped),
        ("hung", Manner::Hung),
        ("slow", Manner::Slow(pace.timeout * 2)),
        ("wrong", Manner::Wrong),
    ];
    let mut lines = Vec::new();
    for (at, kind) in kinds.iter().enumerate() {
        let named = |fault: &'static str| if at == 4 { format!("2-{fault}") } else { fault.to_owned() };
        let tried = faults.map(|(fault, manner)| {
            let fault: &'static str = Box::leak(named(fault).into_boxed_str());
            misbehave(&watch, kind, pace, (fault, manner))
        });
        lines.extend(Box::pin(together(tried)).await);
    }
    lines
}

async fn together<const N: usize, T>(all: [impl Future<Output = T>; N]) -> Vec<T> {
    let mut done = Vec::with_capacity(N);
    let mut all: Vec<_> = all.into_iter().map(Box::pin).map(Some).collect();
    let mut outcomes: Vec<Option<T>> = all.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (slot, outcome) in all.iter_mut().zip(&mut outcomes) {
            if let Some(future) = slot
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                (*slot, *outcome) = (None, Some(ready));
            }
        }
        if all.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done.extend(outcomes.into_iter().flatten());
    done
}

/// As it is printed.
fn shown(lines: &[Line], pace: Pace) -> String {
    let bound = pace.bound().as_secs_f64();
    let mut text = format!("out within interval x fall + timeout = {bound:.2} s\n");
    for Line { kind, fault, out, back, reason } in lines {
        let (out, back) = (out.as_secs_f64(), back.as_secs_f64());
        let _ = writeln!(text, "{kind:9}{fault:11} out {out:5.2} s   back {back:5.2} s   {reason}");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_every_kind_are_out_and_come_back() {
    let pace = Pace { interval: Duration::from_millis(300), timeout: Duration::from_millis(250), fall: 2 };
    let lines = Box::pin(table(pace)).await;
    println!("{}", shown(&lines, pace));
    assert_eq!(lines.len(), 40);
    for Line { kind, fault, reason, .. } in &lines {
        let wanted = match fault.trim_start_matches("2-") {
            "stopped" if *kind == "udp" => "UDP refused",
            "stopped" => "connect refused",
            "hung" | "slow" => "timed out after 0.25 s",
            _ => "",
        };
        assert!(!reason.is_empty() && reason.contains(wanted), "{kind} {fault}: {reason}, want {wanted}");
    }
}

/// With the pace of a real configuration, on a machine that has nothing else to do: the figures of the issue.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures times: make test-full"]
async fn how_long_members_of_every_kind_take_to_be_out_and_back() {
    let pace = Pace { interval: Duration::from_secs(1), timeout: Duration::from_millis(500), fall: 3 };
    let lines = Box::pin(table(pace)).await;
    println!("{}", shown(&lines, pace));
    let late = lines.iter().filter(|line| line.out > pace.bound() + Duration::from_millis(100)).count();
    assert_eq!(late, 0, "out later than interval x fall + timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_stand_still_time_out_and_those_that_end_refuse() {
    let watch = Watch::begin().await;
    let (plain, secure, both, cache) = (nowhere(), nowhere(), nowhere(), nowhere());
    let web = watch.folder.path().to_owned();
    let servers = [("http", plain, nginx(&web, [plain, secure, both])), ("redis", cache, redis(cache, &[]))];
    for (kind, at, server) in servers {
        let quick = json!({ "kind": kind, "interval_ms": 200, "timeout_ms": 150, "rise": 1, "fall": 2,
            "settings": if kind == "http" { json!({ "path": "/well" }) } else { json!({}) } });
        let member = watch.member(kind, at, &quick).await;
        watch.until(member, Liveness::Up).await;
        server.hang();
        watch.until(member, Liveness::Down).await;
        assert!(watch.reason(member).contains("timed out after 0.15 s"), "{}", watch.reason(member));
        server.go_on();
        watch.until(member, Liveness::Up).await;
        drop(server);
        watch.until(member, Liveness::Down).await;
        assert_eq!(watch.reason(member), "connect refused");
    }
}

/// The pools of writers and of readers follow the roles by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_promoted_takes_the_writes() {
    let watch = Watch::begin().await;
    std::os::unix::fs::chown(watch.folder.path(), Some(user("postgres")), None).unwrap();
    let (here, there) = (watch.folder.path().join("primary"), watch.folder.path().join("replica"));
    let (first, second) = (nowhere(), nowhere());
    install_postgres(&here);
    let primary = postgres(&here, first);
    copy_postgres(&there, first);
    let _replica = postgres(&there, second);
    let asks = |role: &str| {
        json!({ "kind": "postgres", "interval_ms": 500, "timeout_ms": 400, "fall": 2, "rise": 1,
            "settings": { "user": "postgres", "role": role } })
    };
    let writes = [
        watch.member("first-writes", first, &asks("primary")).await,
        watch.member("second-writes", second, &asks("primary")).await,
    ];
    let reads = watch.member("second-reads", second, &asks("replica")).await;
    watch.until(writes[0], Liveness::Up).await;
    watch.until(writes[1], Liveness::Down).await;
    watch.until(reads, Liveness::Up).await;
    watch.until_reason(writes[1], "replica, 0 s behind, want a primary").await;

    drop(primary);
    let out = watch.until(writes[0], Liveness::Down).await;
    promote_postgres(&there);
    let follows = watch.until(writes[1], Liveness::Up).await;
    println!(
        "failover: the old one out after {out:?}, the new one takes writes {follows:?} after it was promoted"
    );
    watch.until(reads, Liveness::Down).await;
    watch.until_reason(reads, "primary, want a replica").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_now_is_told_as_it_goes() {
    let watch = Watch::begin().await;
    let relay = Relay::begin(nowhere(), false, b"").await;
    let seldom = json!({ "kind": "tcp", "interval_ms": 3_600_000, "fall": 2, "settings": { "expect": "x" } });
    let member = watch.member("seldom", relay.at(), &seldom).await;
    let mut told = watch.board.check_now(member);
    // The first check may run already; it is told then, too.
    let mut words = Vec::new();
    while let Some(step) = told.recv().await {
        words.push(match step {
            Told::Begun(_) => "begun".to_owned(),
            Told::Ended(_, result, _) => format!("passed: {}", result.passed),
        });
    }
    assert_eq!(words, ["begun", "passed: false"]);
    let results = watch.board.member(member).unwrap().checks[0].results.len();
    let mut told = watch.board.check_now(member);
    while told.recv().await.is_some() {}
    let seen = watch.board.member(member).unwrap();
    assert_eq!((seen.checks[0].results.len(), seen.liveness), (results + 1, Liveness::Down));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspicion_is_looked_into_at_once_and_decides_nothing_by_itself() {
    let watch = Watch::begin().await;
    let relay = Relay::begin(nowhere(), false, b"").await;
    relay.behave(Manner::Hung).await;
    let seldom = json!({ "kind": "tcp", "interval_ms": 3_600_000, "fall": 3 });
    let member = watch.member("seldom", relay.at(), &seldom).await;
    watch.until(member, Liveness::Up).await;
    tokio::time::sleep(2 * super::SUSPICIONS_APART).await;
    watch.board.suspect(member);
    let checked = |count: usize| {
        let board = watch.board.clone();
        async move {
            while board.member(member).unwrap().checks[0].results.len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, checked(2)).await.unwrap();
    assert_eq!(watch.board.member(member).unwrap().liveness, Liveness::Up, "it was well");
    relay.behave(Manner::Stopped).await;
    tokio::time::sleep(2 * super::SUSPICIONS_APART).await;
    watch.board.suspect(member);
    watch.until(member, Liveness::Down).await;
    assert_eq!(watch.board.member(member).unwrap().suspicions, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_says_and_how_it_changes_reaches_the_planes() {
    let watch = Watch::begin().await;
    let relay = Relay::begin(nowhere(), false, b"up 40%\n").await;
    relay.behave(Manner::Wrong).await;
    let member = watch.member("agent", relay.at(), &json!({ "kind": "agent", "interval_ms": 100 })).await;
    let mut health = watch.board.health();
    let mut wait = async |drains: bool, share: u8| {
        let is_so = |health: &Arc<Decided>| {
            health.of(member).is_some_and(|seen| (seen.drains, seen.share.get()) == (drains, share))
        };
        tokio::time::timeout(PATIENCE, health.wait_for(is_so)).await.unwrap().unwrap();
    };
    wait(false, 40).await;
    relay.say(b"drain\n");
    wait(true, 100).await;
    relay.say(b"ready\n");
    wait(false, 100).await;
    assert_eq!(watch.board.member(member).unwrap().transitions.down, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_flaps_is_left_out_for_longer_each_time() {
    let watch = Watch::begin().await;
    let relay = Relay::begin(nowhere(), false, b"").await;
    relay.behave(Manner::Hung).await;
    let quick = json!({ "kind": "tcp", "interval_ms": 100, "timeout_ms": 90, "rise": 2, "fall": 1 });
    let member = watch.member("flapping", relay.at(), &quick).await;
    watch.until(member, Liveness::Up).await;
    let mut needed = Vec::new();
    for _ in 0..3 {
        relay.behave(Manner::Stopped).await;
        watch.until(member, Liveness::Down).await;
        relay.behave(Manner::Hung).await;
        let begin = relay.accepted();
        watch.until(member, Liveness::Up).await;
        needed.push(relay.accepted() - begin);
    }
    // One more may have been accepted and not yet judged.
    assert!(needed[0] <= 3 && (4..=5).contains(&needed[1]) && (8..=9).contains(&needed[2]), "{needed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_process_begins_with_what_was_known() {
    let watch = Watch::begin().await;
    let relay = Relay::begin(nowhere(), false, b"").await;
    let often = json!({ "kind": "tcp", "interval_ms": 100, "timeout_ms": 90, "fall": 1 });
    relay.behave(Manner::Stopped).await;
    let down = watch.member("down", relay.at(), &often).await;
    let other = Relay::begin(nowhere(), false, b"").await;
    other.behave(Manner::Hung).await;
    let up = watch.member("up", other.at(), &often).await;
    watch.until(down, Liveness::Down).await;
    watch.until(up, Liveness::Up).await;
    let kept = |count| {
        let store = watch.store.clone();
        async move {
            while store.check_states().await.unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, kept(2)).await.unwrap();
    let (_store, board) = Watch::open(watch.folder.path().join("penstock.db")).await;
    let published = board.health().borrow().clone();
    let liveness = |member| published.of(member).map(|seen| seen.liveness);
    assert_eq!(
        (liveness(up), liveness(down)),
        (Some(Liveness::Up), Some(Liveness::Down)),
        "before any check"
    );
}
