//! Values that are never displayed, and the places that they may be set in.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use subtle::ConstantTimeEq;
use toml::{Table, Value};

use super::check::InvalidSetting;
use super::layers::keys::{self, variable};

/// A secret. `Debug` and `Serialize` mask it; the empty text means that it is not set.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// Keys that can be set by the environment only, so that a change needs a restart.
pub const SECRETS: &[&str] = &["upload.token", "upload.secret", "notify.secret", "signing.keys", "traces.headers"];

/// Text displayed instead of a secret.
const MASK: &str = "***";

impl Secret {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares `text` with the secret in constant time.
    #[must_use]
    pub fn is(&self, text: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(text).into()
    }

    /// The secret itself, for signing. It must not be logged.
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

/// The error of a secret among `values`, which come from a place that may be read by others: the file, which backups and
/// repositories copy, or the command line, which process lists show.
pub(super) fn exposed(values: &Table) -> Option<InvalidSetting> {
    let is_empty = |value: &Value| value.as_str().is_some_and(str::is_empty);
    let key = SECRETS.iter().find(|key| keys::get(values, key).is_some_and(|value| !is_empty(value)))?;
    let problem = format!("is a secret; set it by the environment variable {} only", variable(key));
    Some(InvalidSetting { key, problem })
}
