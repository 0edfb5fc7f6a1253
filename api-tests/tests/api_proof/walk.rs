//! The description, as a walk needs it.

use reqwest::Method;
use serde_json::Value;

use crate::support_api::Api;
use crate::world::NOBODY;

/// An operation of the API.
pub(crate) struct Operation {
    pub(crate) method: Method,
    /// With `{…}` for what it is about.
    pub(crate) path: String,
    described: Value,
}

/// The description, as the server tells it.
pub(crate) struct Description(Value);

impl Description {
    pub(crate) fn read(api: &Api) -> Self {
        Self(api.get("/api/v1/openapi.json").body)
    }

    /// All operations.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        let paths = self.0["paths"].as_object().unwrap();
        let of = |(path, methods): (&String, &Value)| -> Vec<Operation> {
            let operation = |(method, described): (&String, &Value)| Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                described: described.clone(),
            };
            methods.as_object().unwrap().iter().map(operation).collect()
        };
        paths.iter().flat_map(of).collect()
    }

    /// A schema by its name.
    pub(crate) fn schema(&self, name: &str) -> &Value {
        &self.0["components"]["schemas"][name]
    }

    /// What a reference leads to.
    pub(crate) fn follow<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.follow(self.0.pointer(&reference[1..]).unwrap()),
            None => schema,
        }
    }
}

impl Operation {
    pub(crate) fn id(&self) -> &str {
        self.described["operationId"].as_str().unwrap()
    }

    pub(crate) fn permission(&self) -> Option<&str> {
        self.described["x-permission"].as_str()
    }

    /// Whether it keeps to what the caller sees.
    pub(crate) fn is_scoped(&self) -> bool {
        self.described["x-scoped"] == true
    }

    /// Whether nobody needs to be signed in.
    pub(crate) fn is_open(&self) -> bool {
        self.described["security"].as_array().unwrap().iter().any(|scheme| scheme == &serde_json::json!({}))
    }

    /// The schema of its body, if that is JSON.
    pub(crate) fn body(&self) -> Option<&Value> {
        self.described.pointer("/requestBody/content/application~1json/schema")
    }

    /// Its parameters at this place, as (name, schema).
    pub(crate) fn parameters(&self, place: &str) -> Vec<(&str, &Value)> {
        let all = self.described["parameters"].as_array().into_iter().flatten();
        all.filter(|parameter| parameter["in"] == place)
            .map(|parameter| (parameter["name"].as_str().unwrap(), &parameter["schema"]))
            .collect()
    }

    pub(crate) fn takes(&self, place: &str, name: &str) -> bool {
        self.parameters(place).iter().any(|(known, _)| *known == name)
    }

    /// Whether it says that it may answer so.
    pub(crate) fn declares(&self, status: u16) -> bool {
        self.described["responses"].get(status.to_string()).is_some()
    }

    /// Its address for what does not exist.
    pub(crate) fn nowhere(&self) -> String {
        self.path.split('/').map(filled).collect::<Vec<_>>().join("/")
    }
}

fn filled(part: &str) -> &str {
    match part {
        "{generation}" => "999999999",
        part if part.starts_with('{') => NOBODY,
        part => part,
    }
}
