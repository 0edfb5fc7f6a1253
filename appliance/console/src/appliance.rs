//! The appliance as it is seen from its own console: files that say where its API is, and that API.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::blocking::Client as Http;
use reqwest::{Certificate, Method};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use toml::Table;

/// In every certificate that the appliance makes for itself, whatever its address is now.
const NAME: &str = "localhost";
/// What an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
const VERSION: &str = "/usr/lib/penstock/version";

/// Where everything lies.
#[derive(Debug)]
pub(crate) struct Appliance {
    config: PathBuf,
}

/// What is shown to whoever stands in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) version: String,
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: String,
    /// None once it is claimed.
    pub(crate) claim_code: Option<String>,
    /// A token for restoring a backup and for resetting, while the database is damaged.
    pub(crate) recovery_code: Option<String>,
    /// Its ports: what each is driven by.
    pub(crate) ports: Vec<String>,
}

/// The API, for who has this token.
pub(crate) struct Session<'a> {
    appliance: &'a Appliance,
    token: String,
}

impl Appliance {
    pub(crate) fn new(config: PathBuf) -> Self {
        Self { config }
    }

    /// An error as long as the API does not answer: what is told then may change in a moment.
    pub(crate) fn facts(&self) -> anyhow::Result<Facts> {
        let config = self.config()?;
        let address = address(&config)?;
        self.send(Method::GET, "/healthz", None, None)?;
        let code = |name: &str| {
            let code = fs::read_to_string(folder(&config, "run_dir", "/run/penstock").join(name));
            code.ok().map(|code| code.trim().to_owned())
        };
        let version = fs::read_to_string(VERSION).unwrap_or_default();
        Ok(Facts {
            version: version.trim().to_owned(),
            address,
            fingerprint: fingerprint(&certificate(&config)?)?,
            claim_code: code("claim-code"),
            recovery_code: code("recovery-code"),
            ports: ports(&config),
        })
    }

    /// The folder of what is to last.
    pub(crate) fn state_dir(&self) -> anyhow::Result<PathBuf> {
        Ok(folder(&self.config()?, "state_dir", "/data/penstock"))
    }

    pub(crate) fn claim(&self, code: &str, username: &str, password: &str) -> anyhow::Result<Session<'_>> {
        self.session("/api/v1/claim", &json!({ "code": code, "username": username, "password": password }))
    }

    pub(crate) fn sign_in(&self, username: &str, password: &str) -> anyhow::Result<Session<'_>> {
        self.session("/api/v1/sessions", &json!({ "username": username, "password": password }))
    }

    /// With a token that somebody has.
    pub(crate) fn with_token(&self, token: &str) -> Session<'_> {
        Session { appliance: self, token: token.to_owned() }
    }

    fn session(&self, path: &str, body: &Value) -> anyhow::Result<Session<'_>> {
        let body = ("application/json", body.to_string());
        let answer = self.send(Method::POST, path, None, Some(body))?;
        let token = answer["access_token"].as_str().context("no token came")?.to_owned();
        Ok(Session { appliance: self, token })
    }

    fn config(&self) -> anyhow::Result<Table> {
        let path = &self.config;
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        text.parse().with_context(|| format!("{} is not understood", path.display()))
    }

    fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<(&str, String)>,
    ) -> anyhow::Result<Value> {
        let config = self.config()?;
        let address = address(&config)?;
        let trusted = Certificate::from_pem(&certificate(&config)?)?;
        let http =
            Http::builder().tls_certs_only([trusted]).resolve(NAME, address).timeout(PATIENCE).build()?;
        let mut request = http.request(method, format!("https://{NAME}:{}{path}", address.port()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).header("if-match", "*").body(body);
        }
        let answer = request.send()?;
        let status = answer.status();
        let text = answer.text()?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        if !status.is_success() {
            bail!("{}", problem(&value).unwrap_or_else(|| format!("the appliance answered {status}")));
        }
        Ok(value)
    }
}

