//! Redis: asks for its role in the replication (`INFO replication`, Redis 2.8 and newer, Valkey).

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Progress, Seen, Verdict, connect, excerpt, judge_role, reason};
use crate::domain::RoleSettings;

const ANSWER_MAX: usize = 16 << 10;

pub(super) async fn check(
    at: SocketAddr,
    settings: &RoleSettings,
    password: &[u8],
    progress: &Progress,
) -> Verdict {
    let mut stream = connect(at).await?;
    let failed = |error: std::io::Error| Seen::new(format!("Redis {}", reason(&error)));
    if !password.is_empty() {
        progress.now("signing in");
        let head = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n", password.len());
        stream.write_all(&[head.as_bytes(), password, b"\r\n"].concat()).await.map_err(failed)?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await.map_err(failed)?;
        if answer != *b"+OK\r\n" {
            return Err(Seen::new("Redis does not take the password"));
        }
    }
    progress.now("the answer");
    stream.write_all(b"*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n").await.map_err(failed)?;
    let mut answer = Vec::new();
    let text = loop {
        if let Some(text) = whole(&answer)? {
            break text;
        }
        if stream.read_buf(&mut answer).await.map_err(failed)? == 0 || answer.len() > ANSWER_MAX {
            return Err(Seen::new(format!("the answer is not Redis': {}", excerpt(&answer))));
        }
    };
    judge(&text, settings)
}

/// The text of a bulk string (`$<length>\r\n<text>\r\n`), once all of it is there.
fn whole(answer: &[u8]) -> Result<Option<String>, Seen> {
    let Some(end) = answer.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
    let (line, rest) = (&answer[..end], &answer[end + 2..]);
    let length = match line.split_first() {
        Some((b'$', digits)) => {
            std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<usize>().ok())
        }
        Some((b'-', _)) => return Err(Seen::new(format!("Redis says {}", excerpt(line)))),
        _ => None,
    };
    let length = length.ok_or_else(|| Seen::new(format!("the answer is not Redis': {}", excerpt(line))))?;
    Ok(rest.get(..length).map(|text| String::from_utf8_lossy(text).into_owned()))
}

fn judge(text: &str, settings: &RoleSettings) -> Verdict {
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let is_primary = match field("role") {
        Some("master") => true,
        Some("slave") => false,
        _ => return Err(Seen::new("Redis does not say which role it has")),
    };
    if !is_primary && field("master_link_status") == Some("down") {
        return Err(Seen::new("replica whose link to the primary is down"));
    }
    let lag = field("master_last_io_seconds_ago").and_then(|seconds| seconds.parse().ok());
    judge_role(settings.role, is_primary, lag, settings.lag_max_s)
}
