//! Agent: the member says itself how it is, in one line (the agent protocol of `HAProxy`, `agent-check` in its manual).

use std::net::SocketAddr;

use lb_model::snapshot::Share;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Progress, Seen, Verdict, Wish, connect, excerpt, reason};
use crate::domain::AgentSettings;

/// No line is longer.
const LINE_MAX: usize = 1024;

pub(super) async fn check(at: SocketAddr, settings: &AgentSettings, progress: &Progress) -> Verdict {
    let mut stream = connect(at).await?;
    let failed = |error: std::io::Error| Seen::new(format!("the agent {}", reason(&error)));
    if let Some(send) = &settings.send {
        progress.now("sending");
        stream.write_all(send.meant()).await.map_err(failed)?;
    }
    progress.now("the agent's answer");
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < LINE_MAX {
        if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
            break;
        }
    }
    let line = answer.split(|byte| *byte == b'\n').next().unwrap_or_default();
    judge(&String::from_utf8_lossy(line)).ok_or_else(|| {
        let said = if line.is_empty() { "nothing".to_owned() } else { excerpt(line) };
        Seen::new(format!("the agent says {said}, want up, down, drain, ready or a share as 75%"))
    })?
}

/// What a line means; nothing if it has a word that means nothing, or none.
fn judge(line: &str) -> Option<Verdict> {
    let (words, why) = line.split_once('#').map_or((line, ""), |(words, why)| (words, why.trim()));
    let mut wish = Wish::default();
    let mut is_down = None;
    let separators = [' ', '\t', ',', '\r'];
    for word in words.split(separators).filter(|word| !word.is_empty()) {
        match word.to_ascii_lowercase().as_str() {
            "up" | "ready" => is_down = is_down.or(Some(false)),
            "down" | "failed" | "stopped" | "fail" => is_down = Some(true),
            "drain" | "maint" => (wish.drains, is_down) = (true, is_down.or(Some(false))),
            share => {
                let percent: u32 = share.strip_suffix('%')?.parse().ok()?;
                // More than all is all: who takes more than others has a higher weight.
                wish.share = Share::new(u8::try_from(percent.clamp(1, 100)).ok()?).ok()?;
                (wish.drains, is_down) = (wish.drains || percent == 0, is_down.or(Some(false)));
            }
        }
    }
    let because = if why.is_empty() { String::new() } else { format!(": {why}") };
    let said = words.trim().to_ascii_lowercase();
    let seen = Seen { wish, ..Seen::new(format!("the agent says {said}{because}")) };
    Some(if is_down? { Err(seen) } else { Ok(seen) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: &str) -> (bool, u8) {
        let wish = judge(line).unwrap().unwrap().wish;
        (wish.drains, wish.share.get())
    }

    #[test]
    fn words_and_shares_are_understood() {
        assert_eq!([wish("up"), wish("ready\r"), wish("75%")], [(false, 100), (false, 100), (false, 75)]);
        assert_eq!([wish("drain"), wish("0%"), wish("up 30%, drain")], [(true, 100), (true, 1), (true, 30)]);
        assert_eq!(wish("250%"), (false, 100));
        let down = judge("up down # disk full").unwrap().unwrap_err();
        assert_eq!(down.words, "the agent says up down: disk full");
        assert!(judge("").is_none() && judge("fine").is_none() && judge("# why").is_none());
    }
}
