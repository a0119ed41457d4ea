//! Who may upload, and what.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;

use super::refusal::Refusal;
use crate::config;

/// The tokens of the configuration, as hashes.
pub(super) struct Tokens {
    known: Vec<(Vec<u8>, Caller)>,
    forged: Mutex<Forged>,
    forged_max: u32,
}

/// Whoever showed a right token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) name: String,
    /// What its keys begin with.
    pub(super) prefix: String,
    pub(super) bytes_max: u64,
}

/// Requests without a right token since the minute began.
struct Forged {
    since: Instant,
    count: u32,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Tokens {
    pub(super) fn new(upload: &config::Upload) -> Self {
        let bytes_max = upload.bytes.as_u64();
        let mut known: Vec<_> = upload
            .tokens
            .iter()
            .map(|token| {
                let bytes_max = token.bytes.map_or(bytes_max, |bytes| bytes.as_u64().min(bytes_max));
                let caller = Caller { name: token.name.clone(), prefix: token.prefix.clone(), bytes_max };
                (unhex(&token.sha256), caller)
            })
            .collect();
        if !upload.token.is_empty() {
            let caller = Caller { name: "environment".into(), prefix: String::new(), bytes_max };
            known.push((digest(&SHA256, upload.token.reveal().as_bytes()).as_ref().to_vec(), caller));
        }
        let forged = Mutex::new(Forged { since: Instant::now(), count: 0 });
        Self { known, forged, forged_max: upload.forged_per_minute }
    }

    /// # Errors
    /// 401, or 429 when there were too many of these. A right token is never refused for the wrong ones of others.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        let found = shown.and_then(|token| self.find(token));
        found.ok_or_else(|| self.forged())
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

    fn forged(&self) -> Refusal {
        let mut forged = self.forged.lock().unwrap_or_else(PoisonError::into_inner);
        if forged.since.elapsed() > MINUTE {
            *forged = Forged { since: Instant::now(), count: 0 };
        }
        forged.count = forged.count.saturating_add(1);
        if forged.count > self.forged_max { Refusal::TooManyForged } else { Refusal::Unauthorized }
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

/// Of hexadecimal digits, which config has checked.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).filter_map(|n| u8::try_from(n).ok()).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
