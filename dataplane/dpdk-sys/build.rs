//! Compiles the shim and makes the bindings, both from the libdpdk that pkg-config knows.

use std::env;
use std::error::Error;
use std::path::PathBuf;

/// What the appliance's CPUs all have; also what `.cargo/config.toml` says for Rust. AVX-512 breaks in guests.
const MARCH: &str = "-march=x86-64-v3";

/// The libraries that the bound functions are in; drivers are opened by the EAL as plugins.
const LIBRARIES: &[&str] = &["rte_ethdev", "rte_mbuf", "rte_mempool", "rte_ring", "rte_eal"];

const FUNCTIONS: &[&str] = &[
    "penstock_.*",
    "rte_eal_(get_runtime_dir|hotplug_add|hotplug_remove|init)",
    "rte_eth_dev_(adjust_nb_rx_tx_desc|close|configure|get_mtu|get_port_by_name|info_get|set_mtu|start|stop)",
    "rte_eth_(dev_socket_id|link_get_nowait|macaddr_get|promiscuous_enable|rx_queue_setup|tx_queue_setup)",
    "rte_eth_(stats_get|xstats_get|xstats_get_names)",
    "rte_get_tsc_hz",
    "rte_mempool_(avail_count|calc_obj_size|create_empty|free|obj_iter|populate_default|set_ops_byname)",
    "rte_openlog_stream",
    "rte_pktmbuf_(free_bulk|init|pool_init)",
    "rte_ring_(create|free)",
    "rte_strerror",
    "rte_thread_(register|unregister)",
    "rte_version",
];

const TYPES: &[&str] = &[
    "rte_eth_(conf|rxconf|txconf|dev_info|link|stats|xstat|xstat_name)",
    "rte_mbuf",
    "rte_pktmbuf_pool_private",
];

/// Seen through pointers only.
const OPAQUE: &[&str] = &["_IO_FILE", "rte_ring", "rte_memzone", "rte_mempool_cache"];

const CONSTANTS: &[&str] = &[
    "PENSTOCK_.*",
    "RTE_ETH_(LINK_UP|LINK_FULL_DUPLEX|MQ_RX_RSS|NAME_MAX_LEN|XSTATS_NAME_SIZE)",
    "RTE_ETHER_(CRC_LEN|HDR_LEN|MIN_MTU|MTU)",
    "RTE_MAX_LCORE",
    "RTE_MEMPOOL_(CACHE_MAX_SIZE|F_NO_IOVA_CONTIG|NAMESIZE)",
    "RTE_PKTMBUF_HEADROOM",
    "RTE_RING_NAMESIZE",
];

fn main() -> Result<(), Box<dyn Error>> {
    for name in ["shim.c", "shim.h"] {
        println!("cargo:rerun-if-changed=src/{name}");
    }
    for name in ["PKG_CONFIG_PATH", "PKG_CONFIG_SYSROOT_DIR", "LIBCLANG_PATH", "BINDGEN_EXTRA_CLANG_ARGS"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let include_paths = probe()?;
    compile_shim(&include_paths);
    bind(&include_paths)
}

/// Links only what is bound: `libdpdk.pc` names some fifty libraries.
fn probe() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let dpdk =
        pkg_config::Config::new().range_version("22.11".."23").cargo_metadata(false).probe("libdpdk")?;
    for path in &dpdk.link_paths {
        println!("cargo:rustc-link-search=native={}", path.display());
    }
    for library in LIBRARIES {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    Ok(dpdk.include_paths)
}

fn compile_shim(include_paths: &[PathBuf]) {
    cc::Build::new()
        .file("src/shim.c")
        .includes(include_paths)
        .flag("-include")
        .flag("rte_config.h")
        .flag(MARCH)
        .define("ALLOW_EXPERIMENTAL_API", None)
        .opt_level(3)
        .flag("-Wno-unused-parameter")
        .compile("penstock_dpdk_shim");
}

fn bind(include_paths: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let mut builder = bindgen::builder()
        .header("src/shim.h")
        .clang_args(include_paths.iter().map(|path| format!("-I{}", path.display())))
        // bindgen's clang trips over the intrinsics of newer CPUs; layouts do not depend on it.
        .clang_args(["-include", "rte_config.h", "-march=corei7", "-DALLOW_EXPERIMENTAL_API"])
        .use_core()
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .generate_comments(false)
        .allowlist_recursively(true);
    for name in FUNCTIONS {
        builder = builder.allowlist_function(name);
    }
    for name in TYPES {
        builder = builder.allowlist_type(name);
    }
    for name in OPAQUE {
        builder = builder.opaque_type(name);
    }
    for name in CONSTANTS {
        builder = builder.allowlist_var(name);
    }
    let out = PathBuf::from(env::var("OUT_DIR")?).join("bindings.rs");
    builder.generate()?.write_to_file(out)?;
    Ok(())
}
