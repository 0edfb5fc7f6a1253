//! Statistics with a history: each second the planes are asked what they counted, and what rose since is kept: by the
//! second for an hour, by ten seconds for a day. It is observed state in a file of its own; nothing that is wanted depends on it.

mod chunk;
mod exposition;
mod file;
mod meter;
mod metric;
mod process;
mod query;
mod reading;
mod recorder;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lb_model::contract::{PlaneAnswer, PlaneRequest};
use tokio::time::{sleep, timeout};

use crate::observed::Observation;
use crate::peer::{L4, L7, Peer, Plane};
use crate::probe::Board;
use chunk::Values;
use file::File;
use meter::Meter;
use query::Buckets;
use reading::Reader;
use recorder::Recorder;

pub(crate) use exposition::{Exposition, MEDIA_TYPE};
pub(crate) use metric::{Key, Metric, MetricKind, Subject};
pub(crate) use process::Usage;
pub(crate) use query::{Aggregation, Span};
pub(crate) use recorder::Tier;

/// What a plane is given to answer: later, its numbers belong to the next second.
const ANSWER_PATIENCE: Duration = Duration::from_millis(800);
/// How often the history is written to its file: what a crash of penstockd may cost.
const WRITING: Duration = Duration::from_secs(30);
/// How often it is decided whose members are recorded, in seconds.
const CHOOSING: u64 = 10;
/// Seconds that were missed share what was counted meanwhile, if they are not more than this.
const SHARED_MOST: u64 = 10;
/// So many chunks wait for a file that takes none.
const WAITING_MOST: usize = 100_000;

/// What was measured until now.
#[derive(Clone, Debug)]
pub(crate) struct History {
    recorder: Arc<Mutex<Recorder>>,
    /// None where it cannot be opened: then there is the memory of the last minutes.
    file: Option<File>,
}

impl History {
    /// Goes on with the file at `path`.
    pub(crate) async fn open(path: &Path) -> Self {
        let file = File::open(path).await;
        if let Err(error) = &file {
            tracing::warn!(%error, "statistics are not kept on disk");
        }
        Self { recorder: Arc::default(), file: file.ok() }
    }

    /// What was measured of one, as the values of a chart: metric by metric, in the order of the subject's.
    pub(crate) async fn values(
        &self,
        key: &Key,
        span: Span,
        aggregation: Aggregation,
    ) -> Result<Vec<Vec<Option<f64>>>, sqlx::Error> {
        let mut chunks: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        // First what waits to be written: it may be in the file by the time that is read, but never in neither.
        let recent = self.recorder().recent(key, span.tier);
        if let Some(file) = &self.file {
            chunks.extend(file.read(key, span.tier, span.from, span.to).await?);
        }
        chunks.extend(recent);
        let metrics = key.subject.metrics();
        let mut buckets: Vec<_> = metrics.iter().map(|_| Buckets::new(span)).collect();
        let step = span.tier.step();
        for (start, bytes) in chunks {
            chunk::read(start / step, &bytes, metrics, |at, values| {
                for (buckets, value) in buckets.iter_mut().zip(values) {
                    buckets.add(at * step, *value);
                }
            });
        }
        let finished = buckets.into_iter().zip(metrics);
        Ok(finished.map(|(buckets, metric)| buckets.finish(aggregation, metric.kind)).collect())
    }

