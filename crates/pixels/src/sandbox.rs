//! Interface to an isolated AV1 decoder.
//!
//! The AV1 decoder is not memory-safe enough to read untrusted bytes in the process that serves requests. This crate
//! parses the AVIF container itself and hands only AV1 data to a [`Sandbox`], which the caller implements, usually by a
//! confined child process.

use std::time::Duration;

use crate::yuv_image::{YuvImage, YuvShape};

/// Starts isolated AV1 decoders.
pub trait Sandbox {
    /// Starts a decoder for one original. The decoder may allocate `memory_bytes` beyond its base footprint and may use
    /// `cpu_time`.
    ///
    /// # Errors
    /// The decoder could not be started, or the system cannot confine it.
    fn start(&self, memory_bytes: u64, cpu_time: Duration) -> Result<Box<dyn SandboxDecoder>, SandboxError>;
}

/// A running isolated decoder. It ends when it is dropped.
pub trait SandboxDecoder {
    /// Decodes one AV1 image, which must have the given shape.
    ///
    /// # Errors
    /// The data are damaged or have another shape, or the decoder ran out of time.
    fn decode(&mut self, av1: &[u8], shape: YuvShape) -> Result<SandboxOutput, SandboxError>;
}

/// A decoded image and the cost of decoding.
#[derive(Debug)]
pub struct SandboxOutput {
    pub image: YuvImage,
    /// CPU time that the decoder has used since it was started. It counts against
    /// [`Limits::render_time`](crate::Limits::render_time).
    pub cpu_time: Duration,
}

/// The reason why an isolated decoder returned no image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    #[error("the decoder could not be started: {reason}")]
    Unavailable { reason: String },
    #[error("the system cannot confine the decoder: {reason}")]
    Unconfined { reason: String },
    #[error("the decoder ran out of time")]
    TimedOut,
    #[error("{reason}")]
    Damaged { reason: String },
}
