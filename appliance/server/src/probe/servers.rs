//! Servers of every kind that is checked, on loopback: each ends with its test.

use std::convert::Infallible;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// What a server may take to start on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// A process that ends with the test.
pub(super) struct Server(Child);

impl Server {
    pub(super) fn start(command: &mut Command) -> Self {
        Self(
            command
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    /// The same, and waits until it accepts connections.
    pub(super) fn listening(command: &mut Command, at: SocketAddr) -> Self {
        let server = Self::start(command);
        await_that(|| TcpStream::connect(at).is_ok());
        server
    }

    /// Stops it where it is: the kernel still accepts connections for it, and nobody says anything.
    pub(super) fn hang(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(super) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// All processes of its group.
    fn signal(&self, signal: &str) {
        let group = format!("-{}", self.0.id());
        assert!(Command::new("kill").args([signal, "--", &group]).status().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Its workers end with it. A server that is dead already has ended, too.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

pub(super) fn await_that(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An address that nobody listens at, another each time. The kernel gives none of these ports to whoever does not ask for it, so that
/// a server that stops finds its own free when it begins again.
pub(super) fn nowhere() -> SocketAddr {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    loop {
        // Two runs of the tests begin at different places.
        let offset = std::process::id() * 64 + u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 10_000 + u16::try_from(offset % 20_000).unwrap()));
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return at;
        }
    }
}

/// In plain, inside of TLS, and with HTTP/2 without TLS.
pub(super) fn nginx(folder: &Path, [plain, secure, both]: [SocketAddr; 3]) -> Server {
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
                listen {plain}; listen {secure} ssl http2; listen {both} http2;
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

/// A program of `PostgreSQL`, which does not run as root.
pub(super) fn postgres_program(name: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
    command.arg(format!("/usr/lib/postgresql/15/bin/{name}"));
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

pub(super) fn postgres(data: &Path, at: SocketAddr) -> Server {
    let mut command = postgres_program("postgres");
    command.arg("-D").arg(data).args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    Server::listening(command.args(["-c", "fsync=off", "-p", &at.port().to_string()]), at)
}

pub(super) fn user(name: &str) -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.split(':').next() == Some(name)).unwrap();
    line.split(':').nth(2).unwrap().parse().unwrap()
}

/// Makes the folder of a MariaDB, and says how it is started there.
pub(super) fn install_mariadb(folder: &Path) {
    let mut install = Command::new("mariadb-install-db");
    install
        .arg("--no-defaults")
        .arg(format!("--datadir={}", folder.join("data").display()))
        .arg("--auth-root-authentication-method=normal");
    install
        .args(["--user=root", "--skip-test-db", "--skip-name-resolve"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    assert!(install.status().unwrap().success());
}

pub(super) fn mariadb(folder: &Path, at: SocketAddr, more: &[&str]) -> Server {
    let mut command = Command::new("mariadbd");
    let data = folder.join("data");
    command.arg("--no-defaults").arg("--user=root").arg(format!("--datadir={}", data.display()));
    command.arg(format!("--socket={}/socket", folder.display()));
    command.args(["--bind-address=127.0.0.1", "--skip-name-resolve", &format!("--port={}", at.port())]);
    Server::listening(command.args(more), at)
}

pub(super) fn redis(at: SocketAddr, more: &[&str]) -> Server {
    let mut command = Command::new("redis-server");
    command.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--dir", "/tmp"]);
    command.args(["--repl-diskless-sync-delay", "0", "--port", &at.port().to_string()]);
    Server::listening(command.args(more), at)
}

pub(super) fn dnsmasq(at: SocketAddr) -> Server {
    let mut command = Command::new("dnsmasq");
    command.args(["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--bind-interfaces"]);
    command.args([
        "--listen-address=127.0.0.1",
        "--address=/shop.test/192.0.2.7",
        "--pid-file=",
        "--user=root",
    ]);
    Server::listening(command.arg(format!("--port={}", at.port())), at)
}

/// Asks a DNS server for `shop.test`.
pub(super) const DNS_QUERY: &str =
    "\\x00\\x07\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x04shop\\x04test\\x00\\x00\\x01\\x00\\x01";
/// 192.0.2.7 as it stands in the answer.
pub(super) const DNS_ANSWER: &str = "\\xc0\\x00\\x02\\x07";

/// Runs what a client of the database says there.
pub(super) fn psql(at: SocketAddr, sql: &str) -> String {
    let mut command = postgres_program("psql");
    command.args(["-h", "127.0.0.1", "-U", "postgres", "-Atqc", sql, "-p", &at.port().to_string()]);
    let output = command.stdout(Stdio::piped()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes the folder of a PostgreSQL.
pub(super) fn install_postgres(data: &Path) {
    let mut initdb = postgres_program("initdb");
    assert!(initdb.arg("-D").arg(data).args(["-A", "trust", "--no-sync"]).status().unwrap().success());
}

/// Makes the folder of one that follows another.
pub(super) fn copy_postgres(data: &Path, from: SocketAddr) {
    let mut copy = postgres_program("pg_basebackup");
    copy.arg("-D").arg(data).args(["-h", "127.0.0.1", "-R", "--checkpoint=fast", "--no-sync"]);
    assert!(copy.args(["-p", &from.port().to_string()]).status().unwrap().success());
}

pub(super) fn promote_postgres(data: &Path) {
    let mut promote = postgres_program("pg_ctl");
    assert!(promote.arg("promote").arg("-D").arg(data).status().unwrap().success());
}

/// A gRPC server whose health service answers with this status for `shop`, and knows no other service.
pub(super) async fn grpc_server(status: u8) -> SocketAddr {
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
pub(super) async fn answer(
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
