//! TCP: connects; sends something and reads until the expected answer has come.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Progress, Seen, Verdict, connect, excerpt, reason};
use crate::domain::TcpSettings;

/// How much of an answer is looked at.
const ANSWER_MAX: usize = 16 << 10;

pub(super) async fn check(at: SocketAddr, settings: &TcpSettings, progress: &Progress) -> Verdict {
    let TcpSettings { send, expect } = settings;
    let mut stream = connect(at).await?;
    if let Some(send) = send {
        progress.now("sending");
        stream
            .write_all(send.meant())
            .await
            .map_err(|error| Seen::new(format!("sending {}", reason(&error))))?;
    }
    if let Some(expect) = expect {
        progress.now("the expected answer");
        return await_answer(&mut stream, expect.meant(), expect.written()).await;
    }
    // Nothing was agreed on, so there is nothing to take leave of: no TIME_WAIT is left behind.
    let _ = stream.set_zero_linger();
    Ok(Seen::new("connected"))
}

async fn await_answer(stream: &mut TcpStream, expected: &[u8], written: &str) -> Verdict {
    let mut answer = Vec::new();
    while answer.len() < ANSWER_MAX {
        match stream.read_buf(&mut answer).await {
            Ok(0) => break,
            Ok(_) if contains(&answer, expected) => {
                return Ok(Seen::new(format!("answered {}", excerpt(&answer))));
            }
            Ok(_) => {}
            Err(error) => return Err(Seen::new(format!("reading {}", reason(&error)))),
        }
    }
    let answer = if answer.is_empty() { "nothing".to_owned() } else { excerpt(&answer) };
    Err(Seen::new(format!("answered {answer}, want \"{written}\"")))
}

pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}
