//! Errors of uploads, and the responses that report them (RFC 9457).

use std::io;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::response::{UploadResponse, with_body};
use crate::origin::{StoreError, UnstorableKey};
use crate::resize::PixelsError;
use crate::support::error_chain::chain;
use crate::support::problem::{self, Problem};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UploadError {
    #[error("{0}")]
    BadRequest(String),
    #[error("send a valid token: Authorization: Bearer TOKEN")]
    Unauthorized,
    #[error("too many requests without a valid token; try again in a minute")]
    TooManyInvalidTokens,
    #[error("{0}")]
    Forbidden(String),
    #[error("this completion URL is not valid; use the URL exactly as it was returned")]
    InvalidGrant,
    #[error("there is no file at the signed URL, or it was completed already; upload the file first")]
    NotUploaded,
    #[error("{0}")]
    PresignUnavailable(#[from] PresignUnavailable),
    #[error("upload with POST /upload or PUT /upload/key")]
    MethodNotAllowed,
    #[error("the upload took too long")]
    Timeout,
    #[error("this key is taken by another image, and uploads do not replace images; choose another key")]
    Conflict,
    #[error("{0}")]
    Unstorable(UnstorableKey),
    #[error(
        "this key reads as a size of the original {0:?}, which exists, so the image would never be served; choose a name \
         without a size"
    )]
    HiddenBy(String),
    #[error(
        "this image would hide the image {0:?}, whose name reads as a size of it; choose another key, or delete that image \
         first"
    )]
    Hides(String),
    #[error("the image under this key does not match If-Match or If-None-Match")]
    PreconditionFailed,
    #[error("the body is longer than the {bytes_max} bytes that this token may upload")]
    TooLarge { bytes_max: u64 },
    #[error("{0}")]
    UnsupportedType(String),
    #[error("{0}")]
    Unprocessable(String),
    #[error("too many uploads are in progress; retry after the time in Retry-After")]
    Overloaded,
    #[error(
        "the server's memory for uploads is in use (share uploads of the setting memory); retry after the time in Retry-After"
    )]
    MemoryFull,
    #[error("another upload is writing this key at the same time; repeat the request")]
    Contended,
    #[error("the disk that receives uploads is full (originals.store, or TMPDIR with a bucket); retry later")]
    DiskFull,
    #[error("the storage of this server failed; retry later")]
    StoreFailed,
    #[error("the storage of this server is unavailable; retry later")]
    StoreUnavailable,
    #[error("the storage of this server is too slow; retry later")]
    StoreTimeout,
    #[error("internal error; the log of the server has details")]
    Internal,
}

/// The setting that is missing to sign URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PresignUnavailable {
    #[error(
        "signed URLs require a bucket: set originals.store = \"s3://bucket/prefix\"; with this store, send the file to POST /upload"
    )]
    Bucket,
    #[error("signed URLs require credentials: unset s3.anonymous")]
    Credentials,
    #[error("signed URLs require a secret: set RESIZED_UPLOAD__SECRET to the same value on every node")]
    Secret,
    #[error("signed URLs require the public URL of this server: set upload.base_url")]
    BaseUrl,
}

impl UploadError {
    /// Converts a store error and logs it with its cause.
    pub(super) fn from_store(error: &StoreError) -> Self {
        match error {
            StoreError::Busy => return Self::Overloaded,
            StoreError::UploadMemoryFull => return Self::MemoryFull,
            _ => {}
        }
        tracing::error!(error = chain(error), advice = error.advice(), "upload not stored");
        if let StoreError::Unavailable { source } = error
            && let Some(error) = source.downcast_ref::<io::Error>()
            && matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        {
            return Self::DiskFull;
        }
        match error {
            StoreError::Timeout { .. } => Self::StoreTimeout,
            StoreError::RootMissing { .. } => Self::StoreUnavailable,
            _ => Self::StoreFailed,
        }
    }

    /// Converts an error of reading the image header.
    pub(super) fn from_image(error: &PixelsError) -> Self {
        let detail = error.to_string().replace("the original", "the upload");
        match error {
            PixelsError::NotAnImage { .. } | PixelsError::Empty | PixelsError::UnsupportedFormat { .. } => {
                Self::UnsupportedType(detail)
            }
            _ => Self::Unprocessable(detail),
        }
    }

