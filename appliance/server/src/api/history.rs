//! The history of the statistics, as a chart wants it: a value for each step of time.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, ParameterIn};
use utoipa::openapi::schema::{ArrayBuilder, Object, ObjectBuilder, Type};

use super::describe::{Description, parameter, string};
use super::error::Problem;
use super::list::{Fault, pairs};
use super::{Access, App, ROOT, Route};
use crate::domain::{FieldError, Permission, Timestamp};
use crate::stats::{Aggregation, Key, Metric, MetricKind, Span, Subject, Tier};

/// So many can be asked for at once.
const KEYS_MAX: usize = 50;
/// So many values are given for each metric.
const VALUES_MAX: usize = 10_000;
/// So many values come where nobody says how many.
const VALUES_DEFAULT: u64 = 300;
/// The longest range, in seconds.
const RANGE_MAX: u64 = Tier::Coarse.kept();
const RANGE_DEFAULT: u64 = 900;

/// What was measured in a part of time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatsHistory {
    /// Where the first value begins.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:04:00Z")]
    from: Timestamp,
    /// Where the last value ends.
    #[schema(value_type = String, format = DateTime, max_length = 35, example = "2026-01-02T03:14:00Z")]
    to: Timestamp,
    /// Seconds from each value to the next.
    #[schema(minimum = 1, maximum = 86400, example = 10)]
    step_s: u64,
    /// Seconds from each measurement to the next: 1 within the last hour, 10 before.
    #[schema(minimum = 1, maximum = 10, example = 1)]
    resolution_s: u64,
    aggregation: Aggregation,
    /// One for each metric of each one that was asked for.
    #[schema(max_items = 3200)]
    series: Vec<StatsSeries>,
}

/// One metric of one resource.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatsSeries {
    /// Of which one: an identifier, or the name of a port, worker, drop reason or process; empty for the appliance, and for all virtual services together.
    #[schema(max_length = 64, example = "01975c1e-8c1b-7c3a-9d55-0a1b2c3d4e5f")]
    id: String,
    /// What was measured.
    #[schema(max_length = 64, example = "connections")]
    metric: &'static str,
    kind: MetricKind,
    /// What one of it is. The values of a counter are so many per second, unless `aggregation` is `sum`.
    #[schema(max_length = 64, example = "connections")]
    unit: &'static str,
    /// The value at index i is of the step that begins at `from + i × step_s`; null where nothing was measured.
    #[schema(value_type = Vec<Measured>, max_items = 10_000)]
    values: Vec<Option<f64>>,
}

