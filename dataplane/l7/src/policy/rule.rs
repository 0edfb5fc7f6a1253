//! Rules, ready to be asked.

use std::net::IpAddr;

use http::{HeaderName, Method};
use lb_model::Prefix;
use lb_model::policy::{Compare, PATTERN_SIZE, Rule, Subject};
use regex::bytes::{Regex, RegexBuilder};

use super::PartError;
use super::facts::{Facts, cookies, parameters};

/// A rule.
#[derive(Debug)]
pub(super) struct Test {
    question: Question,
    invert: bool,
}

#[derive(Debug)]
enum Question {
    Host(Texts),
    Path(Texts),
    Header(HeaderName, Texts),
    Cookie(Box<str>, Texts),
    Query(Box<str>, Texts),
    Method(Box<[Method]>),
    Source(Box<[Prefix]>),
    Sni(Texts),
    Subject(Texts),
}

/// What a text is compared with.
#[derive(Debug)]
enum Texts {
    Present,
    /// In order.
    Exact(Box<[Box<[u8]>]>),
    Prefix(Box<[Box<[u8]>]>),
    /// Whole segments of a path, each without a slash at its end.
    Segments(Box<[Box<[u8]>]>),
    Suffix(Box<[Box<[u8]>]>),
    Contains(Box<[memchr::memmem::Finder<'static>]>),
    Regex(Box<[Regex]>),
}

impl Test {
    pub(super) fn new(of: &Rule) -> Result<Self, PartError> {
        let key = || of.key.as_deref().ok_or(PartError::Key);
        let texts = || Texts::new(of.compare, &of.values);
        let question = match of.kind {
            Subject::Host => Question::Host(texts()?),
            Subject::Path if of.compare == Compare::Prefix => Question::Path(Texts::segments(&of.values)),
            Subject::Path => Question::Path(texts()?),
            Subject::Header => {
                let name = HeaderName::from_bytes(key()?.as_bytes()).map_err(http::Error::from)?;
                Question::Header(name, texts()?)
            }
            Subject::Cookie => Question::Cookie(key()?.into(), texts()?),
            Subject::Query => Question::Query(key()?.into(), texts()?),
            Subject::Method => {
                let methods = of.values.iter().map(|method| Method::from_bytes(method.as_bytes()));
                Question::Method(methods.collect::<Result<_, _>>().map_err(http::Error::from)?)
            }
            Subject::Source => {
                Question::Source(of.values.iter().map(|network| network.parse()).collect::<Result<_, _>>()?)
            }
            Subject::Sni => Question::Sni(texts()?),
            Subject::ClientSubject => Question::Subject(texts()?),
        };
        Ok(Self { question, invert: of.invert })
    }

    pub(super) fn fits(&self, facts: &Facts<'_>) -> bool {
        let fits = match &self.question {
            Question::Host(texts) => texts.fit(facts.host.as_bytes()),
            Question::Path(texts) => texts.fit(facts.path.as_bytes()),
            Question::Header(name, texts) => {
                facts.headers.get_all(name).iter().any(|value| texts.fit(value.as_bytes()))
            }
            Question::Cookie(name, texts) => cookies(facts.headers, name).any(|value| texts.fit(value)),
            Question::Query(name, texts) => parameters(facts.query, name).any(|value| texts.fit(&value)),
            Question::Method(methods) => methods.contains(facts.method),
            Question::Source(networks) => networks.iter().any(|network| belongs(facts.source, *network)),
            Question::Subject(texts) => facts.subject.is_some_and(|subject| texts.fit(subject)),
            Question::Sni(texts) => facts.sni.is_some_and(|name| texts.fit(name.as_bytes())),
        };
        fits != self.invert
    }
}

fn belongs(address: IpAddr, network: Prefix) -> bool {
    matches!(address, IpAddr::V4(address) if network.contains(address))
}

impl Texts {
    fn new(compare: Compare, values: &[String]) -> Result<Self, PartError> {
        let bytes = || values.iter().map(|value| value.as_bytes().into());
        Ok(match compare {
            Compare::Exact | Compare::Network => {
                let mut values: Vec<Box<[u8]>> = bytes().collect();
                values.sort_unstable();
                Self::Exact(values.into())
            }
            Compare::Prefix => Self::Prefix(bytes().collect()),
            Compare::Suffix => Self::Suffix(bytes().collect()),
            Compare::Contains => {
                let finder = |value: &String| memchr::memmem::Finder::new(value).into_owned();
                Self::Contains(values.iter().map(finder).collect())
            }
            Compare::Regex => {
                Self::Regex(values.iter().map(|value| pattern(value)).collect::<Result<_, _>>()?)
            }
            Compare::Present => Self::Present,
        })
    }

    fn segments(values: &[String]) -> Self {
        let bare = |value: &String| value.strip_suffix('/').unwrap_or(value).as_bytes().into();
        Self::Segments(values.iter().map(bare).collect())
    }

    fn fit(&self, text: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(values) => values.binary_search_by(|value| (**value).cmp(text)).is_ok(),
            Self::Prefix(values) => values.iter().any(|value| text.starts_with(value)),
            Self::Segments(values) => values.iter().any(|value| is_within(text, value)),
            Self::Suffix(values) => values.iter().any(|value| text.ends_with(value)),
            Self::Contains(values) => values.iter().any(|value| value.find(text).is_some()),
            Self::Regex(patterns) => patterns.iter().any(|pattern| pattern.is_match(text)),
        }
    }
}

/// Whether a path is this one, or below it.
pub(super) fn is_within(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// As the API has checked it.
pub(super) fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(PATTERN_SIZE).build()
}
