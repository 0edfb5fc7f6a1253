//! The forwarder and DPDK's own testpmd, both fed by `net_pcap` from one file over and over, in turns.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use lb_dpdk::{Driver, Port, PortConfig, cycles};

use super::Options;
use super::report::{machine, median_and_least};
use super::stage::{Stage, scene, start};
use crate::generator::{Step, frame_of};
use crate::ways::{Inlet, Outlet};

/// Connections in the file: few enough for the driver to hold all frames in memory.
const FLOWS: u32 = 1000;
/// Hundred bursts and more between two looks at the clock.
const LOOK: u32 = 256;

pub(super) fn compare(options: &Options, seconds: u64) -> anyhow::Result<()> {
    let dir = std::env::temp_dir().join(format!("penstock-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let file = dir.join("data.pcap");
    write_pcap(&file)?;
    let result = measure(options, seconds, &file);
    std::fs::remove_dir_all(&dir)?;
    let [mut ours, mut csum, mut swap] = result?;
    println!("machine: {}", machine(cycles_per_second()));
    println!(
        "{FLOWS} connections from one file by net_pcap (infinite_rx) in all; {} rounds of {seconds} s in turns, medians of Mframes/s",
        options.rounds
    );
    let (ours, _) = median_and_least(&mut ours);
    println!(
        "| penstock NAT | testpmd csum | testpmd 5tswap | NAT : csum | NAT : 5tswap |\n|---|---|---|---|---|"
    );
    let ((csum, _), (swap, _)) = (median_and_least(&mut csum), median_and_least(&mut swap));
    println!("| {ours:.1} | {csum:.1} | {swap:.1} | {:.2} | {:.2} |", ours / csum, ours / swap);
    Ok(())
}

fn measure(options: &Options, seconds: u64, file: &Path) -> anyhow::Result<[Vec<f64>; 3]> {
    let mut figures = [const { Vec::new() }; 3];
    for _ in 0..options.rounds {
        figures[0].push(spawn_ours(options.core, seconds, file)?);
        figures[1].push(spawn_testpmd(options.core, "csum", seconds, file)?);
        figures[2].push(spawn_testpmd(options.core, "5tswap", seconds, file)?);
    }
    Ok(figures)
}

fn spawn_ours(core: u16, seconds: u64, file: &Path) -> anyhow::Result<f64> {
    let output = Command::new(std::env::current_exe()?)
        .args(["bench", "--core", &core.to_string(), "pcap", "--flows", &FLOWS.to_string()])
        .args(["--seconds", &seconds.to_string()])
        .arg(file)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "our own run failed");
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.trim().parse::<f64>().context("our own run printed no figure")? / 1e6)
}

/// Runs testpmd for so long and takes the rate from what it counted itself.
fn spawn_testpmd(core: u16, mode: &str, seconds: u64, file: &Path) -> anyhow::Result<f64> {
    let main = u16::from(core == 0);
    let mut child = Command::new("dpdk-testpmd")
        .args(["--no-pci", "--in-memory", "--no-telemetry", "-m", "64"])
        .args(["-l", &format!("{main},{core}"), "--main-lcore", &main.to_string()])
        .args(["--vdev", &format!("net_pcap0,rx_pcap={},infinite_rx=1", file.display())])
        .args([
            "--",
            "-i",
            &format!("--forward-mode={mode}"),
            "--port-topology=loop",
            "--total-num-mbufs=8192",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run dpdk-testpmd: is the package `dpdk` installed?")?;
    let begun;
    {
        let mut input = child.stdin.take().context("testpmd has no input")?;
        // A run for its warm-up, then one between two readings of its counters.
        input.write_all(b"start\n")?;
        std::thread::sleep(std::time::Duration::from_secs(2));
        input.write_all(b"clear port stats all\n")?;
        begun = std::time::Instant::now();
        std::thread::sleep(std::time::Duration::from_secs(seconds));
        input.write_all(b"show port stats all\nstop\nquit\n")?;
    }
    let elapsed = begun.elapsed().as_secs_f64();
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let counted = text
        .rsplit_once("NIC statistics")
        .and_then(|(_, stats)| stats.split_once("RX-packets:"))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|count| count.parse::<f64>().ok())
        .context("testpmd printed no statistics")?;
    Ok(counted / elapsed / 1e6)
}

/// Our run: the connections are opened from memory, then the file's frames are forwarded for so long. Prints frames per second.
pub(super) fn run_ours(options: &Options, file: &Path, flows: u32, seconds: u64) -> anyhow::Result<()> {
    let (eal, pool) = start(options.core, "pcap")?;
    let mut stage = Stage::new(eal, pool, flows)?;
    stage.open_all();
    let device = format!("net_pcap0,rx_pcap={},infinite_rx=1", file.display());
    let opened = Port::open(eal, &pool, &PortConfig::new(Driver::Vdev { device }))?;
    stage.worker.ports[0].inlets = opened.rx.into_iter().map(Inlet::Queue).collect();
    // Sent through the driver, which throws frames away, as testpmd does it.
    for (port, queue) in opened.tx.into_iter().enumerate() {
        stage.worker.ports[1 - port].outlet = Outlet::Queue(queue);
    }
    let frequency = eal.cycles_per_second();
    run_for(&mut stage, frequency * 2);
    let before = stage.sent();
    let begun = cycles();
    run_for(&mut stage, frequency * seconds);
    let (sent, took) = (stage.sent() - before, cycles() - begun);
    stage.check()?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let rate = sent as f64 * frequency as f64 / took as f64;
    println!("{rate}");
    Ok(())
}

fn run_for(stage: &mut Stage, length: u64) {
    let end = cycles() + length;
    while cycles() < end {
        for _ in 0..LOOK {
            stage.worker.turn(cycles());
        }
    }
}

/// Data frames of all connections, from the client.
fn write_pcap(path: &Path) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    // Magic, version 2.4, no time zone, snap length, Ethernet.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.write_all(&word.to_ne_bytes())?;
    }
    for flow in 0..FLOWS {
        let frame = frame_of(&scene(FLOWS), Step::FromClient, flow);
        let len = u32::try_from(frame.len())?;
        for word in [0, flow, len, len] {
            file.write_all(&word.to_ne_bytes())?;
        }
        file.write_all(&frame)?;
    }
    file.flush()?;
    Ok(())
}

fn cycles_per_second() -> u64 {
    let (begun, clock) = (cycles(), std::time::Instant::now());
    std::thread::sleep(std::time::Duration::from_millis(100));
    (cycles() - begun) * 1_000_000 / u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX)
}
