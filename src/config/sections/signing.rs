//! Signed URLs: `[signing]`.

use serde::{Deserialize, Serialize};

use crate::config::error::{InvalidSetting, refuse};
use crate::config::secret::Secret;

/// URLs that must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Require {
    #[default]
    None,
    Variants,
    /// Variants and originals.
    All,
}

/// Keys for signed URLs, which may request sizes that `[sizes]` does not allow.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Signing {
    /// One or more keys, separated by commas or spaces. Set by the environment only.
    pub keys: Secret,
    pub require: Require,
}

impl Signing {
    /// The keys. The first key signs; signatures of all keys are accepted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.reveal().split([',', ' ', '\n']).map(str::trim).filter(|key| !key.is_empty())
    }
}

/// Minimum length of a key. A shorter key could be guessed.
const KEY_CHARACTERS_MIN: usize = 32;

pub(in crate::config) fn check(signing: &Signing) -> Result<(), InvalidSetting> {
    if signing.require != Require::None && signing.keys().next().is_none() {
        return refuse("signing.keys", "is required by signing.require: set RESIZED_SIGNING__KEYS");
    }
    if signing.keys().any(|key| key.len() < KEY_CHARACTERS_MIN) {
        return refuse(
            "signing.keys",
            "has a key of less than 32 characters, which could be guessed: use `openssl rand -hex 32`",
        );
    }
    Ok(())
}
