//! The members: real HTTP servers, that say who they are and offer a large file.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::namespace::Namespace;
use crate::slot::{Role, Slot};
use crate::supervisor::{Service, Supervised};

/// The size of what members serve at `/big`.
pub const BIG_BYTES: u64 = 200 << 20;

/// One member.
pub struct Member {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its server.
    pub server: Supervised,
    hits: PathBuf,
}

impl Member {
    /// Starts the server of member `number` (1 is the first), which answers `/` with `member-<number>`, and `/echo` with what
    /// it was asked.
    pub(crate) fn start(slot: &Slot, number: usize, big: &Path) -> Result<Self> {
        let name = format!("member-{number}");
        let folder = slot.folder().join(&name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let config = folder.join("nginx.conf");
        fs::write(&config, nginx_config(&name, &folder, big)).context("cannot write nginx.conf")?;

        let namespace = slot.namespace(Role::Member(number));
        let in_namespace = namespace.clone();
        let server = Supervised::start(Service {
            name: name.clone(),
            command: Box::new(move || {
                let mut command = in_namespace.command("nginx");
                command.args(["-e", "/dev/stdout", "-c"]).arg(&config);
                command
            }),
            ready: "start worker process",
            log: slot.folder().join("logs").join(format!("{name}.log")),
        });
        Ok(Self { namespace, server, hits: folder.join("hits") })
    }

    /// Waits until its server accepts connections.
    pub(crate) fn await_ready(&self) -> Result<()> {
        self.server.await_ready(Duration::from_secs(10))
    }

    /// How often it has answered `/`.
    pub fn hits(&self) -> u64 {
        fs::metadata(&self.hits).map_or(0, |file| file.len() / LINE.len() as u64)
    }
}

/// What the server logs for a request: only its length counts.
const LINE: &str = ".\n";

fn nginx_config(name: &str, folder: &Path, big: &Path) -> String {
    let (folder, big) = (folder.display(), big.display());
    let mood = if name == "member-1" { 503 } else { 200 };
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log /dev/stdout notice;
events {{ worker_connections 4096; }}
http {{
    log_format hit '.';
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    default_type text/plain;
    add_header X-Member {name};
    server {{
        listen 80;
        listen [::]:80;
        location = / {{ access_log {folder}/hits hit; return 200 '{name}\\n'; }}
        location /echo {{
            return 200 '{name} $request_method $http_host $request_uri x-shop=$http_x_shop cookie=$http_cookie\n';
        }}
        # The first member has its moods; all set a cookie of their own.
        location = /moody {{ return {mood} '{name}\n'; }}
        location = /login {{ add_header Set-Cookie 'sid=of-{name}; Path=/'; return 200 '{name}\n'; }}
        location = /big {{ alias {big}; }}
    }}
}}
"
    )
}

/// A large file without repetition, so that a packet lost, doubled or out of its place changes the checksum.
pub(crate) fn write_big(path: &Path) -> Result<String> {
    let mut file =
        BufWriter::new(File::create(path).with_context(|| format!("cannot make {}", path.display()))?);
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 16];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..BIG_BYTES / block.len() as u64 {
        for word in block.chunks_exact_mut(8) {
            word.copy_from_slice(&xorshift(&mut state).to_le_bytes());
        }
        hash.update(&block);
        file.write_all(&block).with_context(|| format!("cannot write {}", path.display()))?;
    }
    file.flush().with_context(|| format!("cannot write {}", path.display()))?;
    Ok(hex(&hash.finalize()))
}

/// Marsaglia, "Xorshift RNGs", 2003: 64 bits, full period.
fn xorshift(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A checksum as `sha256sum` prints it.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}
