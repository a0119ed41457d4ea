//! Signatures of notifications, as defined by Standard Webhooks, section "Signature scheme".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::config;

/// Signs notifications with the secret that is shared with the API.
pub(super) struct WebhookSigner(hmac::Key);

/// Reasons why the secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookSecretError {
    #[error("the file cannot be read")]
    File(#[from] std::io::Error),
    #[error(
        "the secret must be \"whsec_\" and 24 to 64 bytes in Base64, as from `echo whsec_$(openssl rand -base64 32)`"
    )]
    Format,
}

impl WebhookSigner {
    /// # Errors
    /// The secret is missing, or its format differs from the standard.
    pub(super) fn new(settings: &config::Notify) -> Result<Self, WebhookSecretError> {
        let text = match settings.secret.is_empty() {
            true => std::fs::read_to_string(&settings.secret_file)?,
            false => settings.secret.reveal().to_owned(),
        };
        let encoded = text.trim().strip_prefix("whsec_").ok_or(WebhookSecretError::Format)?;
        let secret = STANDARD.decode(encoded).map_err(|_| WebhookSecretError::Format)?;
        if !(24..=64).contains(&secret.len()) {
            return Err(WebhookSecretError::Format);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// Returns the value of the `webhook-signature` header. `timestamp` is in seconds since 1970.
    pub(super) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, &signed)))
    }
}

impl std::fmt::Debug for WebhookSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSigner")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secret: &str) -> Result<WebhookSigner, WebhookSecretError> {
        WebhookSigner::new(&config::Notify { secret: secret.into(), ..Default::default() })
    }

    #[test]
    fn signature_of_the_standards_example_matches() {
        // From the documentation of the standard's reference libraries.
        let signer = signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_that_are_short_or_not_base64_are_rejected() {
        for secret in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_*", "whsec_"] {
            assert!(matches!(signer(secret), Err(WebhookSecretError::Format)), "{secret}");
        }
    }
}
