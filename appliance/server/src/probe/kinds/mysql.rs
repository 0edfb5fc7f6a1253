//! MySQL and MariaDB: signs in and asks whether it is read-only (client/server protocol, version 10).

use std::io;
use std::net::SocketAddr;

use aws_lc_rs::digest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Progress, Seen, Verdict, connect, judge_role, reason};
use crate::domain::DatabaseSettings;

/// Nothing that is asked for here has a longer answer.
const PACKET_MAX: usize = 16 << 10;

/// `CLIENT_LONG_PASSWORD`, `CLIENT_PROTOCOL_41`, `CLIENT_SECURE_CONNECTION`, `CLIENT_PLUGIN_AUTH`.
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x8000 | 0x8_0000;

pub(super) async fn check(
    at: SocketAddr,
    settings: &DatabaseSettings,
    password: &[u8],
    progress: &Progress,
) -> Verdict {
    let mut stream = connect(at).await?;
    progress.now("the greeting");
    let (_, greeting) = receive(&mut stream).await?;
    if greeting.first() != Some(&10) {
        return Err(refused(&greeting).unwrap_or_else(|| Seen::new("the greeting is not MySQL's")));
    }
    progress.now("signing in");
    sign_in(&mut stream, &settings.user, password, &scramble_of(&greeting)).await?;
    progress.now("the query");
    let query = [b"\x03SELECT @@global.read_only".as_slice()].concat();
    send(&mut stream, 0, &query).await?;
    let read_only = answer(&mut stream).await?;
    // Taking leave is a courtesy: without it the member counts a client that was aborted.
    let _ = send(&mut stream, 0, &[1]).await;
    let is_primary = matches!(read_only.as_str(), "0" | "OFF");
    judge_role(settings.role, is_primary, None, settings.lag_max_s)
}

/// What the server wants the password mixed with: eight bytes behind its version and number, and twelve more further on.
fn scramble_of(greeting: &[u8]) -> Vec<u8> {
    let after_version = greeting.iter().position(|byte| *byte == 0).map_or(greeting.len(), |end| end + 1);
    let begin = after_version + 4;
    // Capabilities, character set, status, the length of all of it, and ten bytes of nothing lie between.
    let part = |at: usize, length| greeting.get(at..at + length).unwrap_or_default();
    [part(begin, 8), part(begin + 8 + 1 + 18, 12)].concat()
}

/// `mysql_native_password`: SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password))).
fn native(password: &[u8], scramble: &[u8]) -> Vec<u8> {
    mixed(&digest::SHA1_FOR_LEGACY_USE_ONLY, password, |twice| [scramble, twice].concat())
}

/// `caching_sha2_password`: SHA256(password) XOR SHA256(SHA256(SHA256(password)), scramble).
fn cached(password: &[u8], scramble: &[u8]) -> Vec<u8> {
    mixed(&digest::SHA256, password, |twice| [twice, scramble].concat())
}

fn mixed(hash: &'static digest::Algorithm, password: &[u8], with: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = digest::digest(hash, password);
    let twice = digest::digest(hash, once.as_ref());
    let mask = digest::digest(hash, &with(twice.as_ref()));
    once.as_ref().iter().zip(mask.as_ref()).map(|(byte, mask)| byte ^ mask).collect()
}

