//! The appliance: its configuration file and its four processes, in the order in which an init system starts them.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::clock::Clock;
use crate::command::{complain, program, run};
use crate::namespace::Namespace;
use crate::network;
use crate::options::{Driver, LabOptions};
use crate::slot::{Role, Slot};
use crate::supervisor::{Service, Supervised};

/// The user that penstockd runs as.
const USER: &str = "penstock";
/// The port of the management API.
const API_PORT: u16 = 8443;
/// How long a process may take to be ready: it reserves memory and opens ports meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// The running product.
pub struct Appliance {
    // Fields are dropped in this order: who publishes ends before who forwards, and who holds privileges ends last.
    /// The management server, as an ordinary user.
    pub penstockd: Supervised,
    /// The layer-7 plane.
    pub l7: Supervised,
    /// The layer-4 plane.
    pub l4: Supervised,
    /// The privileged hand.
    pub host: Supervised,
    place: Place,
}

/// Where it lives.
struct Place {
    namespace: Namespace,
    folder: PathBuf,
    api: String,
    clock: Option<Clock>,
}

impl Appliance {
    /// Starts the four processes, telling of each step through `progress`.
    pub(crate) fn start(
        slot: &Slot,
        options: &LabOptions,
        flow_dir: &Path,
        progress: &mut dyn FnMut(&str) -> Result<()>,
    ) -> Result<Self> {
        let place = Place::prepare(slot, options, flow_dir)?;
        progress("Starting penstock-host, the privileged hand")?;
        let host = place.supervise("penstock-host", "penstock-host ready", &[]);
        host.await_ready(PATIENCE)?;
        if options.driver == Driver::Owned {
            network::move_to_twins(&place.namespace)?;
        }
        progress("Starting penstock-l4, the forwarder")?;
        let l4 = place.supervise("penstock-l4", "penstock-l4 ready", &[]);
        l4.await_ready(PATIENCE)?;
        progress("Starting penstock-l7, the proxy")?;
        let l7 = place.supervise("penstock-l7", "penstock-l7 ready", &[]);
        l7.await_ready(PATIENCE)?;
        progress("Starting penstockd, the management server")?;
        let penstockd = place.supervise("penstockd", "penstockd listening on", &[]);
        penstockd.await_ready(PATIENCE)?;
        Ok(Self { penstockd, l7, l4, host, place })
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.place.namespace
    }

    /// Where its console and API answer.
    pub fn api(&self) -> &str {
        &self.place.api
    }

    /// Lets penstockd's wall clock show so many seconds more than the machine's, in a lab that was started so.
    pub fn step_clock(&self, seconds: i64) -> Result<()> {
        let clock = self.place.clock.as_ref().context("penstockd goes by the machine's clock in this lab")?;
        clock.step(seconds)
    }

    /// Starts another layer-7 plane that takes over from the one that serves; which ends by itself, and is returned.
    pub fn renew_l7(&mut self) -> Result<Supervised> {
        self.l7.leave_alone();
        let successor = self.place.supervise("penstock-l7", "penstock-l7 ready", &["--take-over"]);
        successor.await_ready(PATIENCE)?;
        Ok(std::mem::replace(&mut self.l7, successor))
    }

    /// The code that its first user claims it with, while nobody has.
    pub fn claim_code(&self) -> Result<String> {
        let file = self.place.folder.join("run/claim-code");
        let code = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(code.trim().to_owned())
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        for process in [&self.penstockd, &self.l7, &self.l4, &self.host] {
            if let Err(error) = process.stop() {
                complain(&error);
            }
        }
        if let Err(error) = run(self.place.command("penstock-host").arg("--cleanup")) {
            complain(&error.context("penstock-host could not remove what it made"));
        }
    }
}

