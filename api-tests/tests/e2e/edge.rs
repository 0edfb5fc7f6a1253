//! What a proxied service asks of its clients, and does for them: limits, tokens, certificates, pages of other origins, smaller answers.

use std::fs;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use lab::network::VIRTUAL_IP;
use lab::{Certificate, Driver};
use serde_json::{Value, json};

use super::manner::{endings, id};
use super::stage::{PATIENCE, Stage};

const PORT: u16 = 8080;

struct Edge {
    stage: Stage,
    service: String,
}

impl Edge {
    fn open(fields: &Value) -> Result<Self> {
        Self::set(Stage::set(Driver::AfXdp, true)?, fields)
    }

    fn set(stage: Stage, fields: &Value) -> Result<Self> {
        let mut document = json!({
            "name": "edge", "virtual_ip_ids": [stage.virtual_ip], "protocol": "http", "port": PORT,
            "default_pool_id": stage.pool,
        });
        let fields = fields.as_object().cloned().context("want fields")?;
        document.as_object_mut().context("an object")?.extend(fields);
        let service = id(&stage.api.create("/virtual-services", &document)?)?;
        stage.await_forwarding()?;
        Ok(Self { stage, service })
    }

    fn policy(&self, fields: &Value) -> Result<()> {
        let mut document = json!({ "name": "policy", "virtual_service_id": self.service });
        let fields = fields.as_object().cloned().context("want fields")?;
        document.as_object_mut().context("an object")?.extend(fields);
        self.stage.api.create("/policies", &document)?;
        self.stage.await_forwarding()
    }

    fn curl(&self, path: &str, arguments: &[&str]) -> Result<String> {
        let url = format!("http://{VIRTUAL_IP}:{PORT}{path}");
        let fixed = ["--silent", "--show-error", "--noproxy", "*", "--max-time", "20"];
        self.stage.lab.client().run("curl", &[&fixed[..], arguments, &[&url]].concat())
    }

    fn status(&self, path: &str, arguments: &[&str]) -> Result<String> {
        let quiet = ["--output", "/dev/null", "--write-out", "%{http_code}"];
        self.curl(path, &[&quiet, arguments].concat())
    }

    /// What is refused of this, and why.
    fn refused(&self, path: &str, document: &Value) -> Result<(Value, Value)> {
        let mut errors = self.stage.api.post(path, document)?.expect_status(422)?.body["errors"].take();
        Ok((errors[0]["pointer"].take(), errors[0]["code"].take()))
    }
}

#[test]
fn what_is_larger_than_the_service_takes_is_refused() -> Result<()> {
    let limits = json!({
        "head_bytes": 2048, "target_bytes": 128, "body_bytes": 1000, "connections_per_source": 2,
    });
    let edge = Edge::open(&json!({ "limits": limits }))?;
    let long = |length: usize| "a".repeat(length);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let asked = |path: &str, more: &[&str]| edge.status(path, &[&[version], more].concat());
        assert_eq!(asked("/", &["--header", &format!("X: {}", long(1500))])?, "200");
        assert_eq!(asked("/", &["--header", &format!("X: {}", long(3000))])?, "431");
        assert_eq!(asked(&format!("/echo?{}", long(100)), &[])?, "200");
        assert_eq!(asked(&format!("/echo?{}", long(130)), &[])?, "414");
        assert_eq!(asked("/echo", &["--data", &long(1000)])?, "200");
        assert_eq!(asked("/echo", &["--data", &long(1001)])?, "413");
    }
    // One that does not say how long it is.
    let chunked = ["--http1.1", "--header", "Transfer-Encoding: chunked", "--data", &long(5000)];
    assert_eq!(edge.status("/echo", &chunked)?, "413");
    let counted = endings(&edge.stage)?;
    // A head over HTTP/2 that is too large is answered by the crate h2, which counts nothing.
    assert_eq!(counted, json!({ "head_too_large": 3, "body_too_large": 3 }));

    // Two connections that wait for their next request, and a third one that finds no room.
    let hold = "exec 3<>/dev/tcp/$1/$2 4<>/dev/tcp/$1/$2; ask='GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'
        printf \"$ask\" >&3; printf \"$ask\" >&4; head -c 1 <&3 >/dev/null; head -c 1 <&4 >/dev/null; echo ready; exec cat";
    let mut holder = edge.stage.lab.client().command("bash");
    holder.args(["-c", hold, "bash", &VIRTUAL_IP.to_string(), &PORT.to_string()]);
    let mut holder =
        holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot run bash")?;
    let mut ready = [0; 6];
    std::io::Read::read_exact(&mut holder.stdout.take().context("no output")?, &mut ready)?;
    assert!(edge.status("/", &[]).is_err(), "a third one");
    drop(holder.stdin.take());
    holder.wait()?;
    let url = format!("/virtual-services/{}", edge.service);
    // They are gone; the plane hears of it at once, and this process a moment later.
    let deadline = std::time::Instant::now() + PATIENCE;
    while edge.status("/", &[]).is_err() {
        ensure!(std::time::Instant::now() < deadline, "nobody is let in any more");
    }
    let wrong = json!({ "limits": { "head_bytes": 7, "target_bytes": 0, "body_bytes": -1 } });
    let faults = edge.stage.api.patch(&url, "*", &wrong)?.expect_status(422)?.body;
    let pointers: Vec<_> =
        faults["errors"].as_array().into_iter().flatten().map(|error| error["pointer"].clone()).collect();
    assert_eq!(json!(pointers), json!(["/limits/head_bytes", "/limits/target_bytes", "/limits/body_bytes"]));
    Ok(())
}