async fn sign_in(stream: &mut TcpStream, user: &str, password: &[u8], scramble: &[u8]) -> Result<(), Seen> {
    let mut response = CAPABILITIES.to_le_bytes().to_vec();
    response.extend(u32::try_from(PACKET_MAX).unwrap_or(u32::MAX).to_le_bytes());
    // utf8_general_ci, 23 reserved bytes.
    response.push(33);
    response.extend([0; 23]);
    response.extend(user.as_bytes());
    let proof = native(password, scramble);
    // The name ends; the password with its length; the plugin.
    response.extend([0, u8::try_from(proof.len()).unwrap_or(0)]);
    response.extend(proof);
    response.extend(b"mysql_native_password\0");
    let mut number = 1;
    loop {
        send(stream, number, &response).await?;
        let (last, packet) = receive(stream).await?;
        match packet.first() {
            Some(0) => return Ok(()),
            // It would rather have another plugin, and something else mixed in.
            Some(0xfe) if number == 1 => {
                (number, response) = (last.wrapping_add(1), other_plugin(&packet, password)?);
            }
            // caching_sha2_password: a fast way that succeeded, after which all is well.
            Some(1) if packet.get(1) == Some(&3) => return await_ok(stream).await,
            Some(1) => {
                return Err(Seen::new(
                    "MySQL does not remember the password, and wants TLS to be told it again",
                ));
            }
            _ => return Err(refused(&packet).unwrap_or_else(|| Seen::new("MySQL wants a password"))),
        }
    }
}

/// The password for the plugin that an `AuthSwitchRequest` names.
fn other_plugin(packet: &[u8], password: &[u8]) -> Result<Vec<u8>, Seen> {
    if password.is_empty() {
        // No password is the same in all.
        return Ok(Vec::new());
    }
    let mut parts = packet.get(1..).unwrap_or_default().splitn(2, |byte| *byte == 0);
    let plugin = parts.next().unwrap_or_default();
    let scramble = parts.next().unwrap_or_default();
    let scramble = scramble.strip_suffix(&[0]).unwrap_or(scramble);
    match plugin {
        b"mysql_native_password" => Ok(native(password, scramble)),
        b"caching_sha2_password" => Ok(cached(password, scramble)),
        other => Err(Seen::new(format!("MySQL wants the password by {}", String::from_utf8_lossy(other)))),
    }
}

async fn await_ok(stream: &mut TcpStream) -> Result<(), Seen> {
    let (_, packet) = receive(stream).await?;
    if packet.first() == Some(&0) { Ok(()) } else { Err(Seen::new("MySQL did not finish signing in")) }
}

/// The only column of the only row: how many columns, the column, an end, the row.
async fn answer(stream: &mut TcpStream) -> Result<String, Seen> {
    let (_, count) = receive(stream).await?;
    if count != [1] {
        return Err(refused(&count).unwrap_or_else(|| Seen::new("MySQL answered another question")));
    }
    receive(stream).await?;
    receive(stream).await?;
    let (_, row) = receive(stream).await?;
    let value = row.split_first().and_then(|(length, text)| text.get(..usize::from(*length)));
    let value = value.ok_or_else(|| Seen::new("MySQL answered another question"))?;
    Ok(String::from_utf8_lossy(value).into_owned())
}

async fn send(stream: &mut TcpStream, number: u8, body: &[u8]) -> Result<(), Seen> {
    let [low, middle, high, _] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let packet = [&[low, middle, high, number][..], body].concat();
    stream.write_all(&packet).await.map_err(|error| broken(&error))
}

/// A packet, and its number.
async fn receive(stream: &mut TcpStream) -> Result<(u8, Vec<u8>), Seen> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(|error| broken(&error))?;
    let [low, middle, high, number] = head;
    let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
    if length > PACKET_MAX {
        return Err(Seen::new("the answer is not MySQL's"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(|error| broken(&error))?;
    Ok((number, body))
}

/// An error packet: 0xff, a number, and with protocol 4.1 `#` and a state of five letters before the sentence.
fn refused(packet: &[u8]) -> Option<Seen> {
    let [0xff, low, high, sentence @ ..] = packet else { return None };
    let sentence = sentence.strip_prefix(b"#").and_then(|rest| rest.get(5..)).unwrap_or(sentence);
    let code = u16::from_le_bytes([*low, *high]);
    let words = format!("MySQL says: {}", String::from_utf8_lossy(sentence));
    Some(Seen { code: Some(code), ..Seen::new(words) })
}

fn broken(error: &io::Error) -> Seen {
    Seen::new(format!("MySQL {}", reason(error)))
}
