//! penstockd as its users meet it: the real program, over HTTPS, with no other process of the appliance running.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use reqwest::blocking::{Client as Http, RequestBuilder, Response};
use reqwest::header::HeaderMap;
use reqwest::{Certificate, Method};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What a start or an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who owns the appliance in these tests.
pub(crate) const ADMIN: &str = "admin";
/// Their password.
pub(crate) const PASSWORD: &str = "sluice gate at dawn";

/// A penstockd with directories of its own.
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
    address: String,
}

impl Server {
    /// Starts one that nobody has claimed.
    pub(crate) fn start() -> Self {
        Self::start_where(|_| {})
    }

    /// The same, in a folder that was prepared.
    pub(crate) fn start_where(prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        write_config(folder.path(), "127.0.0.1:0");
        let (process, address) = launch(folder.path());
        Self { process, folder, address }
    }

    /// Starts one, and claims it.
    pub(crate) fn claimed() -> (Self, Api) {
        let server = Self::start();
        let admin = server.claim();
        (server, admin)
    }

    /// Claims it with the code that its console would show.
    pub(crate) fn claim(&self) -> Api {
        let code = self.claim_code();
        let claim = json!({ "code": code, "username": ADMIN, "password": PASSWORD });
        let answer = self.anonymous().post("/api/v1/claim", &claim);
        assert_eq!(answer.status, 201, "{:#}", answer.body);
        self.with_token(answer.body["access_token"].as_str().unwrap())
    }

    /// The code that claims it, as the console shows it.
    pub(crate) fn claim_code(&self) -> String {
        fs::read_to_string(self.folder().join("run/claim-code")).unwrap().trim().to_owned()
    }

    /// Signs in as the one who claimed it.
    pub(crate) fn sign_in(&self) -> Api {
        let answer = self.anonymous().post("/api/v1/sessions", &credentials(PASSWORD));
        assert_eq!(answer.status, 201, "{:#}", answer.body);
        self.with_token(answer.body["access_token"].as_str().unwrap())
    }

    /// Its API, for nobody.
    pub(crate) fn anonymous(&self) -> Api {
        Api { http: self.http(), address: self.address.clone(), token: None }
    }

