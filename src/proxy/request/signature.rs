//! Signed URLs: verification, and the cache lifetime of a response to a URL that expires.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response};

use crate::config::{Config, Require};
use crate::proxy::error::RequestError;
use crate::proxy::response::interim::{INTERIM_SECONDS, is_interim};
use crate::variant::{ParsedPath, Signature, Signer};

/// The keys of `[signing]` and the paths that need a signature.
#[derive(Debug)]
pub(in crate::proxy) struct SignaturePolicy {
    /// `None` if no keys are configured; then signatures are ignored.
    signer: Option<Signer>,
    require: Require,
}

impl SignaturePolicy {
    pub(in crate::proxy) fn new(config: &Config) -> Self {
        Self { signer: Signer::new(&config.signing), require: config.signing.require }
    }

    /// Verifies the signature in `query` for a path.
    ///
    /// # Errors
    /// The signature is wrong or expired, or it is missing where config requires it.
    pub(in crate::proxy) fn verify(&self, path: &ParsedPath, query: Option<&str>) -> Result<Signature, RequestError> {
        let Some(signer) = &self.signer else { return Ok(Signature::None) };
        let signature = match query {
            None => Signature::None,
            Some(_) => signer
                .verify(path.literal_key(), query, unix_time())
                .map_err(|error| RequestError::Forbidden(error.to_string()))?,
        };
        let is_required = match self.require {
            Require::None => false,
            Require::Variants => matches!(path, ParsedPath::Variant(_)),
            Require::All => true,
        };
        match signature {
            Signature::None if is_required => Err(RequestError::Forbidden("this URL needs a signature".into())),
            signature => Ok(signature),
        }
    }
}

/// Limits the cache lifetime of a response to the expiry of its URL. Shared caches must not keep it at all.
pub(in crate::proxy) fn cap_cache_lifetime<B>(response: &mut Response<B>, expires: u64) {
    let remaining = expires.saturating_sub(unix_time());
    let lifetime = if is_interim(response.headers()) { remaining.min(INTERIM_SECONDS) } else { remaining };
    let value = HeaderValue::try_from(format!("private, max-age={lifetime}"));
    response.headers_mut().insert(CACHE_CONTROL, value.unwrap_or(HeaderValue::from_static("no-store")));
}

fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
