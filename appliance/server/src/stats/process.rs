//! What the processes of the appliance use of the machine, as the kernel says it (proc(5)).

use rustix::param::{clock_ticks_per_second, page_size};

/// What a process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time since it was started, in milliseconds.
    pub(crate) cpu_ms: u64,
    /// Memory that it has in RAM, in bytes.
    pub(crate) memory_bytes: u64,
}

/// What this process uses.
pub(crate) fn own() -> Option<Usage> {
    usage("self")
}

/// What the process of this number uses, if there is one.
pub(crate) fn of(pid: u32) -> Option<Usage> {
    usage(&pid.to_string())
}

fn usage(pid: &str) -> Option<Usage> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let ticks = ticks(&read("stat")?)?;
    let pages: u64 = read("statm")?.split(' ').nth(1)?.parse().ok()?;
    let page = u64::try_from(page_size()).ok()?;
    Some(Usage { cpu_ms: ticks * 1000 / clock_ticks_per_second().max(1), memory_bytes: pages * page })
}

/// User and system time. The name before it may hold anything, but ends with the last bracket.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).map(str::parse);
    let (user, system): (u64, u64) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 99 1 2 3";
        assert_eq!(ticks(stat), Some(300));
        assert!(own().is_some_and(|usage| usage.memory_bytes > 1 << 20));
    }
}
