//! Which of several ports an endpoint is one of: looked up by its address and protocol, and then among few.

use crate::hash::FastMap;
use crate::tables::{Endpoint, Offer};

/// Ports from one to another, and whose they are.
#[derive(Clone, Copy, Debug)]
struct Span<T> {
    first: u16,
    last: u16,
    of: T,
}

/// All of them; no two of an address and protocol have a port in common.
#[derive(Clone, Debug)]
pub(crate) struct Ranges<T> {
    /// In order. Endpoints are those of no port.
    spans: FastMap<Endpoint, Vec<Span<T>>>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self { spans: FastMap::default() }
    }
}

impl<T> Ranges<T> {
    pub(crate) fn new(all: impl IntoIterator<Item = (Offer, T)>) -> Self {
        let mut ranges = Self::default();
        for (offer, of) in all {
            ranges.insert(offer, of);
        }
        ranges
    }

    pub(crate) fn insert(&mut self, Offer { first: end, last }: Offer, of: T) {
        let spans = self.spans.entry(of_no_port(end)).or_default();
        let first = number(end);
        spans.insert(spans.partition_point(|span| span.first < first), Span { first, last, of });
    }

    /// Whose an endpoint is.
    pub(crate) fn find(&self, endpoint: Endpoint) -> Option<&T> {
        if self.spans.is_empty() {
            return None;
        }
        let (spans, port) = (self.spans.get(&of_no_port(endpoint))?, number(endpoint));
        let at = spans.partition_point(|span| span.last < port);
        spans.get(at).filter(|span| span.first <= port).map(|span| &span.of)
    }
}

fn of_no_port(endpoint: Endpoint) -> Endpoint {
    Endpoint { port: 0, ..endpoint }
}

fn number(endpoint: Endpoint) -> u16 {
    u16::from_be_bytes(endpoint.port.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(last_byte: u8, port: u16, protocol: u8) -> Endpoint {
        let port = u16::from_ne_bytes(port.to_be_bytes());
        Endpoint { address: [10, 0, 0, last_byte].into(), port, protocol }
    }

    #[test]
    fn a_port_is_that_of_the_range_that_holds_it() {
        let offer = |first, last| Offer { first, last };
        let ranges = Ranges::new([
            (offer(end(1, 8000, 6), 8999), "b"),
            (offer(end(1, 20, 6), 21), "a"),
            (offer(end(1, 9000, 6), 65535), "c"),
            (offer(end(1, 1, 17), 65535), "d"),
        ]);
        let found = |last_byte, port, protocol| ranges.find(end(last_byte, port, protocol)).copied();
        assert_eq!([19, 20, 21, 22].map(|port| found(1, port, 6)), [None, Some("a"), Some("a"), None]);
        let ports = [7999, 8000, 8999, 9000, 65535].map(|port| found(1, port, 6));
        assert_eq!(ports, [None, Some("b"), Some("b"), Some("c"), Some("c")]);
        assert_eq!([0, 1, 65535].map(|port| found(1, port, 17)), [None, Some("d"), Some("d")]);
        assert_eq!(found(2, 8000, 6), None);
    }
}
