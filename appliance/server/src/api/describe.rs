//! Words for the description of a route: what it is called, what it takes, what it answers.

use axum::http::StatusCode;
use serde_json::Value;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Schema};

use super::Access;

/// What the tokens of this API are called in its description.
pub(crate) const BEARER: &str = "bearer";
/// What the cookie of browsers is called in it.
pub(crate) const COOKIE: &str = "cookie";

/// Errors by status: the name of the description's part, and what it means.
pub(crate) const PROBLEMS: &[(u16, &str)] = &[
    (400, "The body is not JSON, or the request is malformed."),
    (401, "There is no good token, or the name, password or code are wrong."),
    (
        403,
        "The permission is missing, the appliance has not been claimed yet, or a change with the cookie lacks \
         `X-Penstock-Console: 1`.",
    ),
    (404, "There is no such resource."),
    (408, "The body did not arrive in time."),
    (409, "Another resource has this value already, or needs this resource; or it is not possible now."),
    (412, "The resource was changed since it was read: `If-Match` is stale."),
    (413, "The body is too large."),
    (415, "The body is of another media type."),
    (422, "Fields are wrong: `errors` names each."),
    (428, "`If-Match` is missing."),
    (429, "Too many failed attempts: `Retry-After` says when the next one counts."),
    (500, "Something failed inside the appliance; its log says why."),
    (
        503,
        "A process of the appliance does not answer, or its disk takes nothing; traffic may flow all the same.",
    ),
];

/// The name of the part that describes errors of `status`.
pub(crate) fn problem_name(status: u16) -> String {
    format!("Problem{status}")
}

/// The description of one route in the making.
pub(crate) struct Description {
    operation: OperationBuilder,
    problems: Vec<u16>,
}

impl Description {
    /// `id` is unique; `summary` is one line.
    pub(crate) fn new(id: impl Into<String>, tag: &str, summary: impl Into<String>) -> Self {
        let operation =
            OperationBuilder::new().operation_id(Some(id.into())).tag(tag).summary(Some(summary.into()));
        Self { operation, problems: vec![500, 503] }
    }

    /// More words.
    pub(crate) fn explain(mut self, text: impl Into<String>) -> Self {
        self.operation = self.operation.description(Some(text.into()));
        self
    }

    /// It takes this parameter.
    pub(crate) fn parameter(mut self, parameter: impl Into<Parameter>) -> Self {
        self.operation = self.operation.parameter(parameter);
        self
    }

    /// It takes what many take alike.
    pub(crate) fn with(self, parameters: impl FnOnce(Self) -> Self) -> Self {
        parameters(self)
    }

    /// It takes a body of one of these media types, with this schema.
    pub(crate) fn body(mut self, media_types: &[&str], schema: &str, example: Value) -> Self {
        let content =
            ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).example(Some(example)).build();
        let body = media_types
            .iter()
            .fold(RequestBodyBuilder::new().required(Some(Required::True)), |body, media_type| {
                body.content(*media_type, content.clone())
            });
        self.operation = self.operation.request_body(Some(body.build()));
        self.problems.extend([400, 408, 413, 415, 422]);
        self
    }

    /// It takes bytes of this media type, at most so many.
    pub(crate) fn body_bytes(mut self, media_type: &str, most: usize) -> Self {
        let content = ContentBuilder::new().schema(Some(string(most))).build();
        let body = RequestBodyBuilder::new().required(Some(Required::True)).content(media_type, content);
        self.operation = self.operation.request_body(Some(body.build()));
        self.problems.extend([400, 413, 415]);
        self
    }

    /// It answers so, with a body of this schema and these headers.
    pub(crate) fn answer(
        mut self,
        status: StatusCode,
        text: &str,
        schema: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Self {
        let mut response = ResponseBuilder::new().description(text);
        if let Some(schema) = schema {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
            response = response.content("application/json", content);
        }
        for (name, text) in headers {
            response = response.header(*name, header(text));
        }
        self.operation = self.operation.response(status.as_str(), response.build());
        self
    }

    /// It answers with something that is not JSON.
    pub(crate) fn answer_text(mut self, media_type: &str, text: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(string(1 << 24))).build();
        let response = ResponseBuilder::new().description(text).content(media_type, content).build();
        self.operation = self.operation.response("200", response);
        self
    }

    /// It answers with a file of this media type.
    pub(crate) fn answer_file(mut self, media_type: &str, text: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(string(1 << 30))).build();
        let disposition = header("How the file is to be called.");
        let response = ResponseBuilder::new().description(text).content(media_type, content);
        let response = response.header("Content-Disposition", disposition).build();
        self.operation = self.operation.response("200", response);
        self
    }

    /// It sends the reader elsewhere.
    pub(crate) fn redirects(mut self, text: &str) -> Self {
        let response = ResponseBuilder::new().description(text).header("Location", header("Where it is."));
        self.operation = self.operation.response("308", response.build());
        self
    }

    /// It can fail with these statuses, beside those that follow from what it takes.
    pub(crate) fn fails(mut self, statuses: &[u16]) -> Self {
        self.problems.extend(statuses);
        self
    }

    /// The finished description: who may call the route decides which tokens it wants and how it refuses.
    pub(super) fn operation(mut self, access: Access) -> Operation {
        let security = match access {
            Access::Open | Access::Claimed => vec![SecurityRequirement::default()],
            Access::SignedIn | Access::Permitted(_) | Access::OwnOr(_) => {
                [BEARER, COOKIE].map(|name| SecurityRequirement::new(name, [] as [&str; 0])).into()
            }
        };
        match access {
            Access::Open => {}
            Access::Claimed => self.problems.push(403),
            Access::SignedIn | Access::Permitted(_) | Access::OwnOr(_) => self.problems.extend([401, 403]),
        }
        let extensions = access
            .permission()
            .map(|permission| Extensions::builder().add("x-permission", permission.word()).build());
        let operation = self.operation.securities(Some(security)).extensions(extensions);
        let described = self.problems.iter().fold(operation, |operation, status| {
            operation.response(status.to_string(), Ref::from_response_name(problem_name(*status)))
        });
        described.build()
    }
}

fn header(text: &str) -> Header {
    HeaderBuilder::new().schema(Some(string(1024))).description(Some(text)).build()
}

/// A text of at most `most` characters.
pub(crate) fn string(most: usize) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).max_length(Some(most)).build().into()
}

/// A parameter at this place.
pub(crate) fn parameter(
    name: &str,
    place: ParameterIn,
    schema: impl Into<RefOr<Schema>>,
    text: &str,
) -> ParameterBuilder {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .schema(Some(with_format(schema.into())))
        .description(Some(text))
}

/// Numbers say how long they are.
pub(crate) fn with_format(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(mut object)) if object.schema_type == SchemaType::Type(Type::Integer) => {
            object.format.get_or_insert(SchemaFormat::KnownFormat(KnownFormat::Int64));
            Schema::Object(object).into()
        }
        other => other,
    }
}
