//! JSON Merge Patch (RFC 7396), over a document that already has every field there is.

use serde_json::{Map, Value};

use super::fields::{FieldError, Pointer};

/// Merges `patch` into `document`. A field that the document does not have cannot be written, not even with null: it is
/// returned as a fault, and left out.
pub(super) fn merge_patch(document: &mut Map<String, Value>, patch: &Map<String, Value>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    merge(document, patch, &Pointer::root(), &mut faults);
    faults
}

fn merge(
    document: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    at: &Pointer,
    faults: &mut Vec<FieldError>,
) {
    for (key, value) in patch {
        match (document.get_mut(key), value) {
            (None, _) => faults.push(FieldError::not_writable(at, key)),
            (Some(Value::Object(inner)), Value::Object(value)) => merge(inner, value, &at.field(key), faults),
            // Null removes what was written: the default takes its place.
            (Some(_), Value::Null) => {
                document.remove(key);
            }
            (Some(current), value) => *current = value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    fn merged(patch: &Value) -> (Value, BTreeSet<String>) {
        let mut document = json!({ "name": "web", "pool": null, "timeouts": { "idle_s": 300 } });
        let faults = merge_patch(document.as_object_mut().unwrap(), patch.as_object().unwrap());
        (document, faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn fields_are_replaced_and_null_removes_them() {
        let (document, faults) = merged(&json!({ "name": null, "pool": "p", "timeouts": { "idle_s": 5 } }));
        assert_eq!(document, json!({ "pool": "p", "timeouts": { "idle_s": 5 } }));
        assert!(faults.is_empty());
    }

    #[test]
    fn a_field_that_is_not_there_is_named_also_with_null_and_inside() {
        let (document, faults) = merged(&json!({ "nmae": null, "id": 1, "timeouts": { "a/b": 1 } }));
        assert_eq!(document, json!({ "name": "web", "pool": null, "timeouts": { "idle_s": 300 } }));
        assert_eq!(faults, BTreeSet::from(["/nmae", "/id", "/timeouts/a~1b"].map(str::to_owned)));
    }
}
