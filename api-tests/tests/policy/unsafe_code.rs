//! `unsafe` is in three crates; every other forbids it to its compiler.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::{list, metadata, text, workspace};

/// The bindings, the safe edge over them, and shared memory.
const MAY: [&str; 3] = ["dpdk-sys", "lb-dpdk", "lb-mem"];

/// Whether a line of Rust says `unsafe` as code: in no comment and no literal.
fn says_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let without_literals: Vec<&str> = code.split('"').step_by(2).collect();
    let mut words =
        without_literals.iter().flat_map(|code| code.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.any(|word| word == "unsafe")
}

/// The places in a folder's Rust files, as `file:line`.
fn places(folder: &Path) -> Result<Vec<String>> {
    let mut places = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            places.extend(self::places(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source =
                fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let lines = (1..).zip(source.lines()).filter(|(_, line)| says_unsafe(line));
            places.extend(lines.map(|(number, _)| format!("{}:{number}", path.display())));
        }
    }
    Ok(places)
}

#[test]
fn unsafe_is_where_it_may_be() -> Result<()> {
    let metadata = metadata()?;
    let members = list(&metadata, "workspace_members")?;
    for package in list(&metadata, "packages")?.iter().filter(|package| members.contains(&package["id"])) {
        let (name, manifest) = (text(package, "name")?, Path::new(text(package, "manifest_path")?));
        if MAY.contains(&name) {
            continue;
        }
        let manifest_text = fs::read_to_string(manifest)?;
        assert!(
            manifest_text.contains("[lints]\nworkspace = true"),
            "{name} does not take the workspace's lints"
        );
        assert_eq!(places(manifest.parent().context("a manifest in no folder")?)?, Vec::<String>::new());
    }
    let lints = fs::read_to_string(workspace().join("Cargo.toml"))?;
    assert!(lints.contains("unsafe_code = \"forbid\""), "the workspace does not forbid unsafe code");
    Ok(())
}

#[test]
fn unsafe_is_told_from_its_name() {
    assert!(says_unsafe("    let word = unsafe { read(pointer) };"));
    assert!(says_unsafe("pub unsafe fn read() {}"));
    assert!(!says_unsafe("// unsafe is not here"));
    assert!(!says_unsafe("#![forbid(unsafe_code)]"));
}
