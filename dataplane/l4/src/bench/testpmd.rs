//! The forwarder and DPDK's own testpmd, both fed by `net_pcap` from one file over and over, in turns; each by the cycles of
//! its thread's own time.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use lb_dpdk::{Driver, Port, PortConfig, cycles};

use super::Options;
use super::report::{each, machine, median_and_least};
use super::stage::{Stage, scene, start};
use super::stopwatch::Stopwatch;
use crate::generator::{Step, frame_of};
use crate::ways::{Inlet, Outlet};

/// Connections in the file: few enough for the driver to hold all frames in memory.
const FLOWS: u32 = 1000;
/// Hundred bursts and more between two looks at the clock.
const LOOK: u32 = 256;
/// How long a run goes on before it is measured.
const WARM_UP: u64 = 2;
/// What the file's frames are like: a name, and sizes that follow each other.
const INPUTS: [(&str, &[usize]); 2] =
    [("60 bytes", &[60]), ("IMIX", &[60, 60, 576, 60, 60, 576, 60, 576, 60, 60, 576, 1514])];
/// `io` only receives and sends: what the driver itself costs.
const MODES: [&str; 3] = ["io", "csum", "5tswap"];

pub(super) fn compare(options: &Options, seconds: u64) -> anyhow::Result<()> {
    let dir = std::env::temp_dir().join(format!("penstock-bench-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let result = INPUTS.iter().try_for_each(|(name, sizes)| {
        let file = dir.join("data.pcap");
        write_pcap(&file, sizes)?;
        print(name, &mut measure(options, seconds, &file)?);
        anyhow::Ok(())
    });
    fs::remove_dir_all(&dir)?;
    result?;
    println!("machine: {}", machine(cycles_per_second()));
    println!(
        "{FLOWS} connections from one file by net_pcap (infinite_rx) in all; TSC cycles a frame of the thread's own time; {} rounds of {seconds} s in turns, medians; IMIX is 7 × 60, 4 × 576 and 1,514 bytes",
        options.rounds
    );
    Ok(())
}

fn print(name: &str, [ours, io, csum, swap]: &mut [Vec<f64>; 4]) {
    let [ours, io, csum, swap] = [ours, io, csum, swap].map(|figures| median_and_least(figures).0);
    println!("| frames | testpmd io | penstock NAT | csum | 5tswap | csum : NAT | the same, io taken off |");
    println!("|---|---|---|---|---|---|---|");
    println!(
        "| {name} | {io:.1} | {ours:.1} | {csum:.1} | {swap:.1} | {:.2} | {:.2} |",
        csum / ours,
        (csum - io) / (ours - io)
    );
}

/// Cycles a frame: ours, and testpmd's in each mode.
fn measure(options: &Options, seconds: u64, file: &Path) -> anyhow::Result<[Vec<f64>; 4]> {
    let mut figures = [const { Vec::new() }; 4];
    for _ in 0..options.rounds {
        let (ours, theirs) = figures.split_at_mut(1);
        ours[0].push(spawn_ours(options.core, seconds, file)?);
        for (figures, mode) in theirs.iter_mut().zip(MODES) {
            figures.push(spawn_testpmd(options.core, mode, seconds, file)?);
        }
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
    text.trim().parse::<f64>().context("our own run printed no figure")
}

/// Runs testpmd for so long, and takes the frames from what it counted itself.
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
        .context("cannot run dpdk-testpmd: is the package `dpdk-dev` installed?")?;
    let spent;
    {
        let mut input = child.stdin.take().context("testpmd has no input")?;
        input.write_all(b"start\n")?;
        std::thread::sleep(Duration::from_secs(WARM_UP));
        let before = busiest_thread_nanos(&child)?;
        input.write_all(b"clear port stats all\n")?;
        std::thread::sleep(Duration::from_secs(seconds));
        input.write_all(b"show port stats all\n")?;
        spent = busiest_thread_nanos(&child)? - before;
        input.write_all(b"stop\nquit\n")?;
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let counted = text
        .rsplit_once("NIC statistics")
        .and_then(|(_, stats)| stats.split_once("RX-packets:"))
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|count| count.parse::<u64>().ok())
        .context("testpmd printed no statistics")?;
    Ok(each(spent * cycles_per_nano(), counted))
}

/// The processor time of the thread that forwards: the others only wait.
fn busiest_thread_nanos(child: &Child) -> anyhow::Result<f64> {
    let mut most = 0.0_f64;
    for task in fs::read_dir(format!("/proc/{}/task", child.id()))? {
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        let nanos = text.split(' ').next().context("the kernel tells no processor time")?;
        most = most.max(nanos.parse()?);
    }
    Ok(most)
}

/// Our run: the connections are opened from memory, then the file's frames are forwarded for so long. Prints cycles a frame.
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
    run_for(&mut stage, frequency * WARM_UP);
    let (before, watch) = (stage.sent(), Stopwatch::start(eal));
    run_for(&mut stage, frequency * seconds);
    let spent = watch.cycles();
    stage.check()?;
    println!("{}", each(spent, stage.sent() - before));
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

/// Data frames of all connections, from the client, of such sizes.
fn write_pcap(path: &Path, sizes: &[usize]) -> anyhow::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    // Magic, version 2.4, no time zone, snap length, Ethernet.
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.write_all(&word.to_ne_bytes())?;
    }
    for (flow, size) in (0..FLOWS).zip(sizes.iter().cycle()) {
        let frame = sized(&frame_of(&scene(FLOWS), Step::FromClient, flow), *size);
        let len = u32::try_from(frame.len())?;
        for word in [0, flow, len, len] {
            file.write_all(&word.to_ne_bytes())?;
        }
        file.write_all(&frame)?;
    }
    file.flush()?;
    Ok(())
}

/// The same packet with more data.
fn sized(frame: &[u8], size: usize) -> Vec<u8> {
    let mut longer = frame.to_vec();
    longer.resize(size.max(frame.len()), 0);
    let total = longer.len().saturating_sub(14);
    longer[16..18].copy_from_slice(&u16::try_from(total).unwrap_or(u16::MAX).to_be_bytes());
    longer
}

fn cycles_per_nano() -> f64 {
    super::report::giga(cycles_per_second())
}

fn cycles_per_second() -> u64 {
    let (begun, clock) = (cycles(), std::time::Instant::now());
    std::thread::sleep(Duration::from_millis(100));
    (cycles() - begun) * 1_000_000 / u64::try_from(clock.elapsed().as_micros()).unwrap_or(u64::MAX)
}