impl Session<'_> {
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.appliance.send(Method::GET, path, Some(&self.token), None)
    }

    pub(crate) fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.appliance.send(Method::POST, path, Some(&self.token), None)
    }

    pub(crate) fn patch(&self, path: &str, changes: &Value) -> anyhow::Result<Value> {
        let body = ("application/merge-patch+json", changes.to_string());
        self.appliance.send(Method::PATCH, path, Some(&self.token), Some(body))
    }

    pub(crate) fn put(&self, path: &str, kind: &str, document: String) -> anyhow::Result<Value> {
        self.appliance.send(Method::PUT, path, Some(&self.token), Some((kind, document)))
    }
}

/// The one that the API is served with.
fn certificate(config: &Table) -> anyhow::Result<Vec<u8>> {
    let path = folder(config, "state_dir", "/data/penstock").join("tls/certificate.pem");
    fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The API listens at one address; where it listens at all of them, here is one.
fn address(config: &Table) -> anyhow::Result<SocketAddr> {
    let listen = config.get("api").and_then(|api| api.get("listen")).and_then(toml::Value::as_str);
    let mut address: SocketAddr =
        listen.context("the configuration names no address for the API")?.parse()?;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(address)
}

fn folder(config: &Table, key: &str, default: &str) -> PathBuf {
    config.get(key).and_then(toml::Value::as_str).map_or_else(|| Path::new(default).to_owned(), PathBuf::from)
}

fn ports(config: &Table) -> Vec<String> {
    let ports = config.get("port").and_then(toml::Value::as_array);
    let driver = |port: &toml::Value| {
        let name = port.get("name")?.as_str()?;
        let (kind, of) = port.get("driver")?.as_table()?.iter().next()?;
        let place = of.get("interface").or_else(|| of.get("device"))?.as_str()?;
        Some(format!("{name}: {place} by {kind}"))
    };
    ports.into_iter().flatten().filter_map(driver).collect()
}

/// Of a certificate (PEM), as browsers show it.
fn fingerprint(pem: &[u8]) -> anyhow::Result<String> {
    let text = str::from_utf8(pem)?;
    let body: String = text
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|line| !line.starts_with('-'))
        .collect();
    let hash = Sha256::digest(STANDARD.decode(body).context("the certificate is not PEM")?);
    Ok(hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

/// A problem document (RFC 9457) in words.
fn problem(body: &Value) -> Option<String> {
    let mut lines = vec![body["detail"].as_str()?.to_owned()];
    for error in body["errors"].as_array()? {
        lines.push(format!("{}: {}", error["pointer"].as_str()?, error["detail"].as_str()?));
    }
    // One wrong field is all that `detail` says.
    if lines.len() == 2 {
        lines.pop();
    }
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_says_where_the_api_is_and_what_drives_ports() {
        let config: Table = "[api]\nlisten = \"0.0.0.0:8443\"\n[[port]]\nname = \"port1\"\ndriver = { af_xdp = { interface = \"ens9\" } }\n\
                             [[port]]\nname = \"port2\"\ndriver = { pci = { device = \"0000:00:10.0\", twin = \"port2\" } }\n"
            .parse()
            .unwrap();
        assert_eq!(address(&config).unwrap().to_string(), "127.0.0.1:8443");
        assert_eq!(ports(&config), ["port1: ens9 by af_xdp", "port2: 0000:00:10.0 by pci"]);
        assert!(address(&Table::new()).is_err());
    }

    #[test]
    fn the_fingerprint_is_that_of_what_the_pem_holds() {
        let pem = b"-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(fingerprint(pem).unwrap().starts_with("2C:F2:4D:BA:5F:B0:A3:0E"), "of `hello`");
        assert!(fingerprint(b"-----BEGIN CERTIFICATE-----\n%\n").is_err());
    }

    #[test]
    fn a_problem_is_told_once() {
        let one =
            json!({ "detail": "/port: too high", "errors": [{ "pointer": "/port", "detail": "too high" }] });
        assert_eq!(problem(&one).unwrap(), "/port: too high");
        let errors = [json!({ "pointer": "/a", "detail": "b" }), json!({ "pointer": "/c", "detail": "d" })];
        assert_eq!(
            problem(&json!({ "detail": "2 fields", "errors": errors })).unwrap(),
            "2 fields\n/a: b\n/c: d"
        );
        assert_eq!(problem(&json!({})), None);
    }
}
