//! A value that is never shown, and where one may stand.

use std::fmt;

use figment::Figment;
use serde::{Deserialize, Serialize, Serializer};
use subtle::ConstantTimeEq;

use super::{ConfigError, refuse, variable};

/// A secret from the file or the environment. Neither `Debug` nor serialising shows it; empty is none.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// Keys that are set by the environment alone, and so by a restart.
pub const SECRETS: &[&str] = &["upload.token", "upload.secret", "notify.secret", "signing.keys", "traces.headers"];

/// What is shown in place of a secret.
const MASK: &str = "***";

impl Secret {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `text` is the secret; takes as long whichever of its bytes differ.
    #[must_use]
    pub fn is(&self, text: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(text).into()
    }

    /// The secret itself, for those who sign with it. Never for a log.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn shown(&self) -> &'static str {
        if self.is_empty() { "" } else { MASK }
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

/// Secrets that stand in the file, where backups and repositories would spread them, or that were typed, where lists of
/// processes would show them.
pub(super) fn refuse_in(place: &Figment) -> Result<(), ConfigError> {
    for key in SECRETS {
        if place.extract_inner::<String>(key).is_ok_and(|secret| !secret.is_empty()) {
            return refuse(
                key,
                &format!("is a secret and belongs neither into the file nor the command line: set {}", variable(key)),
            );
        }
    }
    Ok(())
}
