//! What is asked of the kernel: interfaces, addresses, queues, TAPs, sysctls, gratuitous ARP.

pub(crate) mod address;
pub(crate) mod garp;
pub(crate) mod link;
pub(crate) mod netlink;
pub(crate) mod offload;
pub(crate) mod queues;
pub(crate) mod sysctl;
pub(crate) mod tap;
