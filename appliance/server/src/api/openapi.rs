//! The description of the API (OpenAPI 3.1), made from the table of routes and the types that are served.
//!
//! `openapi.json` beside `src/` is what it was when somebody last looked: a test fails when it drifts, and
//! `penstockd openapi > appliance/server/openapi.json` renews it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;
use utoipa::openapi::path::Paths;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, Components, ComponentsBuilder, KnownFormat, Object, ObjectBuilder,
    SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ContentBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Ref, RefOr, Schema};
use utoipa::{Number, PartialSchema, ToSchema};

use super::auth::{Claim, Credentials, Refresh, Session};
use super::backups::{BackupList, BackupOrder, Unsealing};
use super::config::{AppliedView, Configuration};
use super::connections::ConnectionList;
use super::describe::{BEARER, COOKIE, PROBLEMS, problem_name};
use super::error::ProblemBody;
use super::explain::{ExplanationView, RequestSettings};
use super::explain_packet::{PacketExplanationView, PacketSettings};
use super::history::StatsHistory;
use super::operations::{LongOperation, OperationList};
use super::requests::RequestList;
use super::resource::Resource;
use super::revisions::RevisionView;
use super::second_factor::{DeviceCode, DeviceSecret, OwnPassword, RecoveryCodes, SecondFactor};
use super::session::{CurrentSession, PasswordChange, SessionEntryList};
use super::settings::SettingsView;
use super::stats::Stats;
use super::status::{Health, Status};
use super::system::System;
use super::tokens::CreatedToken;
use super::users::RoleList;
use super::view::{Identified, State};
use super::webhooks::WebhookTrial;
use super::{Route, routes};
use crate::backup::Backup;
use crate::domain::schema::SettingsDocument;
use crate::domain::{
    Certificate, CertificateRequest, Changeset, HomeShown, HomeWritten, Member, Meta, Monitor, Owner,
    PerhapsHome, Permission, Policy, Pool, Project, Role, Token, User, VirtualIp, VirtualService, Webhook,
};
use crate::store::{AuditEntry, Event, Log, RevisionEntry, Verification};

const WORDS: &str = "Everything that the Penstock appliance does is done through this API.

A write is answered once it is on disk. What it changes is forwarded by a moment later: `observed_generation` then \
reaches `generation`. Errors are problem documents (RFC 9457) that name every wrong field at once. Single resources \
carry a strong `ETag`; changes need it as `If-Match`.";

static JSON: LazyLock<String> = LazyLock::new(|| {
    // A document of maps and texts always serialises; without one the page would be empty.
    in_order(&document().to_pretty_json().unwrap_or_default())
});

/// Extensions are kept in a map without an order: of the two that an operation may have, the permission goes first, so that the
/// description is the same each time.
fn in_order(text: &str) -> String {
    let mut ordered = String::with_capacity(text.len() + 1);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let last = line.strip_suffix(',').filter(|line| line.ends_with("\"x-scoped\": true"));
        let permission =
            last.and_then(|_| lines.next_if(|next| next.trim_start().starts_with("\"x-permission\":")));
        match (permission, last) {
            (Some(permission), Some(last)) => ordered.extend([permission, ",\n", last, "\n"]),
            _ => ordered.extend([line, "\n"]),
        }
    }
    ordered
}

/// The description as it is served.
pub(crate) fn json() -> &'static str {
    &JSON
}

