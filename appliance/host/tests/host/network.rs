//! Three network namespaces: a client, the appliance, a member. The appliance routes between the two others, as a kernel
//! that knows nothing of services would.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub(crate) const CLIENT: &str = "10.0.0.100";
pub(crate) const MEMBER: &str = "10.1.0.11";
/// The appliance's own addresses, on its two ports.
pub(crate) const FRONT: &str = "10.0.0.2";
pub(crate) const BACK: &str = "10.1.0.2";

/// One namespace, removed with all that is in it.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    fn new(name: String) -> Self {
        run("ip", &["netns", "add", &name]);
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    pub(crate) fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs `ip` here and gives back what it says.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        let mut all = vec!["-n", &self.name];
        all.extend(arguments.split_whitespace());
        run("ip", &all)
    }

    /// Runs a command here and gives back what it says.
    pub(crate) fn run(&self, command: &str) -> String {
        let enter = format!("--net={}", self.path());
        let mut all = vec![enter.as_str()];
        all.extend(command.split_whitespace());
        run("nsenter", &all)
    }

    /// Runs `work` in a thread that lives here.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let namespace = File::open(self.path()).unwrap();
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            inside.join().unwrap()
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        run("ip", &["netns", "del", &self.name]);
    }
}

/// The three namespaces and the wires between them.
pub(crate) struct Network {
    pub(crate) client: Namespace,
    pub(crate) appliance: Namespace,
    pub(crate) member: Namespace,
}

impl Network {
    /// `test` makes the names unlike those of other tests.
    pub(crate) fn new(test: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "network namespaces are made by root only");
        let namespace = |role| Namespace::new(format!("hostit-{test}-{role}-{}", std::process::id()));
        let (client, appliance, member) = (namespace("client"), namespace("appliance"), namespace("member"));
        wire(&appliance, "front0", FRONT, &client, CLIENT);
        wire(&appliance, "back0", BACK, &member, MEMBER);
        appliance.run("sysctl -qw net.ipv4.ip_forward=1");
        Self { client, appliance, member }
    }
}

/// Joins `far` to the interface `near` of the appliance, by which all its traffic goes.
fn wire(appliance: &Namespace, near: &str, near_address: &str, far: &Namespace, far_address: &str) {
    appliance.ip(&format!("link add {near} type veth peer name eth0 netns {}", far.name));
    // Otherwise frames come with checksums that nobody has made.
    far.run("ethtool -K eth0 tx off");
    appliance.ip(&format!("addr add {near_address}/24 dev {near}"));
    appliance.ip(&format!("link set {near} up"));
    far.ip(&format!("addr add {far_address}/24 dev eth0"));
    far.ip("link set eth0 up");
    far.ip(&format!("route add default via {near_address}"));
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}