    /// All of a subject of which anything is known.
    pub(crate) async fn keys(&self, subject: Subject) -> Result<Vec<Key>, sqlx::Error> {
        let mut keys: Vec<Key> =
            self.recorder().keys().filter(|key| key.subject == subject).cloned().collect();
        if let Some(file) = &self.file {
            keys.extend(file.keys(subject).await?);
        }
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// Writes to the file what it does not have yet.
    async fn write(&self) {
        let Some(file) = &self.file else { return };
        let now = second();
        let (full, unwritten) = {
            let mut recorder = self.recorder();
            (recorder.full(), recorder.unwritten(now))
        };
        let done = match file.write(&unwritten, now).await {
            Ok(()) => full,
            Err(error) => {
                tracing::warn!(%error, "statistics are not written");
                // A file that takes nothing for long must not fill the memory.
                full.saturating_sub(WAITING_MOST)
            }
        };
        self.recorder().written(done);
    }

    /// Writes the last of it and lets go of the file.
    pub(crate) async fn close(&self) {
        self.write().await;
        if let Some(file) = &self.file {
            file.close().await;
        }
    }

    fn recorder(&self) -> MutexGuard<'_, Recorder> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who measures.
#[derive(Debug)]
pub(crate) struct Sampler {
    history: History,
    l4: Peer<L4>,
    l7: Peer<L7>,
    observed: Observation,
    board: Board,
    reader: Reader,
    processor: Meter<&'static str, 1>,
    last: u64,
}

impl Sampler {
    /// Measures for `history` what these say.
    pub(crate) fn new(
        history: History,
        l4: Peer<L4>,
        l7: Peer<L7>,
        observed: Observation,
        board: Board,
    ) -> Self {
        let (reader, processor) = (Reader::default(), Meter::default());
        Self { history, l4, l7, observed, board, reader, processor, last: 0 }
    }

    /// Measures for ever.
    pub(crate) async fn run(mut self) {
        let history = self.history.clone();
        let writing = async {
            loop {
                sleep(WRITING).await;
                history.write().await;
            }
        };
        let measuring = async {
            loop {
                self.next_second().await;
            }
        };
        tokio::join!(writing, measuring);
    }

    async fn next_second(&mut self) {
        sleep(until_next_second()).await;
        let (l4, l7) = tokio::join!(ask(&self.l4), ask(&self.l7));
        let now = second();
        // Also where the clock went back.
        if now == self.last {
            return;
        }
        let survey = self.board.survey();
        let passed = now.saturating_sub(self.last);
        if passed > SHARED_MOST {
            // Nobody knows when it was counted.
            (self.reader, self.processor) = Default::default();
            self.reader.choose(&survey);
        } else if now.is_multiple_of(CHOOSING) || self.reader.is_outdated(&survey) {
            self.reader.choose(&survey);
        }
        let reading = self.reader.read(l4.as_ref(), l7.as_ref(), &survey);
        let mut samples = reading.into_samples(&self.reader);
        samples.extend(self.processes());
        self.last = now;
        let passed = if passed > SHARED_MOST { 1 } else { passed.max(1) };
        let mut recorder = self.history.recorder();
        for (key, values) in &samples {
            record(&mut recorder, now, passed, key, values);
        }
    }

    fn processes(&mut self) -> Vec<(Key, Values)> {
        let uses = usages(&self.observed);
        let counted = uses.iter().filter_map(|(name, usage)| Some((*name, [usage.as_ref()?.cpu_ms])));
        let rises: BTreeMap<_, _> = self.processor.rise(counted).into_iter().collect();
        let sample = |(name, usage): (&'static str, Option<Usage>)| {
            let cpu_ms = rises.get(name).map_or(0, |[rise]| *rise);
            let memory_bytes = usage.map_or(0, |usage| usage.memory_bytes);
            let values = [cpu_ms, memory_bytes, u64::from(usage.is_some())];
            (Key::new(Subject::Process, name), Values::from(values))
        };
        uses.into_iter().map(sample).collect()
    }
}

/// What each process uses, if it is there.
pub(crate) fn usages(observed: &Observation) -> [(&'static str, Option<Usage>); 4] {
    let observed = observed.borrow();
    let of = |pid: Option<u32>| pid.and_then(process::of);
    [
        ("penstockd", process::own()),
        ("penstock-l4", of(observed.l4.process.pid)),
        ("penstock-l7", of(observed.l7.process.pid)),
        ("penstock-host", of(observed.host.pid)),
    ]
}

/// Notes it in the seconds that passed since the last time, each with its share of what was counted.
fn record(recorder: &mut Recorder, now: u64, passed: u64, key: &Key, values: &[u64]) {
    for share in 1..=passed {
        let shared = values.iter().zip(key.subject.metrics()).map(|(value, metric)| match metric.kind {
            MetricKind::Gauge => *value,
            MetricKind::Counter => value * share / passed - value * (share - 1) / passed,
        });
        recorder.record(now - passed + share, key, &shared.collect::<Values>());
    }
}

async fn ask<P: Plane>(peer: &Peer<P>) -> Option<P::Status> {
    match timeout(ANSWER_PATIENCE, peer.ask(PlaneRequest::Status, None)).await {
        Ok(Ok(PlaneAnswer::Status(status))) => Some(status),
        _ => None,
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn second() -> u64 {
    since_1970().as_secs()
}

fn until_next_second() -> Duration {
    Duration::from_nanos(1_000_000_000 - u64::from(since_1970().subsec_nanos()))
}
