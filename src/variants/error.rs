//! Errors of getting or making a variant.

use std::sync::Arc;

use super::later::LateState;
use super::rate_limit::RateLimitExceeded;
use crate::origin::StoreError;
use crate::resize::{Lane, PixelsError, RenderError};
use crate::support::error_chain::chain;
use crate::support::memory::MemoryShare;

/// Why there is no variant. The messages are sent to clients: they say what to change or which dependency failed,
/// without other internal details. The cause of a server error is logged where the error is created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The original does not exist.
    #[error("{0}")]
    NotFound(Arc<str>),
    /// The original exists, but this variant cannot be made from it.
    #[error("{0}")]
    Unprocessable(Arc<str>),
    /// A client, or all clients together, requested too many new variants.
    #[error(transparent)]
    RateLimited(#[from] RateLimitExceeded),
    /// A queue is full.
    #[error("too many variants are being made at the moment; try again after the time in Retry-After")]
    Overloaded,
    /// The queue of a lane of the resize threads is full.
    #[error("too many variants wait in the {} lane of the resize threads; try again after the time in Retry-After", .0.as_str())]
    LaneFull(Lane),
    /// The memory of a share is in use, and the wait for it was too long.
    #[error("the server's memory for {} is in use (share {} of the setting memory); try again after the time in Retry-After", .0.content(), .0.as_str())]
    MemoryFull(MemoryShare),
    /// The original has a gain map. [`super::Variants::get_negotiated`] then uses the format in the URL.
    #[error("the original has a gain map, which this format cannot hold")]
    HasGainMap,
    /// `Accept` chose a format that is made later. [`super::Variants::get_negotiated`] then uses another format.
    #[error("the variant in this format is not sent now")]
    MadeLater(LateState),
    /// An object store returned an error.
    #[error("the object store failed; try again later")]
    StoreFailed,
    /// An object store did not answer in time.
    #[error("the object store did not answer in time; try again later")]
    StoreTimeout,
    /// The folder of a store has disappeared, for example because its file system was unmounted.
    #[error("the object store is unavailable; try again later")]
    StoreUnavailable,
    /// The variant was not ready within `work.flight_time`.
    #[error("the variant was not ready in time (work.flight_time); it may be ready later")]
    FlightTimeout,
    /// A bug in this program.
    #[error("internal error; the server's log has the cause")]
    Internal,
}

impl Error {
    /// An error of the originals' or variants' store. It is logged here.
    pub(crate) fn from_store(error: &StoreError) -> Self {
        match error {
            StoreError::TooLarge { bytes, bytes_max } => Self::original_too_large(*bytes, *bytes_max),
            StoreError::Busy | StoreError::UploadMemoryFull => Self::Overloaded,
            StoreError::Timeout { .. } => {
                tracing::error!(error = chain(error), "object store timed out");
                Self::StoreTimeout
            }
            StoreError::RootMissing { .. } => {
                tracing::error!(error = chain(error), advice = error.advice(), "object store unavailable");
                Self::StoreUnavailable
            }
            StoreError::Forbidden { .. }
            | StoreError::NoCredentials { .. }
            | StoreError::ClockSkew { .. }
            | StoreError::Unavailable { .. }
            | StoreError::Truncated { .. }
            | StoreError::Replaced
            | StoreError::RangeNotSatisfiable { .. }
            | StoreError::Other { .. } => {
                tracing::error!(error = chain(error), advice = error.advice(), "object store failed");
                Self::StoreFailed
            }
        }
    }

    /// An error of the resize service. Errors that the original did not cause are logged here.
    pub(super) fn from_render(error: &RenderError) -> Self {
        match error {
            RenderError::Pixels(error) => Self::from_pixels(error),
            RenderError::LaneFull(lane) => Self::LaneFull(*lane),
            RenderError::Stopped => Self::Overloaded,
            // The codec would panic again on the same original, so the client gets a lasting error.
            RenderError::Panicked => {
                tracing::error!("codec panicked");
                Self::Unprocessable("the original cannot be decoded".into())
            }
        }
    }

    /// An error of decoding, scaling or encoding.
    pub(super) fn from_pixels(error: &PixelsError) -> Self {
        match error {
            PixelsError::UnsupportedFormat { .. }
            | PixelsError::NotAnImage { .. }
            | PixelsError::Empty
            | PixelsError::Damaged { .. }
            | PixelsError::TooManyPixels { .. }
            | PixelsError::SideTooLong { .. }
            | PixelsError::AnimationTooLarge { .. }
            | PixelsError::RenderTimeout { .. }
            | PixelsError::TooExpensive { .. }
            | PixelsError::EncoderMemory
            | PixelsError::OutputTooLarge { .. } => Self::Unprocessable(error.to_string().into()),
            PixelsError::SandboxUnconfined { reason, .. } => {
                tracing::error!(
                    error = reason,
                    "sandbox process cannot be confined; originals that need it are refused"
                );
                Self::Unprocessable(error.to_string().into())
            }
            PixelsError::SandboxUnavailable { .. } => {
                tracing::error!(error = chain(error), "sandbox process not started");
                Self::Overloaded
            }
            PixelsError::Encode { .. } => {
                tracing::error!(error = chain(error), "variant not encoded");
                Self::Internal
            }
        }
    }

    /// No object exists under the key of the original.
    pub(crate) fn no_original(key: &str) -> Self {
        Self::NotFound(format!("there is no original {key:?}").into())
    }

    /// The original has more bytes than `bytes_max`.
    pub(crate) fn original_too_large(bytes: u64, bytes_max: u64) -> Self {
        let text = format!("the original has {bytes} bytes; at most {bytes_max} are accepted (limits.original_bytes)");
        Self::Unprocessable(text.into())
    }

    /// The original is stored in a content coding.
    pub(crate) fn encoded_original(encoding: &str) -> Self {
        let text = format!(
            "the original is stored with Content-Encoding: {encoding}, and only pictures as they are can be resized; store \
             it uncompressed and without this header"
        );
        Self::Unprocessable(text.into())
    }

    /// True if an identical request would fail in the same way, so that the error may be cached.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::NotFound(_) | Self::Unprocessable(_) | Self::MadeLater(_) => true,
            Self::RateLimited(_)
            | Self::Overloaded
            | Self::LaneFull(_)
            | Self::MemoryFull(_)
            | Self::HasGainMap
            | Self::StoreFailed
            | Self::StoreTimeout
            | Self::StoreUnavailable
            | Self::FlightTimeout
            | Self::Internal => false,
        }
    }

    /// True if a variant in memory may be served stale in place of this error: the error says nothing about the original.
    pub(super) fn allows_stale(&self) -> bool {
        !self.is_lasting()
    }
}