    /// Its API, for who holds this token.
    pub(crate) fn with_token(&self, token: &str) -> Api {
        Api { token: Some(token.to_owned()), ..self.anonymous() }
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it listens, as `https://address:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Kills it as a power cut would, and starts it again.
    pub(crate) fn kill_and_restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        (self.process, self.address) = launch(self.folder.path());
    }

    /// Asks it to stop (SIGTERM), and says how it ended.
    pub(crate) fn terminate(mut self) -> std::process::ExitStatus {
        self.stop()
    }

    /// The same, and its files stay.
    pub(crate) fn stop(&mut self) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.process.wait().unwrap()
    }

    /// Trusts the certificate that it made, and no other.
    fn http(&self) -> Http {
        let pem = fs::read(self.folder().join("state/tls/certificate.pem")).unwrap();
        Http::builder()
            .tls_certs_only([Certificate::from_pem(&pem).unwrap()])
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, as the test wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A sequence that looks like chance and is the same in each run (a linear congruence).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// The next number, below this one.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// A body that signs in with `password`.
pub(crate) fn credentials(password: &str) -> Value {
    json!({ "username": ADMIN, "password": password })
}

/// Writes a configuration file for directories in `folder`.
pub(crate) fn write_config(folder: &Path, listen: &str) {
    let at = folder.display();
    let text = format!("run_dir = \"{at}/run\"\nstate_dir = \"{at}/state\"\n[api]\nlisten = \"{listen}\"\n");
    fs::write(folder.join("penstock.toml"), text).unwrap();
}

/// The program with the configuration in `folder`.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(program_folder().join("penstockd"));
    command.arg("--config").arg(folder.join("penstock.toml"));
    command
}

/// Where the programs are: `PENSTOCK_BIN_DIR`, or where this test was built.
fn program_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("PENSTOCK_BIN_DIR") {
        return folder.into();
    }
    let this = std::env::current_exe().unwrap();
    // target/<profile>/deps/<this test>
    this.parent().and_then(Path::parent).unwrap().to_owned()
}

/// Starts the program and waits until it says where it listens.
fn launch(folder: &Path) -> (Child, String) {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let mut process = program(folder)
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("penstockd is built: cargo build -p lb-server");
    let output = BufReader::new(process.stdout.take().unwrap());
    let (says, said) = channel();
    std::thread::spawn(move || {
        let address = |line: String| line.strip_prefix("penstockd listening on ").map(str::to_owned);
        if let Some(address) = output.lines().map_while(Result::ok).find_map(address) {
            // Nobody waits any more if it took too long.
            let _ = says.send(address);
        }
    });
    let Ok(address) = said.recv_timeout(PATIENCE) else {
        let _ = process.kill();
        panic!("penstockd did not start: {}", fs::read_to_string(folder.join("log")).unwrap_or_default());
    };
    (process, address)
}

/// The API of one server, for one user or nobody.
#[derive(Clone)]
pub(crate) struct Api {
    http: Http,
    address: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body; null if there was none, a string if it is not JSON.
    pub(crate) body: Value,
}

impl Api {
    /// A request to be completed.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.address));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// `GET`.
    pub(crate) fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path))
    }

    /// `POST` of a JSON body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.request(Method::POST, path).json(body))
    }

    /// `PUT` of what is at this version.
    pub(crate) fn put(&self, path: &str, etag: &str, body: &Value) -> Answer {
        send(self.request(Method::PUT, path).header("if-match", etag).json(body))
    }

    /// `PATCH` (RFC 7396) of what is at this version.
    pub(crate) fn patch(&self, path: &str, etag: &str, body: &Value) -> Answer {
        let request = self.request(Method::PATCH, path).header("if-match", etag);
        send(request.header("content-type", "application/merge-patch+json").body(body.to_string()))
    }

    /// `DELETE` of what is at this version.
    pub(crate) fn delete(&self, path: &str, etag: &str) -> Answer {
        send(self.request(Method::DELETE, path).header("if-match", etag))
    }

    /// `POST` that must succeed: the address of what was created.
    pub(crate) fn create(&self, path: &str, body: &Value) -> Created {
        let answer = self.post(path, body);
        assert_eq!(answer.status, 201, "{:#}", answer.body);
        let id = answer.body["id"].as_str().unwrap().to_owned();
        Created { path: answer.header("location"), id, etag: answer.etag(), body: answer.body }
    }

    fn written(&self, list: &str) -> Value {
        let mut items = self.get(list).body["items"].take();
        for item in items.as_array_mut().into_iter().flatten() {
            for observed in ["operating_status", "status_reason", "provisioning_status", "conditions"] {
                item.as_object_mut().unwrap().remove(observed);
            }
        }
        items
    }

    /// Everything that can be listed, to show that nothing changed; without what is observed, which changes by itself.
    pub(crate) fn everything(&self) -> Vec<Value> {
        let mut all = vec![];
        for list in ["/api/v1/virtual-ips", "/api/v1/virtual-services", "/api/v1/pools"] {
            all.push(self.written(list));
        }
        for pool in all[2].as_array().unwrap().clone() {
            let members = format!("/api/v1/pools/{}/members", pool["id"].as_str().unwrap());
            all.push(self.written(&members));
        }
        all.push(self.get("/api/v1/status").body["generation"].clone());
        all
    }
}

/// Something that was created.
#[derive(Debug)]
pub(crate) struct Created {
    /// Its address.
    pub(crate) path: String,
    /// Its identifier.
    pub(crate) id: String,
    /// Its version.
    pub(crate) etag: String,
    /// As it was shown.
    pub(crate) body: Value,
}

/// Sends a request, and reads the answer.
pub(crate) fn send(request: RequestBuilder) -> Answer {
    let response: Response = request.send().unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().unwrap();
    let body = match text.as_str() {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    };
    let answer = Answer { status, headers, body };
    answer.check_form();
    answer
}

impl Answer {
    /// A header that must be there.
    pub(crate) fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {:#}", self.body));
        value.to_str().unwrap().to_owned()
    }

    /// The version of what came.
    pub(crate) fn etag(&self) -> String {
        self.header("etag")
    }

    /// What is wrong, as (pointer, code), in order of the pointers.
    pub(crate) fn faults(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = self.body["errors"].as_array().expect("a problem");
        let mut faults: Vec<_> =
            errors.iter().map(|fault| (text(&fault["pointer"]), text(&fault["code"]))).collect();
        faults.sort();
        faults
    }

    /// That this is a problem of this status and code, with these wrong fields.
    #[track_caller]
    pub(crate) fn is_problem<const N: usize>(&self, status: u16, code: &str, faults: [(&str, &str); N]) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{:#}", self.body);
        let faults = faults.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()));
        assert_eq!(self.faults(), faults);
    }

    /// What holds for every answer: a request id, and errors as RFC 9457 has them.
    fn check_form(&self) {
        let request_id = self.header("x-request-id");
        if self.status < 400 {
            return;
        }
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], self.status);
        assert_eq!(self.body["request_id"], request_id);
        let code = self.body["code"].as_str().unwrap();
        assert_eq!(self.body["type"], format!("urn:penstock:problem:{code}"));
        for text in ["title", "detail"] {
            assert!(self.body[text].as_str().is_some_and(|text| !text.is_empty()), "{:#}", self.body);
        }
    }
}