/// A program of an issuer of tokens: Python with the openssl command, neither of which is ours.
struct Issuer {
    key: String,
    jwks: String,
}

impl Issuer {
    fn new(edge: &Edge, name: &str) -> Result<Self> {
        let key = edge.stage.lab.folder().join(format!("{name}.key")).display().to_string();
        let client = edge.stage.lab.client();
        client.run(
            "openssl",
            &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &key],
        )?;
        let modulus = client.run("openssl", &["rsa", "-in", &key, "-noout", "-modulus"])?;
        let script = "import base64,sys; m=bytes.fromhex(sys.argv[1].strip().split('=')[1]); print(base64.urlsafe_b64encode(m).rstrip(b'=').decode())";
        let modulus = client.run("/usr/bin/python3", &["-c", script, &modulus])?;
        let jwks = json!({ "keys": [
            { "kty": "RSA", "kid": name, "use": "sig", "alg": "RS256", "e": "AQAB", "n": modulus.trim() },
        ] });
        Ok(Self { key, jwks: jwks.to_string() })
    }

    fn token(&self, edge: &Edge, claims: &Value) -> Result<String> {
        let script = "import base64,json,subprocess,sys
enc=lambda b: base64.urlsafe_b64encode(b).rstrip(b'=')
said=enc(json.dumps({'alg':'RS256','typ':'JWT'}).encode())+b'.'+enc(sys.argv[2].encode())
seal=subprocess.run(['openssl','dgst','-sha256','-sign',sys.argv[1]],input=said,capture_output=True,check=True).stdout
print((said+b'.'+enc(seal)).decode())";
        let token = edge
            .stage
            .lab
            .client()
            .run("/usr/bin/python3", &["-c", script, &self.key, &claims.to_string()])?;
        Ok(token.trim().to_owned())
    }
}

#[test]
fn only_who_shows_a_good_token_is_served_and_named() -> Result<()> {
    let edge = Edge::open(&json!({}))?;
    let (issuer, stranger) = (Issuer::new(&edge, "one")?, Issuer::new(&edge, "other")?);
    let jwt = json!({
        "jwks": issuer.jwks, "issuer": "https://login.example", "audiences": ["shop"], "subject_header": "x-shop",
    });
    let below = json!([{ "kind": "path", "compare": "prefix", "values": ["/echo"] }]);
    edge.policy(&json!({ "rules": below, "jwt": jwt }))?;

    assert_eq!(edge.status("/", &[])?, "200", "for which none is wanted");
    let refused = edge.curl("/echo", &["--include"])?.to_ascii_lowercase();
    ensure!(
        refused.starts_with("http/1.1 401 ") && refused.contains("www-authenticate: bearer\r\n"),
        "{refused}"
    );
    let claims =
        json!({ "iss": "https://login.example", "aud": "shop", "sub": "ann", "exp": 4_000_000_000_u64 });
    let shown = |token: &str| edge.curl("/echo", &["--oauth2-bearer", token, "--header", "X-Shop: forged"]);
    let served = shown(&issuer.token(&edge, &claims)?)?;
    ensure!(served.contains(" x-shop=ann "), "{served}");
    let mut old = claims.clone();
    old["exp"] = json!(1_000_000_000);
    for token in [stranger.token(&edge, &claims)?, issuer.token(&edge, &old)?, "a.b.c".to_owned()] {
        ensure!(shown(&token)?.starts_with("401 "), "{token}");
    }
    assert_eq!(endings(&edge.stage)?, json!({ "unauthorized": 4 }));
    let of = |jwks: &str| json!({ "name": "x", "virtual_service_id": edge.service, "jwt": { "jwks": jwks } });
    for wrong in ["", "{}", "{\"keys\": []}", "{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\"}]}"] {
        assert_eq!(edge.refused("/policies", &of(wrong))?, (json!("/jwt/jwks"), json!("invalid")), "{wrong}");
    }
    Ok(())
}

