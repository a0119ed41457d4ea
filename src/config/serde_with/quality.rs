//! Serde for qualities.

use pixels::Quality;
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serializer};

pub(in crate::config) fn serialize<S: Serializer>(quality: &Quality, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(quality.get())
}

pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Quality, D::Error> {
    let number = u8::deserialize(deserializer)?;
    let expected = "a whole number from 1 to 100";
    Quality::new(number).ok_or_else(|| D::Error::invalid_value(Unexpected::Unsigned(number.into()), &expected))
}
