//! Samples of one series, one after the other, in few bytes: what did not change costs next to nothing.
//!
//! A chunk is a row of tokens. A token is a number of 7 bits a byte (as in LEB128): an even one says that half as many
//! samples are quiet (no counter rose, no gauge changed); 1 says that samples are missing, as many as the next number says;
//! another odd one is a sample, its upper bits a mask of the metrics that are not quiet, whose values follow: of a counter the
//! rise, of a gauge the change (zigzag).

use super::metric::{Metric, MetricKind};

/// So many samples make a chunk; an hour of seconds is 60 of them.
pub(super) const SAMPLES: u32 = 60;

/// A chunk that grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// When its first sample was taken, in steps since 1970.
    start: u64,
    /// So many steps are in it, with those that are missing.
    len: u32,
    bytes: Vec<u8>,
    /// The last of these are quiet, and not in `bytes` yet.
    quiet: u32,
    /// The values of the last sample.
    last: Box<[u64]>,
}

/// What one metric of a sample is: the rise of a counter, the value of a gauge.
pub(super) type Values = Box<[u64]>;

impl Chunk {
    /// Begins with a sample.
    pub(super) fn begin(at: u64, values: &[u64], metrics: &[Metric]) -> Self {
        let mut chunk = Self { start: at, last: vec![0; metrics.len()].into(), ..Self::default() };
        chunk.push(at, values, metrics);
        chunk
    }

    /// When it begins, in steps since 1970.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// When the next sample is due.
    pub(super) fn end(&self) -> u64 {
        self.start + u64::from(self.len)
    }

    /// Whether a sample of this time belongs to it.
    pub(super) fn takes(&self, at: u64) -> bool {
        (self.end()..self.start + u64::from(SAMPLES)).contains(&at)
    }

    /// Adds a sample that it `takes`.
    pub(super) fn push(&mut self, at: u64, values: &[u64], metrics: &[Metric]) {
        let missing = at - self.start - u64::from(self.len);
        if missing > 0 {
            self.settle();
            number(1, &mut self.bytes);
            number(missing, &mut self.bytes);
        }
        // The first `SAMPLES` fit into any number.
        self.len += u32::try_from(missing).unwrap_or(SAMPLES) + 1;
        let changes = |at: usize, value: u64, kind: MetricKind| match kind {
            MetricKind::Counter => value,
            MetricKind::Gauge => zigzag(value, self.last[at]),
        };
        let tokens: Vec<u64> = metrics
            .iter()
            .zip(values)
            .enumerate()
            .map(|(at, (metric, value))| changes(at, *value, metric.kind))
            .collect();
        let mask = tokens.iter().rev().fold(0, |mask, token| mask << 1 | u64::from(*token > 0));
        if mask == 0 {
            self.quiet += 1;
        } else {
            self.settle();
            number(mask << 1 | 1, &mut self.bytes);
            tokens.iter().filter(|token| **token > 0).for_each(|token| number(*token, &mut self.bytes));
        }
        self.last = values.into();
    }

    /// What is in it so far.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut whole = self.clone();
        whole.settle();
        whole.bytes
    }

    fn settle(&mut self) {
        if self.quiet > 0 {
            number(u64::from(self.quiet) << 1, &mut self.bytes);
            self.quiet = 0;
        }
    }
}

/// Reads a chunk that began at `start`, calling for each sample. What makes no sense ends it.
pub(super) fn read(start: u64, mut bytes: &[u8], metrics: &[Metric], mut sample: impl FnMut(u64, &[u64])) {
    let mut at = start;
    let mut values = vec![0; metrics.len()];
    let end = start + u64::from(SAMPLES);
    while let Some(token) = next(&mut bytes) {
        match token {
            1 => at = at.saturating_add(next(&mut bytes).unwrap_or_default()),
            quiet if quiet & 1 == 0 => {
                rest(&mut values, metrics);
                for _ in 0..quiet >> 1 {
                    if at >= end {
                        return;
                    }
                    sample(at, &values);
                    at += 1;
                }
            }
            changed => {
                rest(&mut values, metrics);
                if take(changed >> 1, &mut bytes, &mut values, metrics).is_none() || at >= end {
                    return;
                }
                sample(at, &values);
                at += 1;
            }
        }
    }
}

/// No counter rises where nothing is said.
fn rest(values: &mut [u64], metrics: &[Metric]) {
    let counters = values.iter_mut().zip(metrics).filter(|(_, metric)| metric.kind == MetricKind::Counter);
    counters.for_each(|(value, _)| *value = 0);
}

fn take(mask: u64, bytes: &mut &[u8], values: &mut [u64], metrics: &[Metric]) -> Option<()> {
    for bit in 0..63 {
        if mask >> bit & 1 == 0 {
            continue;
        }
        let token = next(bytes)?;
        // A metric that a later release had, and this one has not.
        let Some((value, metric)) = values.get_mut(bit).zip(metrics.get(bit)) else { continue };
        *value = match metric.kind {
            MetricKind::Counter => token,
            MetricKind::Gauge => unzigzag(token, *value),
        };
    }
    Some(())
}

fn zigzag(value: u64, before: u64) -> u64 {
    let change = value.wrapping_sub(before).cast_signed();
    (change << 1 ^ change >> 63).cast_unsigned()
}

fn unzigzag(token: u64, before: u64) -> u64 {
    let change = (token >> 1).cast_signed() ^ -(token & 1).cast_signed();
    before.wrapping_add(change.cast_unsigned())
}

fn number(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

fn next(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::metric::Subject;
    use super::*;
    use proptest::prelude::*;

    fn read_all(chunk: &Chunk, metrics: &[Metric]) -> Vec<(u64, Vec<u64>)> {
        let mut samples = Vec::new();
        read(chunk.start(), &chunk.bytes(), metrics, |at, values| samples.push((at, values.to_vec())));
        samples
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            written in prop::collection::vec((0..3u64, prop::collection::vec(prop_oneof![Just(0), Just(7), any::<u64>()], 6)), 1..40)
        ) {
            let metrics = Subject::Appliance.metrics();
            let mut at = 1_000;
            let mut samples: Vec<(u64, Vec<u64>)> = Vec::new();
            let mut chunk: Option<Chunk> = None;
            for (skipped, values) in written {
                at += skipped;
                match &mut chunk {
                    None => chunk = Some(Chunk::begin(at, &values, metrics)),
                    Some(chunk) if chunk.takes(at) => chunk.push(at, &values, metrics),
                    Some(_) => break,
                }
                samples.push((at, values));
                at += 1;
            }
            prop_assert_eq!(read_all(&chunk.unwrap(), metrics), samples);
        }

        #[test]
        fn damaged_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut samples = 0;
            read(7, &bytes, Subject::Pool.metrics(), |at, _| {
                samples += 1;
                assert!((7..7 + u64::from(SAMPLES)).contains(&at));
            });
            prop_assert!(samples <= SAMPLES);
        }
    }

    #[test]
    fn an_idle_minute_is_a_few_bytes() {
        let metrics = Subject::VirtualService.metrics();
        let quiet = vec![0; metrics.len()];
        let mut chunk = Chunk::begin(0, &quiet, metrics);
        (1..u64::from(SAMPLES)).for_each(|at| chunk.push(at, &quiet, metrics));
        assert!(!chunk.takes(u64::from(SAMPLES)));
        assert_eq!(chunk.bytes().len(), 1);
    }
}
