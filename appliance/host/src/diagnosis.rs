//! What the machine's own tools say of it, for a support bundle. Nothing is changed, and a tool that is missing or fails says so in
//! the place of its answer.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};

/// The end of what a tool says is what matters, and so much of it is kept.
const MOST: usize = 4 << 20;

/// File names, and the commands whose answers belong into them. None shows what processes were called with, or their
/// environment.
const COMMANDS: &[(&str, &[&str])] = &[
    ("addresses.txt", &["ip", "-details", "-statistics", "address"]),
    ("chrony.txt", &["chronyc", "-n", "tracking"]),
    ("disks.txt", &["df", "--human-readable"]),
    ("kernel.txt", &["uname", "--all"]),
    ("journal.txt", &["journalctl", "--no-pager", "--output=short-iso-precise", "--lines=20000"]),
    ("neighbours.txt", &["ip", "neighbour"]),
    ("nftables.txt", &["nft", "list", "ruleset"]),
    ("processes.txt", &["ps", "-eo", "pid,ppid,user,rss,pcpu,etime,comm"]),
    ("routes-ipv4.txt", &["ip", "route", "show", "table", "all"]),
    ("routes-ipv6.txt", &["ip", "-6", "route", "show", "table", "all"]),
    ("rules.txt", &["ip", "rule"]),
    ("sockets.txt", &["ss", "--tcp", "--udp", "--listening", "--numeric"]),
    ("units.txt", &["systemctl", "--no-pager", "list-units", "--all", "--full"]),
];
const FILES: &[(&str, &str)] = &[
    ("interrupts.txt", "/proc/interrupts"),
    ("memory.txt", "/proc/meminfo"),
    ("mounts.txt", "/proc/mounts"),
    ("processors.txt", "/proc/cpuinfo"),
];

pub(crate) fn texts() -> BTreeMap<String, String> {
    let said = COMMANDS.iter().map(|(name, command)| (*name, ask(command)));
    let read = FILES.iter().map(|(name, path)| {
        (*name, fs::read_to_string(path).unwrap_or_else(|error| format!("cannot read {path}: {error}\n")))
    });
    said.chain(read).map(|(name, text)| (name.to_owned(), text)).collect()
}

/// What a command writes, complaints included.
fn ask(command: &[&str]) -> String {
    let words = command.join(" ");
    let Some((program, arguments)) = command.split_first() else { return String::new() };
    let mut text = format!("$ {words}\n").into_bytes();
    match run(program, arguments) {
        Ok(said) => text.extend_from_slice(end_of(&said)),
        Err(error) => text.extend_from_slice(format!("cannot run {program}: {error}\n").as_bytes()),
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn run(program: &str, arguments: &[&str]) -> std::io::Result<Vec<u8>> {
    let (mut said, writer) = std::io::pipe()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut process = command.spawn()?;
    // The other end of the pipe must be the process's alone, or there is no end of the text.
    drop(command);
    let mut text = Vec::new();
    let read = said.read_to_end(&mut text);
    process.wait()?;
    read.map(|_| text)
}

fn end_of(text: &[u8]) -> &[u8] {
    &text[text.len().saturating_sub(MOST)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_quoted_and_one_that_is_missing_says_so() {
        assert_eq!(ask(&["echo", "a", "b"]), "$ echo a b\na b\n");
        assert!(ask(&["sh", "-c", "echo no >&2; exit 3"]).ends_with("\nno\n"));
        assert!(ask(&["/nowhere/tool"]).contains("cannot run /nowhere/tool: No such file"));
    }

    #[test]
    fn the_end_of_a_long_text_is_kept() {
        let long = vec![b'x'; MOST + 3];
        assert_eq!(end_of(&long).len(), MOST);
        assert_eq!(end_of(b"short"), b"short");
    }

    #[test]
    fn every_text_has_a_name_of_its_own() {
        let texts = texts();
        assert_eq!(texts.len(), COMMANDS.len() + FILES.len());
        assert!(texts["kernel.txt"].contains("Linux"), "{:?}", texts["kernel.txt"]);
        assert!(texts["memory.txt"].contains("MemTotal"));
    }
}
