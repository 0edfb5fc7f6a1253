//! NAT and no-op forwarding of frames made in memory, in turns.

use lb_dpdk::{Eal, Mempool};

use super::Options;
use super::report::{each, huge_pages, machine, median_and_least};
use super::stage::{Stage, no_op, scene, start};
use super::ways;
use crate::generator::Step;

const DATA: [Step; 2] = [Step::FromClient, Step::FromMember];
const HANDSHAKE: [Step; 3] = [Step::Syn, Step::SynAck, Step::Ack];

/// The figures of one number of connections, one for each round.
#[derive(Default)]
struct Figures {
    no_op: Vec<f64>,
    nat: Vec<f64>,
    cost: Vec<f64>,
    setup: Vec<f64>,
    expiry: Vec<f64>,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let (eal, pool) = start(options.core, "bench")?;
    println!("machine: {}", machine(eal.cycles_per_second()));
    println!(
        "TCP over IPv4, NAT, 60-byte frames, both directions, one core; TSC cycles of the thread's own time; {} rounds of {} frames in turns, medians (least)",
        options.rounds, options.frames
    );
    let mut stages = Vec::new();
    for flows in &options.flows {
        let mut stage = Stage::new(eal, pool, *flows)?;
        stage.open_all();
        stages.push((stage, Figures::default()));
    }
    println!("memory: {}", huge_pages());
    for _ in 0..options.rounds {
        for (stage, figures) in &mut stages {
            measure_data(eal, pool, stage, options.frames / 2, figures);
            stage.check()?;
        }
    }
    for (stage, figures) in &mut stages {
        measure_connections(eal, pool, stage, options.rounds.min(3), figures)?;
    }
    print(&mut stages);
    drop(stages);
    ways::run(eal, pool, options)
}

fn measure_data(eal: Eal, pool: Mempool, stage: &mut Stage, frames: u64, figures: &mut Figures) {
    let before = each(no_op(eal, pool, stage.scene, &DATA, frames, false), 2 * frames);
    let nat = each(stage.converse(frames), 2 * frames);
    let after = each(no_op(eal, pool, stage.scene, &DATA, frames, false), 2 * frames);
    let no_op = f64::midpoint(before, after);
    figures.no_op.push(no_op);
    figures.nat.push(nat);
    figures.cost.push(nat - no_op);
}

/// Connections opened and forgotten again, all of them, in tables that had them before.
fn measure_connections(
    eal: Eal,
    pool: Mempool,
    stage: &mut Stage,
    rounds: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let flows = u64::from(stage.scene.flows);
    // Enough rounds for small tables to be measured at all.
    let repeats = (200_000 / flows).max(1);
    stage.expire_all();
    *stage = Stage::new(eal, pool, stage.scene.flows)?;
    stage.open_all();
    stage.expire_all();
    for _ in 0..rounds {
        let (mut setup, mut expiry, mut frames) = (0.0, 0.0, 0.0);
        for _ in 0..repeats {
            setup += stage.open_all();
            expiry += stage.expire_all();
            frames += HANDSHAKE
                .iter()
                .map(|step| no_op(eal, pool, scene(stage.scene.flows), &[*step], flows, true))
                .sum::<f64>();
        }
        figures.setup.push(each(setup - frames, flows * repeats));
        figures.expiry.push(each(expiry, flows * repeats));
    }
    stage.check()
}

fn print(stages: &mut [(Stage, Figures)]) {
    println!(
        "| connections | no-op | NAT | NAT − no-op (least) | ratio | handshake + expiry | hot bytes each (load) |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (stage, figures) in stages {
        let (no_op, _) = median_and_least(&mut figures.no_op);
        let (nat, _) = median_and_least(&mut figures.nat);
        let (cost, least) = median_and_least(&mut figures.cost);
        let (setup, _) = median_and_least(&mut figures.setup);
        let (expiry, _) = median_and_least(&mut figures.expiry);
        let table = stage.worker.engine.flows();
        println!(
            "| {} | {no_op:.1} | {nat:.1} | {cost:.1} ({least:.1}) | {:.2} | {setup:.0} + {expiry:.0} | {:.0} ({:.2}) |",
            stage.scene.flows,
            nat / no_op,
            table.bytes_per_connection(),
            table.load_factor(),
        );
    }
}
