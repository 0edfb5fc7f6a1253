//! The resource `webhooks`, and trying one out.

use std::time::Instant;

use axum::Json;
use axum::extract::{RawPathParams, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::path::HttpMethod;
use uuid::Uuid;

use super::describe::Description;
use super::error::Problem;
use super::resource::{self, Item, Resource, path_parameter};
use super::view::Operating;
use super::{App, Route};
use crate::domain::{Delivery, Record, Timestamp, Webhook};
use crate::probe::Board;
use crate::webhook::Sender;

impl Resource for Webhook {
    const COLLECTION: &'static str = "/api/v1/webhooks";
    const NAME: &'static str = "Webhook";
    const NAMES: &'static str = "Webhooks";
    const TAG: &'static str = "webhooks";

    fn parent(_parameters: &RawPathParams) -> Option<()> {
        Some(())
    }

    fn collection((): ()) -> String {
        Self::COLLECTION.to_owned()
    }

    type Seen = WebhookSeen;

    fn seen(record: &Record<Self>, _health: &Board) -> (Operating, Option<String>, WebhookSeen) {
        let delivery = DeliverySeen::from(&record.spec.own.delivery);
        let operating = match (&delivery.last_error, delivery.last_success_at) {
            (Some(_), _) => Operating::Degraded,
            (None, Some(_)) => Operating::Online,
            (None, None) => Operating::Unknown,
        };
        (operating, delivery.last_error.clone(), WebhookSeen { delivery })
    }
}

/// What is seen of a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookSeen {
    /// How far telling it has come.
    delivery: DeliverySeen,
}

/// How far telling a webhook has come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliverySeen {
    /// How often the event that is next was tried in vain.
    #[schema(minimum = 0, example = 0)]
    failures: u32,
    /// When it is tried again; null: at once.
    #[schema(value_type = Option<String>, format = DateTime, max_length = 35, required)]
    next_attempt_at: Option<Timestamp>,
    /// When an event was last posted.
    #[schema(value_type = Option<String>, format = DateTime, max_length = 35, required)]
    last_attempt_at: Option<Timestamp>,
    /// When one was last taken.
    #[schema(value_type = Option<String>, format = DateTime, max_length = 35, required)]
    last_success_at: Option<Timestamp>,
    /// Why the last was not taken; null if it was.
    #[schema(max_length = 4096, required, example = "it answered 503 Service Unavailable")]
    last_error: Option<String>,
    /// How many events were given up, each after a day.
    #[schema(minimum = 0, example = 0)]
    given_up: u32,
}

impl From<&Delivery> for DeliverySeen {
    fn from(delivery: &Delivery) -> Self {
        let Delivery { failures, next_attempt_at, last_attempt_at, last_success_at, .. } = *delivery;
        let (last_error, given_up) = (delivery.last_error.clone(), delivery.given_up);
        Self { failures, next_attempt_at, last_attempt_at, last_success_at, last_error, given_up }
    }
}

/// What came of a trial.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WebhookTrial {
    /// Whether the message was taken.
    taken: bool,
    /// Why not; null if it was.
    #[schema(max_length = 4096, required, example = "it answered 503 Service Unavailable")]
    error: Option<String>,
    /// What that took, in milliseconds.
    #[schema(minimum = 0, example = 18)]
    took_ms: u64,
}

async fn try_out(State(app): State<App>, Item(place): Item<Webhook>) -> Result<Json<WebhookTrial>, Problem> {
    let record = app.store.get(place).await?;
    let (id, webhook) = (record.id, record.spec.own);
    let body = json!({ "type": "webhook.test", "timestamp": Timestamp::now(), "data": { "webhook_id": id } });
    let begun = Instant::now();
    let outcome = match Sender::new(&webhook, app.reach) {
        Ok(sender) => sender.send(&format!("test_{}", Uuid::now_v7()), body.to_string()).await,
        Err(error) => Err(error),
    };
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let error = outcome.err().map(|error| error.to_string());
    Ok(Json(WebhookTrial { taken: error.is_none(), error, took_ms }))
}

pub(super) fn routes() -> Vec<Route> {
    let trying = Description::new("testWebhook", Webhook::TAG, "Try a webhook out")
        .explain("Posts a message of type `webhook.test` at once, and says what came of it; it is not tried again.")
        .parameter(path_parameter("id", "Which one."))
        .answer(StatusCode::OK, "This came of it.", Some("WebhookTrial"), &[])
        .fails(&[404]);
    let mut routes = resource::routes::<Webhook>();
    let path = format!("{}/{{id}}/test", Webhook::COLLECTION);
    routes.push(Route::new(HttpMethod::Post, path, Webhook::WRITE, try_out, trying));
    routes
}