#[test]
fn pages_of_other_origins_are_told_what_they_may() -> Result<()> {
    let edge = Edge::open(&json!({}))?;
    let cors = json!({
        "origins": ["https://www.example"], "methods": ["GET", "PUT"], "headers": ["X-Shop"], "credentials": true,
    });
    edge.policy(&json!({ "cors": cors }))?;
    let asked = |origin: &str, more: &[&str]| -> Result<String> {
        let origin = format!("Origin: {origin}");
        let fixed = ["--include", "--header", &origin];
        Ok(edge.curl("/", &[&fixed, more].concat())?.to_ascii_lowercase())
    };
    let before = ["--request", "OPTIONS", "--header", "Access-Control-Request-Method: PUT"];
    let told = asked("https://www.example", &before)?;
    for line in [
        "http/1.1 204 ",
        "access-control-allow-origin: https://www.example\r\n",
        "access-control-allow-methods: get, put\r\n",
        "access-control-allow-headers: x-shop\r\n",
        "access-control-allow-credentials: true\r\n",
        "vary: origin\r\n",
    ] {
        ensure!(told.contains(line), "{line} is not in {told}");
    }
    assert_eq!(edge.stage.lab.members().iter().map(lab::Member::hits).sum::<u64>(), 0, "nobody was asked");
    let served = asked("https://www.example", &[])?;
    ensure!(served.contains("access-control-allow-origin: https://www.example\r\n"), "{served}");
    for arguments in [&before[..], &[]] {
        let told = asked("https://evil.example", arguments)?;
        ensure!(!told.contains("access-control-allow"), "{told}");
    }
    let everybody = json!({
        "name": "x", "virtual_service_id": edge.service, "cors": { "origins": ["*"], "credentials": true },
    });
    assert_eq!(edge.refused("/policies", &everybody)?, (json!("/cors/credentials"), json!("invalid")));
    Ok(())
}

#[test]
fn answers_are_made_smaller_for_who_understands_it() -> Result<()> {
    let compression = json!({ "codings": ["zstd", "br", "gzip"], "types": ["text/*"], "min_bytes": 100 });
    let edge = Edge::open(&json!({ "compression": compression }))?;
    let path = format!("/echo?{}", "all work and no play ".repeat(20).replace(' ', "-"));
    let plain = edge.curl(&path, &[])?;
    for (coding, tool) in [("gzip", "gzip -d"), ("br", "brotli -d"), ("zstd", "zstd -d")] {
        let file = edge.stage.lab.folder().join(coding).display().to_string();
        let accepts = format!("Accept-Encoding: {coding}");
        let head = edge.curl(&path, &["--header", &accepts, "--output", &file, "--dump-header", "-"])?;
        let head = head.to_ascii_lowercase();
        ensure!(head.contains(&format!("content-encoding: {coding}\r\n")), "{head}");
        ensure!(head.contains("vary: accept-encoding\r\n"), "{head}");
        let length = fs::metadata(&file)?.len();
        // The members in turn: their names are of one length.
        ensure!(length * 2 < plain.len() as u64, "{length} of {} bytes by {coding}", plain.len());
        // By a program that is not ours, where the machine has it.
        let script = format!(
            "command -v {} >/dev/null && {tool} <{file} || true",
            tool.split(' ').next().unwrap_or(tool)
        );
        let read = edge.stage.lab.client().run("bash", &["-c", &script])?;
        ensure!(
            read.is_empty() || read.replace("member-2", "member-1") == plain.replace("member-2", "member-1"),
            "{read}"
        );
    }
    // Both versions, and what curl itself understands.
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let read = edge.curl(&path, &[version, "--compressed"])?;
        ensure!(read.replace("member-2", "member-1") == plain.replace("member-2", "member-1"), "{read}");
    }
    let short = edge.curl("/", &["--compressed", "--include"])?.to_ascii_lowercase();
    ensure!(!short.contains("content-encoding"), "{short}");
    Ok(())
}

