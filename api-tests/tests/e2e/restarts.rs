//! The appliance's processes end and come back; connections do not notice.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab::network::VIRTUAL_IP;
use lab::{Answer, Driver};

use super::on_every_port;
use super::stage::{PATIENCE, Stage};

/// From the death of penstock-l4 until it forwards again: tens of milliseconds, but for a machine that is busy.
const BACK_WITHIN: Duration = Duration::from_secs(10);

on_every_port!(
    restart_of_penstockd_is_not_noticed,
    killed_penstock_l4_comes_back_with_its_flows,
    killed_penstock_l4_comes_back_without_penstockd,
    silence_while_penstock_l4_is_away,
);

fn restart_of_penstockd_is_not_noticed(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    let download = stage.download()?;
    let penstockd = &stage.lab.appliance().penstockd;
    penstockd.stop()?;
    assert_eq!(stage.get_many(10)?.iter().sum::<usize>(), 10);
    penstockd.resume();
    penstockd.await_ready(PATIENCE)?;
    stage.await_forwarding()?;
    stage.finish(download)?;
    assert_eq!(stage.get_many(10)?.iter().sum::<usize>(), 10);
    stage.leave()
}

fn killed_penstock_l4_comes_back_with_its_flows(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    let download = stage.download()?;
    kill_l4(&stage)?;
    stage.finish(download)?;
    assert_eq!(stage.get_many(10)?, [5, 5]);
    stage.leave()
}

fn killed_penstock_l4_comes_back_without_penstockd(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    let download = stage.download()?;
    let penstockd = &stage.lab.appliance().penstockd;
    penstockd.kill_for_good()?;
    kill_l4(&stage)?;
    assert_eq!(stage.get_many(10)?, [5, 5]);
    stage.finish(download)?;
    penstockd.resume();
    penstockd.await_ready(PATIENCE)?;
    stage.await_forwarding()?;
    stage.leave()
}

fn silence_while_penstock_l4_is_away(driver: Driver, offload: bool) -> Result<()> {
    let stage = Stage::set(driver, offload)?;
    let download = stage.download()?;
    let l4 = &stage.lab.appliance().l4;
    l4.kill_for_good()?;
    assert_eq!(
        stage.lab.client().get(&format!("http://{VIRTUAL_IP}/"), Duration::from_secs(2))?,
        Answer::Silence
    );
    l4.resume();
    l4.await_ready(PATIENCE)?;
    stage.finish(download)?;
    assert_eq!(stage.get_many(10)?.iter().sum::<usize>(), 10);
    stage.leave()
}

/// Kills penstock-l4 and waits until it forwards again.
fn kill_l4(stage: &Stage) -> Result<()> {
    let l4 = &stage.lab.appliance().l4;
    let killed = Instant::now();
    l4.kill()?;
    l4.await_ready(PATIENCE)?;
    let away = killed.elapsed();
    ensure!(away < BACK_WITHIN, "penstock-l4 was away for {away:?}");
    assert_eq!(l4.restarts(), 1);
    Ok(())
}
