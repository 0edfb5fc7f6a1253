//! Secrets in documents that are kept before they are read as what they are: taken out, sealed, and put back when they are used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fields::{Fault, Pointer};
use crate::vault::{self, Sealed};

/// Fields that are secret wherever they stand: all that any kind of resource never shows.
pub(crate) const SECRETS: &[&str] =
    &["private_key", "pkcs12", "passphrase", "password", "passwords", "secret"];

/// What was taken out of a document, by its place there (RFC 6901).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Secrets(BTreeMap<String, Sealed>);

impl Secrets {
    /// Takes every secret out of `document`.
    pub(super) fn take_from(document: &mut Map<String, Value>) -> Result<Self, Fault> {
        let mut taken = BTreeMap::new();
        take(document, &Pointer::root(), &mut taken)?;
        Ok(Self(taken))
    }

    /// Puts them back; nothing if they were sealed with another key file.
    pub(crate) fn put_back(&self, mut document: Map<String, Value>) -> Option<Map<String, Value>> {
        for (pointer, sealed) in &self.0 {
            let secret = vault::open_pending(sealed)?;
            let (parent, name) = pointer.rsplit_once('/')?;
            let place = match parent.split_once('/') {
                None => &mut document,
                Some((_, inner)) => object_at(&mut document, inner)?,
            };
            place.insert(name.replace("~1", "/").replace("~0", "~"), secret);
        }
        Some(document)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn object_at<'d>(document: &'d mut Map<String, Value>, pointer: &str) -> Option<&'d mut Map<String, Value>> {
    let (first, rest) = pointer.split_once('/').unwrap_or((pointer, ""));
    let value = document.get_mut(&first.replace("~1", "/").replace("~0", "~"))?;
    let value = if rest.is_empty() { value } else { value.pointer_mut(&format!("/{rest}"))? };
    value.as_object_mut()
}

fn take(
    object: &mut Map<String, Value>,
    at: &Pointer,
    taken: &mut BTreeMap<String, Sealed>,
) -> Result<(), Fault> {
    for secret in SECRETS {
        // Null says that it is not written.
        if let Some(value) = object.get(*secret).filter(|value| !value.is_null()) {
            let sealed =
                vault::seal_pending(value).map_err(|error| Fault::new("unavailable", error.to_string()))?;
            taken.insert(at.field(secret).into_text(), sealed);
            object.remove(*secret);
        }
    }
    for (key, value) in object.iter_mut() {
        take_within(value, &at.field(key), taken)?;
    }
    Ok(())
}

fn take_within(value: &mut Value, at: &Pointer, taken: &mut BTreeMap<String, Sealed>) -> Result<(), Fault> {
    match value {
        Value::Object(object) => take(object, at, taken),
        Value::Array(items) => items
            .iter_mut()
            .enumerate()
            .try_for_each(|(index, item)| take_within(item, &at.field(&index.to_string()), taken)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_taken_out_wherever_they_stand_and_put_back() {
        let whole = json!({
            "name": "x", "password": "weir-water", "settings": { "a/b": [{ "private_key": "lock-stone" }, { "password": null }] },
        });
        let Value::Object(whole) = whole else { panic!("an object") };
        let mut document = whole.clone();
        let secrets = Secrets::take_from(&mut document).unwrap();
        let kept = serde_json::to_string(&(&document, &secrets)).unwrap();
        assert!(!kept.contains("weir-water") && !kept.contains("lock-stone"), "{kept}");
        assert_eq!(document["name"], "x");
        assert_eq!(secrets.put_back(document), Some(whole));
    }

    #[test]
    fn one_that_is_no_text_is_none_the_less_a_secret() {
        let Value::Object(mut document) = json!({ "password": { "deep": [1_234_567] } }) else {
            panic!("an object")
        };
        let secrets = Secrets::take_from(&mut document).unwrap();
        assert_eq!(document, Map::new());
        assert_eq!(secrets.put_back(document).unwrap()["password"]["deep"][0], 1_234_567);
    }
}
