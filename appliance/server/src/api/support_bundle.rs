//! One file with all that helps to find a fault, without secrets: for whoever is asked for help.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use flate2::Compression;
use flate2::write::GzEncoder;
use lb_model::contract::{HostAnswer, HostRequest};
use regex::Regex;
use serde::Serialize;
use serde_json::json;
use utoipa::openapi::path::HttpMethod;

use super::describe::Description;
use super::error::Problem;
use super::{Access, App, ROOT, Route, metrics, status, system};
use crate::domain::{Author, Permission, Timestamp};
use crate::store::{AuditEntry, Event, Log, LogQuery, Outcome, RevisionEntry};

const MEDIA_TYPE: &str = "application/gzip";
/// Of each log the newest lines.
const LINES: u32 = 5_000;
/// What is never written down to begin with, and would be left out if it were: the second net under the first. The group
/// `kept` stays.
const SECRETS: &[&str] = &[
    r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----",
    r"pst_[0-9a-f]{32}_[A-Za-z0-9_-]+",
    r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+",
    r"(?P<kept>\$argon2[a-z]*\$)\S+",
    r#"(?i)(?P<kept>(?:password|passphrase|secret|authorization|cookie)["']?\s*[:=]\s*)(?:"[^"]*"|(?:bearer |basic )?[^\s,}]+)"#,
];

/// The files of a bundle, by their names.
type Texts = Vec<(String, String)>;

async fn create(State(app): State<App>, author: Author) -> Result<impl IntoResponse, Problem> {
    app.store.audit(&author, "system.support_bundle", Outcome::Succeeded, json!({})).await?;
    let texts = texts(&app).await?;
    let now = Timestamp::now().second();
    // Some megabytes of journal take their time, and must keep no other request waiting.
    let packed = tokio::task::spawn_blocking(move || pack(texts, now)).await;
    let packed =
        packed.map_err(|error| Problem::internal(&error))?.map_err(|error| Problem::internal(&*error))?;
    let disposition = format!("attachment; filename=\"penstock-support-{now}.tar.gz\"");
    Ok(([(CONTENT_TYPE, MEDIA_TYPE.to_owned()), (CONTENT_DISPOSITION, disposition)], packed))
}

async fn texts(app: &App) -> Result<Texts, Problem> {
    let state = || State(app.clone());
    let mut texts = vec![
        json_text("configuration.json", Ok(app.store.document(true).await?.1))?,
        json_text("revisions.json", Ok(newest::<RevisionEntry>(app).await?))?,
        json_text("events.json", Ok(newest::<Event>(app).await?))?,
        json_text("audit.json", Ok(newest::<AuditEntry>(app).await?))?,
        json_text("status.json", status::status(state()).await.map(|answer| answer.0))?,
        json_text("stats.json", status::stats(state()).await.map(|answer| answer.0))?,
        json_text("system.json", system::show(state()).await.map(|answer| answer.0))?,
        ("metrics.txt".to_owned(), metrics::page(app).await?),
    ];
    match app.machine.ask(HostRequest::Diagnose, None).await {
        Ok(HostAnswer::Diagnosis { texts: host }) => {
            texts.extend(host.into_iter().map(|(name, text)| (format!("host/{name}"), text)));
        }
        Ok(_) => texts.push(missing("host", "penstock-host answered another question")),
        Err(error) => texts.push(missing("host", &error.to_string())),
    }
    Ok(texts)
}

/// What could not be had says why, in its place: a bundle is asked for when something does not work.
fn json_text(name: &str, answer: Result<impl Serialize, Problem>) -> Result<(String, String), Problem> {
    match answer {
        Ok(value) => {
            let text = serde_json::to_string_pretty(&value).map_err(|error| Problem::internal(&error))?;
            Ok((name.to_owned(), text))
        }
        Err(problem) => Ok(missing(name, problem.detail())),
    }
}

fn missing(name: &str, reason: &str) -> (String, String) {
    (format!("{name}.missing"), format!("{reason}\n"))
}

async fn newest<L: Log>(app: &App) -> Result<Vec<L>, Problem> {
    let query = LogQuery { limit: LINES, before: None, filters: Vec::new() };
    Ok(app.store.log::<L>(&query).await?.0)
}

fn pack(texts: Texts, now: u64) -> anyhow::Result<Vec<u8>> {
    let redaction = Redaction::new()?;
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in texts {
        let text = redaction.redact(&text);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("penstock-support/{name}"), text.as_bytes())?;
    }
    Ok(archive.into_inner()?.finish()?)
}

struct Redaction(Vec<Regex>);

impl Redaction {
    fn new() -> Result<Self, regex::Error> {
        Ok(Self(SECRETS.iter().map(|pattern| Regex::new(pattern)).collect::<Result<_, _>>()?))
    }

    fn redact(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, secret| secret.replace_all(&text, "${kept}[redacted]").into_owned())
    }
}

pub(super) fn routes() -> Vec<Route> {
    let described = Description::new("createSupportBundle", "system", "A file with what helps to find a fault")
        .explain(
            "An archive (tar, gzip) with the configuration, its last revisions, events and audit entries, the status and \
             statistics of all processes, and what the machine's own tools say: addresses, routes, packet filter, memory, \
             disks, journal. Passwords, keys and tokens are not in it. What could not be had says why in its place.",
        )
        .answer_file(MEDIA_TYPE, "This is it.");
    vec![Route::new(
        HttpMethod::Get,
        format!("{ROOT}/system/support-bundle"),
        Access::Permitted(Permission::SystemWrite),
        create,
        described,
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_of_whatever_text_they_got_into() {
        let redaction = Redaction::new().unwrap();
        let cases = [
            ("a -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- b", "a [redacted] b"),
            ("token pst_01975c1e8c1b7c3a9d550a1b2c3d4e5f_AbC-d_9 was used", "token [redacted] was used"),
            ("got eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln-_x.", "got [redacted]."),
            ("$argon2id$v=19$m=19456$salt$hash", "$argon2id$[redacted]"),
            (r#""password": "two words", "port": 80"#, r#""password": [redacted], "port": 80"#),
            ("Authorization: Bearer abc.def, next", "Authorization: [redacted], next"),
            ("admin.password=tide up=1", "admin.password=[redacted] up=1"),
            ("no password was given", "no password was given"),
        ];
        for (text, wanted) in cases {
            assert_eq!(redaction.redact(text), wanted);
        }
    }
}
