//! The first message of TLS, read as rustls reads it and kept: it is for the member, who answers it.

use std::io;

use bytes::BytesMut;
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::rustls;
use tokio_rustls::rustls::server::Acceptor;

/// The longest first message: those of today's clients have two kilobytes.
const LONGEST: usize = 32 << 10;
const READ: usize = 4 << 10;

/// Why there is no first message of TLS.
#[derive(Debug, Error)]
pub(crate) enum NoHello {
    #[error("the client broke off")]
    Gone(#[from] io::Error),
    #[error("this is no TLS")]
    NoTls(#[source] rustls::Error),
    #[error("the first message is too long")]
    TooLong,
}

/// The name that a client asks for, in lower case, and all that it has sent so far.
pub(crate) async fn read(stream: &mut TcpStream) -> Result<(Option<String>, BytesMut), NoHello> {
    let mut acceptor = Acceptor::default();
    let mut bytes = BytesMut::new();
    loop {
        let known = bytes.len();
        if known > LONGEST {
            return Err(NoHello::TooLong);
        }
        bytes.reserve(READ);
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(NoHello::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        let mut fresh = bytes.get(known..).unwrap_or_default();
        while !fresh.is_empty() {
            acceptor.read_tls(&mut fresh)?;
            if let Some(name) = look(&mut acceptor).map_err(NoHello::NoTls)? {
                return Ok((name, bytes));
            }
        }
    }
}

/// Once the message is there, the name in it, if it has one.
#[expect(
    clippy::option_option,
    reason = "outside: whether the message is whole; inside: whether it names anybody"
)]
fn look(acceptor: &mut Acceptor) -> Result<Option<Option<String>>, rustls::Error> {
    match acceptor.accept() {
        Ok(accepted) => {
            Ok(accepted.map(|accepted| accepted.client_hello().server_name().map(str::to_ascii_lowercase)))
        }
        Err((error, _)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::sync::Arc;

    use tokio::net::TcpListener;
    use tokio_rustls::rustls::crypto::aws_lc_rs;
    use tokio_rustls::rustls::pki_types::ServerName;
    use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    /// What a client of rustls says first.
    fn hello(name: &str) -> Vec<u8> {
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    /// What is read of a client that sends these pieces, each after the one before has arrived, and closes.
    fn read_of(pieces: Vec<Vec<u8>>) -> Result<(Option<String>, BytesMut), NoHello> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = std::thread::spawn(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                // Whoever reads may have heard enough.
                let _ = pieces.iter().try_for_each(|piece| stream.write_all(piece));
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = stream.read(&mut [0]);
            });
            let mut stream = listener.accept().await.unwrap().0;
            let read = read(&mut stream).await;
            drop(stream);
            client.join().unwrap();
            read
        })
    }

    #[test]
    fn the_name_is_found_however_the_message_comes_and_nothing_is_lost() {
        let whole = hello("Shop.example");
        for size in [1, 7, 100, whole.len()] {
            let (name, bytes) = read_of(whole.chunks(size).map(<[u8]>::to_vec).collect()).unwrap();
            assert_eq!(name.as_deref(), Some("shop.example"));
            assert!(whole.starts_with(&bytes), "in pieces of {size}");
        }
        let more = [whole.clone(), b"early".to_vec()].concat();
        assert_eq!(read_of(vec![more.clone()]).unwrap().1, more);
    }

    #[test]
    fn what_is_no_tls_is_refused() {
        assert!(matches!(read_of(vec![b"GET / HTTP/1.1\r\n\r\n".to_vec()]), Err(NoHello::NoTls(_))));
        assert!(matches!(read_of(vec![hello("a.example")[..20].to_vec()]), Err(NoHello::Gone(_))));
    }

    #[test]
    fn an_address_is_no_name() {
        assert_eq!(read_of(vec![hello("192.0.2.1")]).unwrap().0, None);
    }
}
