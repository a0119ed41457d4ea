//! Who may upload, and what.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::conditions::unhex_sha256;
use super::error::Refusal;
use crate::config;
use crate::support::rate_limiter::{RateLimiter, client_network};

/// The tokens of the configuration, as hashes.
pub(super) struct Tokens {
    known: Vec<(Vec<u8>, Caller)>,
    forged: RateLimiter,
}

/// Whoever showed a right token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) name: String,
    /// What its keys begin with.
    pub(super) prefix: String,
    pub(super) bytes_max: u64,
}

impl Tokens {
    pub(super) fn new(upload: &config::Upload) -> Self {
        let bytes_max = upload.bytes.as_u64();
        let mut known: Vec<_> = upload
            .tokens
            .iter()
            .map(|token| {
                let bytes_max = token.bytes.map_or(bytes_max, |bytes| bytes.as_u64().min(bytes_max));
                let caller = Caller { name: token.name.clone(), prefix: token.prefix.clone(), bytes_max };
                (unhex_sha256(&token.sha256).unwrap_or_default(), caller)
            })
            .collect();
        if !upload.token.is_empty() {
            let caller = Caller { name: "environment".into(), prefix: String::new(), bytes_max };
            known.push((digest(&SHA256, upload.token.reveal().as_bytes()).as_ref().to_vec(), caller));
        }
        Self { known, forged: RateLimiter::new(upload.forged_per_minute) }
    }

    /// # Errors
    /// 401, or 429 when `client` had too many of these. A right token is never refused for wrong ones.
    pub(super) fn check(&self, client: IpAddr, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        let found = shown.and_then(|token| self.find(token));
        found.ok_or_else(|| self.forged(client, Refusal::Unauthorized))
    }

    /// Counts something forged: `refusal`, or 429 when `client` had too many.
    pub(super) fn forged(&self, client: IpAddr, refusal: Refusal) -> Refusal {
        if self.forged.check(&client_network(client)).is_err() { Refusal::TooManyForged } else { refusal }
    }

    /// Compares with all of them, each in constant time.
    fn find(&self, token: &str) -> Option<Caller> {
        let hash = digest(&SHA256, token.as_bytes());
        let mut found = None;
        for (known, caller) in &self.known {
            if bool::from(known.as_slice().ct_eq(hash.as_ref())) {
                found = Some(caller);
            }
        }
        found.cloned()
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

/// The token of `Bearer token` (RFC 6750 section 2.1); the scheme in any case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
