//! PostgreSQL: signs in and asks whether it is in recovery, and how far behind
//! (protocol 3.0, chapter "Frontend/Backend Protocol" of its manual).

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::scram::Scram;
use super::{Progress, Seen, Verdict, connect, judge_role, reason};
use crate::domain::DatabaseSettings;

/// Nothing that is asked for here has a longer answer.
const MESSAGE_MAX: usize = 16 << 10;

/// Three columns: whether it is a replica; seconds behind, none if everything that came is replayed; and the timeline that it writes,
/// which is in the first eight digits of the name of what it writes to.
const QUESTION: &str = "SELECT pg_is_in_recovery(), CASE WHEN NOT pg_is_in_recovery() \
    OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 \
    ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp())::int END, \
    CASE WHEN pg_is_in_recovery() THEN 0 \
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int END";

pub(super) async fn check(
    at: SocketAddr,
    settings: &DatabaseSettings,
    password: &[u8],
    progress: &Progress,
) -> Verdict {
    let mut stream = connect(at).await?;
    progress.now("the greeting");
    stream.write_all(&startup(settings)).await.map_err(|error| broken(&error))?;
    sign_in(&mut stream, password).await?;
    progress.now("the query");
    stream.write_all(&framed(b'Q', &terminated(QUESTION))).await.map_err(|error| broken(&error))?;
    let row = await_row(&mut stream).await?;
    // Taking leave is a courtesy: without it the member writes a line into its log.
    let _ = stream.write_all(&framed(b'X', &[])).await;
    let [recovery, lag, timeline] = row;
    let [lag, term] = [lag, timeline].map(|number| number.and_then(|number| number.parse().ok()));
    match judge_role(settings.role, recovery.as_deref() == Some("f"), lag, settings.lag_max_s) {
        Ok(seen) => Ok(Seen { term, ..seen }),
        Err(seen) => Err(Seen { term, ..seen }),
    }
}

fn startup(settings: &DatabaseSettings) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    let database = settings.database.as_deref().unwrap_or("postgres");
    for text in ["user", &settings.user, "database", database, "application_name", "penstock"] {
        body.extend(terminated(text));
    }
    body.push(0);
    let mut message = length(body.len() + 4);
    message.extend(body);
    message
}

fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &length(body.len() + 4), body].concat()
}

fn length(length: usize) -> Vec<u8> {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes().to_vec()
}

/// Answers what is asked until the server is ready (`Authentication…`, protocol 3.0).
async fn sign_in(stream: &mut TcpStream, password: &[u8]) -> Result<(), Seen> {
    let mut scram = Scram::new(password)?;
    loop {
        let (kind, body) = receive(stream).await?;
        match (kind, body.split_first_chunk::<4>()) {
            (b'Z', _) => return Ok(()),
            (b'E', _) => return Err(refused(&body)),
            (b'R', Some((asked, more))) => {
                if let Some(answer) = answer(u32::from_be_bytes(*asked), more, password, &mut scram)? {
                    stream.write_all(&framed(b'p', &answer)).await.map_err(|error| broken(&error))?;
                }
            }
            _ => {}
        }
    }
}

fn answer(asked: u32, more: &[u8], password: &[u8], scram: &mut Scram<'_>) -> Result<Option<Vec<u8>>, Seen> {
    let said = || String::from_utf8_lossy(more);
    match asked {
        0 => Ok(None),
        _ if password.is_empty() => {
            Err(Seen::new("PostgreSQL wants a password, and the monitor has none: see pg_hba.conf"))
        }
        3 => Ok(Some([password, &[0]].concat())),
        10 if said().split('\0').any(|mechanism| mechanism == "SCRAM-SHA-256") => {
            let first = scram.first();
            Ok(Some([&terminated("SCRAM-SHA-256")[..], &length(first.len()), first.as_bytes()].concat()))
        }
        11 => Ok(Some(scram.last(&said())?.into_bytes())),
        12 => scram.verify(&said()).map(|()| None),
        _ => Err(Seen::new("PostgreSQL wants the password in another way than SCRAM-SHA-256 or in clear")),
    }
}

async fn await_row(stream: &mut TcpStream) -> Result<[Option<String>; 3], Seen> {
    loop {
        match receive(stream).await? {
            (b'D', body) => {
                return columns(&body).ok_or_else(|| Seen::new("PostgreSQL answered another question"));
            }
            (b'E', body) => return Err(refused(&body)),
            (b'Z', _) => return Err(Seen::new("PostgreSQL answered without a row")),
            _ => {}
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Result<(u8, Vec<u8>), Seen> {
    let kind = stream.read_u8().await.map_err(|error| broken(&error))?;
    let length = stream.read_u32().await.map_err(|error| broken(&error))? as usize;
    let body = length.checked_sub(4).filter(|body| *body <= MESSAGE_MAX);
    let mut body = vec![0; body.ok_or_else(|| Seen::new("the answer is not PostgreSQL's"))?];
    stream.read_exact(&mut body).await.map_err(|error| broken(&error))?;
    Ok((kind, body))
}

/// A `DataRow` of three columns.
fn columns(body: &[u8]) -> Option<[Option<String>; 3]> {
    let mut rest = body.strip_prefix(&[0, 3])?;
    let mut column = || -> Option<Option<String>> {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            rest = after;
            return Some(None);
        };
        rest = after.get(length..)?;
        Some(Some(String::from_utf8_lossy(&after[..length]).into_owned()))
    };
    Some([column()?, column()?, column()?])
}

/// The sentence (`M`) of an error.
fn refused(body: &[u8]) -> Seen {
    let mut fields = body.split(|byte| *byte == 0).filter_map(|field| field.split_first());
    let sentence = fields.find(|(kind, _)| **kind == b'M').map(|(_, text)| String::from_utf8_lossy(text));
    Seen::new(format!("PostgreSQL says: {}", sentence.unwrap_or_default()))
}

fn broken(error: &io::Error) -> Seen {
    Seen::new(format!("PostgreSQL {}", reason(error)))
}
