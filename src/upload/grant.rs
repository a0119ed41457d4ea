//! Upload grants: signed descriptions of presigned uploads.
//!
//! The client receives the grant with the presigned URL and sends it back to complete the upload, so the nodes need no
//! shared state.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::Secret;
use crate::support::unix_time::millis;

/// An upload that a client may complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UploadGrant {
    pub(super) id: Uuid,
    /// When the URL was signed, in milliseconds since 1970.
    pub(super) issued: u64,
    /// When the grant expires, in milliseconds since 1970.
    pub(super) expires: u64,
    /// Name of the token with which the URL was requested.
    pub(super) name: String,
    /// Key prefix of that token.
    pub(super) prefix: String,
    /// The key that the client chose; `None` if the key is generated.
    pub(super) key: Option<String>,
    pub(super) content_type: String,
    /// Exact length of the file.
    pub(super) bytes: u64,
    /// Expected digest in hexadecimal.
    pub(super) sha256: Option<String>,
}

/// Signs and verifies grants.
pub(super) struct GrantSigner(hmac::Key);

/// Reasons why a grant is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrantError {
    Forged,
    Expired,
}

impl GrantSigner {
    pub(super) fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()))
    }

    /// Encodes and signs a grant as text for a URL.
    pub(super) fn sign(&self, grant: &UploadGrant) -> Result<String, serde_json::Error> {
        let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(grant)?);
        let signature = hmac::sign(&self.0, text.as_bytes());
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Verifies and decodes a signed grant.
    pub(super) fn verify(&self, text: &str, now: SystemTime) -> Result<UploadGrant, GrantError> {
        let (text, signature) = text.split_once('.').ok_or(GrantError::Forged)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| GrantError::Forged)?;
        hmac::verify(&self.0, text.as_bytes(), &signature).map_err(|_| GrantError::Forged)?;
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| GrantError::Forged)?;
        let grant: UploadGrant = serde_json::from_slice(&json).map_err(|_| GrantError::Forged)?;
        if millis(now) > grant.expires { Err(GrantError::Expired) } else { Ok(grant) }
    }
}

impl UploadGrant {
    pub(super) fn issued(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.issued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_verify_until_they_expire_and_forgeries_do_not() {
        let grant = UploadGrant {
            id: Uuid::new_v4(),
            issued: 1_000,
            expires: 2_000,
            name: "cms".into(),
            prefix: "cms/".into(),
            key: Some("cms/a.jpg".into()),
            content_type: "image/jpeg".into(),
            bytes: 10,
            sha256: None,
        };
        let signer = GrantSigner::new(&"0123456789abcdef0123456789abcdef".into());
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let text = signer.sign(&grant).unwrap();
        assert_eq!(signer.verify(&text, at(2_000)), Ok(grant.clone()));
        assert_eq!(signer.verify(&text, at(2_001)), Err(GrantError::Expired));
        let other = GrantSigner::new(&"another secret of the same length".into());
        assert_eq!(other.verify(&text, at(1_000)), Err(GrantError::Forged));
        let larger = UploadGrant { bytes: 1 << 40, ..grant };
        let forged = other.sign(&larger).unwrap();
        let spliced = format!("{}.{}", forged.split('.').next().unwrap(), text.split('.').next_back().unwrap());
        for text in [forged.as_str(), &spliced, &text[..text.len() - 1], "", ".", "a.b"] {
            assert_eq!(signer.verify(text, at(1_000)), Err(GrantError::Forged), "{text}");
        }
    }
}
