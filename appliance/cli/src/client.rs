//! The API over HTTPS, and how it says no.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use reqwest::blocking::{Client as Http, RequestBuilder, Response};
use reqwest::{Certificate, Method};
use serde_json::Value;
use thiserror::Error;

/// Why there is no answer to go on with.
#[derive(Debug, Error)]
pub(crate) enum Refused {
    /// The appliance does not know who asks, or does not let them.
    #[error("{0}")]
    NotAllowed(String),
    /// What was asked cannot be done as it was asked.
    #[error("{0}")]
    Wrong(String),
    /// The appliance is not there, or failed.
    #[error("{0}")]
    Unavailable(String),
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) text: String,
}

impl Answer {
    /// Its body as JSON; null where there is none.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        if self.text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&self.text).context("the answer is not JSON")
    }
}

/// One appliance, for one user.
pub(crate) struct Client {
    http: Http,
    address: String,
    token: Option<String>,
}

impl Client {
    /// `certificate` is the only one that is trusted, where it is given.
    pub(crate) fn new(
        address: &str,
        token: Option<String>,
        certificate: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let mut http = Http::builder();
        if let Some(path) = certificate {
            let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            http = http.tls_certs_only([Certificate::from_pem(&pem).context("this is no certificate")?]);
        }
        let http = http.build().context("cannot set up HTTPS")?;
        Ok(Self { http, address: format!("{}/api/v1", address.trim_end_matches('/')), token })
    }

    /// A request to be completed; `path` begins below `/api/v1`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.address));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// `GET` of JSON.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        send(self.request(Method::GET, path))?.json()
    }

    /// Everything in a list, page by page.
    pub(crate) fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        self.list_up_to(path, usize::MAX)
    }

    /// The same, until there are `enough`.
    pub(crate) fn list_up_to(&self, path: &str, enough: usize) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next.filter(|_| items.len() < enough) {
            let page = self.get(&path)?;
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            next = page["next"].as_str().map(|link| link.trim_start_matches("/api/v1").to_owned());
        }
        Ok(items)
    }
}

/// Sends it; whatever is not a success is an error that says what to fix.
pub(crate) fn send(request: RequestBuilder) -> Result<Answer, Refused> {
    let text = succeed(request)?.text().map_err(|error| Refused::Unavailable(chain(&error)))?;
    Ok(Answer { text })
}

/// The same for an answer that is a file.
pub(crate) fn download(request: RequestBuilder, to: &mut impl Write) -> anyhow::Result<u64> {
    succeed(request)?.copy_to(to).context("the answer did not arrive whole")
}

fn succeed(request: RequestBuilder) -> Result<Response, Refused> {
    let response = reach(request)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = response.text().map_err(|error| Refused::Unavailable(chain(&error)))?;
    let problem = problem(&text).unwrap_or_else(|| format!("the appliance answered {status}"));
    Err(match status.as_u16() {
        401 | 403 => Refused::NotAllowed(problem),
        400..500 => Refused::Wrong(problem),
        _ => Refused::Unavailable(problem),
    })
}

/// Sends it, for an answer that is read as it comes.
pub(crate) fn reach(request: RequestBuilder) -> Result<Response, Refused> {
    request.send().map_err(|error| Refused::Unavailable(chain(&error)))
}

/// A problem document (RFC 9457) as lines.
fn problem(text: &str) -> Option<String> {
    let body: Value = serde_json::from_str(text).ok()?;
    let mut lines = vec![body["detail"].as_str()?.to_owned()];
    for error in body["errors"].as_array()? {
        lines.push(format!("  {}: {}", error["pointer"].as_str()?, error["detail"].as_str()?));
    }
    Some(lines.join("\n"))
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
