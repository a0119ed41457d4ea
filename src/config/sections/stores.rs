//! Object stores: `[originals]`, `[variants]` and `[s3]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::nonzero::nonzero;
use crate::config::store_address::StoreAddress;

/// The store of uploaded images. Only uploads write to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Originals {
    /// `file:directory` or `s3://bucket/prefix`.
    pub store: StoreAddress,
    /// Public URL of the store. In redirect mode, requests for originals are redirected to it.
    pub public_url: String,
    pub serve: Serve,
    /// Declares that objects are never replaced under their key, so variants are never revalidated.
    pub immutable: bool,
}

impl Default for Originals {
    fn default() -> Self {
        Self {
            store: StoreAddress::File { directory: "samples".into() },
            public_url: String::new(),
            serve: Serve::Images,
            immutable: false,
        }
    }
}

/// Originals that are served as they are, under a URL without a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serve {
    /// Files whose first bytes identify a supported image format.
    Images,
    /// Every object in the store.
    All,
    /// No originals; the response is 404.
    None,
}

/// The store that variants are written to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variants {
    /// `file:directory` or `s3://bucket/prefix`.
    pub store: StoreAddress,
    /// Public URL of the store, the target of redirects.
    pub public_url: String,
}

impl Default for Variants {
    fn default() -> Self {
        Self { store: StoreAddress::File { directory: "variants".into() }, public_url: String::new() }
    }
}

/// Access to all `s3://` stores. Credentials are not settings; they come from the usual AWS sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// URL of an S3-compatible server, such as `http://127.0.0.1:8333`. Empty means AWS.
    pub endpoint: String,
    /// Empty uses the region of the AWS environment.
    pub region: String,
    /// Sends requests to `endpoint/bucket/key` instead of `bucket.endpoint/key`.
    pub path_style: bool,
    /// Sends unsigned requests, for public buckets.
    pub anonymous: bool,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// Maximum time for a request, including all retries.
    #[serde(with = "humantime_serde")]
    pub operation_timeout: Duration,
    /// Maximum number of attempts per request, including the first.
    pub attempts: NonZeroU32,
    /// Maximum number of concurrent requests to S3.
    pub concurrency: NonZeroUsize,
    /// Consecutive failed requests after which the circuit breaker of a store opens.
    pub circuit_breaker_failures: NonZeroU32,
    /// Time for which an open circuit breaker refuses all requests, before it allows a trial request.
    #[serde(with = "humantime_serde")]
    pub circuit_breaker_pause: Duration,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: String::new(),
            path_style: false,
            anonymous: false,
            connect_timeout: Duration::from_secs(2),
            operation_timeout: Duration::from_secs(25),
            attempts: NonZeroU32::new(3).unwrap_or(NonZeroU32::MIN),
            concurrency: nonzero(256),
            circuit_breaker_failures: NonZeroU32::new(10).unwrap_or(NonZeroU32::MIN),
            circuit_breaker_pause: Duration::from_secs(2),
        }
    }
}

/// Maximum time for one attempt to respond, and for each further part of a body.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

impl S3 {
    /// Maximum time from the end of a request to the header of its response, and between two reads of a body. At most
    /// half of the operation timeout, so that another attempt is possible.
    #[must_use]
    pub fn attempt_timeout(&self) -> Duration {
        ATTEMPT_TIMEOUT.min(self.operation_timeout / 2)
    }
}
