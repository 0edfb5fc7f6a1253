//! Gratuitous ARP: tells the network which interface holds an address now (RFC 5227, section 3, an announcement).

use std::io;
use std::net::Ipv4Addr;

use lb_model::MacAddr;
use pnet_datalink::{Channel, Config, NetworkInterface};

use super::link::Link;

/// Announces that `link` holds these addresses.
pub(crate) fn announce(link: &Link, addresses: &[Ipv4Addr]) -> io::Result<()> {
    let Some(mac) = link.mac else { return Ok(()) };
    let Channel::Ethernet(mut sender, _) = pnet_datalink::channel(&interface(link), quiet())? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    for address in addresses {
        // None: the frame is larger than the buffer, which it is not.
        sender.send_to(&announcement(mac, *address), None).unwrap_or(Ok(()))?;
    }
    Ok(())
}

// Of all that could be told about an interface, a packet socket wants the index.
fn interface(link: &Link) -> NetworkInterface {
    NetworkInterface {
        name: link.name.clone(),
        description: String::new(),
        index: link.index,
        mac: None,
        ips: Vec::new(),
        flags: 0,
    }
}

fn quiet() -> Config {
    Config { promiscuous: false, ..Config::default() }
}

fn announcement(mac: MacAddr, address: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(42);
    frame.extend([0xff; 6]);
    frame.extend(mac.0);
    frame.extend([0x08, 0x06]);
    // Ethernet, IPv4, 6 and 4 bytes of address, request.
    frame.extend([0, 1, 0x08, 0x00, 6, 4, 0, 1]);
    frame.extend(mac.0);
    frame.extend(address.octets());
    frame.extend([0; 6]);
    frame.extend(address.octets());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_and_target_are_the_address_that_moved() {
        let frame = announcement(MacAddr([2, 0, 0, 0, 0, 1]), Ipv4Addr::new(192, 0, 2, 7));
        assert_eq!(frame.len(), 42);
        assert_eq!(&frame[0..14], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6]);
        assert_eq!(&frame[28..32], [192, 0, 2, 7]);
        assert_eq!(&frame[38..42], [192, 0, 2, 7]);
    }
}
