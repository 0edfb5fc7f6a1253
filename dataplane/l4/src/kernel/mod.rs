//! The kernel as the slow path: its tables, read; its neighbours, kept alive.

mod mirror;
mod netlink;
mod tables;

pub(crate) use mirror::Mirror;
pub(crate) use tables::set_mac;
