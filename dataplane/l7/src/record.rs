//! What becomes of one request, noted while it is answered: every protocol begins one, and tells the service at the end.

use http::StatusCode;
use lb_model::l7::Ending;

use crate::service::Service;

/// One request, from its head to the end of its answer.
#[derive(Debug, Default)]
pub(crate) struct Record {
    ending: Option<Ending>,
}

impl Record {
    /// A request whose head was read.
    pub(crate) fn begin(service: &Service) -> Self {
        service.counters.requested();
        Self::default()
    }

    /// It does not end well. What was noted first was the cause of the rest.
    pub(crate) fn note(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    /// It was answered with this, or as far as it could be.
    pub(crate) fn finish(self, service: &Service, status: Option<StatusCode>, bytes_in: u64, bytes_out: u64) {
        match status {
            Some(status) => service.counters.answered(status, bytes_in, bytes_out),
            None => service.counters.passed(bytes_in, bytes_out),
        }
        if let Some(ending) = self.ending {
            service.counters.ended(ending);
        }
    }
}
