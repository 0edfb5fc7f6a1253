//! A client of the management API that shows a test what came back, as it came.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use serde_json::Value;

/// The API of one appliance, for one user or nobody.
#[derive(Clone)]
pub struct Api {
    client: Client,
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
    pub fn at(address: &str) -> Result<Self> {
        let client = Client::builder()
            .danger_accept_invalid_certs(true)
            .no_proxy()
            .timeout(Duration::from_secs(10))
            // A restarted penstockd has closed what an old connection would be sent on.
            .pool_max_idle_per_host(0)
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self { client, base: format!("{address}/api/v1"), token: None })
    }

    /// The same API for who holds this token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// `GET` of a path below `/api/v1`.
    pub fn get(&self, path: &str) -> Result<Reply> {
        self.send(Method::GET, path, None, None)
    }

    /// `POST` of a body.
    pub fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.send(Method::POST, path, None, Some(body))
    }

    /// `PATCH` (RFC 7396) of what has this version.
    pub fn patch(&self, path: &str, etag: &str, body: &Value) -> Result<Reply> {
        self.send(Method::PATCH, path, Some(etag), Some(body))
    }

    /// `DELETE` of what has this version.
    pub fn delete(&self, path: &str, etag: &str) -> Result<Reply> {
        self.send(Method::DELETE, path, Some(etag), None)
    }

    /// `POST` that must succeed; returns what was made.
    pub fn create(&self, path: &str, body: &Value) -> Result<Value> {
        Ok(self.post(path, body)?.expect_status(201)?.body)
    }

    /// `PATCH` of whatever version there is now.
    pub fn change(&self, path: &str, body: &Value) -> Result<Value> {
        let etag = self.get(path)?.expect_status(200)?.etag.context("the resource has no ETag")?;
        Ok(self.patch(path, &etag, body)?.expect_status(200)?.body)
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

    /// What the appliance tells those who collect numbers.
    pub fn metrics(&self) -> Result<String> {
        let mut request = self.client.get(self.base.replace("/api/v1", "/metrics"));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        Ok(request.send()?.error_for_status()?.text()?)
    }

    fn send(&self, method: Method, path: &str, etag: Option<&str>, body: Option<&Value>) -> Result<Reply> {
        let url = format!("{}{path}", self.base);
        let what = format!("{method} {url}");
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(etag) = etag {
            request = request.header(IF_MATCH, etag);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, kind).body(body.to_string());
        }
        request.send().map_err(anyhow::Error::from).and_then(Reply::read).context(what)
    }
}

impl Reply {
    fn read(response: Response) -> Result<Self> {
        let etag = match response.headers().get(ETAG) {
            Some(etag) => Some(etag.to_str().context("an ETag that is no text")?.to_owned()),
            None => None,
        };
        let status = response.status().as_u16();
        let text = response.text().context("the body is no text")?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).with_context(|| format!("the body is not JSON: {text}"))?,
        };
        Ok(Self { status, etag, body })
    }

    /// Itself, if it has this status.
    pub fn expect_status(self, status: u16) -> Result<Self> {
        if self.status != status {
            bail!("the answer was {}, not {status}: {:#}", self.status, self.body);
        }
        Ok(self)
    }
}

/// The first of the month a year after `now` (RFC 3339): ahead by 11 to 12 months.
pub fn in_a_year(now: &str) -> String {
    let year: u32 = now.get(..4).and_then(|year| year.parse().ok()).unwrap_or_default();
    format!("{}{}-01T00:00:00Z", year + 1, now.get(4..7).unwrap_or("-01"))
}
