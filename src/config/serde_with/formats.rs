//! Serde for lists of formats, which are written as extensions.

use pixels::Format;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

pub(in crate::config) fn serialize<S: Serializer>(formats: &[Format], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(formats.iter().map(|format| format.extension()))
}

pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Format>, D::Error> {
    let mut formats = Vec::new();
    for name in Vec::<String>::deserialize(deserializer)? {
        let Some(format) = Format::from_extension(&name) else {
            let supported: Vec<_> =
                Format::SUPPORTED.iter().map(|format| format!("{:?}", format.extension())).collect();
            return Err(D::Error::custom(format!("{name:?} is not one of {}", supported.join(", "))));
        };
        if formats.contains(&format) {
            return Err(D::Error::custom(format!("{name:?} is listed twice")));
        }
        formats.push(format);
    }
    Ok(formats)
}
