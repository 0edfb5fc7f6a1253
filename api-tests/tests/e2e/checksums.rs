//! The trap of virtual links: their peers hand over segments with a checksum that is only begun.

use std::time::Duration;

use anyhow::Result;
use lab::network::VIRTUAL_IP;
use lab::{Answer, Checksum, Driver};

use super::stage::Stage;

#[test]
fn corrected_partial_checksum_stays_wrong_on_af_xdp() -> Result<()> {
    corrected_partial_checksum_stays_wrong(Driver::AfXdp)
}

#[test]
fn corrected_partial_checksum_stays_wrong_on_af_packet() -> Result<()> {
    corrected_partial_checksum_stays_wrong(Driver::AfPacket)
}

/// That `checksum = "full"` is what cures it is shown by all tests with offload on.
fn corrected_partial_checksum_stays_wrong(driver: Driver) -> Result<()> {
    let stage = Stage::set_with_checksum(driver, true, Checksum::Incremental)?;
    let answer = stage.lab.client().get(&format!("http://{VIRTUAL_IP}/"), Duration::from_secs(3))?;
    assert_eq!(answer, Answer::Silence);
    let errors = stage.lab.members()[0].namespace.run("nstat", &["-asz", "TcpInCsumErrors"])?;
    let wrong = errors.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    assert_ne!(wrong.sum::<u64>(), 0, "the member has seen no wrong checksum: {errors}");
    stage.leave()
}

#[test]
fn full_checksum_serves_peers_without_offload_too() -> Result<()> {
    for driver in [Driver::AfXdp, Driver::AfPacket] {
        let stage = Stage::set_with_checksum(driver, false, Checksum::Full)?;
        assert_eq!(stage.get_many(10)?, [5, 5]);
        stage.leave()?;
    }
    Ok(())
}
