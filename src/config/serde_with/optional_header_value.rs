//! Serde for header values that are `None` if written as `""`.

use http::HeaderValue;
use serde::{Deserializer, Serializer};

use super::header_value;

pub(in crate::config) fn serialize<S: Serializer>(
    value: &Option<HeaderValue>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        None => serializer.serialize_str(""),
        Some(value) => header_value::serialize(value, serializer),
    }
}

pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<HeaderValue>, D::Error> {
    header_value::deserialize(deserializer).map(|value| (!value.is_empty()).then_some(value))
}
