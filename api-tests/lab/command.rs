//! Running a program to its end, with an error that says what was run and what it said.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// A program that a Ctrl-C on the terminal does not reach: the lab ends its children itself, in its own order.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.process_group(0);
    command
}

/// Runs it and returns what it wrote to its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_run(command))?;
    written(command, output)
}

/// The same, for a program that reads its orders from its standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| cannot_run(command))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends early explains itself in what it writes, not in our broken pipe.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().with_context(|| cannot_run(command))?;
    written(command, output)
}

/// Tells of a failure where nobody is left to return it to. The terminal may be gone by then.
pub(crate) fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "{error:#}");
}

fn written(command: &Command, output: Output) -> Result<String> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}: {}", line(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} wrote no text", line(command)))
}

fn cannot_run(command: &Command) -> String {
    format!("cannot run {}", line(command))
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_returned() {
        assert_eq!(run(program("echo").arg("hello")).unwrap(), "hello\n");
        assert_eq!(run_with_input(&mut program("cat"), "orders").unwrap(), "orders");
    }

    #[test]
    fn failure_says_what_was_run_and_what_it_said() {
        let error = run(program("sh").args(["-c", "echo no such thing >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert!(error.to_string().ends_with("no such thing"), "{error}");
    }
}
