//! The check of what a person filled in, and of what an action is given, against a
//! manifest: every error at once, with JSON pointers, unknown fields refused. It asks no
//! provider.

use patchbay_core::secret::SecretFields;
use serde_json::{Map, Value};

use crate::{
    manifest::{Action, Manifest},
    schema::{FieldError, Property, Schema},
};

/// Config and secrets that fit the manifest, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// Not secret; stored in clear.
    pub config: Value,
    /// To be sealed.
    pub secret: SecretFields,
}

impl Manifest {
    /// Checks config and secrets together.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the pointers.
    pub fn check(&self, config: &Value, secret: &SecretFields) -> Result<Checked, Vec<FieldError>> {
        let mut errors = Errors::default();
        let config = self.fields(&self.config, config, "/config", &mut errors);
        self.check_secret(secret, &mut errors);
        errors.or(Checked {
            config: Value::Object(self.config.with_defaults(config)),
            secret: secret.clone(),
        })
    }

    /// Checks a config alone, defaults filled in: for a consent, which brings the secrets
    /// itself. Pointers begin with `/config`.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the pointers.
    pub fn check_config(&self, config: &Value) -> Result<Value, Vec<FieldError>> {
        let mut errors = Errors::default();
        let config = self.fields(&self.config, config, "/config", &mut errors);
        errors.or(Value::Object(self.config.with_defaults(config)))
    }

    /// Checks what an action is given, and fills its defaults in. Pointers begin with
    /// `/input`.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the pointers.
    pub fn check_input(&self, action: &Action, input: &Value) -> Result<Value, Vec<FieldError>> {
        let mut errors = Errors::default();
        let input = self.fields(&action.input, input, "/input", &mut errors);
        errors.or(Value::Object(action.input.with_defaults(input)))
    }

    /// Checks an object that is not secret against its schema.
    fn fields(
        &self,
        schema: &Schema,
        object: &Value,
        root: &str,
        errors: &mut Errors,
    ) -> Map<String, Value> {
        let Value::Object(fields) = object else {
            errors.add(root, "must be an object");
            return Map::new();
        };
        for (name, value) in fields {
            let pointer = format!("{root}/{}", escape(name));
            match schema.properties.get(name) {
                None => errors.add(pointer, self.unknown_field(schema, false)),
                Some(property) if property.secret => {
                    errors.add(pointer, "is secret: send it under `secret`")
                }
                Some(property) => check_value(property, value, &pointer, errors),
            }
        }
        for name in &schema.required {
            if !schema.properties[name].secret && !fields.contains_key(name) {
                errors.add(format!("{root}/{}", escape(name)), "is required");
            }
        }
        fields.clone()
    }

    fn check_secret(&self, secret: &SecretFields, errors: &mut Errors) {
        if !self.takes_credential() {
            let words = format!(
                "{} takes no credential by hand: connect it by consent",
                self.label
            );
            return errors.add("/secret", words);
        }
        for (name, value) in &secret.0 {
            let pointer = format!("/secret/{}", escape(name));
            match self.config.properties.get(name) {
                None => errors.add(pointer, self.unknown_field(&self.config, true)),
                Some(property) if !property.secret => {
                    errors.add(pointer, "is not secret: send it under `config`")
                }
                Some(property) => {
                    if let Some(why) = property.refuse_text(value.expose()) {
                        errors.add(pointer, why);
                    }
                }
            }
        }
        for name in &self.config.required {
            if self.config.properties[name].secret && secret.get(name).is_none() {
                errors.add(format!("/secret/{}", escape(name)), "is required");
            }
        }
    }

    fn unknown_field(&self, schema: &Schema, secret: bool) -> String {
        let known = schema
            .properties
            .iter()
            .filter(|(_, property)| property.secret == secret);
        let known: Vec<&str> = known.map(|(name, _)| name.as_str()).collect();
        if known.is_empty() {
            format!("{} takes no such field", self.label)
        } else {
            format!(
                "{} takes no such field; it takes: {}",
                self.label,
                known.join(", ")
            )
        }
    }
}

#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            pointer: pointer.into(),
            message: message.into(),
        });
    }

    /// What was checked, if nothing is wrong with it.
    fn or<T>(mut self, checked: T) -> Result<T, Vec<FieldError>> {
        self.0.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        if self.0.is_empty() {
            Ok(checked)
        } else {
            Err(self.0)
        }
    }
}

fn check_value(property: &Property, value: &Value, pointer: &str, errors: &mut Errors) {
    if let Some(why) = property.refuse(value) {
        errors.add(pointer, why);
    }
    let (Some(allowed), Value::Array(items)) = (&property.items, value) else {
        return;
    };
    if let Some(most) = property.max_items
        && items.len() > most
    {
        errors.add(pointer, format!("must have at most {most} entries"));
    }
    for (index, item) in items.iter().enumerate() {
        if let Some(why) = allowed.refuse(item) {
            errors.add(format!("{pointer}/{index}"), why);
        }
    }
}

/// RFC 6901, section 3.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
