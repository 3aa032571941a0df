//! OpenAPI documents, gone through operation by operation, and values held against what they say.

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

/// One operation of a document.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its path, with its parameters in braces.
    pub path: String,
    /// Its method in capitals.
    pub method: String,
    /// What is said of it.
    pub told: Value,
}

/// The members of an object; none of anything else.
pub fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// Every operation of a document.
#[must_use]
pub fn operations(document: &Value) -> Vec<Operation> {
    let of_path = |(path, item): (&String, &Value)| {
        let told = members(item).filter(|(_, it)| it["responses"].is_object());
        let operation = |(method, told): (&String, &Value)| Operation {
            path: path.clone(),
            method: method.to_uppercase(),
            told: told.clone(),
        };
        told.map(operation).collect::<Vec<_>>()
    };
    members(&document["paths"]).flat_map(of_path).collect()
}

impl Operation {
    /// The bodies that the document shows, each with its name; one without a body where the operation has none.
    #[must_use]
    pub fn examples(&self) -> Vec<(String, Option<Value>)> {
        let body = &self.told["requestBody"];
        if !body.is_object() {
            return vec![("bare".to_owned(), None)];
        }
        let shown = members(&body["content"]["application/json"]["examples"]);
        shown.map(|(name, it)| (name.clone(), Some(it["value"].clone()))).collect()
    }

    /// What the body must be.
    #[must_use]
    pub fn body_schema(&self) -> &Value {
        &self.told["requestBody"]["content"]["application/json"]["schema"]
    }

    /// Holds an answer against what the document says of its status.
    ///
    /// # Errors
    /// When the status, the media type or the body is not as the document says.
    pub fn answers(
        &self,
        document: &Value,
        status: u16,
        media_type: Option<&str>,
        body: &Value,
    ) -> Result<()> {
        let told = &self.told["responses"][status.to_string()];
        ensure!(told.is_object(), "{status} is not in the document");
        let Some((expected, content)) = members(&told["content"]).next() else {
            ensure!(media_type.is_none(), "{status} has a body");
            return Ok(());
        };
        ensure!(media_type == Some(expected.as_str()), "{status} is of {media_type:?}");
        match expected.ends_with("json") {
            true => fits(document, &content["schema"], body),
            false => Ok(()),
        }
    }
}

/// Holds a value against a schema of the document.
///
/// # Errors
/// When the value is something else: the message says where and why.
pub fn fits(document: &Value, schema: &Value, value: &Value) -> Result<()> {
    let mut whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": document["components"],
    });
    for (name, it) in members(schema) {
        whole[name] = it.clone();
    }
    let validator = jsonschema::validator_for(&whole)?;
    let wrong: Vec<String> =
        validator.iter_errors(value).map(|it| format!("{}: {it}", it.instance_path())).collect();
    ensure!(wrong.is_empty(), "{} in {value}", wrong.join("; "));
    Ok(())
}
