//! Signatures after Standard Webhooks, section "Signature scheme".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::config;

/// Signs with the secret that the API shares.
pub(super) struct Signer(hmac::Key);

/// Why a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the file cannot be read")]
    File(#[from] std::io::Error),
    #[error("the secret has to be \"whsec_\" and 24 to 64 bytes in Base64: `echo whsec_$(openssl rand -base64 32)`")]
    Form,
}

impl Signer {
    /// # Errors
    /// The secret is missing or not of the form that the standard has.
    pub(super) fn new(settings: &config::Notify) -> Result<Self, SecretError> {
        let text = match settings.secret.is_empty() {
            true => std::fs::read_to_string(&settings.secret_file)?,
            false => settings.secret.reveal().to_owned(),
        };
        let encoded = text.trim().strip_prefix("whsec_").ok_or(SecretError::Form)?;
        let secret = STANDARD.decode(encoded).map_err(|_| SecretError::Form)?;
        if !(24..=64).contains(&secret.len()) {
            return Err(SecretError::Form);
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// The value of `webhook-signature`. `timestamp` is in seconds since 1970.
    pub(super) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, &signed)))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secret: &str) -> Result<Signer, SecretError> {
        Signer::new(&config::Notify { secret: secret.into(), ..Default::default() })
    }

    #[test]
    fn the_example_of_the_standard_has_its_signature() {
        // As given in the documentation of the standard's reference libraries.
        let signer = signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_that_are_short_or_not_base64_are_refused() {
        for secret in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_*", "whsec_"] {
            assert!(matches!(signer(secret), Err(SecretError::Form)), "{secret}");
        }
    }
}
