//! The kernel's interfaces: what they are, and the few things that are done to them.

use lb_model::MacAddr;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp};

use super::netlink::{Netlink, NetlinkError};

/// An interface as the kernel describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: Option<MacAddr>,
    /// A text that whoever makes an interface can leave on it.
    pub(crate) alias: Option<String>,
    pub(crate) is_tap: bool,
    /// The XDP program that runs on it.
    pub(crate) xdp_program: Option<u32>,
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Self {
        let mut link = Self { index: message.header.index, ..Self::default() };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Address(bytes) => link.mac = <[u8; 6]>::try_from(bytes).ok().map(MacAddr),
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
                LinkAttribute::LinkInfo(info) => link.is_tap = info.contains(&LinkInfo::Kind(InfoKind::Tun)),
                LinkAttribute::Xdp(xdp) => link.xdp_program = xdp.iter().find_map(program_id),
                _ => {}
            }
        }
        link
    }
}

fn program_id(attribute: &LinkXdp) -> Option<u32> {
    match attribute {
        LinkXdp::ProgId(id) => Some(*id),
        _ => None,
    }
}

impl Netlink {
    /// All interfaces.
    pub(crate) fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let answers = self.dump("list interfaces", RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(answers.into_iter().filter_map(as_link).collect())
    }

    /// The interface of this name.
    pub(crate) fn link(&mut self, name: &str) -> Result<Link, NetlinkError> {
        self.find_link(name)?.ok_or_else(|| NetlinkError::NoInterface(name.to_owned()))
    }

    /// The interface of this name, if there is one.
    pub(crate) fn find_link(&mut self, name: &str) -> Result<Option<Link>, NetlinkError> {
        Ok(self.links()?.into_iter().find(|link| link.name == name))
    }

    pub(crate) fn set_up(&mut self, link: &Link) -> Result<(), NetlinkError> {
        let mut message = message(link);
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.change(&format!("bring `{}` up", link.name), RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Brings an interface up on which nobody is asked for their address: the other end is one and takes all.
    pub(crate) fn set_up_without_arp(&mut self, link: &Link) -> Result<(), NetlinkError> {
        let mut message = message(link);
        message.header.flags = LinkFlags::Up | LinkFlags::Noarp;
        message.header.change_mask = LinkFlags::Up | LinkFlags::Noarp;
        self.change(&format!("bring `{}` up", link.name), RouteNetlinkMessage::SetLink(message), 0)
    }

    pub(crate) fn set_mac(&mut self, link: &Link, mac: MacAddr) -> Result<(), NetlinkError> {
        let mut message = message(link);
        message.attributes.push(LinkAttribute::Address(mac.0.to_vec()));
        let what = format!("give `{}` the address {mac}", link.name);
        self.change(&what, RouteNetlinkMessage::SetLink(message), 0)
    }

    pub(crate) fn set_alias(&mut self, link: &Link, alias: &str) -> Result<(), NetlinkError> {
        let mut message = message(link);
        message.attributes.push(LinkAttribute::IfAlias(alias.to_owned()));
        self.change(&format!("mark `{}` as ours", link.name), RouteNetlinkMessage::SetLink(message), 0)
    }

    pub(crate) fn delete_link(&mut self, link: &Link) -> Result<(), NetlinkError> {
        let message = RouteNetlinkMessage::DelLink(message(link));
        self.change(&format!("remove `{}`", link.name), message, 0)
    }
}

fn message(link: &Link) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = link.index;
    message
}

fn as_link(answer: RouteNetlinkMessage) -> Option<Link> {
    match answer {
        RouteNetlinkMessage::NewLink(message) => Some(message.into()),
        _ => None,
    }
}
