//! Connections that the appliance passes on as they are: TCP, and TLS by the name that the client asks for.

use anyhow::{Context as _, Result, ensure};
use lab::network::{MEMBERS, VIRTUAL_IP};
use lab::{Answer, Certificate, Driver};
use serde_json::{Value, json};

use super::manner::{endings, id, nginx};
use super::stage::{PATIENCE, RATE, Stage};

const PORT: u16 = 8443;

/// A pool with one member: the first, at this port.
fn pool(stage: &Stage, name: &str, port: u16, fields: &Value) -> Result<String> {
    let mut document = json!({ "name": name });
    let fields = fields.as_object().cloned().context("want fields")?;
    document.as_object_mut().context("an object")?.extend(fields);
    let pool = id(&stage.api.create("/pools", &document)?)?;
    let member = json!({ "name": name, "address": MEMBERS[0], "port": port });
    stage.api.create(&format!("/pools/{pool}/members"), &member)?;
    Ok(pool)
}

fn serve(stage: &Stage, fields: &Value) -> Result<String> {
    let mut document = json!({ "name": "passed", "virtual_ip_ids": [stage.virtual_ip], "port": PORT });
    let fields = fields.as_object().cloned().context("want fields")?;
    document.as_object_mut().context("an object")?.extend(fields);
    let service = id(&stage.api.create("/virtual-services", &document)?)?;
    stage.await_forwarding()?;
    Ok(service)
}

/// What a client gets over TLS that asks for this name and trusts this certificate alone.
fn get_tls(stage: &Stage, name: &str, trusted: &Certificate) -> Result<String> {
    let (url, resolve) = (format!("https://{name}:{PORT}/"), format!("{name}:{PORT}:{VIRTUAL_IP}"));
    let file = trusted.file.to_string_lossy();
    let fixed = ["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "10"];
    let all = [&fixed[..], &["--resolve", &resolve, "--cacert", &file, &url]].concat();
    stage.lab.client().run("curl", &all)
}

fn get(stage: &Stage, more: &[&str]) -> Result<String> {
    let url = format!("http://{VIRTUAL_IP}:{PORT}/");
    let fixed = ["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "10"];
    stage.lab.client().run("curl", &[&fixed[..], more, &[&url]].concat())
}

#[test]
fn tls_passes_through_to_the_member_that_the_name_leads_to() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let issue = |name| Certificate::issue(&stage.lab.folder(), name);
    let (one, two) = (issue("one.example")?, issue("*.two.example")?);
    let server = |port: u16, of: &Certificate| {
        let (file, key) = (of.file.display(), of.file.with_extension("key"));
        let says = "return 200 '$server_port $ssl_server_name\\n';";
        format!(
            "server {{ listen {port} ssl; ssl_certificate {file}; ssl_certificate_key {}; location / {{ {says} }} }}",
            key.display()
        )
    };
    let servers = format!("server {{ listen 7000; }} {} {}", server(7443, &one), server(7444, &two));
    let _nginx = nginx(&stage, &servers)?;
    let (first, second) = (pool(&stage, "one", 7443, &json!({}))?, pool(&stage, "two", 7444, &json!({}))?);
    let service = serve(&stage, &json!({ "protocol": "tls" }))?;
    let policy = |position: u32, compare: &str, name: &str, end: Value| -> Result<()> {
        let rules = json!([{ "kind": "sni", "compare": compare, "values": [name] }]);
        let mut document = json!({
            "name": name, "virtual_service_id": service, "position": position, "rules": rules,
        });
        document.as_object_mut().context("an object")?.extend(end.as_object().cloned().unwrap_or_default());
        stage.api.create("/policies", &document).map(drop)
    };
    policy(10, "exact", "secret.two.example", json!({ "reject": {} }))?;
    policy(20, "exact", "one.example", json!({ "pools": [{ "pool_id": first }] }))?;
    policy(30, "suffix", ".two.example", json!({ "pools": [{ "pool_id": second }] }))?;
    stage.await_forwarding()?;

    assert_eq!(get_tls(&stage, "one.example", &one)?, "7443 one.example\n");
    assert_eq!(get_tls(&stage, "shop.two.example", &two)?, "7444 shop.two.example\n");
    assert!(get_tls(&stage, "secret.two.example", &two).is_err());
    assert!(get_tls(&stage, "three.example", &one).is_err(), "it leads to nobody");
    let spoken = stage.lab.client().talk(VIRTUAL_IP, PORT, b"GET / HTTP/1.1\r\n\r\n", PATIENCE)?;
    assert_eq!(spoken, "", "this is no TLS");
    let expected = json!({ "rejected": 1, "no_member": 1, "tls_failed": 1 });
    assert_eq!(endings(&stage)?, expected);

    // What only requests have is refused, and so is a protocol without what a policy asks for.
    let path = json!({
        "name": "path", "virtual_service_id": service, "reject": {},
        "rules": [{ "kind": "path", "values": ["/a"] }],
    });
    let faults = stage.api.post("/policies", &path)?.expect_status(422)?.body;
    assert_eq!(faults["errors"][0]["pointer"], "/rules/0/kind");
    let rewrite = json!({
        "name": "rewrite", "virtual_service_id": service,
        "rewrite": { "response_headers": [{ "change": "remove", "name": "server" }] },
    });
    let faults = stage.api.post("/policies", &rewrite)?.expect_status(422)?.body;
    assert_eq!(faults["errors"][0]["pointer"], "/rewrite");
    let packets = json!({ "protocol": "tcp", "forwarding": "nat", "request_timeouts": null, "limits": null });
    let faults = stage.api.patch(&format!("/virtual-services/{service}"), "*", &packets)?;
    assert_eq!(faults.expect_status(422)?.body["errors"][0]["pointer"], "/protocol");
    Ok(())
}

#[test]
fn tls_ends_here_and_what_is_in_it_is_passed_on() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let certificate = Certificate::issue(&stage.lab.folder(), "shop.example")?;
    let Certificate { chain, private_key, .. } = &certificate;
    let document = json!({ "name": "shop", "chain": chain, "private_key": private_key });
    let shown = id(&stage.api.create("/certificates", &document)?)?;
    serve(
        &stage,
        &json!({ "protocol": "tls", "default_pool_id": stage.pool, "tls": { "certificate_ids": [shown] } }),
    )?;
    assert_eq!(get_tls(&stage, "shop.example", &certificate)?, "member-1\n");
    assert_eq!(get_tls(&stage, "shop.example", &certificate)?, "member-2\n");
    // A lot, by way of TLS.
    let (resolve, file) =
        (format!("shop.example:{PORT}:{VIRTUAL_IP}"), certificate.file.display().to_string());
    let download = stage.lab.client().download_with(
        &format!("https://shop.example:{PORT}/big"),
        4 * RATE,
        &["--resolve", &resolve, "--cacert", &file],
    )?;
    stage.finish(download)?;
    assert_eq!(endings(&stage)?, json!({}));
    Ok(())
}