    fn status_and_name(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-upload"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::TooManyInvalidTokens => (StatusCode::TOO_MANY_REQUESTS, "too-many-requests"),
            Self::Forbidden(_) | Self::InvalidGrant => (StatusCode::FORBIDDEN, "forbidden"),
            Self::NotUploaded => (StatusCode::NOT_FOUND, "nothing-uploaded"),
            Self::PresignUnavailable(_) => (StatusCode::NOT_IMPLEMENTED, "not-configured"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "upload-slow"),
            Self::Conflict => (StatusCode::CONFLICT, "key-is-taken"),
            Self::Unstorable(UnstorableKey::ParentIsObject { .. } | UnstorableKey::IsFolder) => {
                (StatusCode::CONFLICT, "key-is-taken")
            }
            Self::Unstorable(
                UnstorableKey::NameTooLong { .. } | UnstorableKey::LinkOutside | UnstorableKey::Reserved,
            ) => (StatusCode::BAD_REQUEST, "bad-upload"),
            Self::HiddenBy(_) | Self::Hides(_) => (StatusCode::CONFLICT, "hidden-key"),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "precondition-failed"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "upload-too-large"),
            Self::UnsupportedType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type"),
            Self::Unprocessable(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable-upload"),
            Self::Overloaded | Self::MemoryFull => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "disk-full"),
            Self::Contended => (StatusCode::SERVICE_UNAVAILABLE, "contended"),
            Self::StoreFailed => (StatusCode::BAD_GATEWAY, "store-failed"),
            Self::StoreUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"),
            Self::StoreTimeout => (StatusCode::GATEWAY_TIMEOUT, "store-slow"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    /// Name of the problem type, also the label value of the upload metrics.
    pub(super) fn name(&self) -> &'static str {
        self.status_and_name().1
    }

    /// True if the same upload would fail again.
    pub(super) fn is_permanent(&self) -> bool {
        match self {
            Self::BadRequest(_)
            | Self::Forbidden(_)
            | Self::Conflict
            | Self::Unstorable(_)
            | Self::HiddenBy(_)
            | Self::Hides(_)
            | Self::PreconditionFailed
            | Self::TooLarge { .. }
            | Self::UnsupportedType(_)
            | Self::Unprocessable(_) => true,
            Self::Unauthorized
            | Self::TooManyInvalidTokens
            | Self::InvalidGrant
            | Self::NotUploaded
            | Self::PresignUnavailable(_)
            | Self::MethodNotAllowed
            | Self::Timeout
            | Self::Overloaded
            | Self::MemoryFull
            | Self::Contended
            | Self::DiskFull
            | Self::StoreFailed
            | Self::StoreUnavailable
            | Self::StoreTimeout
            | Self::Internal => false,
        }
    }

    pub(super) fn response(&self) -> UploadResponse {
        let (status, name) = self.status_and_name();
        let detail = self.to_string();
        let mut response = with_body(status, Problem { status, name, detail: &detail }.to_json());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, problem::CONTENT_TYPE);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::Unauthorized => headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::TooManyInvalidTokens => headers.insert(RETRY_AFTER, HeaderValue::from_static("60")),
            Self::Overloaded | Self::MemoryFull | Self::Contended => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"))
            }
            Self::StoreUnavailable => headers.insert(RETRY_AFTER, HeaderValue::from_static("10")),
            Self::MethodNotAllowed => headers.insert(ALLOW, HeaderValue::from_static("POST, PUT, OPTIONS")),
            _ => None,
        };
        response
    }
}

impl From<serde_json::Error> for UploadError {
    /// Encoding a response or an event fails only through a bug.
    fn from(error: serde_json::Error) -> Self {
        tracing::error!(%error, "JSON encoding failed");
        Self::Internal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named() {
        let full = |kind: io::ErrorKind| {
            UploadError::from_store(&StoreError::Unavailable { source: io::Error::from(kind).into() })
        };
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let response = full(kind).response();
            assert_eq!(response.status(), StatusCode::INSUFFICIENT_STORAGE);
        }
        assert_eq!(full(io::ErrorKind::ReadOnlyFilesystem), UploadError::StoreFailed);
    }
}
