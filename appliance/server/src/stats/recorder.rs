//! The samples of now: each series has a chunk of seconds and one of ten seconds that grow here. What is full, and
//! what grew since, goes to the file now and then.

use std::collections::HashMap;

use super::chunk::{Chunk, SAMPLES, Values};
use super::metric::{Key, MetricKind};

/// How far apart samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tier {
    /// A second, kept for an hour.
    Fine,
    /// Ten seconds, kept for a day.
    Coarse,
}

impl Tier {
    /// Both of them.
    pub(super) const ALL: [Self; 2] = [Self::Fine, Self::Coarse];

    /// How far apart its samples are, in seconds.
    pub(crate) const fn step(self) -> u64 {
        match self {
            Self::Fine => 1,
            Self::Coarse => 10,
        }
    }

    /// How long they are kept, in seconds.
    pub(crate) const fn kept(self) -> u64 {
        match self {
            Self::Fine => 3600,
            Self::Coarse => 86_400,
        }
    }
}

/// A chunk on its way to the file.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) key: Key,
    pub(super) tier: Tier,
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug, Default)]
struct Series {
    fine: Option<Chunk>,
    coarse: Option<Chunk>,
    /// What the ten seconds that run have come to: the sum of what counters rose by, the greatest value of a gauge.
    ten: Option<(u64, Values)>,
    grew: bool,
}

/// All series.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    series: HashMap<Key, Series>,
    full: Vec<Written>,
}

impl Recorder {
    /// Notes what was seen in this second.
    pub(super) fn record(&mut self, second: u64, key: &Key, values: &[u64]) {
        if !self.series.contains_key(key) {
            self.series.insert(key.clone(), Series::default());
        }
        let Some(series) = self.series.get_mut(key) else { return };
        series.grew = true;
        self.full.extend(push(key, Tier::Fine, &mut series.fine, second, values));
        let slot = second / Tier::Coarse.step();
        match &mut series.ten {
            Some((at, sum)) if *at == slot => join(key, sum, values),
            ten => {
                if let Some((at, sum)) = ten.replace((slot, values.into())) {
                    self.full.extend(push(key, Tier::Coarse, &mut series.coarse, at, &sum));
                }
            }
        }
    }

    /// What the file does not have yet: full chunks first, which stay until they are `written`, then what grew. Series of
    /// which nothing was seen for ten minutes are forgotten.
    pub(super) fn unwritten(&mut self, second: u64) -> Vec<Written> {
        let mut written = self.full.clone();
        for (key, series) in &mut self.series {
            if std::mem::take(&mut series.grew) {
                let open = [(Tier::Fine, &series.fine), (Tier::Coarse, &series.coarse)];
                let open = open.into_iter().filter_map(|(tier, chunk)| Some((tier, chunk.as_ref()?)));
                written.extend(open.map(|(tier, chunk)| closed(key, tier, chunk)));
            }
        }
        let forgotten = |series: &Series| {
            series.ten.as_ref().is_none_or(|(slot, _)| (slot + 60) * Tier::Coarse.step() < second)
        };
        self.series.retain(|_, series| !forgotten(series));
        written
    }

    /// How many full chunks wait for the file.
    pub(super) fn full(&self) -> usize {
        self.full.len()
    }

    /// So many full chunks, the oldest, are in the file or given up.
    pub(super) fn written(&mut self, full: usize) {
        self.full.drain(..full.min(self.full.len()));
    }

    /// The chunks of a series that may not be in the file yet.
    pub(super) fn recent(&self, key: &Key, tier: Tier) -> Vec<(u64, Vec<u8>)> {
        let full = self.full.iter().filter(|written| written.tier == tier && written.key == *key);
        let mut recent: Vec<_> = full.map(|written| (written.start, written.bytes.clone())).collect();
        let open = self.series.get(key).and_then(|series| match tier {
            Tier::Fine => series.fine.as_ref(),
            Tier::Coarse => series.coarse.as_ref(),
        });
        recent.extend(open.map(|chunk| (chunk.start() * tier.step(), chunk.bytes())));
        recent
    }

    /// Which ones of a subject are being recorded.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.series.keys()
    }
}

/// Adds a sample to the chunk that grows, or begins another; then the one before is full.
fn push(key: &Key, tier: Tier, open: &mut Option<Chunk>, at: u64, values: &[u64]) -> Option<Written> {
    let metrics = key.subject.metrics();
    match open {
        Some(chunk) if chunk.takes(at) => {
            chunk.push(at, values, metrics);
            None
        }
        // The clock went back a little: what was there already stays.
        Some(chunk) if at < chunk.end() && at + u64::from(SAMPLES) >= chunk.end() => None,
        open => open.replace(Chunk::begin(at, values, metrics)).map(|full| closed(key, tier, &full)),
    }
}

fn closed(key: &Key, tier: Tier, chunk: &Chunk) -> Written {
    Written { key: key.clone(), tier, start: chunk.start() * tier.step(), bytes: chunk.bytes() }
}

fn join(key: &Key, sum: &mut [u64], values: &[u64]) {
    for ((sum, value), metric) in sum.iter_mut().zip(values).zip(key.subject.metrics()) {
        *sum = match metric.kind {
            MetricKind::Counter => sum.saturating_add(*value),
            MetricKind::Gauge => (*sum).max(*value),
        };
    }
}
