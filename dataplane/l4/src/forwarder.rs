//! Putting the forwarder together: DPDK, ports, flow tables, mirror, workers; and taking it apart again.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use lb_dpdk::{Eal, EalConfig, LogLevel, Memory, Mempool, pin_current_thread, register_thread};
use lb_engine::{Engine, FlowTable};
use lb_link::Listener;
use lb_mem::{FlowFile, Origin};
use lb_model::config::{ApplianceConfig, PortDriver};

use crate::control::Control;
use crate::kernel::Mirror;
use crate::ports::{self, Ports};
use crate::serve::serve;
use crate::shared::Shared;
use crate::worker::Worker;

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(config: &ApplianceConfig) -> anyhow::Result<()> {
    let workers = config.l4.cores.len();
    let owner = user_id(&config.user)?;
    let mut engines = engines(config)?;
    let eal = start_eal(config)?;
    let pool = make_pool(eal, config)?;
    let Ports { watches, views, ways } = ports::open(eal, &pool, config)?;

    let shared = Arc::new(Shared::new(workers));
    let attached = engines.iter_mut().map(|(table, _)| u64::from(table.live())).sum();
    let kept_in = config.state_dir.join("l4");
    let control = Arc::new(Control::new(Arc::clone(&shared), kept_in, watches, attached));
    control.resume();
    let mirror = start_mirror(config, views, &control)?;
    let listener = Listener::bind(&config.l4_socket(), Some(owner))?;

    let mut threads = Vec::new();
    for (number, ((flows, _), ways)) in engines.into_iter().zip(ways).enumerate() {
        let engine = Engine::new(flows, shared.counters(), u16::try_from(number)?);
        let (shared, mirror) = (Arc::clone(&shared), Some(Arc::clone(&mirror)));
        let worker = Worker::new(number, engine, ways, pool, eal.cycles_per_second(), shared, mirror);
        threads.push(start_worker(eal, config.l4.cores[number], worker)?);
    }
    serve(listener, Arc::clone(&control))?;
    println!("penstock-l4 ready");
    tracing::info!(
        workers,
        flows = attached,
        "forwarding with {workers} workers; {attached} flows were kept"
    );
    await_signal()?;
    shared.stop();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?;
    }
    control.close_ports();
    tracing::info!("stopped");
    Ok(())
}

fn start_eal(config: &ApplianceConfig) -> anyhow::Result<Eal> {
    let pci = config.ports.iter().filter_map(|port| match &port.driver {
        PortDriver::Pci { device, .. } => Some(device.clone()),
        _ => None,
    });
    let eal = Eal::init(&EalConfig {
        file_prefix: format!("penstock-l4-{}", std::process::id()),
        memory: Memory::Auto,
        memory_mib: config.l4.packet_memory_mib,
        pci: pci.collect(),
        log_level: LogLevel::Warning,
    })?;
    tracing::info!(memory = ?eal.memory(), "packet buffers are in {:?}", eal.memory());
    Ok(eal)
}

fn make_pool(eal: Eal, config: &ApplianceConfig) -> anyhow::Result<Mempool> {
    let buffers = Mempool::buffers_in(config.l4.packet_memory_mib);
    Ok(Mempool::new(eal, "frames", buffers, Mempool::DEFAULT_CACHE)?)
}

/// The flow tables, attached or new: before the ports, so that no frame arrives to find none.
fn engines(config: &ApplianceConfig) -> anyhow::Result<Vec<(FlowTable, Origin)>> {
    let boot = boot_id()?;
    std::fs::create_dir_all(&config.l4.flow_dir)
        .with_context(|| format!("cannot make {}", config.l4.flow_dir.display()))?;
    (0..config.l4.cores.len())
        .map(|worker| {
            // The number of workers decides which of them owns a flow: other numbers, other files.
            let name = format!("flows-{worker}-of-{}", config.l4.cores.len());
            let path = config.l4.flow_dir.join(name);
            let (file, origin) = FlowFile::open(&path, config.l4.flows_per_worker, boot, secret()?)?;
            Ok((FlowTable::attach(file), origin))
        })
        .collect()
}

fn start_mirror(
    config: &ApplianceConfig,
    views: Vec<lb_engine::PortView>,
    control: &Arc<Control>,
) -> anyhow::Result<Arc<Mirror>> {
    let ports = config.ports.iter().map(|port| port.driver.kernel_interface());
    let interfaces = ports.chain([ApplianceConfig::PROBE_TAP]).map(str::to_owned).collect();
    let told = Arc::clone(control);
    let mirror = Mirror::start(interfaces, views, move |network| told.network_changed(network))?;
    control.attach_mirror(Arc::clone(&mirror));
    Ok(mirror)
}

fn start_worker(eal: Eal, core: u16, mut worker: Worker) -> anyhow::Result<thread::JoinHandle<()>> {
    let name = format!("worker-{core}");
    let thread = thread::Builder::new().name(name).spawn(move || {
        if let Err(error) = pin_current_thread(core) {
            tracing::error!(%error, core, "worker {} runs on any core", worker.number);
        }
        match register_thread(eal) {
            Ok(_registration) => worker.run(),
            Err(error) => tracing::error!(%error, core, "worker {} cannot run", worker.number),
        }
    })?;
    Ok(thread)
}

fn await_signal() -> anyhow::Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
    signals.forever().next();
    Ok(())
}

fn boot_id() -> anyhow::Result<[u8; 16]> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = std::fs::read_to_string(path).context("cannot tell which boot this is")?;
    Ok(uuid::Uuid::parse_str(text.trim()).context("cannot tell which boot this is")?.into_bytes())
}

fn secret() -> anyhow::Result<[u64; 2]> {
    let mut bytes = [0; 16];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    anyhow::ensure!(filled == bytes.len(), "the kernel gave too few random bytes");
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    Ok([u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes(rest)])
}

/// The number of a user in /etc/passwd.
fn user_id(name: &str) -> anyhow::Result<u32> {
    let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    let mut lines = passwd.lines().map(|line| line.split(':'));
    let id = lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)).flatten());
    id.and_then(|id| id.parse().ok()).with_context(|| format!("there is no user `{name}`"))
}
