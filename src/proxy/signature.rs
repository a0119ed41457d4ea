//! URLs that are signed, or have to be.

use std::time::{SystemTime, UNIX_EPOCH};

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response};

use super::Proxy;
use super::error::Failure;
use crate::config::Require;
use crate::variant::{Named, Signature};

impl Proxy {
    /// What the query says of the path that is `named`; where there are no keys it says nothing.
    ///
    /// # Errors
    /// A signature that is wrong or expired, or missing where config requires one.
    pub(super) fn signature(&self, named: &Named, query: Option<&str>) -> Result<Signature, Failure> {
        let Some(signer) = &self.signer else { return Ok(Signature::None) };
        let signature = match query {
            None => Signature::None,
            Some(_) => signer
                .verify(named.literal(), query, now())
                .map_err(|error| Failure::Forbidden(error.to_string().into()))?,
        };
        let is_required = match self.require {
            Require::None => false,
            Require::Variants => matches!(named, Named::Variant(_)),
            Require::All => true,
        };
        match signature {
            Signature::None if is_required => Err(Failure::Forbidden("this URL has to be signed, and is not".into())),
            signature => Ok(signature),
        }
    }
}

/// Keeps what a URL shows until `expires` from outliving it: caches that others share do not keep it at all.
pub(super) fn bound<B>(response: &mut Response<B>, expires: u64) {
    let left = expires.saturating_sub(now());
    let text = format!("private, max-age={left}");
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("no-store")));
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
