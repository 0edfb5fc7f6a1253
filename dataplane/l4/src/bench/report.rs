//! Figures, and the machine they are of.

use std::fs;

/// The middle one, and the best.
pub(super) fn median_and_least(figures: &mut [f64]) -> (f64, f64) {
    figures.sort_by(f64::total_cmp);
    (
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN),
        figures.first().copied().unwrap_or(f64::NAN),
    )
}

/// Processor, kernel and memory, in one line.
pub(super) fn machine(cycles_per_second: u64) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, value)| value).to_owned()
    };
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} × {cores}, cache {}, TSC {:.2} GHz, Linux {}",
        field("model name"),
        field("cache size"),
        giga(cycles_per_second),
        kernel.trim()
    )
}

/// How much of this process's own memory the kernel gave in huge pages: without them large tables are a good deal slower.
pub(super) fn huge_pages() -> String {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
    let kib = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0)
    };
    let (huge, all) = (kib("AnonHugePages:"), kib("Anonymous:"));
    format!("{} of {} MiB in huge pages", huge >> 10, all >> 10)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn giga(count: u64) -> f64 {
    count as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn each(total: f64, count: u64) -> f64 {
    total / count.max(1) as f64
}
