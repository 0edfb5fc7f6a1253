//! HTTP/2 (RFC 9113), whose frames, flow control and compression of fields are those of the crate `h2`. What a request is, and what
//! is refused, is the same as in HTTP/1.

mod body;
mod client;
mod member;
pub(crate) mod pool;
mod request;
mod upload;
mod wire;

pub(crate) use body::ClientBody;
pub(crate) use client::{PREFACE, serve};
pub(crate) use member::{Exchange, MemberBody};
pub(crate) use wire::Wire;
