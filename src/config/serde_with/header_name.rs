//! Serde for header names.

use http::HeaderName;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

pub(in crate::config) fn serialize<S: Serializer>(name: &HeaderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HeaderName, D::Error> {
    let text = String::deserialize(deserializer)?;
    HeaderName::try_from(&text)
        .map_err(|_| D::Error::custom(format!("{text:?} is not the name of a header, such as \"X-Forwarded-For\"")))
}
