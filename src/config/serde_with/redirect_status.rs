//! Serde for the status of redirects.

use http::StatusCode;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

pub(in crate::config) fn serialize<S: Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StatusCode, D::Error> {
    match u16::deserialize(deserializer)? {
        301 => Ok(StatusCode::MOVED_PERMANENTLY),
        302 => Ok(StatusCode::FOUND),
        307 => Ok(StatusCode::TEMPORARY_REDIRECT),
        308 => Ok(StatusCode::PERMANENT_REDIRECT),
        other => Err(D::Error::custom(format!("must be 301, 302, 307 or 308, not {other}"))),
    }
}
