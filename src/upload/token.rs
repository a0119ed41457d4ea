//! Bearer tokens, which determine who may upload and under which keys.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::error::UploadError;
use crate::config;
use crate::support::hex;
use crate::support::rate_limiter::{RateLimiter, client_network};

/// Requests without a valid token that get a 401, per client and minute. Further requests get a 429.
const INVALID_PER_MINUTE: u32 = 60;

/// The tokens in the configuration.
pub(super) struct Tokens {
    tokens: Vec<HashedToken>,
    /// Limits requests with invalid tokens, for each client.
    invalid: RateLimiter,
}

struct HashedToken {
    sha256: [u8; 32],
    caller: Caller,
}

/// The holder of a valid token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) name: String,
    /// Prefix of the keys that the caller may write.
    pub(super) prefix: String,
    pub(super) bytes_max: u64,
}

impl Tokens {
    pub(super) fn new(upload: &config::Upload) -> Self {
        let bytes_max = upload.bytes.as_u64();
        let hashed = |token: &config::UploadToken| {
            let bytes_max = token.bytes.map_or(bytes_max, |bytes| bytes.as_u64().min(bytes_max));
            let caller = Caller { name: token.name.clone(), prefix: token.prefix.clone(), bytes_max };
            Some(HashedToken { sha256: hex::decode(&token.sha256)?, caller })
        };
        let mut tokens: Vec<_> = upload.tokens.iter().filter_map(hashed).collect();
        if !upload.token.is_empty() {
            let caller = Caller { name: "environment".into(), prefix: String::new(), bytes_max };
            let hash = digest(&SHA256, upload.token.reveal().as_bytes());
            tokens.extend(hash.as_ref().try_into().map(|sha256| HashedToken { sha256, caller }));
        }
        Self { tokens, invalid: RateLimiter::new(INVALID_PER_MINUTE) }
    }

    /// Returns the holder of the token in the `Authorization` header.
    ///
    /// # Errors
    /// 401 if the token is missing or unknown, or 429 after too many of these responses to `client`. A valid token is
    /// always accepted.
    pub(super) fn check(&self, client: IpAddr, headers: &HeaderMap) -> Result<Caller, UploadError> {
        let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        let caller = token.and_then(|token| self.find(token));
        caller.ok_or_else(|| self.count_invalid(client, UploadError::Unauthorized))
    }

    /// Counts an invalid token or grant of `client`. Returns `error`, or a 429 if there were too many.
    pub(super) fn count_invalid(&self, client: IpAddr, error: UploadError) -> UploadError {
        if self.invalid.check(&client_network(client)).is_err() { UploadError::TooManyInvalidTokens } else { error }
    }

    /// Compares the token with all known ones, each in constant time.
    fn find(&self, token: &str) -> Option<Caller> {
        let hash = digest(&SHA256, token.as_bytes());
        let mut found = None;
        for HashedToken { sha256, caller } in &self.tokens {
            if bool::from(sha256.ct_eq(hash.as_ref())) {
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

/// Parses `Bearer token` (RFC 6750 section 2.1). The scheme is case-insensitive.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
