//! Serde for sets of formats of originals, which are written as lists of extensions.

use pixels::{Codec, Codecs};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serializer};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(in crate::config) fn serialize<S: Serializer>(codecs: &Codecs, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(codecs.iter().map(Codec::extension))
}

pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Codecs, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let codecs = names.iter().map(|name| codec(name)).collect::<Result<Codecs, _>>().map_err(D::Error::custom)?;
    if codecs.iter().next().is_none() {
        return Err(D::Error::custom("no format of originals is listed"));
    }
    Ok(codecs)
}

fn codec(name: &str) -> Result<Codec, String> {
    let Some(codec) = Codec::from_extension(name) else {
        let listed = Codec::ALL.iter().filter(|codec| **codec != Codec::Svg);
        let known: Vec<_> = listed.map(|codec| format!("{:?}", codec.extension())).collect();
        return Err(format!("{name:?} is not one of {}", known.join(", ")));
    };
    if codec == Codec::Svg {
        return Err(format!("{name:?} is not listed: formats.svg = true turns it on"));
    }
    match codec.feature() {
        Some(feature) if !codec.is_built_in() => {
            Err(format!("{name:?} needs a build with the cargo feature {feature} (cargo build --features {feature})"))
        }
        Some(_) | None => Ok(codec),
    }
}
