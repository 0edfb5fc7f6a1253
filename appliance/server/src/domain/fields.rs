//! Reading a JSON document field by field, so that every wrong field is named at once.
//!
//! A derived deserialiser stops at the first fault; a person filling a form wants all of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::str::FromStr;

use lb_model::addr::{PrefixError, check_host_address};
use lb_model::snapshot::Weight;
use lb_model::{L4Port, Prefix};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What the server adds to every resource: named apart from fields that do not exist at all.
const READ_ONLY: &[&str] = &[
    "id",
    "provisioning_status",
    "operating_status",
    "status_reason",
    "conditions",
    "generation",
    "observed_generation",
    "created_at",
    "updated_at",
    "last_check",
    "last_change",
    "times_up",
    "times_down",
    "times_suspected",
    "share",
    "checks",
    "delivery",
    "csr",
    "used",
];

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// The field, as a JSON pointer (RFC 6901) into the body; for a query parameter `?name`, for a header its name.
    #[schema(max_length = 1024, example = "/port")]
    pub(crate) pointer: String,
    /// A word for programs.
    #[schema(max_length = 64, example = "out_of_range")]
    pub(crate) code: String,
    /// A sentence for people.
    #[schema(max_length = 1024, example = "want a whole number from 1 to 65535")]
    pub(crate) detail: String,
}

impl FieldError {
    /// A fault of the field that `pointer` names.
    pub(crate) fn new(pointer: impl Into<String>, code: &str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.to_owned(), detail: detail.into() }
    }

    /// This fault, of the field that `pointer` names.
    pub(crate) fn of(pointer: impl Into<String>, Fault { code, detail }: Fault) -> Self {
        Self::new(pointer, code, detail)
    }

    /// A field that cannot be written: the server's own, or nobody's.
    pub(super) fn not_writable(at: &Pointer, key: &str) -> Self {
        let (code, detail) = if at.is_root() && READ_ONLY.contains(&key) {
            ("read_only", format!("`{key}` is set by the server"))
        } else {
            ("unknown_field", format!("there is no field `{key}` here"))
        };
        Self::new(at.field(key).0, code, detail)
    }
}

/// A place in a document (RFC 6901).
#[derive(Clone, Debug)]
pub(super) struct Pointer(String);

impl Pointer {
    pub(super) fn root() -> Self {
        Self(String::new())
    }

    fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn field(&self, key: &str) -> Self {
        Self(format!("{}/{}", self.0, key.replace('~', "~0").replace('/', "~1")))
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// What is wrong with a value, wherever it stands.
#[derive(Debug)]
pub(crate) struct Fault {
    code: &'static str,
    detail: String,
}

impl Fault {
    /// `code` for programs, `detail` for people.
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The same, of a part of the field.
    pub(super) fn of(self, part: &str) -> Self {
        Self { detail: format!("of `{part}`: {}", self.detail), ..self }
    }

    /// The word for programs.
    #[cfg(test)]
    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    fn wrong_type(want: &str) -> Self {
        Self::new("wrong_type", format!("want {want}"))
    }
}

/// A document that is being read. What was asked for is known; the rest is unknown.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    document: &'a Map<String, Value>,
    at: Pointer,
    known: Vec<&'static str>,
    faults: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    /// Reads `document`.
    pub(crate) fn new(document: &'a Map<String, Value>) -> Self {
        Self { document, at: Pointer::root(), known: Vec::new(), faults: Vec::new() }
    }

    /// A text that another field is checked against, if it is there.
    pub(super) fn peek(&self, key: &str) -> Option<&str> {
        self.document.get(key)?.as_str()
    }

    /// Whether this field was written, rightly or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.document.contains_key(key)
    }

    /// This field is wrong in the light of others.
    pub(crate) fn fault(&mut self, key: &str, Fault { code, detail }: Fault) {
        self.faults.push(FieldError::new(self.at.field(key).0, code, detail));
    }

