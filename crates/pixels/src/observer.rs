//! Timing of the stages of a render call.

use std::time::Duration;

/// A stage of a render call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Decoding the original.
    Decode,
    /// Cropping and scaling.
    Scale,
    /// Encoding a variant.
    Encode,
}

impl Stage {
    /// Name of the stage in metrics and traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Scale => "scale",
            Self::Encode => "encode",
        }
    }
}

/// Receives the duration of each stage.
pub trait Observer {
    /// Called when a stage has ended. `format` is the file extension of the format that was decoded or is encoded.
    fn stage_ended(&self, stage: Stage, format: &'static str, elapsed: Duration);
}

/// An [`Observer`] that ignores all calls.
#[derive(Debug, Clone, Copy)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn stage_ended(&self, _: Stage, _: &'static str, _: Duration) {}
}
