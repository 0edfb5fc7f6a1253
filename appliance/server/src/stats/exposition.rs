//! `OpenMetrics` text (version 1.0.0): families with type, unit and help, each followed by its samples.

use std::fmt::{Display, Write};

use lb_model::l7::Latencies;

use super::metric::MetricKind;

/// What an answer of this form is called.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A text in the making.
#[derive(Debug, Default)]
pub(crate) struct Exposition(String);

/// One family of it, to which samples are added.
#[derive(Debug)]
pub(crate) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    kind: MetricKind,
}

/// One family of histograms.
#[derive(Debug)]
pub(crate) struct Histograms<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a family. Where it has a unit, its name ends with that.
    pub(crate) fn family(
        &mut self,
        name: &'static str,
        kind: MetricKind,
        unit: &str,
        help: &str,
    ) -> Family<'_> {
        let word = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        line(&mut self.0, format_args!("# TYPE {name} {word}"));
        if !unit.is_empty() {
            debug_assert!(name.ends_with(unit), "{name} does not end with {unit}");
            line(&mut self.0, format_args!("# UNIT {name} {unit}"));
        }
        line(&mut self.0, format_args!("# HELP {name} {help}"));
        Family { text: &mut self.0, name, kind }
    }

    /// Begins a family of histograms, in seconds.
    pub(crate) fn histograms(&mut self, name: &'static str, help: &str) -> Histograms<'_> {
        debug_assert!(name.ends_with("_seconds"), "{name} does not end with its unit");
        line(&mut self.0, format_args!("# TYPE {name} histogram"));
        line(&mut self.0, format_args!("# UNIT {name} seconds"));
        line(&mut self.0, format_args!("# HELP {name} {help}"));
        Histograms { text: &mut self.0, name }
    }

    /// The whole text.
    pub(crate) fn finish(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let suffix = if self.kind == MetricKind::Counter { "_total" } else { "" };
        sample(self.text, [self.name, suffix], labels.iter().copied(), value);
    }
}

impl Histograms<'_> {
    /// Adds one: how many took no longer than each bound (in microseconds) and longer than the one before, and at last the rest.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], bounds_us: &[u64], of: &Latencies) {
        let mut below = 0;
        let ends = bounds_us.iter().map(|bound| seconds(*bound)).chain(["+Inf".to_owned()]);
        for (end, count) in ends.zip(&of.counts) {
            below += count;
            let labels = labels.iter().copied().chain([("le", end.as_str())]);
            sample(self.text, [self.name, "_bucket"], labels, below);
        }
        sample(self.text, [self.name, "_count"], labels.iter().copied(), of.count());
        sample(self.text, [self.name, "_sum"], labels.iter().copied(), seconds(of.sum_us));
    }
}

/// As the standard wants numbers that are one: with a point, and no more digits than they have.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

fn sample<'l>(
    text: &mut String,
    name: [&str; 2],
    labels: impl Iterator<Item = (&'l str, &'l str)>,
    value: impl Display,
) {
    text.extend(name);
    let mut before = '{';
    for (name, value) in labels {
        text.push(before);
        text.push_str(name);
        text.push_str("=\"");
        escape(value, text);
        text.push('"');
        before = ',';
    }
    let close = if before == '{' { "" } else { "}" };
    line(text, format_args!("{close} {value}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = writeln!(text, "{line}");
}

fn escape(value: &str, text: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            letter => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_is_written_as_the_standard_says() {
        let mut exposition = Exposition::default();
        let mut bytes =
            exposition.family("penstock_pool_received_bytes", MetricKind::Counter, "bytes", "From clients.");
        bytes.sample(&[("pool", "a \"b\"\\\n"), ("id", "7")], 12);
        exposition.family("penstock_up", MetricKind::Gauge, "", "Whether it is up.").sample(&[], 1);
        assert_eq!(
            exposition.finish(),
            "# TYPE penstock_pool_received_bytes counter\n# UNIT penstock_pool_received_bytes bytes\n\
             # HELP penstock_pool_received_bytes From clients.\n\
             penstock_pool_received_bytes_total{pool=\"a \\\"b\\\"\\\\\\n\",id=\"7\"} 12\n\
             # TYPE penstock_up gauge\n# HELP penstock_up Whether it is up.\npenstock_up 1\n# EOF\n"
        );
    }

    #[test]
    fn a_histogram_adds_up() {
        let mut exposition = Exposition::default();
        let of = Latencies { counts: vec![2, 0, 1], sum_us: 61_500_000 };
        exposition.histograms("penstock_answer_seconds", "How long.").sample(
            &[("a", "b")],
            &[250, 60_000_000],
            &of,
        );
        assert_eq!(
            exposition.finish(),
            "# TYPE penstock_answer_seconds histogram\n# UNIT penstock_answer_seconds seconds\n\
             # HELP penstock_answer_seconds How long.\n\
             penstock_answer_seconds_bucket{a=\"b\",le=\"0.00025\"} 2\n\
             penstock_answer_seconds_bucket{a=\"b\",le=\"60.0\"} 2\n\
             penstock_answer_seconds_bucket{a=\"b\",le=\"+Inf\"} 3\n\
             penstock_answer_seconds_count{a=\"b\"} 3\npenstock_answer_seconds_sum{a=\"b\"} 61.5\n# EOF\n"
        );
    }
}
