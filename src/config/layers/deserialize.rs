//! Deserializes settings from TOML values with errors that name the key and say what to write instead.
//!
//! The deserializer of the `toml` crate reports neither the path of a value nor the candidates for an unknown key as data.

use std::fmt::Display;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::forward_to_deserialize_any;
use toml::{Table, Value};

/// Deserializes `table` as `T`.
pub(in crate::config) fn from_table<'de, T: Deserialize<'de>>(table: &'de Table) -> Result<T, ValueError> {
    T::deserialize(TableDeserializer(table))
}

/// An invalid value or an unknown key.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) struct ValueError {
    /// Keys from the outermost table to the value. The elements of a list are named by their index.
    pub(in crate::config) path: Vec<String>,
    pub(in crate::config) problem: ValueProblem,
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::config) enum ValueProblem {
    UnknownKey { key: String, known: &'static [&'static str] },
    Invalid(String),
}

impl ValueError {
    fn invalid(problem: String) -> Self {
        Self { path: Vec::new(), problem: ValueProblem::Invalid(problem) }
    }

    /// Prepends `key`, the position of the value in a table or list, to the path of the error.
    fn inside(mut self, key: &str) -> Self {
        self.path.insert(0, key.to_owned());
        self
    }
}

impl std::error::Error for ValueError {}

impl Display for ValueError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.problem {
            ValueProblem::UnknownKey { key, .. } => write!(f, "{}: unknown key {key}", self.path.join(".")),
            ValueProblem::Invalid(problem) => write!(f, "{}: {problem}", self.path.join(".")),
        }
    }
}

impl Error for ValueError {
    fn custom<T: Display>(message: T) -> Self {
        Self::invalid(message.to_string())
    }

    // The message does not repeat a value of the wrong type, because it may be a secret without quotes.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid(format!("must be {}", describe(expected)))
    }

    fn invalid_value(value: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let value = match value {
            Unexpected::Str(text) => format!("{text:?}"),
            Unexpected::Signed(number) => number.to_string(),
            Unexpected::Unsigned(number) => number.to_string(),
            Unexpected::Float(number) => number.to_string(),
            _ => return Self::invalid_type(value, expected),
        };
        Self::invalid(format!("must be {}, not {value}", describe(expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let choices: Vec<_> = expected.iter().map(|choice| format!("{choice:?}")).collect();
        Self::invalid(format!("must be one of {}, not {variant:?}", choices.join(", ")))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self { path: Vec::new(), problem: ValueProblem::UnknownKey { key: key.to_owned(), known } }
    }

    fn missing_field(key: &'static str) -> Self {
        Self::invalid("is missing".to_owned()).inside(key)
    }
}

/// Translates the expectations of serde, and of crates that provide types of settings, into the terms of config.toml.
fn describe(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let known = match expected.as_str() {
        "a string" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a section",
        "f64" => "a number",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "a nonzero u16" => "a whole number from 1 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "a nonzero u32" => "a whole number from 1 to 4294967295",
        "u64" | "usize" => "a whole number from 0",
        "a nonzero u64" | "a nonzero usize" => "a whole number from 1",
        "a duration" => "a time with its unit, such as \"250ms\", \"10s\" or \"5m\"",
        "an integer or string" | "parsable string" | "integer overflow" => {
            "a size in bytes, such as 1048576 or \"64MiB\""
        }
        other if other.starts_with("struct ") => "a section",
        other => other,
    };
    known.to_owned()
}

struct ValueDeserializer<'de>(&'de Value);

impl<'de> Deserializer<'de> for ValueDeserializer<'de> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Boolean(flag) => visitor.visit_bool(*flag),
            Value::Datetime(_) => Err(ValueError::invalid_type(Unexpected::Other("date"), &visitor)),
            Value::Array(items) => visitor.visit_seq(Items(items.iter().enumerate())),
            Value::Table(table) => TableDeserializer(table).deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    /// Enums of settings have no fields: they are written as text.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        choices: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let Value::String(text) = self.0 else {
            let choices: Vec<_> = choices.iter().map(|choice| format!("{choice:?}")).collect();
            return Err(ValueError::invalid(format!("must be one of {}", choices.join(", "))));
        };
        visitor.visit_enum(StrDeserializer::new(text))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct TableDeserializer<'de>(&'de Table);

impl<'de> Deserializer<'de> for TableDeserializer<'de> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_map(Entries { entries: self.0.iter(), next: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Items<'de>(std::iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ValueError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ValueError> {
        let Some((index, value)) = self.0.next() else { return Ok(None) };
        let item = seed.deserialize(ValueDeserializer(value));
        item.map(Some).map_err(|error| error.inside(&index.to_string()))
    }
}

struct Entries<'de> {
    entries: toml::map::Iter<'de, String, Value>,
    /// The entry whose key was visited last.
    next: Option<(&'de String, &'de Value)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = ValueError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ValueError> {
        self.next = self.entries.next();
        let Some((key, _)) = self.next else { return Ok(None) };
        let key: StrDeserializer<'_, ValueError> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ValueError> {
        let Some((key, value)) = self.next.take() else {
            return Err(ValueError::custom("a value was read before its key"));
        };
        seed.deserialize(ValueDeserializer(value)).map_err(|error| error.inside(key))
    }
}
