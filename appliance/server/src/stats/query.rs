//! From samples to the values of a chart.

use serde::Serialize;
use utoipa::ToSchema;

use super::metric::MetricKind;
use super::recorder::Tier;

/// What becomes of the samples between two points of a chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aggregation {
    /// Of a counter the mean rate per second, of a gauge the mean.
    #[default]
    Avg,
    /// The smallest rate per second, or value.
    Min,
    /// The greatest rate per second, or value.
    Max,
    /// Of a counter by how much it rose in all; of a gauge the mean.
    Sum,
    /// The newest rate per second, or value.
    Last,
}

impl Aggregation {
    /// All of them, by their words.
    pub(crate) const ALL: &'static [(&'static str, Self)] = &[
        ("avg", Self::Avg),
        ("min", Self::Min),
        ("max", Self::Max),
        ("sum", Self::Sum),
        ("last", Self::Last),
    ];
}

/// Which part of time is asked for, and how finely. All are seconds since 1970; both ends are multiples of the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) step: u64,
    pub(crate) tier: Tier,
}

impl Span {
    /// The `range` seconds before `to`, in steps of `step`, as it can be told at `now`. A range that begins too long ago, or a
    /// step that allows for it, is told in tens of seconds.
    pub(crate) fn new(to: u64, range: u64, step: u64, now: u64) -> Self {
        let (fine, coarse) = (Tier::Fine, Tier::Coarse);
        let is_recent = to.saturating_sub(range) + fine.kept() >= now;
        let tier = if is_recent { fine } else { coarse };
        let step = step.max(1).next_multiple_of(tier.step());
        let to = to.next_multiple_of(step);
        let from = to.saturating_sub(range.next_multiple_of(step));
        Self { from, to, step, tier }
    }

    /// How many values that is.
    pub(crate) fn len(&self) -> usize {
        usize::try_from((self.to - self.from) / self.step).unwrap_or(usize::MAX)
    }
}

/// What the samples of one step came to so far.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    samples: u32,
    sum: u128,
    least: u64,
    greatest: u64,
    last: u64,
}

/// One metric's values in the making.
#[derive(Debug)]
pub(super) struct Buckets {
    span: Span,
    buckets: Vec<Bucket>,
}

impl Buckets {
    pub(super) fn new(span: Span) -> Self {
        Self { span, buckets: vec![Bucket::default(); span.len()] }
    }

    /// Adds a sample that was taken in the second `at`, or begins there.
    pub(super) fn add(&mut self, at: u64, value: u64) {
        let Some(offset) = at.checked_sub(self.span.from) else { return };
        let place = usize::try_from(offset / self.span.step).ok();
        let Some(bucket) = place.and_then(|place| self.buckets.get_mut(place)) else { return };
        bucket.least = if bucket.samples == 0 { value } else { bucket.least.min(value) };
        bucket.greatest = bucket.greatest.max(value);
        bucket.sum += u128::from(value);
        bucket.last = value;
        bucket.samples += 1;
    }

    /// A value for each step; none where nothing was measured.
    pub(super) fn finish(self, aggregation: Aggregation, kind: MetricKind) -> Vec<Option<f64>> {
        let seconds = if kind == MetricKind::Counter { self.span.tier.step() } else { 1 };
        let finish = |bucket: Bucket| (bucket.samples > 0).then(|| bucket.value(aggregation, kind, seconds));
        self.buckets.into_iter().map(finish).collect()
    }
}

impl Bucket {
    #[expect(clippy::cast_precision_loss, reason = "a chart has fewer digits than that")]
    fn value(self, aggregation: Aggregation, kind: MetricKind, seconds: u64) -> f64 {
        let per_second = |value: u64| value as f64 / seconds as f64;
        match (aggregation, kind) {
            (Aggregation::Sum, MetricKind::Counter) => self.sum as f64,
            (Aggregation::Avg | Aggregation::Sum, _) => {
                self.sum as f64 / (f64::from(self.samples) * seconds as f64)
            }
            (Aggregation::Min, _) => per_second(self.least),
            (Aggregation::Max, _) => per_second(self.greatest),
            (Aggregation::Last, _) => per_second(self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(span: Span, aggregation: Aggregation, kind: MetricKind) -> Vec<Option<f64>> {
        let mut buckets = Buckets::new(span);
        for (at, value) in [(99, 50), (100, 10), (101, 20), (103, 60), (110, 30), (120, 1)] {
            buckets.add(at, value);
        }
        buckets.finish(aggregation, kind)
    }

    #[test]
    fn each_aggregation_says_what_it_should() {
        let span = Span::new(120, 20, 10, 125);
        assert_eq!(span, Span { from: 100, to: 120, step: 10, tier: Tier::Fine });
        let counted = |aggregation| values(span, aggregation, MetricKind::Counter);
        assert_eq!(counted(Aggregation::Avg), [Some(30.0), Some(30.0)]);
        assert_eq!(counted(Aggregation::Min), [Some(10.0), Some(30.0)]);
        assert_eq!(counted(Aggregation::Max), [Some(60.0), Some(30.0)]);
        assert_eq!(counted(Aggregation::Sum), [Some(90.0), Some(30.0)]);
        assert_eq!(counted(Aggregation::Last), [Some(60.0), Some(30.0)]);
        assert_eq!(values(span, Aggregation::Sum, MetricKind::Gauge), [Some(30.0), Some(30.0)]);
    }

    #[test]
    fn rates_of_tens_are_per_second() {
        let span = Span { from: 100, to: 130, step: 10, tier: Tier::Coarse };
        let mut buckets = Buckets::new(span);
        buckets.add(110, 50);
        assert_eq!(buckets.finish(Aggregation::Avg, MetricKind::Counter), [None, Some(5.0), None]);
    }

    #[test]
    fn what_began_long_ago_is_told_in_tens() {
        let now = 100_003;
        assert_eq!(Span::new(now, 3600, 1, now).tier, Tier::Fine);
        let day = Span::new(now, 86_400, 7, now);
        assert_eq!((day.tier, day.step, day.to % 10, day.len()), (Tier::Coarse, 10, 0, 8640));
    }
}
