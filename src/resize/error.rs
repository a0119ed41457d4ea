//! Errors of the resize service.

use pixels::Error as PixelsError;

use super::lane::Lane;

/// Why the resize service did not return a variant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RenderError {
    #[error(transparent)]
    Pixels(#[from] PixelsError),
    #[error("a codec panicked")]
    Panicked,
    #[error("too many images are waiting in the {} lane", .0.as_str())]
    LaneFull(Lane),
    #[error("the resize threads have been stopped")]
    Stopped,
}

impl RenderError {
    /// Label of the error in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Pixels(
                PixelsError::UnsupportedFormat { .. }
                | PixelsError::NotAnImage { .. }
                | PixelsError::Empty
                | PixelsError::SandboxUnconfined { .. },
            ) => "format",
            Self::Pixels(PixelsError::Damaged { .. }) => "damaged",
            Self::Pixels(
                PixelsError::TooManyPixels { .. }
                | PixelsError::SideTooLong { .. }
                | PixelsError::AnimationTooLarge { .. }
                | PixelsError::OutputTooLarge { .. }
                | PixelsError::EncoderMemory,
            ) => "too_large",
            Self::Pixels(PixelsError::RenderTimeout { .. } | PixelsError::TooExpensive { .. }) => "too_slow",
            Self::Pixels(PixelsError::Encode { .. }) => "encode",
            Self::Panicked => "panic",
            Self::LaneFull(_) | Self::Stopped | Self::Pixels(PixelsError::SandboxUnavailable { .. }) => "overloaded",
        }
    }
}
