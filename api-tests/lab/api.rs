//! A client of the management API that shows a test what came back, as it came.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Request, Response};
use ureq::tls::TlsConfig;

/// The API of one appliance, for one user or nobody.
#[derive(Clone)]
pub struct Api {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The version of the resource, to be named in a write.
    pub etag: Option<String>,
    /// The body; null if there was none.
    pub body: Value,
}

impl Api {
    /// The API at `https://address:port`, for nobody yet. The appliance made its certificate itself, so
    /// nothing vouches for it.
    pub fn at(address: &str) -> Self {
        let tls = TlsConfig::builder().disable_verification(true).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)))
            // A restarted penstockd has closed what an old connection would be sent on.
            .max_idle_connections(0);
        Self { agent: config.build().into(), base: format!("{address}/api/v1"), token: None }
    }

    /// The same API for who holds this token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// `GET` of a path below `/api/v1`.
    pub fn get(&self, path: &str) -> Result<Reply> {
        self.send("GET", path, None, None)
    }

    /// `POST` of a body.
    pub fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send("POST", path, None, Some(body))
    }

    /// `PATCH` (RFC 7396) of what has this version.
    pub fn patch(&self, path: &str, etag: &str, body: &Value) -> Result<Reply> {
        self.send("PATCH", path, Some(etag), Some(body))
    }

    /// `DELETE` of what has this version.
    pub fn delete(&self, path: &str, etag: &str) -> Result<Reply> {
        self.send("DELETE", path, Some(etag), None)
    }

    /// `POST` that must succeed; returns what was made.
    pub fn create(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.post(path, body)?.expect_status(201)?.body)
    }

    /// Deletes whatever version there is now.
    pub fn remove(&self, path: &str) -> Result<()> {
        let etag = self.get(path)?.expect_status(200)?.etag.context("the resource has no ETag")?;
        self.delete(path, &etag)?.expect_status(204).map(drop)
    }

    /// Waits until a resource is as wanted.
    pub fn await_that(
        &self,
        path: &str,
        patience: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + patience;
        loop {
            let body = self.get(path)?.expect_status(200)?.body;
            if wanted(&body) {
                return Ok(body);
            }
            if Instant::now() > deadline {
                bail!("{path} is not as wanted after {patience:?}: {body:#}");
            }
            // The API has no event stream yet that could be awaited instead.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the last accepted version of a resource is what forwards.
    pub fn await_observed(&self, path: &str, patience: Duration) -> Result<Value> {
        self.await_that(path, patience, |body| {
            let number = |field: &str| body[field].as_u64();
            number("generation").is_some() && number("observed_generation") >= number("generation")
        })
    }

    fn send(&self, method: &str, path: &str, etag: Option<&str>, body: Option<&Value>) -> Result<Reply> {
        let what = || format!("{method} {}{path}", self.base);
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some(etag) = etag {
            request = request.header("If-Match", etag);
        }
        let response = match body {
            Some(body) => {
                let kind =
                    if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
                let request = request.header("Content-Type", kind).body(body.to_string());
                self.agent.run(request.with_context(what)?)
            }
            None => self.agent.run(request.body(()).with_context(what)?),
        };
        Reply::read(response.with_context(what)?).with_context(what)
    }
}

impl Reply {
    fn read(mut response: Response<ureq::Body>) -> Result<Self> {
        let etag = match response.headers().get("ETag") {
            Some(etag) => Some(etag.to_str().context("an ETag that is no text")?.to_owned()),
            None => None,
        };
        let text = response.body_mut().read_to_string().context("the body is no text")?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).with_context(|| format!("the body is not JSON: {text}"))?,
        };
        Ok(Self { status: response.status().as_u16(), etag, body })
    }

    /// Itself, if it has this status.
    pub fn expect_status(self, status: u16) -> Result<Self> {
        if self.status != status {
            bail!("the answer was {}, not {status}: {:#}", self.status, self.body);
        }
        Ok(self)
    }
}
