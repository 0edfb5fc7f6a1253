//! Each kind of check against a real server of its kind, on loopback: well, wrong, stopped, hung.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::Target;
use super::super::servers::*;
use super::{Outcome, check};
use crate::domain::{Monitor, Spec};

async fn await_check(at: SocketAddr, kind: &str, settings: Value, wanted: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let words = checked(at, kind, settings.clone()).await.words;
        if words.contains(wanted) {
            return;
        }
        assert!(Instant::now() < deadline, "{words}, want {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn checked(at: SocketAddr, kind: &str, settings: Value) -> Outcome {
    checked_by(at, &json!({ "name": "m", "kind": kind, "settings": settings, "timeout_ms": 1000 })).await
}

async fn checked_with(at: SocketAddr, kind: &str, settings: Value, password: &str) -> Outcome {
    let document = json!({ "name": "m", "kind": kind, "settings": settings, "password": password });
    checked_by(at, &document).await
}

async fn checked_by(at: SocketAddr, document: &Value) -> Outcome {
    let monitor = Spec::<Monitor>::read(document.as_object().unwrap()).unwrap().own;
    check(&Target { at, monitor: monitor.into(), ways: None }).await
}

#[track_caller]
fn passes(outcome: &Outcome, words: &str) {
    assert!(outcome.passed && outcome.words.contains(words), "{outcome:?}, want {words}");
}

#[track_caller]
fn fails(outcome: &Outcome, words: &str) {
    assert!(!outcome.passed && outcome.words.contains(words), "{outcome:?}, want {words}");
}

#[tokio::test]
async fn whoever_is_stopped_refuses_and_whoever_hangs_runs_out_of_time() {
    let hung = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (hung, gone) = (hung.local_addr().map(|at| (at, hung)).unwrap(), nowhere());
    let kinds = [
        ("tcp", json!({ "expect": "220" })),
        ("tls", json!({})),
        ("http", json!({})),
        ("https", json!({})),
        ("grpc", json!({})),
        ("postgres", json!({})),
        ("mysql", json!({})),
        ("redis", json!({})),
    ];
    for (kind, settings) in kinds {
        fails(&checked(gone, kind, settings.clone()).await, "connect refused");
        fails(&checked(hung.0, kind, settings).await, "timed out after 1 s");
    }
    passes(&checked(hung.0, "tcp", json!({})).await, "connected");
}

#[tokio::test]
async fn icmp_pings() {
    let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 1);
    let outcome = checked(at("127.0.0.1"), "icmp", json!({})).await;
    // Where the kernel does not let anybody ping, it says so.
    assert!(outcome.words == "answered the ping" || outcome.words.contains("cannot ping"), "{outcome:?}");
}

#[tokio::test]
async fn http_https_and_tls_against_nginx() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, secure, both) = (nowhere(), nowhere(), nowhere());
    let _nginx = nginx(folder.path(), [plain, secure, both]);
    for (kind, at) in [("http", plain), ("https", secure)] {
        let well = checked(at, kind, json!({ "path": "/well", "body": "all.*well" })).await;
        passes(&well, "HTTP 200, the body matches");
        assert_eq!(well.code, Some(200));
        fails(&checked(at, kind, json!({ "path": "/ill" })).await, "HTTP 503, want 200\u{2013}399");
        fails(
            &checked(at, kind, json!({ "path": "/well", "body": "ill" })).await,
            "\"all is well\" does not match `ill`",
        );
        let named = json!({ "path": "/host", "host": "shop.test", "headers": ["X-Probe: 7"], "body": "^shop.test 7$" });
        passes(&checked(at, kind, named).await, "HTTP 200");
        passes(
            &checked(at, kind, json!({ "path": "/ill", "method": "HEAD", "codes": ["500-599"] })).await,
            "503",
        );
    }
    for (kind, at) in [("http", both), ("https", secure)] {
        let well = json!({ "version": "2", "path": "/host", "host": "shop.test", "body": "^shop.test " });
        passes(&checked(at, kind, well).await, "HTTP 200");
        fails(&checked(at, kind, json!({ "version": "2", "path": "/ill" })).await, "HTTP 503");
    }
    fails(&checked(plain, "http", json!({ "version": "2" })).await, "");
    let well = checked(secure, "tls", json!({ "server_name": "shop.test" })).await;
    passes(&well, "the certificate ends in");
    assert!(!well.warns);
    let own = std::fs::read_to_string(folder.path().join("cert.pem")).unwrap();
    passes(
        &checked(secure, "tls", json!({ "server_name": "shop.test", "ca": own })).await,
        "the certificate ends",
    );
    passes(&checked(secure, "tls", json!({ "ca": own })).await, "the certificate ends");
    let other = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap().cert.pem();
    fails(
        &checked(secure, "tls", json!({ "ca": other })).await,
        "the TLS handshake failed: invalid peer certificate",
    );
    fails(
        &checked(secure, "tls", json!({ "server_name": "db2" })).await,
        "the name db2 is not in the certificate",
    );
    fails(&checked(plain, "tls", json!({})).await, "the TLS handshake");
    fails(&checked(plain, "redis", json!({})).await, "the answer is not Redis'");
    fails(&checked(plain, "grpc", json!({})).await, "gRPC");
    let asked = json!({ "send": "HEAD / HTTP/1.0\\r\\n\\r\\n", "expect": "nginx" });
    passes(&checked(plain, "tcp", asked).await, "answered \"HTTP/1.1");
    let other = json!({ "send": "HEAD / HTTP/1.0\\r\\n\\r\\n", "expect": "apache" });
    fails(&checked(plain, "tcp", other).await, "want \"apache\"");
}

