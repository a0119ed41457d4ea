//! Signed URLs.

use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, refuse};
use super::{Config, Secret};

/// Which URLs have to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    #[default]
    None,
    Variants,
    /// Plain originals too.
    All,
}

/// Signed URLs, which may ask for sizes that `[sizes]` does not allow.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signing {
    /// One or more, separated by commas or spaces; only from the environment.
    pub keys: Secret,
    pub require: Require,
}

impl Signing {
    /// The keys one by one. The first signs, all are taken.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.reveal().split([',', ' ', '\n']).map(str::trim).filter(|key| !key.is_empty())
    }
}

/// A key shorter than this could be guessed.
const KEY_CHARACTERS_MIN: usize = 32;

pub(super) fn check(config: &Config) -> Result<(), InvalidSetting> {
    let signing = &config.signing;
    if signing.require != Require::None && signing.keys().next().is_none() {
        return refuse("signing.keys", "is needed with signing.require: set RESIZED_SIGNING__KEYS");
    }
    if signing.keys().any(|key| key.len() < KEY_CHARACTERS_MIN) {
        return refuse(
            "signing.keys",
            "has a key that could be guessed: take at least 32 characters, such as of `openssl rand -hex 32`",
        );
    }
    Ok(())
}
