//! What is measured of what, by the words of the API. The order of the metrics is that of the values in a sample and in
//! the file: new ones go to the end of their list, or `file::LAYOUT` changes.

use serde::Serialize;
use utoipa::ToSchema;

/// What something is measured of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// A virtual service.
    VirtualService,
    /// All virtual services together.
    AllServices,
    /// A pool.
    Pool,
    /// A member of a pool.
    Member,
    /// A network port of the layer-4 plane, by its name.
    Port,
    /// A worker of the layer-4 plane, by its number.
    Worker,
    /// A reason for which frames are dropped, by its word.
    Drop,
    /// A process of the appliance, by the name of its binary.
    Process,
    /// The appliance as a whole.
    Appliance,
}

/// Whether a number only rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MetricKind {
    /// It counts what happened: shown as so many per second.
    Counter,
    /// It says how much there is now.
    Gauge,
}

use MetricKind::{Counter, Gauge};

/// Something that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Whether it only rises.
    pub(crate) kind: MetricKind,
    /// What one of it is.
    pub(crate) unit: &'static str,
}

const fn metric(name: &'static str, kind: MetricKind, unit: &'static str) -> Metric {
    Metric { name, kind, unit }
}

/// What both planes count of whoever carries traffic, in this order at the beginning of the lists below.
pub(super) const TRAFFIC: usize = 8;

const VIRTUAL_SERVICE: &[Metric] = &[
    metric("connections", Counter, "connections"),
    metric("connections_open", Gauge, "connections"),
    metric("packets_in", Counter, "packets"),
    metric("bytes_in", Counter, "bytes"),
    metric("packets_out", Counter, "packets"),
    metric("bytes_out", Counter, "bytes"),
    metric("requests", Counter, "requests"),
    metric("requests_failed", Counter, "requests"),
    metric("answers_1xx", Counter, "answers"),
    metric("answers_2xx", Counter, "answers"),
    metric("answers_3xx", Counter, "answers"),
    metric("answers_4xx", Counter, "answers"),
    metric("answers_5xx", Counter, "answers"),
];

const POOL: &[Metric] = &[
    metric("connections", Counter, "connections"),
    metric("connections_open", Gauge, "connections"),
    metric("packets_in", Counter, "packets"),
    metric("bytes_in", Counter, "bytes"),
    metric("packets_out", Counter, "packets"),
    metric("bytes_out", Counter, "bytes"),
    metric("requests", Counter, "requests"),
    metric("requests_failed", Counter, "requests"),
    metric("requests_open", Gauge, "requests"),
    metric("members_up", Gauge, "members"),
    metric("members_down", Gauge, "members"),
];

const MEMBER: &[Metric] = &[
    metric("connections", Counter, "connections"),
    metric("connections_open", Gauge, "connections"),
    metric("packets_in", Counter, "packets"),
    metric("bytes_in", Counter, "bytes"),
    metric("packets_out", Counter, "packets"),
    metric("bytes_out", Counter, "bytes"),
    metric("requests", Counter, "requests"),
    metric("requests_failed", Counter, "requests"),
    metric("requests_open", Gauge, "requests"),
    metric("up", Gauge, "boolean"),
    metric("check_ms", Gauge, "milliseconds"),
];

const PORT: &[Metric] = &[
    metric("packets_in", Counter, "packets"),
    metric("bytes_in", Counter, "bytes"),
    metric("packets_out", Counter, "packets"),
    metric("bytes_out", Counter, "bytes"),
    metric("missed", Counter, "packets"),
    metric("errors", Counter, "packets"),
    metric("up", Gauge, "boolean"),
];

const WORKER: &[Metric] = &[
    metric("received", Counter, "frames"),
    metric("sent", Counter, "frames"),
    metric("dropped", Counter, "frames"),
    metric("flows", Gauge, "flows"),
];

const DROP: &[Metric] = &[metric("dropped", Counter, "frames")];

const PROCESS: &[Metric] = &[
    metric("cpu_ms", Counter, "milliseconds"),
    metric("memory_bytes", Gauge, "bytes"),
    metric("connected", Gauge, "boolean"),
];

const APPLIANCE: &[Metric] = &[
    metric("received", Counter, "frames"),
    metric("sent", Counter, "frames"),
    metric("punted", Counter, "frames"),
    metric("dropped", Counter, "frames"),
    metric("held", Gauge, "frames"),
    metric("flows", Gauge, "flows"),
];

impl Subject {
    /// All of them, by their words.
    pub(crate) const ALL: &'static [(&'static str, Self)] = &[
        ("virtual-services", Self::VirtualService),
        ("all-virtual-services", Self::AllServices),
        ("pools", Self::Pool),
        ("members", Self::Member),
        ("ports", Self::Port),
        ("workers", Self::Worker),
        ("drops", Self::Drop),
        ("processes", Self::Process),
        ("appliance", Self::Appliance),
    ];

    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, subject)| *subject == self).map_or("", |(word, _)| word)
    }

    /// What is measured of it.
    pub(crate) fn metrics(self) -> &'static [Metric] {
        match self {
            Self::VirtualService | Self::AllServices => VIRTUAL_SERVICE,
            Self::Pool => POOL,
            Self::Member => MEMBER,
            Self::Port => PORT,
            Self::Worker => WORKER,
            Self::Drop => DROP,
            Self::Process => PROCESS,
            Self::Appliance => APPLIANCE,
        }
    }

    /// Whether there are so many that one has to say which.
    pub(crate) fn is_many(self) -> bool {
        matches!(self, Self::VirtualService | Self::Pool | Self::Member)
    }
}

/// Which one of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// What it is.
    pub(crate) subject: Subject,
    /// Its identifier or name; empty for the appliance, and for all virtual services together.
    pub(crate) id: Box<str>,
}

impl Key {
    /// The one of this identifier or name.
    pub(crate) fn new(subject: Subject, id: &(impl ToString + ?Sized)) -> Self {
        Self { subject, id: id.to_string().into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_begins_with_the_same_metrics_everywhere() {
        let names = |metrics: &'static [Metric]| metrics.iter().take(TRAFFIC).map(|metric| metric.name);
        assert!(names(VIRTUAL_SERVICE).eq(names(POOL)) && names(POOL).eq(names(MEMBER)));
        assert!(Subject::ALL.iter().all(|(_, subject)| subject.metrics().len() < 60), "a mask has 63 bits");
    }
}
