//! One message to one webhook: signed as Standard Webhooks says, to an address that may be asked.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};
use thiserror::Error;

use crate::domain::{Timestamp, Webhook};

/// What an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a message did not arrive.
#[derive(Clone, Debug, Error)]
pub(crate) enum SendError {
    #[error("{0} is an address of the appliance itself or of its link: such are not asked")]
    Refused(IpAddr),
    #[error("it cannot be asked: {0}")]
    Unreachable(String),
    #[error("it answered {0}")]
    Answered(reqwest::StatusCode),
    #[error("its secret cannot be opened: give it again")]
    NoSecret,
}

/// Which addresses may be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// Also the appliance itself and its link.
    pub(crate) local: bool,
}

impl Reach {
    /// Loopback and link-local would let who writes a webhook speak to what listens for the appliance alone (and to the metadata of a
    /// cloud, which is link-local).
    fn admits(self, address: IpAddr) -> bool {
        self.local
            || match address.to_canonical() {
                IpAddr::V4(it) => {
                    let local = it.is_loopback() || it.is_link_local() || it.octets()[0] == 0;
                    !(local || it.is_multicast() || it.is_broadcast())
                }
                IpAddr::V6(it) => {
                    let local = it.is_loopback() || it.is_unspecified() || it.is_unicast_link_local();
                    !(local || it.is_multicast())
                }
            }
    }

    fn check(self, address: IpAddr) -> Result<(), SendError> {
        if self.admits(address) { Ok(()) } else { Err(SendError::Refused(address)) }
    }
}

/// Names lead to addresses that may be asked, whatever they led to when they were written down.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &found {
                reach.check(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// What posting to a webhook takes, made once for as long as the webhook stays as it is.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    url: Url,
    key: hmac::Key,
}

impl Sender {
    pub(crate) fn new(webhook: &Webhook, reach: Reach) -> Result<Self, SendError> {
        let key = webhook.signing_key().ok_or(SendError::NoSecret)?;
        let url: Url = webhook.url.parse().map_err(|error| unreachable(&error))?;
        // The resolver is not asked for what is no name.
        if let Some(Ok(address)) = url.host_str().map(|host| host.trim_matches(['[', ']']).parse()) {
            reach.check(address)?;
        }
        Ok(Self { client: client(webhook, reach)?, url, key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// Posts `body` under this identifier, which is the same each time it is tried.
    pub(crate) async fn send(&self, id: &str, body: String) -> Result<(), SendError> {
        let now = Timestamp::now().second().to_string();
        let sent = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", &now)
            .header("webhook-signature", signature(&self.key, id, &now, &body))
            .body(body)
            .send()
            .await;
        match sent.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(SendError::Answered(status)),
            Err(error) => Err(unreachable(&error)),
        }
    }
}

fn signature(key: &hmac::Key, id: &str, timestamp: &str, body: &str) -> String {
    let tag = hmac::sign(key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

fn client(webhook: &Webhook, reach: Reach) -> Result<Client, SendError> {
    let mut client = Client::builder()
        .user_agent(concat!("Penstock/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(Policy::none())
        .timeout(PATIENCE)
        .dns_resolver(Arc::new(reach));
    if let Some(ca) = &webhook.ca {
        let certificates =
            Certificate::from_pem_bundle(ca.as_bytes()).map_err(|error| unreachable(&error))?;
        client = client.tls_certs_only(certificates);
    }
    client.build().map_err(|error| unreachable(&error))
}

/// The innermost cause says most.
fn unreachable(error: &dyn Error) -> SendError {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    SendError::Unreachable(innermost.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_appliance_and_its_link_are_not_asked() {
        let reach = Reach { local: false };
        for address in
            ["127.0.0.1", "0.0.0.0", "169.254.169.254", "224.0.0.1", "::1", "fe80::1", "::ffff:127.0.0.1"]
        {
            assert!(!reach.admits(address.parse().unwrap()), "{address}");
        }
        for address in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1"] {
            assert!(reach.admits(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_message_is_signed_as_the_standard_says() {
        // The example of the Standard Webhooks libraries.
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
