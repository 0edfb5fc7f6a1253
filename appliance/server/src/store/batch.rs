//! Many edits in one transaction, in whatever order they can be made.
//!
//! Each edit goes through the code that single edits go through. One that cannot be made yet, because it names what
//! is still to be created or takes what is still to be given up, waits for the others; when none of those that are left
//! can be made, all their faults are told at once.

use serde_json::{Map, Value};

use super::StoreError;
use super::edit::Edit;
use super::kinds::AnyTable;
use crate::domain::FieldError;

/// One edit of a batch.
#[derive(Clone)]
pub(super) struct Step {
    pub(super) kind: &'static dyn AnyTable,
    pub(super) parent: Option<String>,
    pub(super) id: String,
    /// What is to be written; none if it is to be deleted.
    pub(super) document: Option<Map<String, Value>>,
    /// Where it stands in what the client sent.
    pub(super) at: String,
}

/// Makes all of these, or says everything that is wrong with those that cannot be made.
pub(super) async fn make(edit: &mut Edit, steps: Vec<Step>) -> Result<(), StoreError> {
    let mut left = steps;
    while !left.is_empty() {
        let before = left.len();
        let mut waiting = Vec::new();
        let mut refused = Vec::new();
        for step in left {
            match attempt(edit, &step).await {
                Ok(()) => {}
                Err(
                    error @ (StoreError::Invalid(_)
                    | StoreError::Taken(_)
                    | StoreError::InUse(_)
                    | StoreError::Quota { .. }
                    | StoreError::NotFound { .. }),
                ) => {
                    refused.push((step.at.clone(), error));
                    waiting.push(step);
                }
                Err(error) => return Err(error),
            }
        }
        if waiting.len() == before {
            return Err(together(refused));
        }
        left = waiting;
    }
    Ok(())
}

async fn attempt(edit: &mut Edit, step: &Step) -> Result<(), StoreError> {
    let Step { kind, parent, id, document, at: _ } = step;
    if document.is_none() && edit.has_deleted(id) {
        // It went with what it belonged to.
        return Ok(());
    }
    let mark = edit.mark().await?;
    let done = match document {
        Some(document) => kind.put(edit, parent.as_deref(), id, document).await,
        None => kind.remove(edit, parent.as_deref(), id).await,
    };
    match done {
        Ok(()) => edit.release().await,
        Err(error) => {
            edit.back_to(mark).await?;
            Err(error)
        }
    }
}

/// All that was refused as one error: what is wrong by itself before what is taken, that before what is in use.
fn together(refused: Vec<(String, StoreError)>) -> StoreError {
    let (mut wrong, mut taken) = (Vec::new(), Vec::new());
    for (at, error) in refused {
        let below = |fault: FieldError| FieldError { pointer: format!("{at}{}", fault.pointer), ..fault };
        match error {
            StoreError::Invalid(faults) => wrong.extend(faults.into_iter().map(below)),
            StoreError::Taken(faults) => taken.extend(faults.into_iter().map(below)),
            StoreError::NotFound { .. } => wrong.push(FieldError::new(at, "not_found", error.to_string())),
            StoreError::Quota { .. } => taken.push(FieldError::new(at, "quota_exceeded", error.to_string())),
            other => taken.push(FieldError::new(at, "in_use", other.to_string())),
        }
    }
    if wrong.is_empty() {
        return StoreError::Taken(taken);
    }
    wrong.extend(taken);
    StoreError::Invalid(wrong)
}