#[test]
fn only_who_shows_the_right_password_is_served_and_named() -> Result<()> {
    let edge = Edge::open(&json!({}))?;
    let below = json!([{ "kind": "path", "compare": "prefix", "values": ["/echo"] }]);
    let basic = json!({ "realm": "shop", "users": ["ann", "bob"], "user_header": "x-shop" });
    let document =
        json!({ "name": "door", "virtual_service_id": edge.service, "rules": below, "basic_auth": basic });
    assert_eq!(edge.refused("/policies", &document)?, (json!("/passwords"), json!("required")));
    let mut whole = document.clone();
    whole["passwords"] = json!("ann:weir:water\nbob:lock and quay\n");
    let made = edge.stage.api.create("/policies", &whole)?;
    let policy = format!("/policies/{}", id(&made)?);
    ensure!(
        made.get("passwords").is_none() && made["basic_auth"]["users"] == json!(["ann", "bob"]),
        "{made:#}"
    );
    edge.stage.await_forwarding()?;

    assert_eq!(edge.status("/", &[])?, "200", "for which none is wanted");
    let refused = edge.curl("/echo", &["--include"])?.to_ascii_lowercase();
    ensure!(refused.contains("www-authenticate: basic realm=\"shop\", charset=\"utf-8\"\r\n"), "{refused}");
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let shown = |pair: &str| edge.status("/echo", &[version, "--user", pair]);
        for _ in 0..3 {
            assert_eq!(shown("ann:weir:water")?, "200");
            assert_eq!(shown("ann:lock and quay")?, "401");
            assert_eq!(shown("eve:weir:water")?, "401");
        }
        let told =
            edge.curl("/echo", &[version, "--user", "bob:lock and quay", "--header", "X-Shop: forged"])?;
        ensure!(told.contains(" x-shop=bob "), "{told}");
    }
    // Who is not named keeps what there is; who is no user any more is not let in, nor if it becomes one again.
    let change = |patch: Value| -> Result<()> {
        edge.stage.api.change(&policy, &patch)?;
        edge.stage.await_forwarding()
    };
    change(json!({ "passwords": "bob:quay and lock" }))?;
    let shown = |pair: &str| edge.status("/echo", &["--user", pair]);
    assert_eq!((shown("ann:weir:water")?, shown("bob:quay and lock")?), ("200".into(), "200".into()));
    assert_eq!(shown("bob:lock and quay")?, "401");
    change(json!({ "basic_auth": { "users": ["ann"] } }))?;
    assert_eq!((shown("ann:weir:water")?, shown("bob:quay and lock")?), ("200".into(), "401".into()));
    let again = edge.stage.api.patch(&policy, "*", &json!({ "basic_auth": { "users": ["ann", "bob"] } }))?;
    assert_eq!(again.expect_status(422)?.body["errors"][0]["pointer"], "/passwords");
    // From what it kept, without anybody who knows more.
    edge.stage.lab.appliance().penstockd.kill_for_good()?;
    edge.stage.lab.appliance().l7.kill()?;
    edge.stage.lab.appliance().l7.await_ready(PATIENCE)?;
    assert_eq!((shown("ann:weir:water")?, shown("ann:lock and quay")?), ("200".into(), "401".into()));
    Ok(())
}