/// The description.
fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Penstock")
        .version("1.0")
        .description(Some(WORDS))
        .license(Some(License::new("Apache-2.0")))
        .build();
    let tag = |name: &str, text: &str| TagBuilder::new().name(name).description(Some(text)).build();
    OpenApiBuilder::new()
        .info(info)
        .tags(Some([
            tag("sign-in", "Claiming the appliance, and access tokens."),
            tag("virtual-ips", "Addresses that the appliance answers for."),
            tag("virtual-services", "What is offered on them."),
            tag("policies", "What is done with requests, by what they are."),
            tag("certificates", "What services and members are shown: uploaded, or asked for here."),
            tag("pools", "Who serves it: pools and their members."),
            tag("monitors", "How members are watched."),
            tag("projects", "Parts of all that, each with its own users and quotas."),
            tag("connections", "Who is connected, what was asked last, and what becomes of a packet."),
            tag("configuration", "The whole of it as one document, several edits as one, and going back."),
            tag("webhooks", "Who is told of events."),
            tag("operations", "What goes on by itself, and how it went."),
            tag("backups", "Everything in a sealed file, and back again."),
            tag("accounts", "Who may do what: users, their roles and tokens."),
            tag("history", "What happened: revisions, events, and the audit log."),
            tag("status", "How the appliance is."),
            tag("system", "The machine: slots, updates, power."),
            tag("description", "This description."),
        ]))
        .paths(paths())
        .components(Some(components()))
        .build()
}

fn paths() -> Paths {
    let mut paths = Paths::new();
    for Route { method, path, operation, .. } in routes() {
        if let Some(operation) = operation {
            paths.add_path_operation(path, vec![method], operation);
        }
    }
    paths
}

fn components() -> Components {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The `access_token` of `POST /api/v1/sessions`, signed and checked as RFC8725 says; or an API token."))
        .build();
    let cookie = ApiKeyValue::with_description(
        crate::signin::cookie::NAME,
        "The console's: changes need the header `X-Penstock-Console: 1` beside it.",
    );
    let components = ComponentsBuilder::new()
        .security_scheme(BEARER, SecurityScheme::Http(bearer))
        .security_scheme(COOKIE, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let components = PROBLEMS.iter().fold(components, |components, (status, text)| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(*text).content("application/problem+json", content);
        components.response(problem_name(*status), response.build())
    });
    let schemas = schemas();
    let parts = parts_of_written(&schemas);
    let named = |components: ComponentsBuilder, (name, schema): Named| {
        let schema = if parts.contains(&name) { written(schema) } else { schema };
        components.schema(name, bounded(schema))
    };
    schemas.into_iter().fold(components, named).build()
}

type Named = (String, RefOr<Schema>);

fn schemas() -> Vec<Named> {
    let mut schemas = Vec::new();
    resource::<VirtualIp>(&mut schemas);
    resource::<VirtualService>(&mut schemas);
    resource::<Policy>(&mut schemas);
    with_parts::<RequestSettings>(&mut schemas);
    with_parts::<ExplanationView>(&mut schemas);
    with_parts::<PacketSettings>(&mut schemas);
    with_parts::<PacketExplanationView>(&mut schemas);
    with_parts::<ConnectionList>(&mut schemas);
    with_parts::<RequestList>(&mut schemas);
    resource::<Certificate>(&mut schemas);
    with_parts::<CertificateRequest>(&mut schemas);
    resource::<Pool>(&mut schemas);
    resource::<Member>(&mut schemas);
    resource::<Monitor>(&mut schemas);
    resource::<Project>(&mut schemas);
    resource::<Changeset>(&mut schemas);
    resource::<Webhook>(&mut schemas);
    with_parts::<WebhookTrial>(&mut schemas);
    with_parts::<AppliedView>(&mut schemas);
    with_parts::<Configuration>(&mut schemas);
    with_parts::<OperationList>(&mut schemas);
    with_parts::<LongOperation>(&mut schemas);
    with_parts::<BackupOrder>(&mut schemas);
    with_parts::<Unsealing>(&mut schemas);
    with_parts::<BackupList>(&mut schemas);
    with_parts::<Backup>(&mut schemas);
    resource::<User>(&mut schemas);
    resource::<Token>(&mut schemas);
    with_parts::<CreatedToken>(&mut schemas);
    with_parts::<RoleList>(&mut schemas);
    with_parts::<Role>(&mut schemas);
    with_parts::<Permission>(&mut schemas);
    with_parts::<Refresh>(&mut schemas);
    with_parts::<PasswordChange>(&mut schemas);
    with_parts::<SessionEntryList>(&mut schemas);
    log::<Event>(&mut schemas);
    log::<AuditEntry>(&mut schemas);
    log::<RevisionEntry>(&mut schemas);
    with_parts::<RevisionView>(&mut schemas);
    with_parts::<Verification>(&mut schemas);
    with_parts::<ProblemBody>(&mut schemas);
    with_parts::<Claim>(&mut schemas);
    with_parts::<Credentials>(&mut schemas);
    with_parts::<Session>(&mut schemas);
    with_parts::<CurrentSession>(&mut schemas);
    with_parts::<SecondFactor>(&mut schemas);
    with_parts::<OwnPassword>(&mut schemas);
    with_parts::<DeviceCode>(&mut schemas);
    with_parts::<DeviceSecret>(&mut schemas);
    with_parts::<RecoveryCodes>(&mut schemas);
    with_parts::<Status>(&mut schemas);
    with_parts::<Stats>(&mut schemas);
    with_parts::<StatsHistory>(&mut schemas);
    with_parts::<Health>(&mut schemas);
    with_parts::<System>(&mut schemas);
    with_parts::<SettingsView>(&mut schemas);
    let patch = optional(object::<SettingsDocument>());
    schemas.push(("SettingsPatch".to_owned(), Schema::Object(patch).into()));
    schemas
}

