//! JSON that says each thing once. Two members of one name are read differently by
//! different readers (RFC 8259, section 4), which nothing that holds a token may be.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// A value all of whose objects have each name once.
pub(super) struct Strict(pub Value);

/// Why a text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotStrict {
    NotJson,
    Doubled,
}

const DOUBLED: &str = "a name comes twice";

/// Reads the whole of a text. The reason of a refusal quotes nothing.
pub(super) fn read(text: &[u8]) -> Result<Value, NotStrict> {
    match serde_json::from_slice::<Strict>(text) {
        Ok(Strict(value)) => Ok(value),
        Err(error) if error.is_data() => Err(NotStrict::Doubled),
        Err(_) => Err(NotStrict::NotJson),
    }
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Strict(value) = members.next_value()?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom(DOUBLED));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_come_once_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"[{"a":1},{"a":[{"c":1,"c":null}]}]"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert_eq!(read(text.as_bytes()), Err(NotStrict::Doubled), "{text}");
        }
        let good = r#"{"a":{"x":[1,-2,2.5,true,null,"t"]},"b":{"x":18446744073709551615}}"#;
        assert_eq!(
            read(good.as_bytes()),
            Ok(serde_json::from_str(good).expect("JSON"))
        );
    }

    #[test]
    fn what_is_not_exactly_one_json_value_is_refused() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "<html>",
            "{",
            r#"{"a":1} x"#,
            "a=b",
            "\u{feff}{}",
            &deep,
        ] {
            assert_eq!(read(text.as_bytes()), Err(NotStrict::NotJson));
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}"), Err(NotStrict::NotJson));
    }
}