    /// A field that must be there.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<T> {
        self.known.push(key);
        let document = self.document;
        let parsed = match document.get(key) {
            Some(value) => parse(value),
            None => Err(Fault::new("required", format!("`{key}` is missing"))),
        };
        self.kept(key, parsed)
    }

    /// A field that has a default.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        default: T,
        parse: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<T> {
        self.known.push(key);
        let document = self.document;
        document.get(key).map_or(Some(default), |value| {
            let parsed = parse(value);
            self.kept(key, parsed)
        })
    }

    /// A field that is null where nothing is meant.
    #[expect(
        clippy::option_option,
        reason = "outside: whether it is right; inside: whether anything is meant"
    )]
    pub(crate) fn nullable<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, Fault>,
    ) -> Option<Option<T>> {
        self.optional(key, None, |value| if value.is_null() { Ok(None) } else { parse(value).map(Some) })
    }

    /// A list that must be there, of `bounds` different items; each item's fault is named by its index.
    pub(crate) fn list<T: PartialEq>(
        &mut self,
        key: &'static str,
        bounds: std::ops::RangeInclusive<usize>,
        parse: impl Fn(&Value) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        let values = self.required(key, |value| {
            let values = value.as_array().ok_or_else(|| Fault::wrong_type("a list"))?;
            if bounds.contains(&values.len()) {
                return Ok(values.clone());
            }
            Err(Fault::new("out_of_range", format!("want {} to {} items", bounds.start(), bounds.end())))
        })?;
        let at = self.at.field(key);
        let mut items = Vec::with_capacity(values.len());
        let mut whole = true;
        for (index, value) in values.iter().enumerate() {
            let item = parse(value).and_then(|item| {
                if items.contains(&item) { Err(Fault::new("duplicate", "listed twice")) } else { Ok(item) }
            });
            match item {
                Ok(item) => items.push(item),
                Err(Fault { code, detail }) => {
                    self.faults.push(FieldError::new(at.field(&index.to_string()).0, code, detail));
                    whole = false;
                }
            }
        }
        whole.then_some(items)
    }

    /// A list that is empty where it is not given.
    pub(crate) fn optional_list<T: PartialEq>(
        &mut self,
        key: &'static str,
        most: usize,
        parse: impl Fn(&Value) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        if self.has(key) {
            return self.list(key, 0..=most, parse);
        }
        self.known.push(key);
        Some(Vec::new())
    }

    /// An object inside this one; one that is not given has all its defaults.
    pub(crate) fn object<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Option<T> {
        let empty = Map::new();
        let inner = self.optional(key, empty, |value| {
            value.as_object().cloned().ok_or_else(|| Fault::wrong_type("an object"))
        })?;
        let mut fields =
            Fields { document: &inner, at: self.at.field(key), known: Vec::new(), faults: Vec::new() };
        let read = read(&mut fields);
        self.faults.extend(fields.finish());
        read
    }

    /// An object inside this one, or null where nothing is meant.
    #[expect(
        clippy::option_option,
        reason = "outside: whether it is right; inside: whether anything is meant"
    )]
    pub(crate) fn nullable_object<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Fields<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.document.get(key).is_none_or(Value::is_null) {
            self.known.push(key);
            return Some(None);
        }
        self.object(key, read).map(Some)
    }

    /// A list of at most `most` different objects, empty where it is not given.
    pub(crate) fn objects<T: PartialEq>(
        &mut self,
        key: &'static str,
        most: usize,
        read: impl Fn(&mut Fields<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let object = |value: &Value| value.as_object().cloned().ok_or_else(|| Fault::wrong_type("an object"));
        let documents = self.optional_list(key, most, object)?;
        let at = self.at.field(key);
        let mut items = Vec::with_capacity(documents.len());
        let mut whole = true;
        for (index, document) in documents.iter().enumerate() {
            let at = at.field(&index.to_string());
            let mut fields = Fields { document, at, known: Vec::new(), faults: Vec::new() };
            let item = read(&mut fields);
            self.faults.extend(fields.finish());
            match item {
                Some(item) => items.push(item),
                None => whole = false,
            }
        }
        whole.then_some(items)
    }

    /// An object of objects, one of each of these names; one that is not given has all its defaults.
    pub(crate) fn named_objects<T>(
        &mut self,
        key: &'static str,
        names: &[&str],
        read: impl Fn(&mut Fields<'_>) -> Option<T>,
    ) -> Option<BTreeMap<String, T>> {
        let all = self.optional(key, Map::new(), |value| {
            value.as_object().cloned().ok_or_else(|| Fault::wrong_type("an object"))
        })?;
        let at = self.at.field(key);
        let empty = Map::new();
        let mut found = BTreeMap::new();
        for name in names {
            let inner = match all.get(*name) {
                None | Some(Value::Null) => &empty,
                Some(Value::Object(inner)) => inner,
                Some(_) => {
                    let Fault { code, detail } = Fault::wrong_type("an object");
                    self.faults.push(FieldError::new(at.field(name).0, code, detail));
                    continue;
                }
            };
            let mut fields =
                Fields { document: inner, at: at.field(name), known: Vec::new(), faults: Vec::new() };
            let item = read(&mut fields);
            self.faults.extend(fields.finish());
            found.extend(item.map(|item| ((*name).to_owned(), item)));
        }
        (found.len() == names.len()).then_some(found)
    }

    /// All that was wrong, unknown fields included.
    pub(crate) fn finish(mut self) -> Vec<FieldError> {
        for key in self.document.keys().filter(|key| !self.known.contains(&key.as_str())) {
            self.faults.push(FieldError::not_writable(&self.at, key));
        }
        self.faults
    }

    fn kept<T>(&mut self, key: &str, parsed: Result<T, Fault>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(Fault { code, detail }) => {
                self.faults.push(FieldError::new(self.at.field(key).0, code, detail));
                None
            }
        }
    }
}

