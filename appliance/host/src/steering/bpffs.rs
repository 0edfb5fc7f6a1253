//! The directory of pins: on a BPF file system, made and unmade.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::StatFs;
use rustix::mount::{MountFlags, UnmountFlags};
use tracing::info;

use super::SteeringError;
use super::attach::detach;
use super::maps::MAPS_PREFIX;

/// `BPF_FS_MAGIC` of linux/magic.h.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

/// Where Linux wants its BPF file system; a directory below it can be made only once it is mounted.
const SYSTEM_BPFFS: &str = "/sys/fs/bpf";

/// Makes `dir` a directory on a BPF file system, by mounting one there if need be.
pub(super) fn prepare(dir: &Path) -> Result<(), SteeringError> {
    let failed = |source| SteeringError::BpfDir { path: dir.to_owned(), source };
    if dir.starts_with(SYSTEM_BPFFS) {
        mount_unless_there(Path::new(SYSTEM_BPFFS)).map_err(failed)?;
    }
    fs::create_dir_all(dir).map_err(failed)?;
    mount_unless_there(dir).map_err(failed)
}

/// Makes a directory below the prepared one.
pub(super) fn make_dir(dir: &Path) -> Result<(), SteeringError> {
    match fs::create_dir(dir) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(SteeringError::BpfDir { path: dir.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Detaches the programs of interfaces that are no ports any more, and removes the maps of earlier layouts.
pub(super) fn remove_unused(dir: &Path, links: &[PathBuf], maps: &Path) -> Result<(), SteeringError> {
    remove_pins(dir, |path| path != maps && !links.iter().any(|link| link == path))
}

/// Removes every pin, which detaches the programs, then the directory, and the file system if it was mounted for it.
pub(crate) fn remove_all(dir: &Path) -> Result<(), SteeringError> {
    let failed = |source| SteeringError::Pins { path: dir.to_owned(), source };
    match is_bpffs(dir) {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    remove_pins(dir, |_| true)?;
    if is_mount_point(dir).map_err(failed)? {
        // Whoever still looks into it (a process that has just been started has a copy of all mounts) must not stop us.
        rustix::mount::unmount(dir, UnmountFlags::DETACH).map_err(io::Error::from).map_err(failed)?;
    }
    fs::remove_dir(dir).map_err(failed)
}

/// Removes those of our pins that are `unwanted`.
fn remove_pins(dir: &Path, unwanted: impl Fn(&Path) -> bool) -> Result<(), SteeringError> {
    let failed = |source| SteeringError::Pins { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !unwanted(&path) {
            continue;
        }
        if is_maps_dir(&path) {
            fs::remove_dir_all(&path).map_err(failed)?;
        } else if path.to_string_lossy().ends_with("-link") {
            detach(&path)?;
            info!("detached the steering program of {}", path.display());
        }
    }
    Ok(())
}

fn is_maps_dir(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(MAPS_PREFIX))
}

fn mount_unless_there(dir: &Path) -> io::Result<()> {
    if !is_bpffs(dir)? {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount("bpf", dir, "bpf", flags, Some(c"mode=0700"))?;
        info!("mounted a BPF file system at {}", dir.display());
    }
    Ok(())
}

fn is_bpffs(dir: &Path) -> io::Result<bool> {
    let StatFs { f_type, .. } = rustix::fs::statfs(dir)?;
    Ok(u64::try_from(f_type).is_ok_and(|kind| kind == BPF_FS_MAGIC))
}

/// A mount point is on another file system than its parent.
fn is_mount_point(dir: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let parent = dir.parent().unwrap_or(dir);
    Ok(fs::metadata(dir)?.dev() != fs::metadata(parent)?.dev())
}
