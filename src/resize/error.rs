//! Errors of the resize service.

use pixels::Error as PixelsError;

/// Why the resize service did not return a variant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RenderError {
    #[error(transparent)]
    Pixels(#[from] PixelsError),
    #[error("a codec panicked")]
    Panicked,
    #[error("too many images are waiting to be resized")]
    Overloaded,
    #[error("the resize threads have been stopped")]
    Stopped,
}

impl RenderError {
    /// Label of the error in metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Pixels(
                PixelsError::UnsupportedFormat { .. } | PixelsError::NotAnImage | PixelsError::SandboxUnconfined { .. },
            ) => "format",
            Self::Pixels(PixelsError::Damaged { .. }) => "damaged",
            Self::Pixels(
                PixelsError::TooManyPixels { .. }
                | PixelsError::AnimationTooLarge { .. }
                | PixelsError::OutputTooLarge { .. },
            ) => "too_large",
            Self::Pixels(PixelsError::RenderTimeout { .. }) => "too_slow",
            Self::Pixels(PixelsError::Encode { .. }) => "encode",
            Self::Panicked => "panic",
            Self::Overloaded | Self::Stopped | Self::Pixels(PixelsError::SandboxUnavailable { .. }) => "overloaded",
        }
    }
}
