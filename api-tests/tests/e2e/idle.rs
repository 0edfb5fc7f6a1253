//! What the forwarder costs when there is nothing to forward.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::Driver;

use super::stage::Stage;

#[test]
#[ignore = "measures for ten seconds, and wants a quiet machine: make test-full"]
fn idle_penstock_l4_takes_less_than_a_twentieth_of_a_core() -> Result<()> {
    for driver in [Driver::AfXdp, Driver::AfPacket] {
        let stage = Stage::set(driver, true)?;
        stage.get_many(10)?;
        let l4 = &stage.lab.appliance().l4;
        let (used, begun) = (l4.processor_time()?, Instant::now());
        thread::sleep(Duration::from_secs(5));
        let used = l4.processor_time()?.saturating_sub(used);
        let share = used.as_secs_f64() / begun.elapsed().as_secs_f64();
        println!("idle penstock-l4 on {}: {:.1} % of a core", driver.word(), share * 100.0);
        ensure!(share < 0.05, "idle penstock-l4 on {} takes {:.1} % of a core", driver.word(), share * 100.0);
        stage.leave()?;
    }
    Ok(())
}
