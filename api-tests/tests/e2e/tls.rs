//! Services of protocol `https`: what clients see of TLS.

use anyhow::{Context as _, Result, ensure};
use lab::network::VIRTUAL_IP;
use lab::{Certificate, Driver};
use serde_json::{Value, json};

use super::stage::Stage;

const PORT: u16 = 8443;

struct Shop {
    stage: Stage,
    exact: Certificate,
    wildcard: Certificate,
    service: String,
}

impl Shop {
    /// The stage with a service that shows a certificate for `shop.example`, and one for `*.shops.example`.
    fn open() -> Result<Self> {
        let stage = Stage::set(Driver::AfXdp, true)?;
        let issue = |name| Certificate::issue(&stage.lab.folder(), name);
        let (exact, wildcard) = (issue("shop.example")?, issue("*.shops.example")?);
        let ids = [upload(&stage, "exact", &exact)?, upload(&stage, "wildcard", &wildcard)?];
        let service = json!({
            "name": "shop", "virtual_ip_ids": [stage.virtual_ip], "protocol": "https", "port": PORT,
            "default_pool_id": stage.pool, "tls": { "certificate_ids": ids },
        });
        let service = id(&stage.api.create("/virtual-services", &service)?)?;
        stage.await_forwarding()?;
        Ok(Self { stage, exact, wildcard, service })
    }

