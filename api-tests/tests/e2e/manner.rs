//! How members are spoken to: HTTP/2, TLS, the PROXY protocol; and tunnels through the appliance. The peers are not ours.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use lab::network::{MEMBERS, VIRTUAL_IP};
use lab::{Certificate, Driver};
use serde_json::{Value, json};

use super::stage::Stage;

const PORT: u16 = 8080;

/// A program in the lab that says `ready`; it ends with this.
pub(super) struct Peer(Child);

impl Peer {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let mut peer = Self(command.stdout(Stdio::piped()).spawn().context("cannot start a peer")?);
        assert_eq!(peer.line()?, "ready");
        Ok(peer)
    }

    /// One that says something else first.
    pub(super) fn spawn(command: &mut Command) -> Result<Self> {
        Ok(Self(command.stdout(Stdio::piped()).spawn().context("cannot start a peer")?))
    }

    /// What it says next.
    pub(super) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let output = self.0.stdout.as_mut().context("the peer has no output")?;
        // One byte after the other: what follows is for whoever asks next.
        BufReader::with_capacity(1, output).read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn script(name: &str) -> String {
    format!("tests/peers/{name}.py")
}

pub(super) fn python(namespace: &lab::Namespace, arguments: &[&str]) -> Command {
    let mut python = namespace.command("/usr/bin/python3");
    python.args(arguments);
    python
}

/// What such a peer has seen.
fn ask(stage: &Stage, arguments: &[&str]) -> Result<Value> {
    let said = stage.lab.client().run("/usr/bin/python3", arguments)?;
    serde_json::from_str(&said).with_context(|| format!("the peer said {said}"))
}

/// A service with a pool of its own, whose first member serves on `port`.
fn serve(stage: &Stage, port: u16, pool: &Value) -> Result<String> {
    let pool = id(&stage.api.create("/pools", pool)?)?;
    let member = json!({ "name": "peer", "address": MEMBERS[0], "port": port });
    stage.api.create(&format!("/pools/{pool}/members"), &member)?;
    let service = json!({
        "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": PORT,
        "default_pool_id": pool,
    });
    stage.api.create("/virtual-services", &service)?;
    stage.await_forwarding()?;
    Ok(pool)
}

pub(super) fn id(resource: &Value) -> Result<String> {
    Ok(resource["id"].as_str().context("a resource without an id")?.to_owned())
}

fn get(stage: &Stage, more: &[&str]) -> Result<String> {
    let url = format!("http://{VIRTUAL_IP}:{PORT}/");
    let fixed = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "10"];
    let all: Vec<&str> = fixed.iter().copied().chain(more.iter().copied()).chain([url.as_str()]).collect();
    stage.lab.client().run("curl", &all)
}

pub(super) fn endings(stage: &Stage) -> Result<Value> {
    // Fresh numbers, not those that a reader before was shown.
    std::thread::sleep(std::time::Duration::from_millis(300));
    Ok(stage.api.get("/stats")?.expect_status(200)?.body["l7"]["services"][0]["endings"].take())
}

/// nginx beside the member's own, with these servers.
pub(super) fn nginx(stage: &Stage, servers: &str) -> Result<Peer> {
    let folder = stage.lab.folder().join("beside");
    fs::create_dir_all(&folder)?;
    let (config, at) = (folder.join("nginx.conf"), folder.display());
    let text = format!(
        "daemon off; master_process off; pid {at}/pid; error_log /dev/null; events {{}}
        http {{
            access_log off; default_type text/plain;
            client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;
            uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
            {servers}
        }}"
    );
    fs::write(&config, text)?;
    let member = &stage.lab.members()[0].namespace;
    member.run("nginx", &["-t", "-q", "-e", "/dev/null", "-c", &config.to_string_lossy()])?;
    // It listens before it is asked: bash says so when a connection came about.
    let wait = "nginx -e /dev/null -c \"$1\" & until (exec 3<>/dev/tcp/127.0.0.1/7000) 2>/dev/null; do sleep 0.05; done; echo ready; wait";
    Peer::start(member.command("bash").args(["-c", wait, "bash", &config.to_string_lossy()]))
}

#[test]
fn grpc_passes_with_its_trailers_both_ways_at_once() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let member = &stage.lab.members()[0].namespace;
    let _server = Peer::start(&mut python(member, &[&script("grpc_peer"), "serve", "5000", "first"]))?;
    serve(&stage, 5000, &json!({ "name": "grpc", "http_version": "2" }))?;
    let said = ask(&stage, &[&script("grpc_peer"), "ask", &format!("{VIRTUAL_IP}:{PORT}")])?;
    let failed = json!(["FAILED_PRECONDITION", "not today"]);
    assert_eq!(said, json!({ "large": true, "member": "first", "stream": true, "failed": failed }));
    assert_eq!(endings(&stage)?, json!({}));
    Ok(())
}

#[test]
fn websockets_pass_over_both_versions_and_end_with_their_service() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let member = &stage.lab.members()[0].namespace;
    let _server = Peer::start(&mut python(member, &[&script("websocket_peer"), "serve", "5000"]))?;
    serve(&stage, 5000, &json!({ "name": "sockets" }))?;
    let url = format!("ws://{VIRTUAL_IP}:{PORT}/");
    let said = ask(&stage, &[&script("websocket_peer"), "ask", &url])?;
    assert_eq!(said, json!({ "short": true, "large": true, "closed": 1000 }));
    let (address, port) = (VIRTUAL_IP.to_string(), PORT.to_string());
    let said = ask(&stage, &[&script("websocket_peer"), "ask_h2", &address, &port])?;
    assert_eq!(said, json!({ "offered": 1, "status": "200", "echo": true, "ended": true }));
    assert_eq!(endings(&stage)?, json!({}));

    // One that nobody ends has so long when its service goes.
    let listed = stage.api.get("/virtual-services?name=shop")?.expect_status(200)?.body;
    let service = format!("/virtual-services/{}", id(&listed["items"][0])?);
    stage.api.change(&service, &json!({ "request_timeouts": { "drain_s": 1 } }))?;
    stage.await_forwarding()?;
    let mut client = python(&stage.lab.client(), &[&script("websocket_peer"), "wait", &url]);
    let mut waiting = Peer(client.stdout(Stdio::piped()).spawn()?);
    assert_eq!(waiting.line()?, "open");
    stage.api.remove(&service)?;
    assert_eq!(waiting.line()?, "closed");
    Ok(())
}

