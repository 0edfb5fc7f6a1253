//! Each kind of check against a real server of its kind, on loopback: well, wrong, stopped, hung.

use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::Target;
use super::{Outcome, check};
use crate::domain::{Monitor, Spec};

/// What a server may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A process that ends with the test.
struct Server(Child);

impl Server {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// The same, and waits until it accepts connections.
    fn listening(command: &mut Command, at: SocketAddr) -> Self {
        let server = Self::start(command);
        await_that(|| TcpStream::connect(at).is_ok());
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A server that is dead already has ended, too.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn await_that(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

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

/// An address that nobody listens at.
fn nowhere() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

async fn checked(at: SocketAddr, kind: &str, settings: Value) -> Outcome {
    let document = json!({ "name": "m", "kind": kind, "settings": settings, "timeout_ms": 1000 });
    let monitor = Spec::<Monitor>::read(document.as_object().unwrap()).unwrap().own;
    check(&Target { at, monitor }).await
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

fn nginx(folder: &Path, plain: SocketAddr, secure: SocketAddr) -> Server {
    let key = rcgen::generate_simple_self_signed(["shop.test".to_owned()]).unwrap();
    fs::write(folder.join("cert.pem"), key.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let place = folder.display();
    let config = format!(
        "daemon off; worker_processes 1; pid {place}/pid; error_log /dev/null; events {{}}
         http {{
            access_log off;
            client_body_temp_path {place}/a; proxy_temp_path {place}/b; fastcgi_temp_path {place}/c;
            uwsgi_temp_path {place}/d; scgi_temp_path {place}/e;
            server {{
                listen {plain}; listen {secure} ssl;
                ssl_certificate {place}/cert.pem; ssl_certificate_key {place}/key.pem;
                location /well {{ return 200 'all is well'; }}
                location /ill {{ return 503; }}
                location /host {{ return 200 '$host $http_x_probe'; }}
            }}
         }}"
    );
    fs::write(folder.join("nginx.conf"), config).unwrap();
    let mut command = Command::new("nginx");
    Server::listening(command.arg("-e").arg("/dev/null").arg("-c").arg(folder.join("nginx.conf")), plain)
}

#[tokio::test]
async fn http_https_and_tls_against_nginx() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, secure) = (nowhere(), nowhere());
    let _nginx = nginx(folder.path(), plain, secure);
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
    passes(&checked(secure, "tls", json!({ "server_name": "shop.test" })).await, "the certificate ends in");
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
    let mut command = Command::new("dnsmasq");
    command.args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"]);
    command.args([
        "--listen-address=127.0.0.1",
        "--address=/shop.test/192.0.2.7",
        "--pid-file=",
        "--user=root",
    ]);
    let _dnsmasq = Server::listening(command.arg(format!("--port={}", at.port())), at);
    let query = "\\x00\\x07\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x04shop\\x04test\\x00\\x00\\x01\\x00\\x01";
    // 192.0.2.7 as it stands in the answer.
    passes(&checked(at, "udp", json!({ "send": query, "expect": "\\xc0\\x00\\x02\\x07" })).await, "answered");
}

#[tokio::test]
async fn redis_primary_and_replica() {
    let (first, second) = (nowhere(), nowhere());
    let redis = |at: SocketAddr| {
        let mut command = Command::new("redis-server");
        command.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", "/tmp"]);
        command.args(["--repl-diskless-sync-delay", "0", "--port", &at.port().to_string()]);
        command
    };
    let _primary = Server::listening(&mut redis(first), first);
    let replica = &mut redis(second);
    let _replica =
        Server::listening(replica.args(["--replicaof", "127.0.0.1", &first.port().to_string()]), second);
    passes(&checked(first, "redis", json!({ "role": "primary" })).await, "primary");
    fails(&checked(first, "redis", json!({ "role": "replica" })).await, "primary, want a replica");
    await_check(second, "redis", json!({ "role": "replica", "lag_max_s": 30 }), "s behind").await;
    fails(&checked(second, "redis", json!({ "role": "primary" })).await, "want a primary");
}

/// A program of `PostgreSQL`, which does not run as root.
fn postgres_program(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(format!("/usr/lib/postgresql/15/bin/{name}"));
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn postgres(data: &Path, at: SocketAddr) -> Server {
    let mut command = postgres_program("postgres");
    command.arg("-D").arg(data).args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    Server::listening(command.args(["-c", "fsync=off", "-p", &at.port().to_string()]), at)
}

#[tokio::test]
async fn postgres_primary_and_replica_and_failover() {
    let folder: TempDir = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(user("postgres")), None).unwrap();
    let (first, second) = (nowhere(), nowhere());
    let (here, there) = (folder.path().join("primary"), folder.path().join("replica"));
    let mut initdb = postgres_program("initdb");
    assert!(initdb.arg("-D").arg(&here).args(["-A", "trust", "--no-sync"]).status().unwrap().success());
    let primary = postgres(&here, first);
    let asks = |role: &str| json!({ "user": "postgres", "role": role, "lag_max_s": 30 });
    await_check(first, "postgres", asks("primary"), "primary").await;

    let mut copy = postgres_program("pg_basebackup");
    copy.arg("-D").arg(&there).args(["-h", "127.0.0.1", "-R", "--checkpoint=fast", "--no-sync"]);
    assert!(copy.args(["-p", &first.port().to_string()]).status().unwrap().success());
    let _replica = postgres(&there, second);
    await_check(second, "postgres", asks("replica"), "replica, 0 s behind").await;
    fails(&checked(second, "postgres", asks("primary")).await, "want a primary");
    fails(&checked(first, "postgres", asks("replica")).await, "primary, want a replica");
    let stranger = checked(first, "postgres", json!({ "user": "nobody" })).await;
    fails(&stranger, "role \"nobody\" does not exist");

    drop(primary);
    let mut promote = postgres_program("pg_ctl");
    assert!(promote.arg("promote").arg("-D").arg(&there).status().unwrap().success());
    await_check(second, "postgres", asks("primary"), "primary").await;
    passes(&checked(second, "postgres", asks("primary")).await, "primary");
    fails(&checked(first, "postgres", asks("primary")).await, "connect refused");
}

fn user(name: &str) -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
    line.split(':').nth(2).unwrap().parse().unwrap()
}

#[tokio::test]
async fn mysql_against_mariadb() {
    let folder = tempfile::tempdir().unwrap();
    let (data, at) = (folder.path().join("data"), nowhere());
    let mut install = Command::new("mariadb-install-db");
    install
        .arg("--no-defaults")
        .arg(format!("--datadir={}", data.display()))
        .arg("--auth-root-authentication-method=normal");
    install
        .args(["--user=root", "--skip-test-db", "--skip-name-resolve"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    assert!(install.status().unwrap().success());
    let mariadb = |read_only: bool| {
        let mut command = Command::new("mariadbd");
        command.arg("--no-defaults").arg("--user=root").arg(format!("--datadir={}", data.display()));
        command.arg(format!("--socket={}/socket", folder.path().display()));
        command.args(["--bind-address=127.0.0.1", "--skip-name-resolve", &format!("--port={}", at.port())]);
        Server::listening(command.arg(format!("--read-only={}", u8::from(read_only))), at)
    };
    let asks = |role: &str| json!({ "user": "root", "role": role });
    let primary = mariadb(false);
    passes(&checked(at, "mysql", asks("primary")).await, "primary");
    fails(&checked(at, "mysql", asks("replica")).await, "want a replica");
    let stranger = checked(at, "mysql", json!({ "user": "stranger" })).await;
    fails(&stranger, "MySQL says: Access denied");
    assert_eq!(stranger.code, Some(1045));
    drop(primary);
    let _replica = mariadb(true);
    passes(&checked(at, "mysql", asks("replica")).await, "replica");
}

/// A gRPC server whose health service answers with this status for `shop`, and knows no other service.
async fn grpc_server(status: u8) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(move |request| answer(request, status));
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { serving.serve_connection(TokioIo::new(stream), service).await });
        }
    });
    at
}

/// What the generated code of a gRPC server would send.
async fn answer(
    request: Request<Incoming>,
    status: u8,
) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, hyper::Error> {
    let asked = request.into_body().collect().await?.to_bytes();
    let known = asked.as_ref() == b"\0\0\0\0\x06\x0a\x04shop" || asked.as_ref() == b"\0\0\0\0\0";
    let (body, code) = if known { (vec![0, 0, 0, 0, 2, 8, status], "0") } else { (Vec::new(), "5") };
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())]);
    let body = Full::new(Bytes::from(body)).with_trailers(async move { Some(Ok(trailers)) });
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
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
