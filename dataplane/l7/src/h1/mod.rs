//! HTTP/1.1 on the wire (RFC 9112): heads, framing of bodies, and their writing. Nothing here knows sockets, services or
//! members.
//!
//! What can be read in two ways is refused here, before anything else sees it: whatever leaves is written anew from what
//! was understood, so no two parties can disagree about where a message ends.

mod framing;
#[cfg(test)]
mod hostile;
mod request;
mod response;
mod scan;
mod send;

pub(crate) use framing::{Decoded, Decoder, Framing};
pub(crate) use request::{
    Refusal, RequestHead, check_target, has_option, is_host, read_expectation, read_length, read_request,
};
pub(crate) use response::{ResponseHead, read_response};
pub(crate) use scan::{Found, MAX_HEAD, Scan};
pub(crate) use send::{SendError, Sender, is_bodiless, write_request_head, write_response_head};
