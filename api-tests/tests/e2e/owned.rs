//! Ports that are the plane's alone: what is not its own goes to the kernel through the twin, and the kernel's goes out.

use anyhow::{Result, ensure};
use lab::Driver;
use lab::network::FRONT;

use super::stage::{PATIENCE, Stage};

#[test]
fn the_twin_carries_what_is_the_kernels() -> Result<()> {
    let stage = Stage::set(Driver::Owned, false)?;
    // ARP has passed through the twins already; now something larger that the kernel answers.
    let to_front = ["-c", "3", "-i", "0.2", "-W", "2", "-s", "1400", &FRONT.to_string()];
    stage.lab.client().run("ping", &to_front)?;
    assert_eq!(stage.get_many(20)?, [10, 10]);
    let accounting = stage.accounting_at_rest()?;
    let count = |name: &str| accounting[name].as_u64().unwrap_or(0);
    ensure!(count("punted") >= 3 && count("from_twin") >= 3, "the twin was not used: {accounting}");
    stage.leave()
}

#[test]
fn connections_outlive_the_forwarder() -> Result<()> {
    let stage = Stage::set(Driver::Owned, false)?;
    let download = stage.download()?;
    let l4 = &stage.lab.appliance().l4;
    l4.kill()?;
    l4.await_ready(PATIENCE)?;
    stage.finish(download)?;
    stage.leave()
}
