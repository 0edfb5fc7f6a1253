//! Every way to the members beside NAT, IPv6, and many services: what a client's packet costs, in turns with frames that are only received and sent.

use lb_dpdk::{Eal, Mempool};
use lb_model::{L4Port, Tunnel, Vni};

use super::Options;
use super::report::{each, median_and_least};
use super::stage::{Setup, Stage, Way, no_op};
use crate::generator::Step;

/// The most connections: full NAT has no ends for more.
const MOST: u32 = 1_000_000;

/// Measures all of them, for each number of connections that full NAT can have.
pub(super) fn run(eal: Eal, pool: Mempool, options: &Options) -> anyhow::Result<()> {
    println!();
    println!(
        "packets from clients alone, as of DR and tunnels no others come: cycles a packet, no-op taken off, medians (least)"
    );
    println!("| connections | way | cycles | of NAT |");
    println!("|---|---|---|---|");
    for flows in options.flows.iter().copied().filter(|flows| *flows <= MOST) {
        measure(eal, pool, flows, options)?;
    }
    Ok(())
}

fn ways() -> anyhow::Result<[(&'static str, Setup); 7]> {
    let vxlan = Tunnel::Vxlan { port: L4Port::new(Tunnel::VXLAN_PORT)?, vni: Vni::new(7)? };
    let by = |way| Setup { way, ..Setup::default() };
    Ok([
        ("NAT", Setup::default()),
        ("full NAT", by(Way::FullNat)),
        ("DR", by(Way::Direct)),
        ("IPIP", by(Way::Tunnel(Tunnel::Ipip {}))),
        ("VXLAN", by(Way::Tunnel(vxlan))),
        ("NAT, IPv6", Setup { wide: true, ..Setup::default() }),
        ("NAT, 10,000 services", Setup { services: 10_000, ..Setup::default() }),
    ])
}

fn measure(eal: Eal, pool: Mempool, flows: u32, options: &Options) -> anyhow::Result<()> {
    let mut stages = Vec::new();
    for (name, setup) in ways()? {
        let mut stage = Stage::by(eal, pool, flows, setup)?;
        stage.open_all();
        stage.check()?;
        stages.push((name, stage, Vec::new()));
    }
    let frames = options.frames / 2;
    for _ in 0..options.rounds {
        for (_, stage, costs) in &mut stages {
            let idle = || each(no_op(eal, pool, stage.scene, &[Step::FromClient], frames, false), frames);
            let before = idle();
            let after = idle();
            let cost = each(stage.listen(frames), frames);
            costs.push(cost - f64::midpoint(before, after));
            stage.check()?;
        }
    }
    let mut of_nat = None;
    for (name, _, costs) in &mut stages {
        let (cost, least) = median_and_least(costs);
        let nat = *of_nat.get_or_insert(cost);
        println!("| {flows} | {name} | {cost:.1} ({least:.1}) | {:.2} |", cost / nat);
    }
    Ok(())
}