/// A value of a chart; null where nothing was measured.
#[derive(ToSchema)]
#[schema(value_type = Option<f64>, minimum = 0, maximum = 1e20, example = 12.5)]
pub(super) struct Measured(#[expect(dead_code, reason = "a shape for the API's description")] f64);

/// What was asked for.
#[derive(Debug)]
struct Question {
    subject: Subject,
    ids: Vec<String>,
    metrics: Vec<&'static str>,
    span: Span,
    aggregation: Aggregation,
}

#[derive(Default)]
struct Parameters {
    subject: Option<Subject>,
    ids: Vec<String>,
    metrics: Vec<String>,
    to: Option<u64>,
    range: Option<u64>,
    step: Option<u64>,
    aggregation: Aggregation,
}

async fn history(State(app): State<App>, uri: Uri) -> Result<Json<StatsHistory>, Problem> {
    let question = read(&uri, Timestamp::now().second()).map_err(Problem::invalid)?;
    let failed = |error: sqlx::Error| Problem::internal(&error);
    let keys = if question.ids.is_empty() {
        app.history.keys(question.subject).await.map_err(failed)?
    } else {
        question.ids.iter().map(|id| Key::new(question.subject, id)).collect()
    };
    let Question { subject: _, ids: _, metrics, span, aggregation } = question;
    let mut series = Vec::new();
    for key in keys {
        let values = app.history.values(&key, span, aggregation).await.map_err(failed)?;
        let named = key.subject.metrics().iter().zip(values);
        let wanted = named.filter(|(metric, _)| metrics.is_empty() || metrics.contains(&metric.name));
        series.extend(wanted.map(|(Metric { name, kind, unit }, values)| StatsSeries {
            id: key.id.to_string(),
            metric: name,
            kind: *kind,
            unit,
            values,
        }));
    }
    Ok(Json(StatsHistory {
        from: Timestamp::at_second(span.from),
        to: Timestamp::at_second(span.to),
        step_s: span.step,
        resolution_s: span.tier.step(),
        aggregation,
        series,
    }))
}

fn read(uri: &Uri, now: u64) -> Result<Question, Vec<FieldError>> {
    let mut parameters = Parameters::default();
    let mut faults = Vec::new();
    for (key, value) in pairs(uri) {
        if let Err((code, detail)) = parameters.take(&key, value) {
            faults.push(FieldError::new(format!("?{key}"), code, detail));
        }
    }
    let question = parameters.question(now, &mut faults);
    match question {
        Some(question) if faults.is_empty() => Ok(question),
        _ => Err(faults),
    }
}

impl Parameters {
    fn take(&mut self, key: &str, value: String) -> Result<(), Fault> {
        match key {
            "resource" => self.subject = Some(word(Subject::ALL, &value)?),
            "id" if value.len() > 64 => return Err(("too_long", "want at most 64 characters".to_owned())),
            "id" if self.ids.len() == KEYS_MAX => {
                return Err(("too_many", format!("want at most {KEYS_MAX}")));
            }
            "id" => self.ids.push(value),
            "metric" => self.metrics.push(value),
            "to" => self.to = Some(moment(value)?),
            "range_s" => self.range = Some(seconds(&value)?),
            "step_s" => self.step = Some(seconds(&value)?),
            "aggregation" => self.aggregation = word(Aggregation::ALL, &value)?,
            _ => {
                let keys = "resource, id, metric, to, range_s, step_s, aggregation";
                return Err(("unknown_parameter", format!("want one of {keys}")));
            }
        }
        Ok(())
    }

    fn question(self, now: u64, faults: &mut Vec<FieldError>) -> Option<Question> {
        let Self { subject, ids, metrics, to, range, step, aggregation } = self;
        let Some(subject) = subject else {
            if !faults.iter().any(|fault| fault.pointer == "?resource") {
                faults.push(FieldError::new("?resource", "required", "say what was measured"));
            }
            return None;
        };
        if subject.is_many() && ids.is_empty() {
            faults.push(FieldError::new("?id", "required", format!("say which of the {}", subject.word())));
        }
        let known =
            |name: &str| subject.metrics().iter().map(|metric| metric.name).find(|known| *known == name);
        let mut wanted = Vec::new();
        for metric in metrics {
            if let Some(name) = known(&metric) {
                wanted.push(name);
            } else {
                let names: Vec<_> = subject.metrics().iter().map(|metric| metric.name).collect();
                faults.push(FieldError::new(
                    "?metric",
                    "unsupported",
                    format!("want one of {}", names.join(", ")),
                ));
            }
        }
        // What lies ahead was not measured.
        let to = to.unwrap_or(now).min(now);
        let range = range.unwrap_or(RANGE_DEFAULT);
        let step = step.unwrap_or_else(|| range.div_ceil(VALUES_DEFAULT));
        let span = Span::new(to, range, step, now);
        if span.len() > VALUES_MAX {
            let detail = format!("this would be {} values: want at most {VALUES_MAX}", span.len());
            faults.push(FieldError::new("?step_s", "out_of_range", detail));
        }
        Some(Question { subject, ids, metrics: wanted, span, aggregation })
    }
}

fn word<T: Copy>(known: &[(&'static str, T)], value: &str) -> Result<T, Fault> {
    let found = known.iter().find(|(word, _)| *word == value).map(|(_, meaning)| *meaning);
    found.ok_or_else(|| {
        let words: Vec<_> = known.iter().map(|(word, _)| *word).collect();
        ("unsupported", format!("want one of {}", words.join(", ")))
    })
}

fn moment(value: String) -> Result<u64, Fault> {
    let moment: Result<Timestamp, _> = serde_json::from_value(value.into());
    moment.map(Timestamp::second).map_err(|_| ("invalid", "want a time (RFC 3339)".to_owned()))
}

fn seconds(value: &str) -> Result<u64, Fault> {
    let seconds = value.parse().ok().filter(|seconds| (1..=RANGE_MAX).contains(seconds));
    seconds.ok_or_else(|| ("out_of_range", format!("want a whole number from 1 to {RANGE_MAX}")))
}

pub(super) fn routes() -> Vec<Route> {
    let words = |words: Vec<&'static str>| {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
    };
    let subjects = words(Subject::ALL.iter().map(|(word, _)| *word).collect());
    let aggregations = words(Aggregation::ALL.iter().map(|(word, _)| *word).collect());
    let list = |most: usize| ArrayBuilder::new().items(string(64)).max_items(Some(most)).build();
    let metrics: Vec<_> = Subject::ALL
        .iter()
        .map(|(word, subject)| {
            let names: Vec<_> = subject.metrics().iter().map(|metric| metric.name).collect();
            format!("- `{word}`: `{}`", names.join("`, `"))
        })
        .collect();
    let described = Description::new("readStatsHistory", "status", "What was measured until now")
        .explain(format!(
            "Values for a chart: one for each step of time, for each metric of each resource that is asked for. \
             Counters are told as rates per second (or, with `aggregation=sum`, by how much they rose in the step), \
             gauges as they were. Everything is measured every second and kept so for an hour, and in tens of \
             seconds for a day; of a gauge that is the greatest of the ten. A range that begins more than an hour \
             ago is told in steps of ten seconds or multiples. Members are measured of pools of which one is down \
             and of the busiest, a thousand members at most. A restart of penstockd leaves a gap, whose values are \
             null; a crash loses at most the last {} seconds.\n\nThe metrics are:\n\n{}\n\nFor a line that goes on, ask \
             again with a short `range_s`; the values of whole steps do not change any more.",
            30,
            metrics.join("\n"),
        ))
        .parameter(
            parameter("resource", ParameterIn::Query, subjects, "What was measured.")
                .required(utoipa::openapi::Required::True)
                .example(Some("virtual-services".into())),
        )
        .parameter(parameter(
            "id",
            ParameterIn::Query,
            list(KEYS_MAX),
            "Which ones: give it several times for several. Required for virtual services, pools and members; of the \
             others all come without it.",
        ))
        .parameter(parameter(
            "metric",
            ParameterIn::Query,
            list(64),
            "Which metrics: give it several times for several. All come without it.",
        ))
        .parameter(parameter("to", ParameterIn::Query, string(35), "Where the range ends (RFC 3339); now without it."))
        .parameter(parameter("range_s", ParameterIn::Query, whole(RANGE_DEFAULT), "How long the range is, in seconds."))
        .parameter(parameter(
            "step_s",
            ParameterIn::Query,
            whole(0),
            "Seconds from each value to the next. Without it there are about 300 values.",
        ))
        .parameter(parameter("aggregation", ParameterIn::Query, aggregations, "What becomes of the measurements in a step."))
        .answer(StatusCode::OK, "This is what was measured.", Some("StatsHistory"), &[])
        .fails(&[422]);
    vec![Route::new(
        HttpMethod::Get,
        format!("{ROOT}/stats/history"),
        Access::Permitted(Permission::BalancingRead),
        history,
        described,
    )]
}

fn whole(default: u64) -> Object {
    let whole = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(RANGE_MAX));
    if default > 0 { whole.default(Some(default.into())).build() } else { whole.build() }
}
