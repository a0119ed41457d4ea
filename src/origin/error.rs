//! Errors of object stores.

use std::io;
use std::path::PathBuf;

use super::s3::S3ErrorResponse;

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
    #[error("there are no valid credentials for the store")]
    NoCredentials {
        #[source]
        source: CredentialsError,
    },
    #[error("the folder {} of the store has disappeared", root.display())]
    RootMissing { root: PathBuf },
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
    #[error("the memory for uploads is in use (share uploads of the setting memory)")]
    UploadMemoryFull,
    #[error("the store rejected the request")]
    Other {
        #[source]
        source: BoxError,
    },
}

/// Why no credentials could be loaded.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct CredentialsError {
    pub(super) reason: String,
    /// The cargo feature that the source of the credentials needs, if this program was built without it.
    pub(super) missing_feature: Option<&'static str>,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    #[error("{url:?} is not a base URL: write \"https://host/path\", without query or fragment")]
    PublicUrl { url: String },
    #[error(
        "the folder {directory} does not exist: create it, mount its file system, or correct the address (the folder of \
         originals is created only if uploads are enabled)"
    )]
    MissingFolder { directory: PathBuf },
    #[error("the folder {directory} cannot be used")]
    Folder { directory: PathBuf, source: io::Error },
}

impl StoreError {
    /// How to fix the cause of the error, if the store identified it.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Timeout { source }
            | Self::Forbidden { source }
            | Self::ClockSkew { source }
            | Self::Unavailable { source }
            | Self::Other { source } => source.downcast_ref::<S3ErrorResponse>()?.advice(),
            Self::NoCredentials { source } => Some(match source.missing_feature {
                Some(feature) => format!(
                    "the AWS profile needs the cargo feature {feature}, which this build lacks: use a release binary, or build \
                     with --features {feature}"
                ),
                None => "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, configure a profile in ~/.aws, or give this machine a \
                         role"
                    .to_owned(),
            }),
            Self::RootMissing { .. } => Some(
                "mount the file system of the folder again, or restore the folder; then it is used without a restart".to_owned(),
            ),
            Self::TooLarge { .. }
            | Self::Truncated { .. }
            | Self::Replaced
            | Self::RangeNotSatisfiable { .. }
            | Self::Busy
            | Self::UploadMemoryFull => None,
        }
    }

    pub(super) fn other(error: impl Into<BoxError>) -> Self {
        Self::Other { source: error.into() }
    }

    /// A failure of a local disk: the disk of a file store, or the disk that spools uploads.
    pub(super) fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::StaleNetworkFileHandle => Self::Unavailable { source: error.into() },
            _ => Self::other(error),
        }
    }
}