#[tokio::test]
async fn udp_against_a_dns_server() {
    let at = nowhere();
    let _dnsmasq = dnsmasq(at);
    let settings = json!({ "send": DNS_QUERY, "expect": DNS_ANSWER });
    passes(&checked(at, "udp", settings).await, "answered");
}

#[tokio::test]
async fn redis_primary_and_replica() {
    let (first, second) = (nowhere(), nowhere());
    let _primary = redis(first, &[]);
    let _replica = redis(second, &["--replicaof", "127.0.0.1", &first.port().to_string()]);
    passes(&checked(first, "redis", json!({ "role": "primary" })).await, "primary");
    fails(&checked(first, "redis", json!({ "role": "replica" })).await, "primary, want a replica");
    await_check(second, "redis", json!({ "role": "replica", "lag_max_s": 30 }), "s behind").await;
    fails(&checked(second, "redis", json!({ "role": "primary" })).await, "want a primary");
    let third = nowhere();
    let _guarded = redis(third, &["--requirepass", "open sesame"]);
    fails(&checked(third, "redis", json!({})).await, "Redis says");
    passes(&checked_with(third, "redis", json!({}), "open sesame").await, "primary");
    fails(&checked_with(third, "redis", json!({}), "open").await, "Redis does not take the password");
}

#[tokio::test]
async fn postgres_primary_and_replica_and_failover() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(user("postgres")), None).unwrap();
    let (first, second) = (nowhere(), nowhere());
    let (here, there) = (folder.path().join("primary"), folder.path().join("replica"));
    install_postgres(&here);
    let primary = postgres(&here, first);
    let asks = |role: &str| json!({ "user": "postgres", "role": role, "lag_max_s": 30 });
    await_check(first, "postgres", asks("primary"), "primary").await;

    copy_postgres(&there, first);
    let _replica = postgres(&there, second);
    await_check(second, "postgres", asks("replica"), "replica, 0 s behind").await;
    fails(&checked(second, "postgres", asks("primary")).await, "want a primary");
    fails(&checked(first, "postgres", asks("replica")).await, "primary, want a replica");
    let stranger = checked(first, "postgres", json!({ "user": "nobody" })).await;
    fails(&stranger, "role \"nobody\" does not exist");
    for (user, way, in_words) in
        [("scram", "scram-sha-256", "PostgreSQL says"), ("clear", "password", "PostgreSQL says")]
    {
        psql(first, &format!("CREATE ROLE {user} LOGIN PASSWORD 'open sesame'"));
        let rules = here.join("pg_hba.conf");
        let others = std::fs::read_to_string(&rules).unwrap();
        std::fs::write(&rules, format!("host all {user} 127.0.0.1/32 {way}\n{others}")).unwrap();
        psql(first, "SELECT pg_reload_conf()");
        let asks = json!({ "user": user, "role": "primary" });
        await_check(first, "postgres", asks.clone(), "PostgreSQL wants a password, and the monitor has none")
            .await;
        passes(&checked_with(first, "postgres", asks.clone(), "open sesame").await, "primary");
        fails(&checked_with(first, "postgres", asks, "open").await, in_words);
    }

    drop(primary);
    promote_postgres(&there);
    await_check(second, "postgres", asks("primary"), "primary").await;
    passes(&checked(second, "postgres", asks("primary")).await, "primary");
    fails(&checked(first, "postgres", asks("primary")).await, "connect refused");
}

