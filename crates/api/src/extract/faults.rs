//! What is wrong with a body by its schema. The wrong fields are taken out, so that the
//! handler still checks the others, and one answer names everything.

use serde_json::Value;

use crate::problem::{FieldError, Problem};

/// Wrong fields of a body. A handler that takes a body refuses them with [`Faults::with`].
#[derive(Debug)]
#[must_use]
pub struct Faults(Vec<FieldError>);

impl Faults {
    /// Takes the wrong fields out of the body.
    pub(super) fn take_from(body: &mut Value, errors: Vec<FieldError>) -> Self {
        for pointer in errors.iter().filter_map(|error| error.pointer.as_deref()) {
            take_out(body, pointer);
        }
        Self(errors)
    }

    /// The refusal of a body that cannot be read without its wrong fields. `found` then
    /// follows from them, and is told only where there are none.
    pub(super) fn or_first(self, found: FieldError) -> Problem {
        Problem::validation(if self.0.is_empty() {
            vec![found]
        } else {
            self.0
        })
    }

    /// Whether this field, or one below it, was taken out.
    pub fn touch(&self, pointer: &str) -> bool {
        self.pointers().any(|fault| is_within(fault, pointer))
    }

    /// What the handler made of the body, if nothing is wrong with it; else all that is wrong.
    ///
    /// # Errors
    /// Everything wrong, by the schema and by the handler.
    pub fn with<T>(mut self, found: Result<T, Vec<FieldError>>) -> Result<T, Problem> {
        let found = match found {
            Ok(value) if self.0.is_empty() => return Ok(value),
            Ok(_) => Vec::new(),
            Err(found) => found,
        };
        // What was taken out is not also missing.
        let news: Vec<FieldError> = found
            .into_iter()
            .filter(|error| {
                let pointer = error.pointer.as_deref().unwrap_or_default();
                !self.pointers().any(|fault| is_within(pointer, fault))
            })
            .collect();
        self.0.extend(news);
        Err(Problem::validation(self.0))
    }

    fn pointers(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|error| error.pointer.as_deref())
    }
}

fn is_within(pointer: &str, other: &str) -> bool {
    pointer
        .strip_prefix(other)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn take_out(body: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        return;
    };
    match body.pointer_mut(parent) {
        Some(Value::Object(fields)) => {
            fields.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        // An empty text keeps its place: the entries behind it keep their pointers.
        Some(Value::Array(items)) => {
            if let Some(item) = name.parse().ok().and_then(|at: usize| items.get_mut(at)) {
                *item = Value::String(String::new());
            }
        }
        Some(_) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_wrong_is_taken_out_and_the_rest_keeps_its_place() {
        let mut body = json!({ "name": 1, "streams": [7, "nope"], "config": { "a/b": 1, "c": 2 } });
        let wrong = ["/name", "/streams/0", "/config/a~1b", "/gone", ""];
        let errors = wrong.map(|pointer| FieldError::at(pointer, "is wrong"));
        let faults = Faults::take_from(&mut body, errors.into());
        assert_eq!(
            body,
            json!({ "streams": ["", "nope"], "config": { "c": 2 } })
        );
        assert!(faults.touch("/config") && !faults.touch("/conf"));
    }

    #[test]
    fn a_field_that_was_taken_out_is_not_also_missing() {
        let faults = Faults(vec![FieldError::at("/credential", "must be an object")]);
        let found = vec![
            FieldError::at("/credential/access_token", "is required"),
            FieldError::at("/credentials", "is another"),
        ];
        let problem = faults.with::<()>(Err(found)).unwrap_err();
        assert_eq!(
            problem,
            Problem::validation(vec![
                FieldError::at("/credential", "must be an object"),
                FieldError::at("/credentials", "is another"),
            ])
        );
    }
}
