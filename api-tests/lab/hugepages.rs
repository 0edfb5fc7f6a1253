//! Huge pages for one lab: its own mount, and as many pages as it needs, given back when it ends.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command::{program, run};

const RESERVED: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
const FREE: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
/// In the lab's folder: how many pages were added for it.
const NOTE: &str = "hugepages";

/// A folder in huge pages below `folder`, after `pages` of 2 MiB were added to the machine's. `None` if the machine
/// has no such pages to give; fewer than asked for are fine.
pub(crate) fn take(folder: &Path, pages: u32) -> Result<Option<PathBuf>> {
    if !Path::new(RESERVED).exists() {
        return Ok(None);
    }
    let before = read(RESERVED)?;
    write(before + pages)?;
    let added = read(RESERVED)?.saturating_sub(before);
    fs::write(folder.join(NOTE), added.to_string()).context("cannot note the huge pages")?;
    if read(FREE)? == 0 {
        return Ok(None);
    }
    let mount = folder.join("huge");
    fs::create_dir_all(&mount).with_context(|| format!("cannot make {}", mount.display()))?;
    let mounted =
        run(program("mount").args(["-t", "hugetlbfs", "-o", "pagesize=2M", "penstock-lab"]).arg(&mount));
    Ok(mounted.is_ok().then_some(mount))
}

/// Takes from the machine's pages those that were added for the lab of this folder.
pub(crate) fn give_back(folder: &Path) -> Result<()> {
    let note = folder.join(NOTE);
    let Ok(added) = fs::read_to_string(&note) else { return Ok(()) };
    let added: u32 = added.trim().parse().unwrap_or(0);
    if added > 0 {
        write(read(RESERVED)?.saturating_sub(added))?;
    }
    fs::remove_file(&note).context("cannot remove the note of the huge pages")
}

fn read(file: &str) -> Result<u32> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    text.trim().parse().with_context(|| format!("{file} holds no number"))
}

fn write(pages: u32) -> Result<()> {
    fs::write(RESERVED, pages.to_string()).with_context(|| format!("cannot write {RESERVED}"))
}
