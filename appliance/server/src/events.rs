//! Where any part of the program says that something happened. It is written to the database, and told to whoever
//! listens at `/events/stream`.
//!
//! Saying so never waits and never fails: what cannot be written is in the log.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::domain::NewEvent;
use crate::store::Store;

/// So many may wait to be written: a pool of a thousand members that fails at once is told whole.
const WAITING: usize = 4096;
/// So many are written at once.
const AT_ONCE: usize = 256;

/// A place to say that something happened.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    queue: Sender<NewEvent>,
}

impl Events {
    /// Something happened.
    pub(crate) fn append(&self, event: NewEvent) {
        match self.queue.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(event) | TrySendError::Closed(event)) => {
                tracing::warn!(kind = event.kind, "an event is not kept: {}", event.message);
            }
        }
    }
}

/// Makes the place, and what writes down what is said there until nobody can say anything any more.
pub(crate) fn queue(store: Store) -> (Events, impl Future<Output = ()>) {
    let (queue, waiting) = channel(WAITING);
    (Events { queue }, write(store, waiting))
}

async fn write(store: Store, mut waiting: Receiver<NewEvent>) {
    let mut batch = Vec::with_capacity(AT_ONCE);
    while waiting.recv_many(&mut batch, AT_ONCE).await > 0 {
        if let Err(error) = store.append_events(&batch).await {
            tracing::warn!(%error, "{} events are not kept", batch.len());
        }
        batch.clear();
    }
}
