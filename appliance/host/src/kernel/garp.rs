//! Tells the network which interface holds an address now: by gratuitous ARP (RFC 5227, section 3, an announcement), and in
//! IPv6 by an unsolicited neighbour advertisement (RFC 4861, 7.2.6).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_model::MacAddr;
use pnet_datalink::{Channel, Config, NetworkInterface};

use super::link::Link;

/// Announces that `link` holds these addresses.
pub(crate) fn announce(link: &Link, addresses: &[IpAddr]) -> io::Result<()> {
    let Some(mac) = link.mac else { return Ok(()) };
    let Channel::Ethernet(mut sender, _) = pnet_datalink::channel(&interface(link), quiet())? else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    for address in addresses {
        // None: the frame is larger than the buffer, which it is not.
        let frame = match address {
            IpAddr::V4(address) => announcement(mac, *address),
            IpAddr::V6(address) => advertisement(mac, *address),
        };
        sender.send_to(&frame, None).unwrap_or(Ok(()))?;
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

/// All nodes of the link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;

fn advertisement(mac: MacAddr, address: Ipv6Addr) -> Vec<u8> {
    // Whoever knows another holder is to forget it (the flag O).
    let mut message = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
    message.extend(address.octets());
    // The target's link-layer address, in one unit of eight bytes.
    message.extend([2, 1]);
    message.extend(mac.0);
    let sum = checksum(address, ALL_NODES, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());

    let mut frame = vec![0x33, 0x33, 0, 0, 0, 1];
    frame.extend(mac.0);
    frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, ICMPV6, 255]);
    frame.extend(address.octets());
    frame.extend(ALL_NODES.octets());
    frame.extend(message);
    frame
}

/// Of an ICMP message with its pseudo header (RFC 8200, 8.1).
fn checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u32 {
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
    };
    let len = u32::try_from(message.len()).unwrap_or(0);
    let mut sum = words(&from.octets()) + words(&to.octets()) + len + u32::from(ICMPV6) + words(message);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
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

    #[test]
    fn an_advertisement_is_for_all_nodes_and_overrides() {
        let address: Ipv6Addr = "2001:db8::7".parse().unwrap();
        let frame = advertisement(MacAddr([2, 0, 0, 0, 0, 1]), address);
        assert_eq!(frame.len(), 14 + 40 + 32);
        assert_eq!(&frame[..14], [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x86, 0xdd]);
        assert_eq!(frame[21], 255, "from this link, or it is no neighbour's");
        assert_eq!(&frame[22..38], address.octets());
        assert_eq!((frame[54], frame[58]), (136, 0x20));
        assert_eq!(&frame[62..78], address.octets());
        assert_eq!(&frame[78..86], [2, 1, 2, 0, 0, 0, 0, 1]);
        // With its own checksum in it, a message sums to nothing.
        assert_eq!(checksum(address, ALL_NODES, &frame[54..]), 0);
    }
}
