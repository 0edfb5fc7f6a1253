//! What comes of a decision: pools that may serve the request, or an answer that nobody needs to be asked for.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode, request::Parts};
use lb_model::l7::Ending;
use lb_model::policy::Redirect;

use crate::balance::random;
use crate::body::Body;
use crate::forward::Answer;
use crate::origin::Origin;
use crate::policy::{Decision, End, Split, authority, without_port};
use crate::service::{Pool, Service};

/// Who answers.
pub(crate) enum Whom<'s> {
    /// Members of the first of these pools that has one.
    Pools(Pools<'s>),
    /// The configuration itself.
    Nobody(Answer),
}

/// Pools that may serve a request, in the order in which they are asked. No list is made of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pools<'s> {
    /// The service's own, if it has one.
    Own(Option<&'s Arc<Pool>>),
    /// Those that share requests, beginning with the one that the lot falls on.
    Drawn { split: &'s Split, lot: u64, among: &'s [Arc<Pool>] },
}

impl<'s> Pools<'s> {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'s Arc<Pool>> {
        let (own, drawn) = match self {
            Self::Own(pool) => (pool, None),
            Self::Drawn { split, lot, among } => {
                (None, Some(split.drawn(lot).filter_map(|place| among.get(place))))
            }
        };
        own.into_iter().chain(drawn.into_iter().flatten())
    }

    /// Whether the first one is not the only one.
    pub(crate) fn are_several(self) -> bool {
        self.iter().nth(1).is_some()
    }
}

/// A request that is not served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) ending: Ending,
    /// What the client must show (RFC 9110, 11.6.1).
    challenge: Option<HeaderValue>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, ending: Ending) -> Self {
        Self { status, ending, challenge: None }
    }

    /// The request as it was rewritten is none.
    fn malformed() -> Self {
        Self::new(StatusCode::BAD_REQUEST, Ending::BadRequest)
    }

    /// The client did not show who it is.
    fn unauthorized(challenge: HeaderValue) -> Self {
        Self { challenge: Some(challenge), ..Self::new(StatusCode::UNAUTHORIZED, Ending::Unauthorized) }
    }

    /// What the client is told.
    pub(crate) fn answer(self) -> Answer {
        let mut answer = Answer::own(self.status);
        answer.parts.headers.extend(self.challenge.map(|challenge| (WWW_AUTHENTICATE, challenge)));
        answer
    }
}

/// Changes the request as the policies say, and finds who answers it.
pub(crate) fn follow<'s>(
    decision: &'s Decision<'_>,
    service: &'s Service,
    origin: &Origin,
    parts: &mut Parts,
) -> Result<Whom<'s>, Refused> {
    // A browser that asks beforehand shows nothing yet.
    if let Some(answer) = decision.preflight(parts) {
        return Ok(Whom::Nobody(answer));
    }
    decision.authenticate(parts).map_err(Refused::unauthorized)?;
    for changes in decision.changes() {
        changes.change_request(parts).map_err(|_| Refused::malformed())?;
    }
    match decision.end() {
        None => Ok(Whom::Pools(Pools::Own(service.pool.as_ref()))),
        Some(End::Pools(split)) => {
            Ok(Whom::Pools(Pools::Drawn { split, lot: random(), among: &service.routed }))
        }
        Some(End::Redirect(redirect)) => {
            let location = HeaderValue::try_from(location(redirect, origin, parts));
            let location = location.map_err(|_| Refused::malformed())?;
            let status = StatusCode::from_u16(redirect.code).unwrap_or(StatusCode::FOUND);
            let mut answer = Answer::own(status);
            answer.parts.headers.insert(LOCATION, location);
            Ok(Whom::Nobody(answer))
        }
        Some(End::Respond { status, content_type, body }) => {
            let mut answer = Answer::own(*status);
            answer.parts.headers.insert(CONTENT_TYPE, content_type.clone());
            answer.body = Body::Whole(body.clone());
            Ok(Whom::Nobody(answer))
        }
        Some(End::Reject(status)) => {
            let policy = decision.last();
            tracing::debug!(service = %service.id, ?policy, "a policy refused a request");
            Err(Refused::new(*status, Ending::Rejected))
        }
    }
}

/// Where the client is sent: always whole, so that no path can be taken for a host.
pub(crate) fn location(redirect: &Redirect, origin: &Origin, parts: &Parts) -> String {
    let asked = authority(parts);
    let here = origin.ends.service.to_string();
    let asked = if asked.is_empty() { &here } else { asked };
    let host = redirect.host.as_deref().unwrap_or_else(|| without_port(asked));
    let own = origin.scheme.to_str().unwrap_or("http");
    let scheme = redirect.scheme.map_or(own, |scheme| scheme.as_str());
    let port = match (redirect.port, redirect.scheme) {
        (Some(port), _) => Some(port.to_string()),
        (None, Some(_)) => None,
        (None, None) => {
            asked.strip_prefix(without_port(asked)).and_then(|port| port.strip_prefix(':')).map(str::to_owned)
        }
    };
    let usual = if scheme == "https" { "443" } else { "80" };
    let port = port.filter(|port| port != usual && !port.is_empty());
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = redirect.path.as_deref().unwrap_or_else(|| parts.uri.path());
    let query = parts.uri.query().filter(|_| redirect.keep_query);
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{path}{query}")
}

#[cfg(test)]
mod tests {
    use lb_model::policy::UriScheme;

    use super::*;

    fn sent(redirect: &Redirect, host: &str, target: &str) -> String {
        let origin = Origin::new(([192, 0, 2, 7], 5).into(), ([192, 0, 2, 100], 8080).into(), "http", None);
        let (parts, ()) = http::Request::get(target).header("host", host).body(()).unwrap().into_parts();
        location(redirect, &origin, &parts)
    }

    #[test]
    fn what_a_redirect_does_not_say_stays_as_in_the_request() {
        let same = Redirect { scheme: None, host: None, port: None, path: None, keep_query: true, code: 302 };
        assert_eq!(sent(&same, "Shop.example:8080", "/a?b=c"), "http://Shop.example:8080/a?b=c");
        assert_eq!(sent(&same, "[2001:db8::1]:8080", "/"), "http://[2001:db8::1]:8080/");
        assert_eq!(sent(&same, "", "/"), "http://192.0.2.100:8080/");
        let secure = Redirect { scheme: Some(UriScheme::Https), ..same.clone() };
        assert_eq!(sent(&secure, "shop.example:8080", "/a?b"), "https://shop.example/a?b");
        let elsewhere = Redirect {
            host: Some("www.example".into()),
            port: lb_model::L4Port::new(8443).ok(),
            path: Some("/new".into()),
            keep_query: false,
            ..secure
        };
        assert_eq!(sent(&elsewhere, "shop.example", "/a?b"), "https://www.example:8443/new");
        // Whoever follows it stays at the host that was asked for.
        assert_eq!(sent(&same, "shop.example", "//evil.example/"), "http://shop.example//evil.example/");
    }
}
