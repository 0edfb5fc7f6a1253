//! What was counted, as it is told: by the history of the statistics, and to a Prometheus that collects it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lab::Driver;
use serde_json::{Value, json};

use super::stage::Stage;

/// A second is measured after a second, and this machine is busy.
const PATIENCE: Duration = Duration::from_mins(1);
const REQUESTS: usize = 40;

#[test]
fn what_was_counted_is_told_second_by_second_and_collected() -> Result<()> {
    let stage = Stage::set(Driver::AfXdp, true)?;
    let service = stage.api.get("/virtual-services")?.expect_status(200)?.body["items"][0]["id"].take();
    let service = service.as_str().context("a service has an id")?;
    let member = stage.member_path(0);
    let member = member.rsplit('/').next().context("a member has an id")?;
    // What begins to be measured begins with nothing: all that follows is told.
    await_sum(&stage, &format!("resource=members&id={member}&metric=connections"), |sum| sum.is_some())?;

    stage.get_many(REQUESTS)?;
    let all = |sum: Option<f64>| sum == Some(40.0);
    await_sum(&stage, &format!("resource=virtual-services&id={service}&metric=connections"), all)?;
    await_sum(&stage, "resource=all-virtual-services&metric=connections", all)?;
    await_sum(&stage, &format!("resource=pools&id={}&metric=connections", stage.pool), all)?;
    await_sum(&stage, &format!("resource=members&id={member}&metric=connections"), |sum| sum == Some(20.0))?;
    let some = |sum: Option<f64>| sum.is_some_and(|sum| sum > 200.0);
    for query in [
        "resource=ports&id=front&metric=packets_in",
        "resource=workers&id=0&metric=received",
        "resource=appliance&metric=sent",
    ] {
        await_sum(&stage, query, some)?;
    }
    await_sum(&stage, "resource=processes&id=penstock-l4&metric=memory_bytes", some)?;
    await_sum(&stage, "resource=drops&id=no_flow&metric=dropped", |sum| sum.is_some())?;

    let prometheus = Prometheus::start(&stage)?;
    prometheus.await_value("up{job=\"penstock\"}", "1")?;
    prometheus.await_value("sum(penstock_l4_connections_total{virtual_service=\"web\"})", "40")?;
    prometheus.await_value("count(penstock_l4_received_bytes_total{pool=\"web\"} > 0)", "2")?;
    prometheus.await_value("count(penstock_process_connected == 1)", "4")?;
    let received = prometheus.await_value("penstock_received_frames_total > bool 200", "1")?;
    ensure!(received["metric"]["instance"].is_string(), "{received:#}");
    drop(prometheus);
    stage.leave()
}

/// Waits until all that was measured in the last minutes comes to what is wanted.
fn await_sum(stage: &Stage, query: &str, wanted: impl Fn(Option<f64>) -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let path = format!("/stats/history?{query}&aggregation=sum&range_s=600&step_s=1");
        let body = stage.api.get(&path)?.expect_status(200)?.body;
        let values = body["series"][0]["values"].as_array().into_iter().flatten().filter_map(Value::as_f64);
        let sum = values.reduce(|sum, value| sum + value);
        if wanted(sum) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{query} comes to {sum:?}");
        thread::sleep(Duration::from_millis(200));
    }
}

/// A Prometheus that collects from the appliance.
struct Prometheus {
    process: Child,
    client: reqwest::blocking::Client,
    address: String,
}

impl Prometheus {
    fn start(stage: &Stage) -> Result<Self> {
        let folder = stage.lab.folder().join("prometheus");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("token"), token(stage)?)?;
        let appliance = stage.lab.appliance().api().trim_start_matches("https://").to_owned();
        // JSON is YAML.
        let config = json!({ "scrape_configs": [{
            "job_name": "penstock",
            "scheme": "https",
            "scrape_interval": "1s",
            "tls_config": { "insecure_skip_verify": true },
            "authorization": { "credentials_file": folder.join("token") },
            "static_configs": [{ "targets": [appliance] }],
        }]});
        fs::write(folder.join("prometheus.yml"), config.to_string())?;
        let address = free_address()?;
        let process = launch(&folder, &address)?;
        let client =
            reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        Ok(Self { process, client, address })
    }

    /// Waits until a query answers one value, and that is this one.
    fn await_value(&self, query: &str, wanted: &str) -> Result<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut answer = self.query(query).unwrap_or_default();
            if answer["data"]["result"][0]["value"][1] == wanted {
                return Ok(answer["data"]["result"][0].take());
            }
            if Instant::now() > deadline {
                bail!("{query} is not {wanted}: {answer:#}; {:#}", self.targets().unwrap_or_default());
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn query(&self, query: &str) -> Result<Value> {
        let url = format!("http://{}/api/v1/query", self.address);
        let answer = self.client.get(url).query(&[("query", query)]).send()?.text()?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Why it does not collect, if so.
    fn targets(&self) -> Result<Value> {
        let answer = self.client.get(format!("http://{}/api/v1/targets", self.address)).send()?.text()?;
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has said then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A token that may read, and nothing else.
fn token(stage: &Stage) -> Result<String> {
    let me = stage.api.get("/sessions/current")?.expect_status(200)?.body;
    let user = me["user_id"].as_str().context("a session has a user")?;
    let made = stage.api.get(&format!("/pools/{}", stage.pool))?.expect_status(200)?.body;
    let expires = lab::in_a_year(made["created_at"].as_str().context("a pool was made some time")?);
    let spec = json!({ "name": "prometheus", "permissions": ["balancing:read"], "expires_at": expires });
    let token = stage.api.create(&format!("/users/{user}/tokens"), &spec)?;
    Ok(token["token"].as_str().context("a new token is shown")?.to_owned())
}

fn launch(folder: &Path, address: &str) -> Result<Child> {
    let log = fs::File::create(folder.join("log"))?;
    Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("prometheus is installed: .ci/setup")
}

/// Nobody listens there at this moment.
fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
