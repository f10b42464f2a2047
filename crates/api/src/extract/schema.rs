//! The check of a JSON body against the schema that the OpenAPI document shows
//! for it: every error at once, with JSON pointers, unknown fields refused.
//!
//! It knows the keywords that our own body types produce, and no others; a test
//! compares. Messages never repeat a value, which may be a secret.

use serde_json::{Map, Number, Value};

use crate::problem::FieldError;

/// Checks `value` against `schema`; `$ref`s point into `components`.
pub(super) fn check(
    schema: &Value,
    components: &Map<String, Value>,
    value: &Value,
) -> Vec<FieldError> {
    let mut check = Check {
        components,
        errors: Vec::new(),
    };
    check.value(schema, value, "");
    check.nul(value, "");
    check.errors
}

struct Check<'a> {
    components: &'a Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Check<'_> {
    fn say(&mut self, pointer: &str, message: impl Into<String>) {
        self.errors.push(FieldError::at(pointer, message));
    }

    fn value(&mut self, schema: &Value, value: &Value, pointer: &str) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap_or_default();
            let components = self.components;
            if let Some(schema) = components.get(name) {
                self.value(schema, value, pointer);
            }
            return;
        }
        // `Option<T>` of a component: null, or the component.
        if let Some(choices) = schema["oneOf"].as_array() {
            if value.is_null() && choices.iter().any(|choice| choice["type"] == "null") {
                return;
            }
            if let Some(other) = choices.iter().find(|choice| choice["type"] != "null") {
                self.value(other, value, pointer);
            }
            return;
        }
        let kinds = kinds(schema);
        if !kinds.is_empty() && !kinds.iter().any(|kind| is(value, kind)) {
            let wanted: Vec<&str> = kinds
                .into_iter()
                .filter(|kind| *kind != "null")
                .map(in_words)
                .collect();
            return self.say(pointer, format!("must be {}", wanted.join(" or ")));
        }
        match value {
            Value::Object(fields) => self.object(schema, fields, pointer),
            Value::Array(items) => self.array(schema, items, pointer),
            Value::String(text) => self.text(schema, text, pointer),
            Value::Number(number) => self.number(schema, number, pointer),
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn number(&mut self, schema: &Value, number: &Number, pointer: &str) {
        let number = number.as_f64();
        let below = schema["minimum"].as_f64() > number;
        let above = schema["maximum"]
            .as_f64()
            .is_some_and(|most| Some(most) < number);
        if below || above {
            let message = match (&schema["minimum"], &schema["maximum"]) {
                (least, Value::Null) => format!("must be at least {least}"),
                (Value::Null, most) => format!("must be at most {most}"),
                (least, most) => format!("must be from {least} to {most}"),
            };
            self.say(pointer, message);
        }
    }

    fn object(&mut self, schema: &Value, fields: &Map<String, Value>, pointer: &str) {
        let known = schema["properties"].as_object();
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !fields.contains_key(name) {
                self.say(&below(pointer, name), "is required");
            }
        }
        for (name, value) in fields {
            let at = below(pointer, name);
            match known.and_then(|known| known.get(name)) {
                Some(schema) => self.value(schema, value, &at),
                None if schema["additionalProperties"] == false => {
                    let known: Vec<&str> = known
                        .into_iter()
                        .flatten()
                        .map(|(name, _)| name.as_str())
                        .collect();
                    let message = match known.as_slice() {
                        [] => "is not known here; this body takes no fields".into(),
                        names => format!("is not known here; known are: {}", names.join(", ")),
                    };
                    self.say(&at, message);
                }
                None if schema["additionalProperties"].is_object() => {
                    self.value(&schema["additionalProperties"], value, &at);
                }
                None => {}
            }
        }
    }

    fn array(&mut self, schema: &Value, items: &[Value], pointer: &str) {
        if let Some(least) = schema["minItems"]
            .as_u64()
            .filter(|least| (items.len() as u64) < *least)
        {
            self.say(pointer, format!("must have at least {least} entries"));
        }
        if let Some(most) = schema["maxItems"]
            .as_u64()
            .filter(|most| (items.len() as u64) > *most)
        {
            self.say(pointer, format!("must have at most {most} entries"));
        }
        for (index, item) in items.iter().enumerate() {
            self.value(&schema["items"], item, &format!("{pointer}/{index}"));
        }
    }

    fn text(&mut self, schema: &Value, text: &str, pointer: &str) {
        let length = text.chars().count() as u64;
        if let Some(choices) = schema["enum"]
            .as_array()
            .filter(|choices| !choices.iter().any(|choice| choice == text))
        {
            let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
            return self.say(pointer, format!("must be one of: {}", choices.join(", ")));
        }
        if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
            let message = if least == 1 {
                "must not be empty".into()
            } else {
                format!("must have at least {least} characters")
            };
            self.say(pointer, message);
        }
        if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
            self.say(pointer, format!("must have at most {most} characters"));
        }
    }

    /// PostgreSQL stores no NUL in texts and JSON
    /// (<https://www.postgresql.org/docs/current/datatype-json.html>).
    fn nul(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::String(text) if text.contains('\0') => {
                self.say(pointer, "must not contain the NUL character")
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.nul(item, &format!("{pointer}/{index}"));
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    if name.contains('\0') {
                        self.say(pointer, "must not contain the NUL character in a name");
                    }
                    self.nul(value, &below(pointer, name));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn kinds(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

fn in_words(kind: &str) -> &str {
    match kind {
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "string" => "a text",
        "array" => "a list",
        "object" => "an object",
        other => other,
    }
}

/// RFC 6901, section 3.
fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        extract::body::schema_of,
        routes::{
            Empty,
            connections::{
                actions::ActionRequest, change::ChangeConnection, create::CreateConnection,
                credential::ReplaceCredential, sync::SyncRequest,
            },
            dead::{DiscardDead, RetryDead},
            retry_policy::SetPolicies,
            schedules::{change::ChangeSchedule, create::CreateSchedule},
        },
    };

    /// What [`check`] looks at, and what is only for people or checked by serde.
    const KNOWN: [&str; 17] = [
        "$ref",
        "type",
        "required",
        "properties",
        "additionalProperties",
        "enum",
        "items",
        "oneOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        // serde refuses what does not fit the number's type
        "format",
        "description",
        "writeOnly",
    ];

    fn keywords(schema: &Value, found: &mut BTreeSet<String>) {
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            found.insert(keyword.clone());
            match keyword.as_str() {
                "properties" => value
                    .as_object()
                    .unwrap()
                    .values()
                    .for_each(|field| keywords(field, found)),
                "oneOf" => value
                    .as_array()
                    .unwrap()
                    .iter()
                    .for_each(|choice| keywords(choice, found)),
                "items" | "additionalProperties" => keywords(value, found),
                _ => {}
            }
        }
    }

    #[test]
    fn the_schemas_of_our_bodies_use_no_keyword_that_is_not_checked() {
        let bodies = [
            schema_of::<Empty>(),
            schema_of::<CreateConnection>(),
            schema_of::<ChangeConnection>(),
            schema_of::<ReplaceCredential>(),
            schema_of::<SyncRequest>(),
            schema_of::<ActionRequest>(),
            schema_of::<CreateSchedule>(),
            schema_of::<ChangeSchedule>(),
            schema_of::<SetPolicies>(),
            schema_of::<RetryDead>(),
            schema_of::<DiscardDead>(),
        ];
        let mut found = BTreeSet::new();
        for (schema, components) in &bodies {
            keywords(schema, &mut found);
            components
                .values()
                .for_each(|schema| keywords(schema, &mut found));
        }
        let unknown: Vec<&String> = found
            .iter()
            .filter(|keyword| !KNOWN.contains(&keyword.as_str()))
            .collect();
        assert!(unknown.is_empty(), "not checked: {unknown:?}");
    }
}
