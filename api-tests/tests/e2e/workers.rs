//! Several workers: a connection is one worker's, whichever of them its packets arrive at.

use anyhow::Result;
use lab::{Driver, LabOptions};

use super::stage::Stage;

/// With one queue a port, one worker receives and sends for all, and the others' packets travel by ring.
#[test]
fn two_workers_share_one_queue() -> Result<()> {
    let options = LabOptions { workers: 2, ..LabOptions::for_test(Driver::AfXdp, true)? };
    let stage = Stage::set_with(&options)?;
    // Each worker gives its own connections to the members in turn.
    let answers = stage.get_many(40)?;
    assert!(answers[0] >= 15 && answers[1] >= 15, "{answers:?}");
    let download = stage.download()?;
    stage.finish(download)?;
    stage.leave()
}
