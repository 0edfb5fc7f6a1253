//! Reverts changes that nobody confirmed in time. What waits is in the database, so that a restart does not matter.

use std::time::Duration;

use crate::domain::Timestamp;
use crate::store::{Store, StoreError};

/// How long it waits after the database failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Watches for ever.
pub(crate) async fn watch(store: Store) {
    loop {
        if let Err(error) = turn(&store).await {
            tracing::warn!(%error, "cannot look for changes that were not confirmed");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Waits for the next deadline or the next change, whichever is first.
async fn turn(store: &Store) -> Result<(), StoreError> {
    let mut changes = store.last_event();
    changes.borrow_and_update();
    store.revert_unconfirmed().await?;
    let deadline = store.next_deadline().await?;
    tokio::select! {
        _ = changes.changed() => {}
        () = tokio::time::sleep(deadline.map_or(Duration::MAX, Timestamp::remaining)) => {}
    }
    Ok(())
}
