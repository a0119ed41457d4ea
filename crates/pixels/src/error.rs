//! Errors of decoding, transforming and encoding.

use std::time::Duration;

/// Why an image could not be read or a variant could not be made.
///
/// The messages about the original contain no internal detail, so they may be sent to clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the original is {format}, which is not decoded here; upload JPEG, PNG, WebP or GIF")]
    UnsupportedFormat { format: &'static str },
    #[error("the original is not a picture")]
    NotAnImage,
    #[error("the original is damaged or of an unusual kind: {reason}")]
    Damaged { reason: String },
    #[error("the original has {width}x{height} pixels; at most {pixels_max} in all are taken (limits.input_pixels)")]
    TooManyPixels { width: u32, height: u32, pixels_max: u64 },
    #[error("the original moves in {frames} frames of {width}x{height}; at most {what}")]
    TooManyFrames { frames: u32, width: u32, height: u32, what: String },
    #[error("the original takes more than {} to be made a variant of (limits.render_time)", humantime::format_duration(*limit))]
    TooSlow { limit: Duration },
    #[error("the variant would have {width}x{height} pixels, more than {what}")]
    OutputTooLarge { width: u32, height: u32, what: String },
    #[error("the encoder failed: {reason}")]
    Encode { reason: String },
    #[error("no process could be started to decode the original: {reason}")]
    NoDecoder { reason: String },
    #[error(
        "the original is {format}, which this machine does not decode, since it does not confine what does; upload JPEG, PNG, WebP or GIF"
    )]
    Unconfined { format: &'static str, reason: String },
}

/// [`Error::Damaged`] with this reason.
pub(crate) fn damaged(reason: impl Into<String>) -> Error {
    Error::Damaged { reason: reason.into() }
}