#[test]
fn a_connection_is_passed_on_whole_and_outlives_its_service() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let service =
        serve(&stage, &json!({ "protocol": "tcp", "forwarding": "proxy", "default_pool_id": stage.pool }))?;
    let answers = (0..4).map(|_| get(&stage, &[])).collect::<Result<Vec<_>>>()?;
    assert_eq!(answers, ["member-1\n", "member-2\n", "member-1\n", "member-2\n"]);
    let url = format!("http://{VIRTUAL_IP}:{PORT}/big");
    let download = stage.lab.client().download(&url, 4 * RATE)?;
    stage.finish(download)?;
    // A member that is gone is passed over, and nobody hears of it.
    stage.lab.members()[0].server.stop()?;
    let answers = (0..4).map(|_| get(&stage, &[])).collect::<Result<Vec<_>>>()?;
    assert_eq!(answers, ["member-2\n"; 4]);
    assert_eq!(endings(&stage)?, json!({}));

    let download = stage.lab.client().download(&url, RATE)?;
    download.await_bytes(RATE / 2, PATIENCE)?;
    stage.api.remove(&format!("/virtual-services/{service}"))?;
    stage.await_forwarding()?;
    let refused = stage.lab.client().get(&format!("http://{VIRTUAL_IP}:{PORT}/"), PATIENCE)?;
    assert_eq!(refused, Answer::Refused);
    stage.finish(download)
}

#[test]
fn members_hear_who_the_client_is_and_silence_ends() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let servers = "server { listen 7000; }
        server { listen 7001 proxy_protocol; location / { return 200 '$proxy_protocol_addr $proxy_protocol_port\\n'; } }";
    let _nginx = nginx(&stage, servers)?;
    let told = pool(&stage, "told", 7001, &json!({ "proxy_protocol": "v2" }))?;
    let service =
        serve(&stage, &json!({ "protocol": "tcp", "forwarding": "proxy", "default_pool_id": told }))?;
    let said = get(&stage, &["--local-port", "45000-45100"])?;
    ensure!(said.starts_with("198.18.1.2 450") || said.starts_with("198.18.1.2 451"), "{said}");
    // The client speaks for another, whom the member hears of.
    let change = json!({ "proxy_protocol_from": ["198.18.0.0/15"], "timeouts": { "idle_s": 1 } });
    stage.api.change(&format!("/virtual-services/{service}"), &change)?;
    stage.await_forwarding()?;
    let told =
        "PROXY TCP4 192.0.2.77 192.0.2.1 1000 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = stage.lab.client().talk(VIRTUAL_IP, PORT, told.as_bytes(), PATIENCE)?;
    ensure!(answer.ends_with("192.0.2.77 1000\n"), "{answer}");
    // Nobody says anything more for a second.
    let told = "PROXY TCP4 192.0.2.77 192.0.2.1 1000 80\r\nGET /";
    assert_eq!(stage.lab.client().talk(VIRTUAL_IP, PORT, told.as_bytes(), PATIENCE)?, "");
    assert_eq!(endings(&stage)?, json!({ "silent": 1 }));
    Ok(())
}
