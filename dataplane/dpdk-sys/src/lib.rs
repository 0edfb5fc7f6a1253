//! Raw bindings to the libdpdk of the system (22.11), nothing else. What makes them safe to use is `lb-dpdk`.
//!
//! Only what `lb-dpdk` uses is bound: some of DPDK's packed headers cannot be expressed in Rust at all. Its inline
//! functions and thread-local variables come through `shim.c`, as functions called `penstock_…`.

#![no_std]
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)]
#![allow(unreachable_pub, unsafe_op_in_unsafe_fn, unnecessary_transmutes)]
#![allow(clippy::all, clippy::pedantic, clippy::undocumented_unsafe_blocks)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
