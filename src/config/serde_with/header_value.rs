//! Serde for header values.

use http::HeaderValue;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

pub(in crate::config) fn serialize<S: Serializer>(value: &HeaderValue, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(value.to_str().unwrap_or_default())
}

pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderValue, D::Error> {
    let text = String::deserialize(deserializer)?;
    let printable = HeaderValue::try_from(&text).ok().filter(|value| value.to_str().is_ok());
    printable
        .ok_or_else(|| D::Error::custom(format!("{text:?} is not a header value; use printable ASCII on one line")))
}