#[tokio::test]
async fn mysql_against_mariadb() {
    let folder = tempfile::tempdir().unwrap();
    let at = nowhere();
    install_mariadb(folder.path());
    let grants = folder.path().join("grants.sql");
    let sql = "CREATE USER guarded@'127.0.0.1' IDENTIFIED BY 'open sesame';\n";
    std::fs::write(&grants, sql).unwrap();
    let mariadb = |read_only: bool| {
        let (init, read_only) =
            (format!("--init-file={}", grants.display()), format!("--read-only={}", u8::from(read_only)));
        let more: &[&str] = if read_only.ends_with('1') { &[&read_only] } else { &[&read_only, &init] };
        mariadb(folder.path(), at, more)
    };
    let asks = |role: &str| json!({ "user": "root", "role": role });
    let primary = mariadb(false);
    passes(&checked(at, "mysql", asks("primary")).await, "primary");
    fails(&checked(at, "mysql", asks("replica")).await, "want a replica");
    let stranger = checked(at, "mysql", json!({ "user": "stranger" })).await;
    fails(&stranger, "MySQL says: Access denied");
    assert_eq!(stranger.code, Some(1045));
    let guarded = json!({ "user": "guarded", "role": "primary" });
    passes(&checked_with(at, "mysql", guarded.clone(), "open sesame").await, "primary");
    fails(&checked_with(at, "mysql", guarded.clone(), "open").await, "MySQL says: Access denied");
    fails(&checked(at, "mysql", guarded).await, "MySQL says: Access denied");
    drop(primary);
    let _replica = mariadb(true);
    passes(&checked(at, "mysql", asks("replica")).await, "replica");
}

#[tokio::test]
async fn grpc_health() {
    let (well, ill) = (grpc_server(1).await, grpc_server(2).await);
    passes(&checked(well, "grpc", json!({})).await, "gRPC: serving");
    passes(&checked(well, "grpc", json!({ "service": "shop" })).await, "gRPC: serving");
    fails(
        &checked(well, "grpc", json!({ "service": "cart" })).await,
        "gRPC status 5: it knows no such service",
    );
    fails(&checked(ill, "grpc", json!({})).await, "gRPC: not serving");
}

/// An agent that says this to each who asks.
async fn agent(line: &'static str) -> SocketAddr {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(line.as_bytes()).await.unwrap();
        }
    });
    at
}

#[tokio::test]
async fn agents_say_how_the_member_is() {
    let well = checked(agent("up 40%\n").await, "agent", json!({})).await;
    passes(&well, "the agent says up 40%");
    assert_eq!((well.wish.drains, well.wish.share.get()), (false, 40));
    let draining = checked(agent("drain # reboot at noon\n").await, "agent", json!({})).await;
    passes(&draining, "the agent says drain: reboot at noon");
    assert!(draining.wish.drains);
    fails(
        &checked(agent("down # disk full\n").await, "agent", json!({})).await,
        "the agent says down: disk full",
    );
    fails(&checked(agent("fine\n").await, "agent", json!({})).await, "the agent says \"fine\", want up");
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, secure, both) = (nowhere(), nowhere(), nowhere());
    let first = nginx(folder.path(), [plain, secure, both]);
    // rcgen's certificates end in 4096: a wish beyond that cannot be written, so the dates come from openssl.
    let mut renew = std::process::Command::new("openssl");
    renew.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "5",
    ]);
    renew.args(["-subj", "/CN=shop.test", "-keyout"]).arg(folder.path().join("key.pem"));
    renew.arg("-out").arg(folder.path().join("cert.pem")).stderr(std::process::Stdio::null());
    assert!(renew.status().unwrap().success());
    drop(first);
    let mut command = std::process::Command::new("nginx");
    command.arg("-e").arg("/dev/null").arg("-c").arg(folder.path().join("nginx.conf"));
    let _nginx = Server::listening(&mut command, plain);
    let soon = checked(secure, "tls", json!({})).await;
    passes(&soon, "want 14");
    assert!(soon.warns);
    assert!(!checked(secure, "tls", json!({ "days_left": 3 })).await.warns);
}
