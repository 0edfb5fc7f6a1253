//! HTTP/2 (RFC 9113), whose frames, flow control and compression of fields are those of the crate `h2`. What a request is, and what
//! is refused, is the same as in HTTP/1.

mod body;
mod client;
mod request;
mod wire;

pub(crate) use body::ClientBody;
pub(crate) use client::{PREFACE, serve};
pub(crate) use wire::Wire;
