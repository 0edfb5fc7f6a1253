//! Builds the web console's files into the program: those in the folder that `PENSTOCK_CONSOLE_DIR` names, or none.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const FOLDER: &str = "PENSTOCK_CONSOLE_DIR";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed={FOLDER}");
    println!("cargo::rerun-if-changed=build.rs");
    // A new migration alone does not make the compiler look again.
    println!("cargo::rerun-if-changed=../../migrations");
    let mut table = "static FILES: &[File] = &[\n".to_owned();
    if let Some(folder) = env::var_os(FOLDER).filter(|folder| !folder.is_empty()) {
        let folder = PathBuf::from(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        for file in files(&folder)? {
            write_entry(&mut table, &folder, &file);
        }
    }
    table.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(out.join("console_files.rs"), table)
}

/// All files below `folder` but the compressed forms of others, in a fixed order.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if !matches!(extension(&path), "br" | "gz") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn write_entry(table: &mut String, folder: &Path, file: &Path) {
    let name = file.strip_prefix(folder).unwrap_or(file).to_string_lossy();
    let include = |path: &str| format!("include_bytes!({path:?})");
    let plain = file.to_string_lossy();
    let packed = |suffix: &str| {
        let path = format!("{plain}.{suffix}");
        if Path::new(&path).exists() { format!("Some({})", include(&path)) } else { "None".to_owned() }
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        table,
        "    File {{ path: {:?}, content_type: {:?}, plain: {}, brotli: {}, gzip: {} }},",
        format!("/{name}"),
        content_type(file),
        include(&plain),
        packed("br"),
        packed("gz"),
    );
}

fn content_type(file: &Path) -> &'static str {
    match extension(file) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
