//! Errors of decoding, transforming and encoding.

use std::fmt;
use std::time::Duration;

use crate::codecs::{Codec, Codecs};

/// The reason why an image could not be read or a variant could not be rendered.
///
/// The messages about the original contain no internal detail, so they may be sent to clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the original is {format}; accepted are {accepted}")]
    UnsupportedFormat { format: UnsupportedFormat, accepted: Codecs },
    #[error("the original is not an image; accepted are {accepted}")]
    NotAnImage { accepted: Codecs },
    #[error("the original is empty")]
    Empty,
    #[error("the original is damaged or uses an unsupported feature: {reason}")]
    Damaged { reason: String },
    #[error("the original has {width}x{height} pixels, more than {pixels_max} in total (limits.input_pixels)")]
    TooManyPixels { width: u32, height: u32, pixels_max: u64 },
    #[error("the original has {width}x{height} pixels; a side may have at most {side_max}")]
    SideTooLong { width: u32, height: u32, side_max: u32 },
    #[error("the original is an animation of {frames} frames of {width}x{height} pixels, more than {limit}")]
    AnimationTooLarge { frames: u32, width: u32, height: u32, limit: AnimationLimit },
    #[error("this size takes longer than {} to make (limits.render_time)", humantime::format_duration(*limit))]
    RenderTimeout { limit: Duration },
    #[error(
        "this size is estimated to take {} to make, more than twice {} (limits.render_time)",
        humantime::format_duration(Duration::from_millis(u64::try_from(estimate.as_millis()).unwrap_or(u64::MAX))),
        humantime::format_duration(*limit)
    )]
    TooExpensive { estimate: Duration, limit: Duration },
    #[error("the variant would have {width}x{height} pixels, more than {limit}")]
    OutputTooLarge { width: u32, height: u32, limit: OutputLimit },
    #[error("encoding this size needs more memory than the permit for it; request a lower quality or a smaller size")]
    EncoderMemory,
    #[error("the encoder failed: {reason}")]
    Encode { reason: String },
    #[error("the sandboxed process could not be started: {reason}")]
    SandboxUnavailable { reason: String },
    #[error("this server cannot decode the format of the original in isolation; accepted are {accepted}")]
    SandboxUnconfined { reason: String, accepted: Codecs },
}

/// A known format that is not decoded, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnsupportedFormat {
    /// The decoder is a cargo feature that this build does not have.
    NotBuiltIn(Codec),
    /// `limits.originals` does not contain the format.
    NotAccepted(Codec),
    /// A HEIC image sequence without a still image.
    HeicSequence,
    /// SVG, which is accepted only if the server is told so.
    SvgOff,
    /// A JPEG that uses this feature, such as lossless coding.
    JpegWith(&'static str),
}

impl fmt::Display for UnsupportedFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::NotBuiltIn(Codec::Heic) => {
                let text = "HEIC, which this server was built without because HEVC is patented (cargo build --release \
                            --features heic, and formats.originals)";
                return f.write_str(text);
            }
            Self::NotBuiltIn(codec) => {
                let (name, feature) = (codec.name(), codec.feature().unwrap_or_default());
                return write!(f, "{name}, which this server was built without (cargo build --features {feature})");
            }
            Self::NotAccepted(codec) => {
                return write!(f, "{}, which this server does not accept (formats.originals)", codec.name());
            }
            Self::SvgOff => return f.write_str("SVG, which is off on this server (formats.svg = true turns it on)"),
            Self::JpegWith(feature) => return write!(f, "a JPEG with {feature}, which is not accepted"),
            Self::HeicSequence => "a HEIC sequence without a still image",
        };
        write!(f, "{name}, which is not accepted")
    }
}

/// The limit that an animation exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnimationLimit {
    Frames(u32),
    /// Width times height times frames.
    Pixels(u64),
}

impl fmt::Display for AnimationLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frames(limit) => write!(f, "{limit} frames (limits.frames)"),
            Self::Pixels(limit) => write!(f, "{limit} pixels in all frames (limits.animation_pixels)"),
        }
    }
}

/// The limit that a variant exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputLimit {
    Pixels(u64),
    /// Maximum width and height of the format.
    Side(u32),
}

impl fmt::Display for OutputLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(limit) => write!(f, "{limit} in total (limits.output_pixels)"),
            Self::Side(limit) => write!(f, "{limit} per side, the limit of its format"),
        }
    }
}

/// [`Error::Damaged`] with this reason.
pub(crate) fn damaged(reason: impl Into<String>) -> Error {
    Error::Damaged { reason: reason.into() }
}
