//! The receive queues of an interface. What arrives on one that penstock-l4 does not take is lost to it.

use std::process::Command;

/// How many receive queues the interface uses now; none if its driver, or the lack of `ethtool`, does not tell.
pub(crate) fn receive_queues(interface: &str) -> Option<u16> {
    let output = Command::new("ethtool").args(["-l", interface]).output().ok()?;
    in_use(&String::from_utf8_lossy(&output.stdout))
}

// Queues are counted apart or together, by the driver's taste; what it does not have is `n/a`.
fn in_use(told: &str) -> Option<u16> {
    let (_, now) = told.split_once("Current hardware settings:")?;
    let count = |name: &str| -> u16 {
        let line = now.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    };
    Some(count("RX:") + count("Combined:")).filter(|queues| *queues > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rx: &str, combined: &str) -> String {
        let counts = |rx, combined| format!("RX:\t\t{rx}\nTX:\t\t9\nOther:\t\t1\nCombined:\t{combined}\n");
        let (most, now) = (counts("64", "64"), counts(rx, combined));
        format!("Channel parameters for x:\nPre-set maximums:\n{most}Current hardware settings:\n{now}")
    }

    #[test]
    fn queues_for_receiving_alone_and_shared_ones_count() {
        assert_eq!(in_use(&told("2", "n/a")), Some(2));
        assert_eq!(in_use(&told("n/a", "8")), Some(8));
        assert_eq!(in_use(&told("1", "4")), Some(5));
        assert_eq!(in_use(&told("n/a", "n/a")), None);
        assert_eq!(in_use(""), None);
    }
}
