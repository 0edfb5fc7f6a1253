//! `OpenMetrics` text (version 1.0.0): families with type, unit and help, each followed by its samples.

use std::fmt::{Display, Write};

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

    /// The whole text.
    pub(crate) fn finish(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(self.name);
        if self.kind == MetricKind::Counter {
            self.text.push_str("_total");
        }
        for (at, (name, value)) in labels.iter().enumerate() {
            self.text.push(if at == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, self.text);
            self.text.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        line(self.text, format_args!("{close} {value}"));
    }
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
}
