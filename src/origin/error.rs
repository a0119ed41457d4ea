//! Errors of object stores.

use std::io;
use std::path::PathBuf;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a store operation failed. A missing object is not an error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store did not answer in time")]
    Timeout {
        #[source]
        source: BoxError,
    },
    #[error("access denied (S3 also denies access to missing objects unless s3:ListBucket is granted on the bucket)")]
    Forbidden {
        #[source]
        source: BoxError,
    },
    #[error("the clocks of this machine and of the store differ too much for signatures: synchronize this one (NTP)")]
    ClockSkew {
        #[source]
        source: BoxError,
    },
    #[error("the store is unreachable or failing")]
    Unavailable {
        #[source]
        source: BoxError,
    },
    #[error("the object has {bytes} bytes, more than the maximum of {bytes_max}")]
    TooLarge { bytes: u64, bytes_max: u64 },
    #[error("the object ended after {received} of {promised} bytes")]
    Truncated { received: u64, promised: u64 },
    #[error("the object was replaced or deleted while it was read")]
    Replaced,
    #[error("the range is outside the object, which has {bytes} bytes")]
    RangeNotSatisfiable { bytes: u64 },
    #[error("too many concurrent requests to the store (s3.concurrency)")]
    Busy,
    #[error("the store rejected the request")]
    Other {
        #[source]
        source: BoxError,
    },
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    #[error("{url:?} is not a base URL: write \"https://host/path\", without query or fragment")]
    PublicUrl { url: String },
    #[error("the folder {directory} cannot be used")]
    Folder { directory: PathBuf, source: io::Error },
}

impl StoreError {
    pub(super) fn other(error: impl Into<BoxError>) -> Self {
        Self::Other { source: error.into() }
    }

    /// A failure of a local disk: the disk of a file store, or the disk that spools uploads.
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::QuotaExceeded => {
                Self::Unavailable { source: error.into() }
            }
            _ => Self::other(error),
        }
    }
}