#[test]
fn members_are_told_who_the_client_is_and_proxies_are_believed() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let servers = "server { listen 7000; }
        server { listen 7001 proxy_protocol; location / { return 200 '$proxy_protocol_addr $http_x_forwarded_for\\n'; } }";
    let _nginx = nginx(&stage, servers)?;
    let pool = serve(&stage, 7001, &json!({ "name": "told", "proxy_protocol": "v1" }))?;
    let client = get(&stage, &[])?;
    let (told, forwarded) = client.trim().split_once(' ').context("two addresses")?;
    ensure!(told == forwarded && told.starts_with("198.18."), "{client}");
    stage.api.change(&format!("/pools/{pool}"), &json!({ "proxy_protocol": "v2" }))?;
    stage.await_forwarding()?;
    assert_eq!(get(&stage, &[])?, client);

    // Now the client is a proxy itself, and speaks for another (curl tells its own address, in version 1).
    let listed = stage.api.get("/virtual-services?name=shop")?.expect_status(200)?.body;
    let service = format!("/virtual-services/{}", id(&listed["items"][0])?);
    stage.api.change(&service, &json!({ "proxy_protocol_from": ["198.18.0.0/15"] }))?;
    stage.await_forwarding()?;
    assert_eq!(get(&stage, &["--haproxy-protocol"])?, client);
    let told =
        "PROXY TCP4 192.0.2.77 192.0.2.1 1000 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = stage.lab.client().talk(VIRTUAL_IP, PORT, told.as_bytes(), super::stage::PATIENCE)?;
    ensure!(answer.ends_with("192.0.2.77 192.0.2.77\n"), "{answer}");
    // Whoever does not tell is sent away.
    assert!(get(&stage, &[]).is_err());
    assert_eq!(endings(&stage)?, json!({ "bad_proxy_header": 1 }));
    Ok(())
}

#[test]
fn members_show_who_they_are() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let issue = |name| Certificate::issue(&stage.lab.folder(), name);
    let (member, other, own) =
        (issue("inside.example")?, issue("other.example")?, issue("penstock.example")?);
    let files = format!(
        "ssl_certificate {}; ssl_certificate_key {};",
        member.file.display(),
        member.file.with_extension("key").display()
    );
    let servers = format!(
        "server {{ listen 7000; }}
        server {{ listen 7443 ssl http2; {files} location / {{ return 200 '$ssl_server_name $server_protocol $ssl_session_reused\\n'; }} }}
        server {{ listen 7444 ssl; {files} ssl_client_certificate {}; ssl_verify_client on;
            location / {{ return 200 '$ssl_client_s_dn\\n'; }} }}",
        own.file.display()
    );
    let _nginx = nginx(&stage, &servers)?;
    let tls = |certificate: &Certificate, name: &str| json!({ "ca": certificate.chain, "server_name": name });
    let pool = serve(&stage, 7443, &json!({ "name": "inside", "tls": tls(&member, "inside.example") }))?;
    assert_eq!(get(&stage, &[])?, "inside.example HTTP/1.1 .\n");
    let change = |patch: &Value| -> Result<()> {
        stage.api.change(&format!("/pools/{pool}"), patch)?;
        stage.await_forwarding()
    };
    change(&json!({ "http_version": "2" }))?;
    assert_eq!(get(&stage, &[])?, "inside.example HTTP/2.0 .\n");
    change(&json!({ "http_version": "1.1" }))?;

    // Another's name, and another who vouches.
    let status = ["--output", "/dev/null", "--write-out", "%{http_code}"];
    for wrong in [tls(&member, "shop.example"), tls(&other, "inside.example")] {
        change(&json!({ "tls": wrong }))?;
        assert_eq!(get(&stage, &status)?, "502");
    }
    assert_eq!(endings(&stage)?, json!({ "member_tls": 2 }));
    change(&json!({ "tls": { "verify": false, "ca": null, "server_name": "shop.example" } }))?;
    assert_eq!(get(&stage, &[])?, "shop.example HTTP/1.1 .\n");

    // A member that wants to know who asks.
    let Certificate { chain, private_key, .. } = &own;
    let shown = json!({ "name": "own", "chain": chain, "private_key": private_key });
    let shown = id(&stage.api.create("/certificates", &shown)?)?;
    let listed = stage.api.get(&format!("/pools/{pool}/members"))?.expect_status(200)?.body;
    let path = format!("/pools/{pool}/members/{}", id(&listed["items"][0])?);
    stage.api.change(&path, &json!({ "port": 7444 }))?;
    change(&json!({ "tls": tls(&member, "inside.example") }))?;
    assert_eq!(get(&stage, &status)?, "400");
    change(&json!({ "tls": { "certificate_id": shown } }))?;
    assert_eq!(get(&stage, &[])?, "CN=penstock.example\n");
    let used = stage.api.delete(&format!("/certificates/{shown}"), "*")?;
    used.expect_status(409)?;
    Ok(())
}
