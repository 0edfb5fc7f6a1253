//! The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): who the client is, told before anything else by a proxy
//! that stands between.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_model::l7::ProxyProtocol;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::balance::Ends;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, CR LF included.
const MAX_LINE: usize = 107;
/// The longest header of version 2 that is read: addresses, and what else somebody may tell.
const MAX_HEADER: usize = 16 + 2048;

/// What a connection began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Header {
    /// More must come.
    Partial,
    /// So many bytes, that tell of a connection, or of one that the proxy made for itself.
    Whole(usize, Option<Ends>),
}

/// It did not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the connection does not begin with a PROXY header")]
struct Malformed;

/// Takes the header off a connection, and returns whose it is: as told, or `ends` if the proxy speaks for itself.
pub(crate) async fn read(stream: &mut TcpStream, ends: Ends) -> io::Result<Ends> {
    let mut header = Vec::new();
    loop {
        let begun = header.len();
        let mut ahead = [0; 536];
        let seen = stream.peek(&mut ahead).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        header.extend_from_slice(&ahead[..seen]);
        let parsed = parse(&header).map_err(io::Error::other)?;
        // What follows the header is not ours to take.
        let taken = match parsed {
            Header::Partial => seen,
            Header::Whole(length, _) => length - begun,
        };
        stream.read_exact(&mut ahead[..taken]).await?;
        if let Header::Whole(_, told) = parsed {
            return Ok(told.unwrap_or(ends));
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
    let common = bytes.len().min(SIGNATURE.len());
    if bytes[..common] == SIGNATURE[..common] { parse_binary(bytes) } else { parse_line(bytes) }
}

fn parse_line(bytes: &[u8]) -> Result<Header, Malformed> {
    const BEGIN: &[u8] = b"PROXY ";
    let common = bytes.len().min(BEGIN.len());
    if bytes[..common] != BEGIN[..common] {
        return Err(Malformed);
    }
    let Some(end) = memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE)]) else {
        return if bytes.len() >= MAX_LINE { Err(Malformed) } else { Ok(Header::Partial) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().ok_or(Malformed)?;
    if family == "UNKNOWN" {
        return Ok(Header::Whole(end + 1, None));
    }
    let (client, service) = (address(family, words.next())?, address(family, words.next())?);
    let (client_port, service_port) = (port(words.next())?, port(words.next())?);
    if words.next().is_some() {
        return Err(Malformed);
    }
    let ends = Ends { client: (client, client_port).into(), service: (service, service_port).into() };
    Ok(Header::Whole(end + 1, Some(ends)))
}

fn address(family: &str, word: Option<&str>) -> Result<IpAddr, Malformed> {
    let word = word.ok_or(Malformed)?;
    match family {
        "TCP4" => word.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| Malformed),
        "TCP6" => word.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| Malformed),
        _ => Err(Malformed),
    }
}

fn port(word: Option<&str>) -> Result<u16, Malformed> {
    let word = word.filter(|word| word.bytes().all(|byte| byte.is_ascii_digit())).ok_or(Malformed)?;
    word.parse().map_err(|_| Malformed)
}

fn parse_binary(bytes: &[u8]) -> Result<Header, Malformed> {
    let Some((fixed, _)) = bytes.split_first_chunk::<16>() else { return Ok(Header::Partial) };
    let length = 16 + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if fixed[12] >> 4 != 2 || length > MAX_HEADER {
        return Err(Malformed);
    }
    let Some(told) = bytes.get(16..length) else { return Ok(Header::Partial) };
    let ends = match (fixed[12] & 15, fixed[13]) {
        // LOCAL: the proxy itself; or a family that we do not serve.
        (0, _) | (1, 0) => None,
        (1, 0x11) => {
            let told: &[u8; 12] = told.first_chunk().ok_or(Malformed)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *told;
            Some(between(Ipv4Addr::new(a, b, c, d).into(), Ipv4Addr::new(e, f, g, h).into(), ports))
        }
        (1, 0x21) => {
            let (client, told) = told.split_first_chunk::<16>().ok_or(Malformed)?;
            let (service, told) = told.split_first_chunk::<16>().ok_or(Malformed)?;
            let ports = told.first_chunk::<4>().ok_or(Malformed)?;
            Some(between(Ipv6Addr::from(*client).into(), Ipv6Addr::from(*service).into(), *ports))
        }
        _ => return Err(Malformed),
    };
    Ok(Header::Whole(length, ends))
}