    /// A request to this name, of a client that trusts this certificate alone.
    fn get(&self, name: &str, trusted: &Certificate, more: &[&str]) -> Result<String> {
        let (url, resolve) = (format!("https://{name}:{PORT}/"), format!("{name}:{PORT}:{VIRTUAL_IP}"));
        let file = trusted.file.to_string_lossy();
        let fixed = ["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "10"];
        let mut arguments = fixed.to_vec();
        arguments.extend(["--resolve", &resolve, "--cacert", &file]);
        arguments.extend(more);
        arguments.push(&url);
        self.stage.lab.client().run("curl", &arguments)
    }

    fn patch_tls(&self, tls: &Value) -> Result<()> {
        let path = format!("/virtual-services/{}", self.service);
        self.stage.api.patch(&path, "*", &json!({ "tls": tls }))?.expect_status(200)?;
        self.stage.await_forwarding()
    }
}

fn upload(stage: &Stage, name: &str, certificate: &Certificate) -> Result<String> {
    let Certificate { chain, private_key, .. } = certificate;
    let document = json!({ "name": name, "chain": chain, "private_key": private_key });
    id(&stage.api.create("/certificates", &document)?)
}

fn id(resource: &Value) -> Result<String> {
    Ok(resource["id"].as_str().context("a resource without an id")?.to_owned())
}

#[test]
fn a_client_sees_the_certificate_of_the_name_it_asks_for() -> Result<()> {
    let shop = Shop::open()?;
    assert_eq!(shop.get("shop.example", &shop.exact, &[])?, "member-1\n");
    assert_eq!(shop.get("a.shops.example", &shop.wildcard, &[])?, "member-2\n");
    let version = ["--write-out", "%{http_version}"];
    assert_eq!(shop.get("shop.example", &shop.exact, &version)?, "member-1\n2");
    assert_eq!(
        shop.get("shop.example", &shop.exact, &[&version[..], &["--http1.1"]].concat())?,
        "member-2\n1.1"
    );
    // The first one, where no name fits: the client knows it, but not under this name.
    let other = shop.get("b.a.shops.example", &shop.exact, &[]).unwrap_err().to_string();
    ensure!(other.contains("does not match") || other.contains("no alternative"), "{other}");
    assert_eq!(shop.get("b.a.shops.example", &shop.exact, &["--insecure"])?, "member-1\n");
    Ok(())
}

/// What `openssl s_client` offers, one at a time, and by which `min_version` it is taken. It offers nothing old unless it is told to (`SECLEVEL`).
const OFFERS: &[(&[&str], &[&str])] = &[
    (&["-tls1", "-cipher", "ALL:@SECLEVEL=0"], &[]),
    (&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], &[]),
    (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], &["1.2"]),
    (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"], &["1.2"]),
    (&["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], &["1.2"]),
    // Without forward secrecy, or by ciphers that do not authenticate what they hide.
    (&["-tls1_2", "-cipher", "kRSA:@SECLEVEL=0"], &[]),
    (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"], &[]),
    (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"], &[]),
    (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0"], &[]),
    (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM:@SECLEVEL=0"], &[]),
    (&["-tls1_2", "-cipher", "aNULL:eNULL:@SECLEVEL=0"], &[]),
    (&["-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"], &["1.2", "1.3"]),
    (&["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"], &["1.2", "1.3"]),
    (&["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], &["1.2", "1.3"]),
    (&["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"], &[]),
    (&["-groups", "X25519"], &["1.2", "1.3"]),
    (&["-groups", "P-256"], &["1.2", "1.3"]),
    (&["-tls1_2", "-groups", "P-256"], &["1.2"]),
    (&["-groups", "ffdhe2048"], &[]),
];

#[test]
fn what_a_profile_does_not_have_is_not_spoken() -> Result<()> {
    let shop = Shop::open()?;
    let to = format!("{VIRTUAL_IP}:{PORT}");
    // It says what was agreed on, or that there was no certificate.
    let agrees = |offer: &[&str]| -> Result<bool> {
        let mut client = shop.stage.lab.client().command("openssl");
        client.args(["s_client", "-connect", &to, "-servername", "shop.example", "-brief"]).args(offer);
        let said = client.stdin(std::process::Stdio::null()).output()?;
        let told = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        let (agreed, refused) = (told.contains("CONNECTION ESTABLISHED"), told.contains("alert"));
        ensure!(agreed != refused || told.contains("no ciphers available"), "{offer:?}: {told}");
        Ok(agreed)
    };
    let ids =
        shop.stage.api.get(&format!("/virtual-services/{}", shop.service))?.body["tls"]["certificate_ids"]
            .take();
    for profile in ["1.2", "1.3"] {
        shop.patch_tls(&json!({ "certificate_ids": ids, "min_version": profile }))?;
        for (offer, taken_by) in OFFERS {
            assert_eq!(agrees(offer)?, taken_by.contains(&profile), "{offer:?} by {profile}");
        }
    }
    let hsts = json!({ "max_age_s": 31_536_000, "include_subdomains": true, "preload": true });
    shop.patch_tls(&json!({ "certificate_ids": ids, "hsts": hsts }))?;
    let head = shop.get("shop.example", &shop.exact, &["--include"])?.to_ascii_lowercase();
    let told = "strict-transport-security: max-age=31536000; includesubdomains; preload\r\n";
    ensure!(head.contains(told), "{head}");
    Ok(())
}

#[test]
fn a_certificate_is_replaced_without_a_restart_and_outlives_one() -> Result<()> {
    let shop = Shop::open()?;
    let fresh = Certificate::issue(&shop.stage.lab.folder(), "new.example")?;
    let other = upload(&shop.stage, "fresh", &fresh)?;
    shop.patch_tls(&json!({ "certificate_ids": [other] }))?;
    assert!(shop.get("new.example", &fresh, &[]).is_ok());

    // From what it kept, and the key file.
    shop.stage.lab.appliance().penstockd.kill_for_good()?;
    let l7 = &shop.stage.lab.appliance().l7;
    l7.kill()?;
    l7.await_ready(super::stage::PATIENCE)?;
    assert!(shop.get("new.example", &fresh, &[]).is_ok());
    let kept = std::fs::read_to_string(shop.stage.lab.folder().join("state/l7/snapshot.json"))?;
    ensure!(!kept.contains("PRIVATE KEY"), "the kept snapshot holds a key");
    Ok(())
}