impl Place {
    /// Writes the configuration, and copies the programs to where penstockd's user can reach them: a build below
    /// root's home is out of its sight.
    fn prepare(slot: &Slot, options: &LabOptions, flow_dir: &Path) -> Result<Self> {
        let folder = slot.folder();
        let place = Self {
            namespace: slot.namespace(Role::Appliance),
            api: format!("https://{}:{API_PORT}", slot.appliance_address()),
            clock: options.clock.then(|| Clock::build(&folder)).transpose()?,
            folder: folder.clone(),
        };
        for name in ["bin", "run", "state", "bpf"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let (uid, gid) = user_ids()?;
        for name in ["run", "state"] {
            let path = folder.join(name);
            chown(&path, Some(uid), Some(gid))
                .with_context(|| format!("cannot give away {}", path.display()))?;
        }
        for name in ["penstockd", "penstock-host", "penstock-l4", "penstock-l7"] {
            copy_program(&options.programs, name, &folder.join("bin"))?;
        }
        let listen = format!("{}:{API_PORT}", slot.appliance_address());
        fs::write(place.config(), config(options, &folder, flow_dir, &listen))
            .context("cannot write penstock.toml")?;
        Ok(place)
    }

    fn config(&self) -> PathBuf {
        self.folder.join("penstock.toml")
    }

    /// A process of the appliance, with its configuration.
    fn command(&self, name: &str) -> Command {
        let path = self.folder.join("bin").join(name);
        let mut command = if name == "penstockd" {
            let mut command = self.namespace.command("setpriv");
            command
                .args(["--reuid", USER, "--regid", USER, "--init-groups", "--no-new-privs", "--"])
                .arg(path);
            if let Some(clock) = &self.clock {
                clock.give_to(&mut command);
            }
            command
        } else {
            self.namespace.command(&path.to_string_lossy())
        };
        command.arg("--config").arg(self.config());
        command
    }

    fn supervise(
        &self,
        name: &'static str,
        ready: &'static str,
        arguments: &'static [&'static str],
    ) -> Supervised {
        let Self { namespace, folder, api, clock } = self;
        let (namespace, folder) = (namespace.clone(), folder.clone());
        let place = Self { namespace, folder, api: api.clone(), clock: clock.clone() };
        Supervised::start(Service {
            name: name.to_owned(),
            command: Box::new(move || {
                let mut command = place.command(name);
                command.args(arguments);
                command
            }),
            ready,
            log: self.folder.join("logs").join(format!("{name}.log")),
        })
    }
}

/// The appliance's configuration file.
fn config(options: &LabOptions, folder: &Path, flow_dir: &Path, listen: &str) -> String {
    let (folder, flow_dir) = (folder.display(), flow_dir.display());
    let there = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let cores: Vec<_> = (there.saturating_sub(options.workers)..there).collect();
    let ports = [(0, "front"), (1, "back")].map(|(number, port)| {
        let (driver, checksum) = (options.driver.of_port(number, port), options.checksum.word());
        format!("\n[[port]]\nname = \"{port}\"\ndriver = {driver}\nchecksum = \"{checksum}\"\n")
    });
    format!(
        "run_dir = \"{folder}/run\"\nstate_dir = \"{folder}/state\"\nbpf_dir = \"{folder}/bpf\"\nuser = \"{USER}\"\n\n\
         [api]\nlisten = \"{listen}\"\n\n\
         [l4]\ncores = {cores:?}\nflows_per_worker = 65536\npacket_memory_mib = 64\nflow_dir = \"{flow_dir}\"\n{}",
        ports.concat()
    )
}

fn copy_program(from: &Path, name: &str, to: &Path) -> Result<()> {
    let built = from.join(name);
    if !built.exists() {
        bail!("{} is not there: build the programs first, with `cargo build --release`", built.display());
    }
    fs::copy(&built, to.join(name)).map(drop).with_context(|| format!("cannot copy {}", built.display()))
}

/// The numbers of penstockd's user and group, who are made if they are not there.
fn user_ids() -> Result<(u32, u32)> {
    let id = |kind: &str| run(program("id").args([kind, USER]));
    if id("-u").is_err() {
        let arguments =
            ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", USER];
        run(program("useradd").args(arguments))?;
    }
    let number = |text: String| text.trim().parse().context("`id` printed no number");
    Ok((number(id("-u")?)?, number(id("-g")?)?))
}
