//! Compiles the programs of `dataplane/xdp` for the kernel's virtual machine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: &str = "../../dataplane/xdp";
const PROGRAMS: [&str; 2] = ["steer", "pass"];

fn main() {
    println!("cargo:rerun-if-env-changed=CLANG");
    let clang = env::var("CLANG").unwrap_or_else(|_| "clang".to_owned());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    for program in PROGRAMS {
        let source = format!("{SOURCES}/{program}.c");
        println!("cargo:rerun-if-changed={source}");
        compile(&clang, &source, &out.join(format!("{program}.o")));
    }
}

fn compile(clang: &str, source: &str, object: &Path) {
    // -g makes the type information that maps and libxdp's version need; v2 is what Debian 12's clang and kernel agree on.
    let status = Command::new(clang)
        .args(["-target", "bpf", "-mcpu=v2", "-O2", "-g", "-Wall", "-Wextra", "-Werror"])
        .args(kernel_headers())
        .args(["-c", source, "-o"])
        .arg(object)
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(_) => {
            fail(&format!("{clang} could not compile {source}: are libbpf-dev and linux-libc-dev there?"))
        }
        Err(error) => fail(&format!("{clang} could not be started ({error}): install the package clang")),
    }
}

// For the target `bpf` clang does not search Debian's folder of the machine's own headers (asm/types.h).
fn kernel_headers() -> Vec<String> {
    let machine = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let folder = format!("/usr/include/{machine}-linux-gnu");
    if Path::new(&folder).is_dir() { vec!["-I".to_owned(), folder] } else { Vec::new() }
}

fn fail(why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(1);
}
