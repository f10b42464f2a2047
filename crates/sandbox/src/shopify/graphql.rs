//! A reader of GraphQL documents, as far as the stand-in answers them: one operation,
//! fields with aliases and arguments, no fragments, no variables in use.
//!
//! Must not: pretend. What it cannot read is a syntax error, what an object does not have
//! is `undefinedField`.

use serde_json::{Map, Value, json};

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub is_mutation: bool,
    pub fields: Vec<Field>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Under which the answer stands.
    key: String,
    pub name: String,
    fields: Vec<Field>,
}

impl Operation {
    /// `None`: a syntax error.
    pub fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let is_mutation = match reader.peek()? {
            '{' => false,
            _ => {
                let is_mutation = match reader.name()?.as_str() {
                    "query" => false,
                    "mutation" => true,
                    _ => return None,
                };
                if reader.peek()? != '{' && reader.peek()? != '(' {
                    reader.name()?;
                }
                reader.arguments()?;
                is_mutation
            }
        };
        let fields = reader.fields()?;
        reader.skip();
        reader.rest.is_empty().then_some(Self {
            is_mutation,
            fields,
        })
    }
}

/// Takes from an object what is asked for; an object without a selection and a name that
/// it does not have are errors, as Shopify words them.
pub(super) fn select(fields: &[Field], of: &Value, type_name: &str) -> Result<Value, Value> {
    let mut selected = Map::new();
    for field in fields {
        let name = field.name.as_str();
        let value = match of.get(name) {
            Some(value) => value,
            None if name == "__typename" => &json!(type_name),
            None => {
                return Err(json!({
                    "message": format!("Field '{name}' doesn't exist on type '{type_name}'"),
                    "extensions": {
                        "code": "undefinedField", "typeName": type_name, "fieldName": name,
                    },
                }));
            }
        };
        let inner = capitalized(name);
        let value = match value {
            Value::Object(_) | Value::Array(_) if field.fields.is_empty() => {
                return Err(json!({
                    "message": format!(
                        "Field must have selections (field '{name}' returns {inner} but has no \
                         selections. Did you mean '{name} {{ ... }}'?)"
                    ),
                    "extensions": { "code": "selectionMismatch" },
                }));
            }
            Value::Object(_) => select(&field.fields, value, &inner)?,
            Value::Array(list) => {
                let list: Result<Vec<Value>, Value> = list
                    .iter()
                    .map(|value| select(&field.fields, value, &inner))
                    .collect();
                Value::Array(list?)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        };
        selected.insert(field.key.clone(), value);
    }
    Ok(Value::Object(selected))
}

fn capitalized(name: &str) -> String {
    let mut characters = name.chars();
    match characters.next() {
        Some(first) => format!("{}{}", first.to_ascii_uppercase(), characters.as_str()),
        None => String::new(),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    /// Past blanks, commas and comments.
    fn skip(&mut self) {
        loop {
            self.rest = self
                .rest
                .trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            match self.rest.strip_prefix('#') {
                Some(comment) => {
                    self.rest = comment.split_once('\n').map_or("", |(_, after)| after);
                }
                None => return,
            }
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.skip();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.rest = &self.rest[wanted.len_utf8()..];
        }
        is_next
    }

    fn name(&mut self) -> Option<String> {
        self.skip();
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (name, after) = self.rest.split_at(end);
        self.rest = after;
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// Read over; the fields that the stand-in answers take none.
    fn arguments(&mut self) -> Option<()> {
        if !self.take('(') {
            return Some(());
        }
        let mut depth = 1;
        let mut quoted = false;
        for (at, character) in self.rest.char_indices() {
            match character {
                '"' => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.rest = &self.rest[at + 1..];
                return Some(());
            }
        }
        None
    }

    fn fields(&mut self) -> Option<Vec<Field>> {
        if !self.take('{') {
            return None;
        }
        let mut fields = Vec::new();
        while !self.take('}') {
            let mut key = self.name()?;
            let name = match self.take(':') {
                true => self.name()?,
                false => key.clone(),
            };
            if key.is_empty() {
                key.clone_from(&name);
            }
            self.arguments()?;
            let inner = match self.peek()? {
                '{' => self.fields()?,
                _ => Vec::new(),
            };
            fields.push(Field {
                key,
                name,
                fields: inner,
            });
        }
        (!fields.is_empty()).then_some(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_takes_what_it_names() {
        let text = "query Test($n: Int) { here: shop { name # comment\n id }, \
                    list(first: 2, query: \"a)b\") { handle } }";
        let operation = Operation::parse(text).expect("valid");
        assert!(!operation.is_mutation);
        let of = json!({"shop": {"id": 1, "name": "n", "email": "e"},
            "list": [{"handle": "a"}, {"handle": "b"}]});
        assert_eq!(
            select(&operation.fields, &of, "QueryRoot").expect("known"),
            json!({"here": {"id": 1, "name": "n"}, "list": [{"handle": "a"}, {"handle": "b"}]})
        );
    }

    #[test]
    fn what_cannot_be_read_or_answered_is_refused() {
        for bad in [
            "",
            "{",
            "{shop{name}",
            "{}",
            "{shop{}}",
            "subscription{a}",
            "{a}}",
            "{...f}",
        ] {
            assert_eq!(Operation::parse(bad), None, "{bad}");
        }
        let of = json!({"shop": {"name": "n"}});
        for bad in ["{shop}", "{shop{owner}}", "{products{id}}"] {
            let operation = Operation::parse(bad).expect("valid");
            assert!(
                select(&operation.fields, &of, "QueryRoot").is_err(),
                "{bad}"
            );
        }
    }
}
