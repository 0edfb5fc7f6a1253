//! A `penstock-host` that runs in the appliance's namespace, with directories of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use lb_link::Link;
use lb_model::contract::{CONTRACT, Hello, HostAnswer, HostRequest};
use lb_model::snapshot::{Endpoint, L4Protocol};
use lb_model::{Generation, HostPlan, L4Port};

use crate::network::{Network, run};

pub(crate) const AF_XDP: &str = "af_xdp";
pub(crate) const AF_PACKET: &str = "af_packet";

/// The network, and the process when it runs.
pub(crate) struct Appliance {
    pub(crate) network: Network,
    dir: tempfile::TempDir,
    process: Option<Child>,
    generation: u64,
}

impl Appliance {
    /// Two shared ports, `front0` and `back0`, driven by `driver`; nothing runs yet.
    pub(crate) fn new(test: &str, driver: &str) -> Self {
        let ports = ["front", "back"].map(|name| {
            format!("[[port]]\nname = \"{name}\"\ndriver = {{ {driver} = {{ interface = \"{name}0\" }} }}\n")
        });
        Self::with_ports(test, &ports.concat())
    }

    pub(crate) fn with_ports(test: &str, ports: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let appliance = Self { network: Network::new(test), dir, process: None, generation: 0 };
        appliance.configure("root", ports);
        appliance
    }

    pub(crate) fn configure(&self, user: &str, ports: &str) {
        let [run, state, bpf] = ["run", "state", "bpf"].map(|name| self.path(name).display().to_string());
        let config =
            format!("run_dir = {run:?}\nstate_dir = {state:?}\nbpf_dir = {bpf:?}\nuser = {user:?}\n{ports}");
        fs::write(self.path("penstock.toml"), config).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.network.appliance.path()))
            .arg(env!("CARGO_BIN_EXE_penstock-host"))
            .arg("--config")
            .arg(self.path("penstock.toml"));
        command
    }

    /// Starts the process and waits until it is ready.
    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let mut process = self.command().stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.process = Some(process);
        assert_eq!(line, "penstock-host ready\n", "{}", self.log());
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Ends the process as a service manager would.
    pub(crate) fn terminate(&mut self) {
        let mut process = self.process.take().unwrap();
        run("kill", &["-TERM", &process.id().to_string()]);
        process.wait().unwrap();
    }

    /// Runs the process to its end.
    pub(crate) fn run_once(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    pub(crate) fn clean_up(&mut self) {
        self.kill();
        let output = self.run_once(&["--cleanup"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn connect(&self) -> Link {
        let link = Link::connect(&self.path("run/host.sock")).unwrap();
        link.set_timeout(Duration::from_secs(20)).unwrap();
        link
    }

    pub(crate) fn call(&self, request: &HostRequest, plan: Option<&HostPlan>) -> HostAnswer {
        let mut link = self.connect();
        link.send(&hello(CONTRACT), None).unwrap();
        assert_eq!(link.receive::<Hello>().unwrap().0.process, "penstock-host");
        let payload = plan.map(|plan| lb_link::seal(plan).unwrap());
        link.call(request, payload.as_ref()).unwrap()
    }

    /// Applies a plan of these addresses, services and members, and gives back the answer.
    pub(crate) fn ask(&mut self, addresses: &[&str], services: &[&str], members: &[&str]) -> HostAnswer {
        self.generation += 1;
        let generation = Generation(self.generation);
        let plan = HostPlan {
            generation,
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            services: services.iter().map(|text| endpoint(text)).collect(),
            members: members.iter().map(|text| endpoint(text)).collect(),
            ..HostPlan::default()
        };
        self.call(&HostRequest::Apply { generation }, Some(&plan))
    }

    /// Applies a plan that must succeed, and tells the addresses of no port's network.
    pub(crate) fn apply(&mut self, addresses: &[&str], services: &[&str], members: &[&str]) -> Vec<IpAddr> {
        match self.ask(addresses, services, members) {
            HostAnswer::Applied { generation, off_link } if generation.0 == self.generation => off_link,
            other => panic!("{other:?}\n{}", self.log()),
        }
    }

    /// Applies a plan that must be refused, and tells why.
    pub(crate) fn refused(&mut self, addresses: &[&str], services: &[&str], members: &[&str]) -> String {
        match self.ask(addresses, services, members) {
            HostAnswer::Refused { generation, reason } if generation.0 == self.generation => reason,
            other => panic!("{other:?}\n{}", self.log()),
        }
    }

    /// The addresses of an interface, with their prefix lengths.
    pub(crate) fn addresses(&self, interface: &str) -> Vec<String> {
        let shown = self.network.appliance.ip(&format!("-4 -o addr show dev {interface}"));
        shown.lines().filter_map(|line| line.split_whitespace().nth(3)).map(str::to_owned).collect()
    }

    /// The number of the XDP program on an interface.
    pub(crate) fn program(&self, interface: &str) -> Option<u32> {
        let shown = self.network.appliance.ip(&format!("-d link show dev {interface}"));
        let mut words = shown.split_whitespace().skip_while(|word| !word.starts_with("prog/xdp"));
        words.nth(2).map(|id| id.parse().unwrap())
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        self.kill();
        let _ = self.run_once(&["--cleanup"]);
    }
}

pub(crate) fn hello(contract: u32) -> Hello {
    Hello { contract, process: "test".to_owned(), version: "0".to_owned() }
}

fn endpoint(text: &str) -> Endpoint {
    let (address, port) = text.rsplit_once(':').unwrap();
    let port = L4Port::new(port.parse().unwrap()).unwrap();
    Endpoint { address: address.parse().unwrap(), port, protocol: L4Protocol::Tcp }
}
