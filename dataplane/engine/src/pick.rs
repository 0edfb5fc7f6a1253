//! Choosing a backend for a new flow.

use crate::tables::Service;

/// What schedulers remember from one flow to the next: one word a service, each worker its own.
#[derive(Debug, Default)]
pub(crate) struct Picker {
    turns: Vec<u32>,
}

impl Picker {
    /// Room for `services` slots; what is remembered of the others stays.
    pub(crate) fn grow(&mut self, services: usize) {
        if self.turns.len() < services {
            self.turns.resize(services, 0);
        }
    }

    /// The backend slot whose turn it is; none if no backend takes new flows.
    pub(crate) fn round_robin(&mut self, slot: u32, service: &Service) -> Option<u32> {
        let turn = self.turns.get_mut(slot as usize)?;
        let at = (*turn as usize).checked_rem(service.takers.len())?;
        *turn = u32::try_from(at + 1).unwrap_or(0);
        service.takers.get(at).copied()
    }
}
