//! Where objects live, and how S3 is reached.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{StoreAddress, nonzero};

/// The store of uploaded pictures. Only uploads write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Originals {
    /// `file:directory` or `s3://bucket/prefix`.
    pub store: StoreAddress,
    /// Base URL under which clients can reach the originals' bucket; in redirect mode plain originals go there.
    pub public_url: String,
    pub serve: Serve,
    /// Objects are never replaced under their key: variants are trusted for ever.
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

/// Which plain originals (no size suffix) are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Serve {
    /// Those whose first bytes say that they are an image we know.
    Images,
    /// Every object of the originals' store.
    All,
    /// None: 404.
    None,
}

/// The store that variants are written back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variants {
    /// `file:directory` or `s3://bucket/prefix`.
    pub store: StoreAddress,
    /// Base URL under which clients can reach the variants' bucket: the target of redirects.
    pub public_url: String,
}

impl Default for Variants {
    fn default() -> Self {
        Self { store: StoreAddress::File { directory: "variants".into() }, public_url: String::new() }
    }
}

/// How S3 is reached, for every `s3://` store. Credentials come from the usual AWS places, never from here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// Empty is AWS itself; `http://127.0.0.1:8333` is a server of one's own.
    pub endpoint: String,
    /// Empty takes the region from the AWS environment.
    pub region: String,
    /// `endpoint/bucket/key` in place of `bucket.endpoint/key`.
    pub path_style: bool,
    /// Sends unsigned requests, for public buckets.
    pub anonymous: bool,
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// From the end of the request to the first byte of the answer, and between two reads of a body.
    #[serde(with = "humantime_serde")]
    pub read_timeout: Duration,
    /// One try, up to the answer's headers.
    #[serde(with = "humantime_serde")]
    pub attempt_timeout: Duration,
    /// All tries of one request together.
    #[serde(with = "humantime_serde")]
    pub operation_timeout: Duration,
    pub attempts: NonZeroU32,
    /// Requests to S3 under way at once.
    pub concurrency: NonZeroUsize,
    /// Requests in a row that fail before the store counts as gone.
    pub circuit_failures: NonZeroU32,
    /// How long all requests to a store that is gone fail at once, before one is sent to see.
    #[serde(with = "humantime_serde")]
    pub circuit_pause: Duration,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            region: String::new(),
            path_style: false,
            anonymous: false,
            connect_timeout: Duration::from_secs(2),
            read_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(25),
            attempts: NonZeroU32::new(3).unwrap_or(NonZeroU32::MIN),
            concurrency: nonzero(256),
            circuit_failures: NonZeroU32::new(10).unwrap_or(NonZeroU32::MIN),
            circuit_pause: Duration::from_secs(2),
        }
    }
}
