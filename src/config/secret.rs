//! Secrets, which are never displayed, and the keys of secrets that only the environment can set.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use subtle::ConstantTimeEq;

/// A secret. `Debug` and `Serialize` mask it. An empty text means that the secret is not set.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// Keys that only the environment can set. A change of them needs a restart.
pub const SECRETS: &[&str] = &["upload.token", "upload.secret", "notify.secret", "signing.keys", "traces.headers"];

/// Maximum length of `admin.token`. Longer credentials in requests are not compared.
pub const TOKEN_BYTES_MAX: usize = 1024;

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

    /// Returns the secret in plain text, for signing and authentication. It must not be logged.
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
