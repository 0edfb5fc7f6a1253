//! What is depended on keeps to `deny.toml`: its licences, one version of each crate, one registry.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;
use spdx::{Expression, ParseMode};

use super::{TARGET, cargo, list, metadata, text, workspace};

/// The part of `deny.toml` that is enforced here.
struct Policy {
    licences: BTreeSet<String>,
    /// Crates of which several versions are accepted.
    several: BTreeSet<String>,
    registries: BTreeSet<String>,
}

impl Policy {
    fn read() -> Result<Self> {
        let text = fs::read_to_string(workspace().join("deny.toml")).context("cannot read deny.toml")?;
        let file: toml::Table = text.parse().context("deny.toml")?;
        let words = |table: &str, field: &str| -> Result<BTreeSet<String>> {
            let values = file.get(table).and_then(|table| table.get(field)).and_then(toml::Value::as_array);
            let values = values.with_context(|| format!("deny.toml has no list {table}.{field}"))?;
            Ok(values
                .iter()
                .filter_map(|value| value.get("crate").unwrap_or(value).as_str())
                .map(str::to_owned)
                .collect())
        };
        Ok(Self {
            licences: words("licenses", "allow")?,
            several: words("bans", "skip")?,
            registries: words("sources", "allow-registry")?,
        })
    }

    fn allows(&self, licence: &str) -> Result<bool> {
        // Older crates write `MIT/Apache-2.0`.
        let expression = Expression::parse_mode(licence, ParseMode::LAX).context(licence.to_owned())?;
        Ok(expression.evaluate(|requirement| self.licences.contains(&requirement.to_string())))
    }
}

/// Crates from elsewhere that are built for the product or its tests, of all that Cargo has in its lock file.
fn foreign(metadata: &Value) -> Result<Vec<&Value>> {
    let built = cargo(&["tree", "--workspace", "--target", TARGET, "--prefix", "none", "--format", "{p}"])?;
    let built: BTreeSet<(&str, &str)> = built.lines().filter_map(name_and_version).collect();
    let mut packages = Vec::new();
    for package in list(metadata, "packages")?.iter().filter(|package| !package["source"].is_null()) {
        if built.contains(&(text(package, "name")?, text(package, "version")?)) {
            packages.push(package);
        }
    }
    Ok(packages)
}

/// Of a line as `serde v1.0.229` or `lb-model v0.1.0 (/path)`.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(" v")?;
    Some((name, rest.split(' ').next()?))
}

#[test]
fn licences_are_allowed() -> Result<()> {
    let (policy, metadata) = (Policy::read()?, metadata()?);
    for package in foreign(&metadata)? {
        let name = text(package, "name")?;
        let licence = package["license"].as_str().with_context(|| format!("{name} names no licence"))?;
        assert!(policy.allows(licence)?, "{name} is under {licence}, which deny.toml does not allow");
    }
    Ok(())
}

#[test]
fn one_version_of_each_crate() -> Result<()> {
    let (policy, metadata) = (Policy::read()?, metadata()?);
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in foreign(&metadata)? {
        versions.entry(text(package, "name")?).or_default().insert(text(package, "version")?);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let several: BTreeSet<&str> = versions.keys().copied().collect();
    let accepted: BTreeSet<&str> = policy.several.iter().map(String::as_str).collect();
    let unexpected: Vec<_> = several.difference(&accepted).map(|name| (name, &versions[name])).collect();
    let not_needed: Vec<_> = accepted.difference(&several).collect();
    assert!(
        unexpected.is_empty() && not_needed.is_empty(),
        "several versions of {unexpected:?}; no more of {not_needed:?}"
    );
    Ok(())
}

#[test]
fn crates_come_from_the_registry() -> Result<()> {
    let (policy, metadata) = (Policy::read()?, metadata()?);
    for package in foreign(&metadata)? {
        let source = text(package, "source")?;
        let registry = source.strip_prefix("registry+").unwrap_or(source);
        assert!(policy.registries.contains(registry), "{} comes from {source}", text(package, "name")?);
    }
    Ok(())
}

#[test]
fn a_licence_is_enough_of_two_and_none_of_both() -> Result<()> {
    let allowing = |licences: &[&str]| Policy {
        licences: licences.iter().copied().map(str::to_owned).collect(),
        several: BTreeSet::new(),
        registries: BTreeSet::new(),
    };
    assert!(allowing(&["MIT"]).allows("MIT/GPL-3.0")?);
    assert!(!allowing(&["MIT"]).allows("MIT AND GPL-3.0")?);
    assert!(!allowing(&["Apache-2.0"]).allows("Apache-2.0 WITH LLVM-exception")?);
    Ok(())
}
