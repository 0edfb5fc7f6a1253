//! How fast clients may come to a service whose packets are forwarded.

use std::num::NonZeroU32;

use lb_model::snapshot::L4Rates;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::{self, Fault, Fields};

/// The most connections or packets a second, and the most thousands of bits.
const RATE_MAX: u32 = 400_000_000;

/// What is over one of these rates is dropped, silently. Each worker of the data plane has an equal share of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ServiceRateLimit)]
pub(crate) struct RateLimit {
    /// New connections a second; a second's worth may come at once. Null: any number.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 400_000_000, example = 10_000)]
    pub(crate) connections_per_s: Option<NonZeroU32>,
    /// Those of one source.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 400_000_000, example = 100)]
    pub(crate) source_connections_per_s: Option<NonZeroU32>,
    /// Packets a second that one source sends; a fifth of a second's worth may come at once.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 400_000_000, example = 1_000)]
    pub(crate) source_packets_per_s: Option<NonZeroU32>,
    /// How many leading bits of an IPv4 address make a source.
    #[schema(minimum = 1, maximum = 32, default = 32)]
    pub(crate) source_prefix: u8,
    /// How many of an IPv6 address.
    #[schema(minimum = 1, maximum = 128, default = 64)]
    pub(crate) source_prefix_v6: u8,
    /// Packets a second that pass, both ways together; with forwarding `dr` and `tunnel` only clients' are seen. A fifth of a second's
    /// worth may come at once.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 400_000_000, example = 100_000)]
    pub(crate) packets_per_s: Option<NonZeroU32>,
    /// Thousands of bits a second, likewise, counted as IP packets.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 400_000_000, example = 1_000_000)]
    pub(crate) kbits_per_s: Option<NonZeroU32>,
}

impl RateLimit {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let mut rate = |key| fields.nullable(key, fields::limit(RATE_MAX));
        let connections_per_s = rate("connections_per_s");
        let source_connections_per_s = rate("source_connections_per_s");
        let source_packets_per_s = rate("source_packets_per_s");
        let packets_per_s = rate("packets_per_s");
        let kbits_per_s = rate("kbits_per_s");
        let source_prefix = prefix(fields, "source_prefix", L4Rates::SOURCE_PREFIX, 32);
        let source_prefix_v6 = prefix(fields, "source_prefix_v6", L4Rates::SOURCE_PREFIX_V6, 128);
        let read = Self {
            connections_per_s: connections_per_s?,
            source_connections_per_s: source_connections_per_s?,
            source_packets_per_s: source_packets_per_s?,
            source_prefix: source_prefix?,
            source_prefix_v6: source_prefix_v6?,
            packets_per_s: packets_per_s?,
            kbits_per_s: kbits_per_s?,
        };
        let rates = [
            read.connections_per_s,
            read.source_connections_per_s,
            read.source_packets_per_s,
            read.packets_per_s,
            read.kbits_per_s,
        ];
        if rates.iter().all(Option::is_none) {
            let detail = "want a rate here, or null in the place of them all";
            fields.fault("connections_per_s", Fault::new("required", detail));
        }
        Some(read)
    }

    /// What the plane works by.
    pub(crate) fn rates(self) -> L4Rates {
        let Self { connections_per_s, source_connections_per_s, source_packets_per_s, .. } = self;
        let Self { source_prefix, source_prefix_v6, packets_per_s, kbits_per_s, .. } = self;
        L4Rates {
            connections_per_s,
            source_connections_per_s,
            source_packets_per_s,
            source_prefix,
            source_prefix_v6,
            packets_per_s,
            kbits_per_s,
        }
    }
}

fn prefix(fields: &mut Fields<'_>, key: &'static str, usual: u8, most: u8) -> Option<u8> {
    let bits = fields.optional(key, usual.into(), fields::number(1, most.into()))?;
    u8::try_from(bits).ok()
}
