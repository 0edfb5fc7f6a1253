//! What would become of a request: decided and routed as a client's, and sent to nobody.

use std::net::SocketAddr;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Request};
use lb_model::Generation;
use lb_model::explain::{DescribedRequest, Explanation, OwnAnswer};

use crate::forward::{Answer, prepare};
use crate::origin::Origin;
use crate::pick::choose;
use crate::route::{self, Whom};
use crate::service::Service;

/// Answers for a service that is offered here.
pub(crate) fn explain(
    service: &Service,
    generation: Generation,
    here: SocketAddr,
    of: &DescribedRequest,
) -> Result<Explanation, http::Error> {
    let DescribedRequest { method, host, target, headers, source, sni } = of;
    let request = Request::builder().method(method.as_str()).uri(target.as_str());
    let request = host.iter().fold(request, |request, host| request.header(HOST, host));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    let (mut parts, ()) = request.body(())?.into_parts();
    let scheme = if service.tls.is_some() { "https" } else { "http" };
    let origin = Origin::new(SocketAddr::new(*source, 0), here, scheme, sni.as_deref());

    let policies = service.policies.asked(&parts, &origin);
    let decision = service.policies.decide(&parts, &origin);
    while let Some(question) = decision.question(&parts) {
        question.settle_here();
    }
    let asking_page = parts.headers.get(ORIGIN).cloned();
    prepare(&mut parts.headers, &origin);
    let (mut pool, mut member) = (None, None);
    let answer = match route::follow(&decision, service, &origin, &mut parts) {
        Ok(Whom::Nobody(answer)) => Some(answer),
        Err(refused) => Some(refused.answer()),
        Ok(Whom::Pools(pools)) => {
            match choose(pools, &origin, &parts, |pool, kept| pool.look(&origin, kept)) {
                Some((chosen, _, first)) => {
                    (pool, member) = (Some(chosen.id), Some(first.id));
                    None
                }
                None => Some(Answer::own(http::StatusCode::SERVICE_UNAVAILABLE)),
            }
        }
    };
    let own_answer = answer.map(|Answer { mut parts, .. }| {
        decision.change_response(asking_page.as_ref(), &mut parts.headers);
        OwnAnswer { status: parts.status.as_u16(), headers: fields(&parts.headers) }
    });
    let target = parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    Ok(Explanation {
        generation,
        policies,
        pool,
        member,
        target,
        headers: fields(&parts.headers),
        own_answer,
    })
}

fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