/// A text of `bounds` characters, none of them a control character.
pub(crate) fn text(bounds: std::ops::RangeInclusive<usize>) -> impl Fn(&Value) -> Result<String, Fault> {
    move |value| {
        let text = value.as_str().ok_or_else(|| Fault::wrong_type("a text"))?;
        if !bounds.contains(&text.chars().count()) {
            let detail = format!("want {} to {} characters", bounds.start(), bounds.end());
            return Err(Fault::new("out_of_range", detail));
        }
        if text.chars().any(char::is_control) {
            return Err(Fault::new("invalid", "control characters are not allowed"));
        }
        Ok(text.to_owned())
    }
}

/// `true` or `false`.
pub(crate) fn boolean(value: &Value) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| Fault::wrong_type("true or false"))
}

/// A whole number from `low` to `high`.
pub(crate) fn number(low: u32, high: u32) -> impl Fn(&Value) -> Result<u32, Fault> {
    move |value| {
        let detail = || format!("want a whole number from {low} to {high}");
        if !value.is_number() {
            return Err(Fault::new("wrong_type", detail()));
        }
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        number
            .filter(|number| (low..=high).contains(number))
            .ok_or_else(|| Fault::new("out_of_range", detail()))
    }
}

/// A port, 1 to 65535.
pub(crate) fn port(value: &Value) -> Result<L4Port, Fault> {
    let number = number(1, u32::from(u16::MAX))(value)?;
    let port = u16::try_from(number).ok().and_then(|number| L4Port::new(number).ok());
    port.ok_or_else(|| Fault::new("out_of_range", "want a whole number from 1 to 65535"))
}

/// A member's weight.
pub(crate) fn weight(value: &Value) -> Result<Weight, Fault> {
    let number = number(0, u32::from(Weight::MAX))(value)?;
    let weight = u16::try_from(number).ok().and_then(|number| Weight::new(number).ok());
    weight.ok_or_else(|| Fault::new("out_of_range", "want a whole number from 0 to 256"))
}

/// How many there may be: at least one, at most `high`.
pub(crate) fn limit(high: u32) -> impl Fn(&Value) -> Result<NonZeroU32, Fault> {
    move |value| {
        let limit = NonZeroU32::new(number(1, high)(value)?);
        limit.ok_or_else(|| Fault::new("out_of_range", format!("want a whole number from 1 to {high}")))
    }
}

/// The address of one host, of either family; IPv6 in any of its forms, of which RFC 5952's is kept.
pub(crate) fn host_address(value: &Value) -> Result<IpAddr, Fault> {
    let wanted = "an IP address, as \"192.0.2.10\" or \"2001:db8::10\"";
    let text = value.as_str().ok_or_else(|| Fault::wrong_type(wanted))?;
    let not_one = |_| Fault::new("invalid", "this is not an IP address, as 192.0.2.10 or 2001:db8::10");
    let address: IpAddr = text.parse().map_err(not_one)?;
    check_host_address(address).map_err(|error| Fault::new("invalid", error.to_string()))?;
    Ok(address)
}

/// The same of IPv4, where the appliance itself has no other yet.
pub(crate) fn host_address_v4(value: &Value) -> Result<Ipv4Addr, Fault> {
    match host_address(value)? {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(Fault::new("unsupported", "IPv6 is not supported here in this version")),
    }
}

/// A network, with all bits past its length zero.
pub(crate) fn network(value: &Value) -> Result<Prefix, Fault> {
    let text = value
        .as_str()
        .ok_or_else(|| Fault::wrong_type("a network, as \"192.0.2.0/24\" or \"2001:db8::/32\""))?;
    let network: Prefix =
        text.parse().map_err(|error: PrefixError| Fault::new("invalid", error.to_string()))?;
    if network.to_string() == text {
        return Ok(network);
    }
    Err(Fault::new("invalid", format!("the network of {text} is {network}: write it so")))
}

/// The same of IPv4, where the appliance itself has no other yet.
pub(crate) fn network_v4(value: &Value) -> Result<Prefix, Fault> {
    let network = network(value)?;
    if network.network().is_ipv4() {
        return Ok(network);
    }
    Err(Fault::new("unsupported", "IPv6 is not supported here in this version"))
}

/// The identifier of another resource.
pub(crate) fn id<T: FromStr>(value: &Value) -> Result<T, Fault> {
    let text = value.as_str().ok_or_else(|| Fault::wrong_type("an identifier: a UUID as text"))?;
    text.parse().map_err(|_| Fault::new("invalid", "this is not a UUID"))
}

/// One of these words: there are no others.
pub(crate) fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Value) -> Result<T, Fault> {
    move |value| find(words, value)?.ok_or_else(|| Fault::new("invalid", format!("want {}", listed(words))))
}

/// One of the words that this version supports: others may mean something in a later one.
pub(crate) fn supported<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Value) -> Result<T, Fault> {
    move |value| {
        let fault = || Fault::new("unsupported", format!("this version supports {} only", listed(words)));
        find(words, value)?.ok_or_else(fault)
    }
}

fn find<T: Copy>(words: &[(&str, T)], value: &Value) -> Result<Option<T>, Fault> {
    let text = value.as_str().ok_or_else(|| Fault::wrong_type(&listed(words)))?;
    Ok(words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning))
}

fn listed<T>(words: &[(&str, T)]) -> String {
    words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ")
}
