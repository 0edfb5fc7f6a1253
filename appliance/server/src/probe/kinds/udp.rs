//! UDP: sends a datagram and looks at the answer. Without an answer nobody can tell whether a member is there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use super::tcp::contains;
use super::{Progress, Seen, Verdict, excerpt, reason};
use crate::domain::UdpSettings;

/// Larger than any datagram on Ethernet.
const ANSWER_MAX: usize = 16 << 10;

pub(super) async fn check(at: SocketAddr, settings: &UdpSettings, progress: &Progress) -> Verdict {
    let any =
        if at.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let failed = |error: io::Error| Seen::new(format!("UDP {}", reason(&error)));
    let socket = UdpSocket::bind((any, 0)).await.map_err(failed)?;
    socket.connect(at).await.map_err(failed)?;
    progress.now("the answer");
    socket.send(settings.send.meant()).await.map_err(failed)?;
    let mut answer = vec![0; ANSWER_MAX];
    let length = socket.recv(&mut answer).await.map_err(failed)?;
    let answer = &answer[..length];
    match &settings.expect {
        Some(expect) if !contains(answer, expect.meant()) => {
            Err(Seen::new(format!("answered {}, want \"{}\"", excerpt(answer), expect.written())))
        }
        _ => Ok(Seen::new(format!("answered {}", excerpt(answer)))),
    }
}