#[test]
fn clients_show_certificates_and_members_hear_whose() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let folder = stage.lab.folder();
    let server = Certificate::issue(&folder, "shop.example")?;
    // An authority of the operator's, two clients of its, and a list that takes one of them back.
    let script = "set -e; cd \"$1\"; mkdir -p ca; cd ca; touch index; echo 01 >serial; echo 01 >crlnumber
        printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=index\\nserial=serial\\ncrlnumber=crlnumber\\nnew_certs_dir=.\\ndefault_md=sha256\\ndefault_days=30\\ndefault_crl_days=30\\npolicy=any\\nx509_extensions=ext\\n[ext]\\nbasicConstraints=CA:FALSE\\n[any]\\ncommonName=supplied\\norganizationName=optional\\n' >ca.conf
        ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
        openssl req -x509 $ec -days 30 -subj /CN=authority -keyout ca.key -out ca.pem
        for name in ann bob; do
            openssl req $ec -subj \"/O=Shop/CN=$name\" -keyout $name.key -out $name.csr
            openssl ca -batch -config ca.conf -cert ca.pem -keyfile ca.key -in $name.csr -out $name.pem -notext
        done
        openssl ca -config ca.conf -cert ca.pem -keyfile ca.key -revoke bob.pem
        openssl ca -config ca.conf -cert ca.pem -keyfile ca.key -gencrl -out crl.pem";
    stage.lab.client().run("bash", &["-c", script, "bash", &folder.display().to_string()])?;
    let at = |name: &str| folder.join("ca").join(name);
    let document = json!({ "name": "shop", "chain": server.chain, "private_key": server.private_key });
    let shown = id(&stage.api.create("/certificates", &document)?)?;
    let auth = |optional: bool, crl: Option<String>| -> Result<Value> {
        Ok(json!({ "optional": optional, "ca": fs::read_to_string(at("ca.pem"))?, "crl": crl }))
    };
    let hsts = json!({ "max_age_s": 3600, "include_subdomains": true });
    let tls = json!({ "certificate_ids": [shown], "client_auth": auth(false, None)?, "hsts": hsts });
    let edge = Edge::set(stage, &json!({ "protocol": "https", "tls": tls }))?;
    let everywhere = json!([{ "change": "set", "name": "x-shop", "value": "yes" }]);
    let ann = json!([{ "kind": "client_subject", "compare": "contains", "values": ["CN=ann"] }]);
    edge.policy(&json!({ "rules": ann, "rewrite": { "request_headers": everywhere } }))?;

    let (resolve, trusted) = (format!("shop.example:{PORT}:{VIRTUAL_IP}"), server.file.display().to_string());
    let get = |who: Option<&str>, more: &[&str]| {
        let url = format!("https://shop.example:{PORT}/echo");
        let mut all = ["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "20"].to_vec();
        all.extend(["--resolve", &resolve, "--cacert", &trusted]);
        let files = who.map(|who| (at(&format!("{who}.pem")), at(&format!("{who}.key"))));
        let files = files.map(|(file, key)| (file.display().to_string(), key.display().to_string()));
        if let Some((file, key)) = &files {
            all.extend(["--cert", file, "--key", key]);
        }
        all.extend(more);
        all.push(&url);
        edge.stage.lab.client().run("curl", &all)
    };
    let set = |client_auth: Value| -> Result<()> {
        let path = format!("/virtual-services/{}", edge.service);
        edge.stage.api.change(&path, &json!({ "tls": { "client_auth": client_auth } }))?;
        edge.stage.await_forwarding()
    };
    for version in ["--tlsv1.3", "--tls-max"] {
        let more: &[&str] = if version == "--tls-max" { &[version, "1.2"] } else { &[version] };
        ensure!(get(Some("ann"), more)?.contains(" x-shop=yes "), "a rule sees whose it is");
        ensure!(get(Some("bob"), more)?.contains(" x-shop= "), "and whose it is not");
        assert!(get(None, more).is_err(), "nobody is served without one");
    }
    let told = get(Some("ann"), &["--include"])?.to_ascii_lowercase();
    ensure!(told.contains("strict-transport-security: max-age=3600; includesubdomains\r\n"), "{told}");
    set(auth(true, Some(fs::read_to_string(at("crl.pem"))?))?)?;
    assert!(get(None, &[]).is_ok() && get(Some("ann"), &[]).is_ok());
    assert!(get(Some("bob"), &[]).is_err(), "it was taken back");
    let wrong = json!({ "tls": { "client_auth": { "ca": "nobody" } } });
    let path = format!("/virtual-services/{}", edge.service);
    let faults = edge.stage.api.patch(&path, "*", &wrong)?.expect_status(422)?.body;
    assert_eq!(faults["errors"][0]["pointer"], "/tls/client_auth/ca");
    Ok(())
}
