//! What the appliance noticed: as a list, and as a stream that goes on where it was broken off.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{self, KeepAlive, Sse};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::openapi::path::{HttpMethod, ParameterIn};

use super::describe::{Description, parameter, string};
use super::error::Problem;
use super::log::{self, describe_list, number};
use super::{Access, App, ROOT, Route};
use crate::domain::{FieldError, Permission};
use crate::store::{Event, Store, StoreError};

const TAG: &str = "history";

/// So many are read from the database at once.
const AT_ONCE: u32 = 200;
/// A word now and then, or something between takes the silence for an end.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The last event that a reader has (HTML, server-sent events).
const LAST_EVENT_ID: &str = "Last-Event-ID";

type Stream = ReceiverStream<Result<sse::Event, Infallible>>;

async fn stream(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Sse<sse::KeepAliveStream<Stream>>, Problem> {
    let known = match headers.get(LAST_EVENT_ID) {
        None => *app.store.last_event().borrow(),
        Some(id) => id.to_str().ok().and_then(|id| id.parse().ok()).ok_or_else(|| {
            Problem::invalid(vec![FieldError::new(LAST_EVENT_ID, "invalid", "want the number of an event")])
        })?,
    };
    let (sender, receiver) = channel(AT_ONCE as usize);
    tokio::spawn(async move {
        if let Err(error) = tell(&app.store, known, &sender).await {
            // The reader asks again, and is then told why if it goes on.
            tracing::warn!(%error, "a stream of events is broken off");
        }
    });
    Ok(Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Tells everything after `known` until nobody listens.
async fn tell(
    store: &Store,
    mut known: i64,
    reader: &Sender<Result<sse::Event, Infallible>>,
) -> Result<(), StoreError> {
    let mut last = store.last_event();
    loop {
        last.borrow_and_update();
        let events = store.events_after(known, AT_ONCE).await?;
        for event in &events {
            known = event.id;
            let told = sse::Event::default().id(event.id.to_string()).event(event.kind.clone());
            let Ok(told) = told.json_data(event) else { continue };
            if reader.send(Ok(told)).await.is_err() {
                return Ok(());
            }
        }
        if events.is_empty() {
            tokio::select! {
                changed = last.changed() => if changed.is_err() { return Ok(()) },
                () = reader.closed() => return Ok(()),
            }
        }
    }
}

pub(super) fn routes() -> Vec<Route> {
    let listing = describe_list::<Event>(
        Description::new("listEvents", TAG, "List events").explain(
            "What the appliance noticed: changes, members that fail and come back. The last 20,000 are kept.",
        ),
        "EventList",
    );
    let one = Description::new("readEvent", TAG, "Read an event")
        .parameter(number("id", "Which one."))
        .answer(StatusCode::OK, "This is it.", Some("Event"), &[])
        .fails(&[404]);
    let last = "The number of the last event that you have: those after it come first.";
    let streaming = Description::new("streamEvents", TAG, "Listen to events")
        .explain(
            "Server-sent events, one for each event as it happens: `id` is its number, `event` its kind, `data` the \
             event as JSON. A reader that was cut off says `Last-Event-ID` and misses nothing that is still kept.",
        )
        .parameter(parameter(LAST_EVENT_ID, ParameterIn::Header, string(20), last))
        .answer_text("text/event-stream", "Events, as long as you listen.")
        .fails(&[422]);
    let collection = format!("{ROOT}/events");
    vec![
        Route::new(
            HttpMethod::Get,
            collection.clone(),
            Access::Permitted(Permission::BalancingRead),
            log::list::<Event>,
            listing,
        ),
        Route::new(
            HttpMethod::Get,
            format!("{collection}/stream"),
            Access::Permitted(Permission::BalancingRead),
            stream,
            streaming,
        ),
        Route::new(
            HttpMethod::Get,
            format!("{collection}/{{id}}"),
            Access::Permitted(Permission::BalancingRead),
            log::read::<Event>,
            one,
        ),
    ]
}
