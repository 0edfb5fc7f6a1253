//! Crates of the house depend on each other only along the plan's arrows.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde_json::{Value, json};

use super::{list, metadata, text};

/// Who may depend on whom, for any purpose: building and testing too. A new crate gets its line here.
const ARROWS: &[(&str, &[&str])] = &[
    ("api-tests", &[]),
    ("dpdk-sys", &[]),
    ("lb-cli", &[]),
    ("lb-console", &[]),
    ("lb-compile", &["lb-model"]),
    ("lb-dpdk", &["dpdk-sys"]),
    ("lb-engine", &["lb-mem", "lb-model"]),
    ("lb-host", &["lb-link", "lb-model"]),
    ("lb-l4", &["lb-dpdk", "lb-engine", "lb-link", "lb-mem", "lb-model"]),
    ("lb-l7", &["lb-link", "lb-model"]),
    ("lb-link", &[]),
    ("lb-mem", &[]),
    ("lb-model", &[]),
    ("lb-server", &["lb-compile", "lb-link", "lb-model"]),
];

/// What contradicts the arrows in a graph of `cargo metadata`, in words.
fn violations(metadata: &Value, arrows: &[(&str, &[&str])]) -> Result<Vec<String>> {
    let arrows: BTreeMap<&str, &[&str]> = arrows.iter().copied().collect();
    let members = list(metadata, "workspace_members")?;
    let packages = list(metadata, "packages")?;
    let of_house: Vec<&Value> = packages.iter().filter(|package| members.contains(&package["id"])).collect();
    let names = of_house.iter().map(|package| text(package, "name")).collect::<Result<BTreeSet<_>>>()?;
    let mut violations = Vec::new();
    for package in of_house {
        let from = text(package, "name")?;
        let Some(allowed) = arrows.get(from) else {
            violations.push(format!("{from} has no line among the arrows"));
            continue;
        };
        for dependency in list(package, "dependencies")? {
            let to = text(dependency, "name")?;
            if names.contains(to) && !allowed.contains(&to) {
                violations.push(format!("{from} depends on {to}"));
            }
        }
    }
    Ok(violations)
}

#[test]
fn crates_depend_along_the_arrows() -> Result<()> {
    assert_eq!(violations(&metadata()?, ARROWS)?, Vec::<String>::new());
    Ok(())
}

/// A house of these crates, each with what it depends on.
fn house(crates: &[(&str, &[&str])]) -> Value {
    let package = |(name, dependencies): &(&str, &[&str])| {
        let dependencies: Vec<Value> =
            dependencies.iter().map(|to| json!({ "name": to, "kind": null })).collect();
        json!({ "id": format!("path+{name}"), "name": name, "dependencies": dependencies })
    };
    json!({
        "packages": crates.iter().map(package).collect::<Vec<_>>(),
        "workspace_members": crates.iter().map(|(name, _)| format!("path+{name}")).collect::<Vec<_>>(),
    })
}

#[test]
fn extra_arrow_is_found() -> Result<()> {
    let arrows: &[(&str, &[&str])] = &[("plane", &["model"]), ("model", &[])];
    let as_planned = house(&[("plane", &["model", "serde"]), ("model", &["serde"])]);
    assert_eq!(violations(&as_planned, arrows)?, Vec::<String>::new());
    let backwards = house(&[("plane", &["model"]), ("model", &["plane"])]);
    assert_eq!(violations(&backwards, arrows)?, ["model depends on plane"]);
    Ok(())
}

#[test]
fn crate_without_a_line_is_found() -> Result<()> {
    assert_eq!(violations(&house(&[("utils", &[])]), &[])?, ["utils has no line among the arrows"]);
    Ok(())
}
