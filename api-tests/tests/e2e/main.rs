//! The product in the lab: what a client of a virtual service sees, whatever happens to the appliance meanwhile.

mod admission;
mod asking;
mod bad_input;
mod balancing;
mod checksums;
mod cookies;
mod datagrams;
mod direct;
mod edge;
mod endings;
mod failover;
mod full_nat;
mod h2;
mod health;
mod idle;
mod ipv6;
mod manner;
mod owned;
mod persistence;
mod policies;
mod proxy;
mod queue;
mod ranges;
mod records;
mod relay;
mod renewal;
mod restarts;
mod scheduling;
mod sight;
mod stage;
mod stats;
mod tls;
mod tunnel;
mod udp;
mod ways;
mod workers;

/// Makes each function a test on every kind of port that the lab has.
macro_rules! on_every_port {
    ($($test:ident),+ $(,)?) => {
        $(mod $test {
            use anyhow::Result;
            use lab::Driver;

            #[test]
            fn af_xdp_offload_on() -> Result<()> {
                super::$test(Driver::AfXdp, true)
            }

            #[test]
            fn af_xdp_offload_off() -> Result<()> {
                super::$test(Driver::AfXdp, false)
            }

            #[test]
            fn af_packet_offload_on() -> Result<()> {
                super::$test(Driver::AfPacket, true)
            }

            #[test]
            fn af_packet_offload_off() -> Result<()> {
                super::$test(Driver::AfPacket, false)
            }
        })+
    };
}
pub(crate) use on_every_port;