fn between(client: IpAddr, service: IpAddr, ports: [u8; 4]) -> Ends {
    let [a, b, c, d] = ports;
    Ends {
        client: (client, u16::from_be_bytes([a, b])).into(),
        service: (service, u16::from_be_bytes([c, d])).into(),
    }
}

/// Tells a member whose connection this is.
pub(crate) async fn write(stream: &mut TcpStream, version: ProxyProtocol, ends: Ends) -> io::Result<()> {
    match version {
        ProxyProtocol::None => Ok(()),
        ProxyProtocol::V1 => stream.write_all(&line(ends)).await,
        ProxyProtocol::V2 => stream.write_all(&binary(ends)).await,
    }
}

fn line(Ends { client, service }: Ends) -> Vec<u8> {
    let family = match (client, service) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) => "TCP4",
        (SocketAddr::V6(_), SocketAddr::V6(_)) => "TCP6",
        _ => return b"PROXY UNKNOWN\r\n".to_vec(),
    };
    let (from, to) = (client.port(), service.port());
    format!("PROXY {family} {} {} {from} {to}\r\n", client.ip(), service.ip()).into_bytes()
}

fn binary(Ends { client, service }: Ends) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let (family, length, mut told) = match (client.ip(), service.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => (0x11, 12, [from.octets(), to.octets()].concat()),
        (IpAddr::V6(from), IpAddr::V6(to)) => (0x21, 36, [from.octets(), to.octets()].concat()),
        _ => (0, 0, Vec::new()),
    };
    if family != 0 {
        told.extend_from_slice(&client.port().to_be_bytes());
        told.extend_from_slice(&service.port().to_be_bytes());
    }
    // Version 2, command PROXY.
    header.extend_from_slice(&[0x21, family, 0, length]);
    header.extend(told);
    header
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(six: bool) -> Ends {
        let address = |last: u8| -> IpAddr {
            if six {
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into()).into()
            } else {
                [192, 0, 2, last].into()
            }
        };
        Ends { client: (address(1), 50_000).into(), service: (address(2), 443).into() }
    }

    #[test]
    fn what_is_written_is_read() {
        for ends in [ends(false), ends(true)] {
            for header in [line(ends), binary(ends)] {
                let all = [header.as_slice(), b"GET / HTTP/1.1\r\n"].concat();
                assert_eq!(parse(&all), Ok(Header::Whole(header.len(), Some(ends))));
                // Wherever it is cut.
                for length in 0..header.len() {
                    assert_eq!(parse(&header[..length]), Ok(Header::Partial), "{length} of {header:?}");
                }
            }
        }
        assert_eq!(line(ends(false)), b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\r\n");
    }

    #[test]
    fn proxies_speak_for_themselves() {
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Ok(Header::Whole(15, None)));
        let local = [&SIGNATURE[..], &[0x20, 0, 0, 3, 1, 2, 3]].concat();
        assert_eq!(parse(&local), Ok(Header::Whole(19, None)));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 192.0.2.1 192.0.2.2 50000\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 65536\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 +5 443\r\n",
            b"PROXY TCP6 192.0.2.1 192.0.2.2 50000 443\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 443\n",
            b"proxy UNKNOWN\r\n",
        ] {
            assert_eq!(parse(bytes), Err(Malformed), "{:?}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(parse(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()), Err(Malformed));
        let short = [&SIGNATURE[..], &[0x21, 0x11, 0, 4, 1, 2, 3, 4]].concat();
        assert_eq!(parse(&short), Err(Malformed));
        let version = [&SIGNATURE[..], &[0x11, 0x11, 0, 12]].concat();
        assert_eq!(parse(&version), Err(Malformed));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Any bytes are read without a panic; a whole header is no longer than what came, and stays the same with more behind it.
        #[test]
        fn strangers_bytes_are_read(begin in 0..4usize, rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let begin: &[u8] = match begin {
                0 => b"",
                1 => b"PROXY TCP4 1.2.3.4 ",
                2 => &SIGNATURE[..],
                _ => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
            };
            let bytes = [begin, &rest].concat();
            if let Ok(Header::Whole(length, told)) = parse(&bytes) {
                prop_assert!(length <= bytes.len());
                let longer = [bytes.as_slice(), b"more"].concat();
                prop_assert_eq!(parse(&longer), Ok(Header::Whole(length, told)));
            }
        }
    }
}
