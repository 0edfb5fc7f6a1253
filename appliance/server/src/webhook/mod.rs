//! Tells webhooks of events: each in the order of the log, by a place in it that is kept, so that a restart loses none and there is no
//! second queue. One that does not take an event is tried again, later each time; after a day the event is given up for the next.

mod send;

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

pub(crate) use send::{Reach, SendError, Sender};

use crate::domain::{Delivery, Timestamp, Webhook};
use crate::store::{Event, Store, StoreError};

/// How long is waited after the first failure, the second, and so on; then always the last.
const PAUSES: [u32; 5] = [1, 5, 30, 120, 600];
/// After so many seconds an event is given up.
const DAY_S: u32 = 86_400;
/// So many events are read at once.
const AT_ONCE: u32 = 100;
/// How long it waits after the database failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);

/// Tells all webhooks for ever.
pub(crate) async fn tell(store: Store, reach: Reach) {
    let mut commits = store.commits();
    let mut told: HashMap<Uuid, (Webhook, JoinSet<()>)> = HashMap::new();
    loop {
        commits.borrow_and_update();
        match store.enabled_webhooks().await {
            Ok(wanted) => {
                let mut before = std::mem::take(&mut told);
                for record in wanted {
                    let (id, webhook) = (record.id, record.spec.own);
                    // Who is told as before goes on; the others end when they are dropped.
                    let same = before.remove(&id).filter(|(was, _)| is_told_alike(was, &webhook));
                    let telling = same.map_or_else(
                        || {
                            let mut telling = JoinSet::new();
                            telling.spawn(one(store.clone(), id, webhook.clone(), reach));
                            telling
                        },
                        |(_, telling)| telling,
                    );
                    told.insert(id, (webhook, telling));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read which webhooks there are");
                tokio::time::sleep(DATABASE_PAUSE).await;
                continue;
            }
        }
        if commits.changed().await.is_err() {
            return;
        }
    }
}

fn is_told_alike(one: &Webhook, other: &Webhook) -> bool {
    (&one.url, &one.events, &one.ca, &one.secret) == (&other.url, &other.events, &other.ca, &other.secret)
}

async fn one(store: Store, id: Uuid, mut webhook: Webhook, reach: Reach) {
    let sender = Sender::new(&webhook, reach);
    loop {
        if let Err(error) = turn(&store, id, &mut webhook, &sender).await {
            tracing::warn!(%error, webhook = %id, "how far a webhook was told cannot be kept");
            tokio::time::sleep(DATABASE_PAUSE).await;
        }
    }
}

/// Tells of what has come, and waits for more.
async fn turn(
    store: &Store,
    id: Uuid,
    webhook: &mut Webhook,
    sender: &Result<Sender, SendError>,
) -> Result<(), StoreError> {
    let mut last = store.last_event();
    last.borrow_and_update();
    let events = store.events_after(webhook.delivery.done_with.unwrap_or_default(), AT_ONCE).await?;
    if events.is_empty() {
        // Nobody says any more that something happened: the process ends.
        if last.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        return Ok(());
    }
    for event in &events {
        // What it does not want is passed over again after a restart: that costs less than a note of each.
        while webhook.wants(&event.kind) && webhook.delivery.done_with < Some(event.id) {
            if let Some(next) = webhook.delivery.next_attempt_at {
                tokio::time::sleep(next.remaining()).await;
            }
            let outcome = match sender {
                Ok(sender) => sender.send(&format!("evt_{}", event.id), message(event)).await,
                Err(error) => Err(error.clone()),
            };
            webhook.delivery = after(&webhook.delivery, event.id, outcome, Timestamp::now());
            store.note_delivery(id, &webhook.delivery).await?;
        }
        webhook.delivery.done_with = Some(event.id);
    }
    Ok(())
}

fn message(event: &Event) -> String {
    json!({ "type": event.kind, "timestamp": event.at, "data": event }).to_string()
}

/// How far it has come after this attempt.
fn after(before: &Delivery, event: i64, outcome: Result<(), SendError>, now: Timestamp) -> Delivery {
    let done = Delivery {
        done_with: Some(event),
        failures: 0,
        failing_since: None,
        next_attempt_at: None,
        last_attempt_at: Some(now),
        ..before.clone()
    };
    let Err(error) = outcome else {
        return Delivery { last_success_at: Some(now), last_error: None, ..done };
    };
    let last_error = Some(error.to_string());
    let since = before.failing_since.unwrap_or(now);
    if since.plus_seconds(DAY_S) <= now {
        return Delivery { last_error, given_up: before.given_up + 1, ..done };
    }
    let pause = PAUSES[(before.failures as usize).min(PAUSES.len() - 1)];
    Delivery {
        done_with: before.done_with,
        failures: before.failures + 1,
        failing_since: Some(since),
        next_attempt_at: Some(now.plus_seconds(pause)),
        last_error,
        ..done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_fails_is_tried_later_each_time_and_given_up_after_a_day() {
        let refused = || Err(SendError::NoSecret);
        let mut delivery = Delivery { done_with: Some(6), ..Delivery::default() };
        let start = Timestamp::at_second(1_000_000);
        let mut now = start;
        let mut pauses = Vec::new();
        for _ in 0..6 {
            delivery = after(&delivery, 7, refused(), now);
            let next = delivery.next_attempt_at.unwrap();
            pauses.push(next.second() - now.second());
            now = next;
        }
        assert_eq!(pauses, [1, 5, 30, 120, 600, 600]);
        assert_eq!((delivery.done_with, delivery.failures), (Some(6), 6));
        let given_up = after(&delivery, 7, refused(), start.plus_seconds(DAY_S));
        assert_eq!((given_up.done_with, given_up.given_up, given_up.failures), (Some(7), 1, 0));
        let taken = after(&delivery, 7, Ok(()), now);
        assert_eq!((taken.done_with, taken.last_error, taken.last_success_at), (Some(7), None, Some(now)));
    }
}
