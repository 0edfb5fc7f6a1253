//! Who may ask from another page (the Fetch standard, 3.2): browsers ask before, and are told with each answer.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use lb_model::policy;

use super::PartError;
use crate::body::Body;
use crate::forward::Answer;

/// What other pages may do.
#[derive(Debug)]
pub(crate) struct Cors {
    anybody: bool,
    origins: Box<[Bytes]>,
    methods: HeaderValue,
    headers: Option<HeaderValue>,
    exposed: Option<HeaderValue>,
    credentials: bool,
    max_age: HeaderValue,
}

impl Cors {
    pub(super) fn new(of: &policy::Cors) -> Result<Self, PartError> {
        let policy::Cors { origins, methods, headers, exposed_headers, credentials, max_age_s } = of;
        let list = |names: &[String]| {
            let value = (!names.is_empty()).then(|| HeaderValue::try_from(names.join(", ")));
            value.transpose().map_err(http::Error::from)
        };
        Ok(Self {
            anybody: origins.iter().any(|origin| origin == "*"),
            origins: origins.iter().map(|origin| Bytes::copy_from_slice(origin.as_bytes())).collect(),
            methods: list(methods)?.unwrap_or_else(|| HeaderValue::from_static("")),
            headers: list(headers)?,
            exposed: list(exposed_headers)?,
            credentials: *credentials,
            max_age: HeaderValue::from(*max_age_s),
        })
    }

    /// The answer to a browser that asks before it sends the request itself.
    pub(crate) fn preflight(&self, parts: &Parts) -> Option<Answer> {
        let asks =
            parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let origin = parts.headers.get(ORIGIN).filter(|_| asks)?;
        let mut answer = Answer::own(StatusCode::NO_CONTENT);
        answer.body = Body::Empty;
        let headers = &mut answer.parts.headers;
        headers.remove(CONTENT_TYPE);
        if self.admits(origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
            headers.extend(self.headers.iter().map(|names| (ACCESS_CONTROL_ALLOW_HEADERS, names.clone())));
        }
        Some(answer)
    }

    /// Tells with an answer whether the page that asked may read it, in place of what the member says of that.
    pub(crate) fn mark(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
        headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        if !self.anybody {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = origin.filter(|origin| self.admits(origin)) else { return };
        let told = if self.anybody { HeaderValue::from_static("*") } else { origin.clone() };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, told);
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        headers.extend(self.exposed.iter().map(|names| (ACCESS_CONTROL_EXPOSE_HEADERS, names.clone())));
    }

    fn admits(&self, origin: &HeaderValue) -> bool {
        self.anybody || self.origins.iter().any(|admitted| admitted == origin.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(origin: &str, credentials: bool) -> Cors {
        Cors::new(&policy::Cors {
            origins: vec![origin.to_owned()],
            methods: vec!["GET".to_owned(), "PUT".to_owned()],
            headers: vec!["x-shop".to_owned()],
            exposed_headers: vec![],
            credentials,
            max_age_s: 60,
        })
        .unwrap()
    }

    fn asked(method: &str, origin: &str) -> Parts {
        let request = http::Request::builder().method(method).header("origin", origin);
        let request = request.header("access-control-request-method", "PUT");
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_page_that_is_not_named_is_told_nothing() {
        let cors = cors("https://a.example", true);
        let good = cors.preflight(&asked("OPTIONS", "https://a.example")).unwrap().parts.headers;
        assert_eq!(
            (&good["access-control-allow-methods"], &good["access-control-max-age"]),
            (&HeaderValue::from_static("GET, PUT"), &HeaderValue::from_static("60"))
        );
        let bad = cors.preflight(&asked("OPTIONS", "https://b.example")).unwrap().parts.headers;
        assert!(bad.is_empty(), "{bad:?}");
        assert!(cors.preflight(&asked("PUT", "https://a.example")).is_none());
    }

    #[test]
    fn what_the_member_says_of_it_does_not_count() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        cors("https://a.example", true)
            .mark(Some(&HeaderValue::from_static("https://b.example")), &mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), [&VARY]);
        cors("https://a.example", true)
            .mark(Some(&HeaderValue::from_static("https://a.example")), &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        let mut headers = HeaderMap::new();
        cors("*", false).mark(Some(&HeaderValue::from_static("https://b.example")), &mut headers);
        assert_eq!(
            (headers.len(), &headers[ACCESS_CONTROL_ALLOW_ORIGIN]),
            (1, &HeaderValue::from_static("*"))
        );
    }
}
