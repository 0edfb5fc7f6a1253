//! What a client is answered whose request is none.

use http::StatusCode;
use lb_model::l7::Ending;

use crate::h1::Refusal;

/// The answer, and how that is counted.
pub(crate) fn answer_to(refusal: Refusal) -> (StatusCode, Ending) {
    match refusal {
        Refusal::HeadTooLarge | Refusal::TooManyFields => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Ending::HeadTooLarge)
        }
        Refusal::TargetTooLong => (StatusCode::URI_TOO_LONG, Ending::HeadTooLarge),
        Refusal::Method => (StatusCode::NOT_IMPLEMENTED, Ending::BadRequest),
        Refusal::Expectation => (StatusCode::EXPECTATION_FAILED, Ending::BadRequest),
        _ => (StatusCode::BAD_REQUEST, Ending::BadRequest),
    }
}
