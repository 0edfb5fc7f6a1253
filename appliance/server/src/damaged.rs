//! While the database is damaged: nothing of it is touched, the planes go on by what they have, and the API says what is the matter, until
//! somebody brings a backup.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use lb_model::config::ApplianceConfig;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio_rustls::TlsAcceptor;

use crate::api::{self, Damage};
use crate::backup::Shelf;
use crate::peer::{Peer, Unwatched};
use crate::signin::ClaimCode;
use crate::{private_file, serve};

/// A damaged database that is waited with.
pub(crate) struct Waiting {
    damage: Arc<Damage>,
    code_file: PathBuf,
}

/// Makes ready for somebody who brings a backup: shows the code that lets them.
pub(crate) fn prepare(config: &ApplianceConfig, reason: String) -> anyhow::Result<Waiting> {
    tracing::error!("the database is damaged: {reason}. It is left as it is; a backup can be restored");
    let code = ClaimCode::generate().map_err(|_| anyhow!("there are no random bytes"))?;
    let code_file = config.run_dir.join("recovery-code");
    private_file::write(&code_file, format!("{code}\n").as_bytes())
        .context("cannot show the recovery code")?;
    let damage = Arc::new(Damage {
        reason,
        code_hash: code.hash(),
        shelf: Shelf::open(&config.state_dir).context("cannot use the folder of backups")?,
        database: config.database(),
        key_file: config.key_file(),
        machine: Peer::start(config.host_socket(), Unwatched)?,
        repaired: watch::Sender::new(false),
        restoring: Mutex::new(()),
    });
    Ok(Waiting { damage, code_file })
}

impl Waiting {
    /// Serves until another database is in the place of the damaged one, or until `stop`: whether it is there.
    pub(crate) async fn serve(
        self,
        listener: &TcpListener,
        tls: TlsAcceptor,
        stop: impl Future<Output = ()>,
    ) -> anyhow::Result<bool> {
        let Self { damage, code_file } = self;
        let mut repaired = damage.repaired.subscribe();
        let ended = async move {
            tokio::select! {
                () = stop => {}
                _ = repaired.wait_for(|repaired| *repaired) => {}
            }
        };
        let again = serve::again(listener).context("cannot listen twice")?;
        serve::serve(again, tls, api::damaged_router(Arc::clone(&damage)), ended).await;
        private_file::remove(&code_file).context("cannot remove the recovery code")?;
        Ok(*damage.repaired.borrow())
    }
}