/// A schema and all that it refers to.
fn with_parts<T: ToSchema>(schemas: &mut Vec<Named>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// What is written, patched, read and listed of a resource.
fn resource<R: Resource>(schemas: &mut Vec<Named>) {
    let written = R::write_only().map_or_else(Object::new, as_object);
    let (home_written, home_shown) = homes(R::OWNER);
    let mut spec = joined([object::<Meta>(), home_written, object::<R>(), written]);
    if R::default_name(None).is_some() {
        spec.required.retain(|field| field != "name");
    }
    let mut view = joined([
        object::<Identified>(),
        object::<Meta>(),
        object::<State>(),
        home_shown,
        object::<R>(),
        object::<R::Seen>(),
    ]);
    // What is shown is shown whole, also where it is null.
    view.required = view.properties.keys().cloned().collect();
    let name = |suffix: &str| format!("{}{suffix}", R::NAME);
    schemas.push((name("Patch"), Schema::Object(optional(spec.clone())).into()));
    schemas.push((name("Spec"), Schema::Object(closed(spec)).into()));
    schemas.push((name("View"), Schema::Object(view).into()));
    schemas.push((name("List"), Schema::Object(list(&name("View"))).into()));
    for collect in [Meta::schemas, R::schemas, Identified::schemas, State::schemas, R::Seen::schemas] {
        collect(schemas);
    }
}

/// How the project is written and shown of what has this owner.
fn homes(owner: Owner) -> (Object, Object) {
    match owner {
        Owner::Project => (object::<HomeWritten>(), object::<HomeShown>()),
        Owner::Either => (object::<HomeWritten>(), object::<PerhapsHome>()),
        Owner::Appliance | Owner::Parent(_) | Owner::Itself => (Object::new(), Object::new()),
    }
}

/// A line of a log, and a list of them.
fn log<L: Log>(schemas: &mut Vec<Named>) {
    with_parts::<L>(schemas);
    schemas.push((format!("{}List", L::name()), Schema::Object(list(&L::name())).into()));
}

/// The schema of a struct.
fn object<T: PartialSchema>() -> Object {
    as_object(T::schema())
}

fn as_object(schema: RefOr<Schema>) -> Object {
    match schema {
        RefOr::T(Schema::Object(object)) => object,
        _ => Object::new(),
    }
}

/// One object with the fields of all, described by the last that has words.
fn joined<const N: usize>(parts: [Object; N]) -> Object {
    let mut joined = Object::new();
    for part in parts {
        joined.properties.extend(part.properties);
        joined.required.extend(part.required);
        joined.description = part.description.or(joined.description);
    }
    joined
}

/// No field but these.
fn closed(mut object: Object) -> Object {
    // A field with a default need not be given.
    let defaults: Vec<&String> =
        object.properties.iter().filter(|(_, field)| has_default(field)).map(|(name, _)| name).collect();
    object.required.retain(|name| !defaults.contains(&name));
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    object
}

/// The names of all that is part of what is written: none of them takes a field that it does not know.
fn parts_of_written(schemas: &[Named]) -> BTreeSet<String> {
    let known: BTreeMap<&str, Value> = schemas
        .iter()
        .filter_map(|(name, schema)| Some((name.as_str(), serde_json::to_value(schema).ok()?)))
        .collect();
    let mut parts = BTreeSet::new();
    let mut left: Vec<&Value> =
        known.iter().filter(|(name, _)| name.ends_with("Spec")).map(|(_, schema)| schema).collect();
    while let Some(value) = left.pop() {
        if let Some(name) = value["$ref"].as_str().and_then(|name| name.rsplit('/').next())
            && parts.insert(name.to_owned())
        {
            left.extend(known.get(name));
        }
        match value {
            Value::Object(fields) => left.extend(fields.values()),
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    parts
}

fn written(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Object) => {
            Schema::Object(closed(object)).into()
        }
        other => other,
    }
}

fn has_default(field: &RefOr<Schema>) -> bool {
    match field {
        RefOr::T(Schema::Object(object)) => object.default.is_some(),
        RefOr::T(Schema::Array(array)) => array.default.is_some(),
        RefOr::T(Schema::OneOf(one_of)) => one_of.default.is_some(),
        RefOr::T(Schema::AllOf(all_of)) => all_of.default.is_some(),
        RefOr::Ref(reference) => reference.default.is_some(),
        RefOr::T(_) => false,
    }
}

/// The same fields, none of which must be there: a merge patch.
fn optional(object: Object) -> Object {
    let mut patch = closed(object);
    patch.required.clear();
    patch
}

/// The same with a limit on every number: where none is said, what a database column can hold.
fn bounded(schema: RefOr<Schema>) -> RefOr<Schema> {
    let mut object = match schema {
        RefOr::T(Schema::Object(object)) => object,
        RefOr::T(Schema::AllOf(mut all)) => {
            all.items = all.items.into_iter().map(bounded).collect();
            return RefOr::T(Schema::AllOf(all));
        }
        other => return other,
    };
    let is_integer = match &object.schema_type {
        SchemaType::Type(kind) => *kind == Type::Integer,
        SchemaType::Array(kinds) => kinds.contains(&Type::Integer),
        SchemaType::AnyValue => false,
    };
    if is_integer {
        object.minimum.get_or_insert(Number::Int(0));
        object.maximum.get_or_insert(Number::Int(isize::MAX));
        object.format.get_or_insert(SchemaFormat::KnownFormat(KnownFormat::Int64));
    }
    // Of maps utoipa says that their keys are texts, which JSON says already.
    object.property_names = None;
    object.properties = object.properties.into_iter().map(|(name, field)| (name, bounded(field))).collect();
    object.additional_properties = object.additional_properties.map(|fields| match *fields {
        AdditionalProperties::RefOr(field) => Box::new(AdditionalProperties::RefOr(bounded(field))),
        free @ AdditionalProperties::FreeForm(_) => Box::new(free),
    });
    RefOr::T(Schema::Object(object))
}

fn list(item: &str) -> Object {
    let items = ArrayBuilder::new()
        .items(Ref::from_schema_name(item))
        .max_items(Some(super::list::LIMIT_MAX as usize))
        .description(Some("What is on this page."));
    let next = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .max_length(Some(8192))
        .description(Some("The address of the next page; null on the last one."));
    ObjectBuilder::new()
        .property("items", items)
        .property("next", next)
        .required("items")
        .required("next")
        .build()
}
