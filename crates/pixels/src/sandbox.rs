//! Interface to isolated processes that decode and encode AV1.
//!
//! The AV1 decoder is not memory-safe enough to read untrusted bytes in the process that serves requests. The AV1
//! encoder cannot be stopped within a frame, but its process can be killed. This crate parses and writes the AVIF
//! container itself and hands only AV1 data and samples to a [`Sandbox`], which the caller implements, usually by a
//! confined child process.

use std::time::Duration;

use crate::yuv_image::{YuvImage, YuvShape};

/// Starts isolated processes.
pub trait Sandbox {
    /// Starts a process for one original or for one variant. The process may allocate `memory_bytes` beyond its base
    /// footprint and may use `cpu_time`.
    ///
    /// # Errors
    /// The process could not be started, or `task` reads untrusted bytes and the system cannot confine the process.
    fn start(
        &self,
        task: SandboxTask,
        memory_bytes: u64,
        cpu_time: Duration,
    ) -> Result<Box<dyn SandboxWorker>, SandboxError>;
}

/// The requests that a process will get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxTask {
    /// Decoding, which reads untrusted bytes.
    Decode,
    /// Encoding of pixels, which need not be confined.
    Encode,
}

/// A running isolated process. It ends when it is dropped.
pub trait SandboxWorker {
    /// Decodes one AV1 image, which must have the given shape.
    ///
    /// # Errors
    /// The data are damaged or have another shape, or the process ran out of time.
    fn decode(&mut self, av1: &[u8], shape: YuvShape) -> Result<SandboxOutput<YuvImage>, SandboxError>;

    /// Encodes one AV1 image.
    ///
    /// # Errors
    /// The encoder failed or ran out of time.
    fn encode(&mut self, frame: &Av1Frame) -> Result<SandboxOutput<Vec<u8>>, SandboxError>;
}

/// Samples of a still image of 8 bits that the AV1 encoder gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Av1Frame {
    pub width: u32,
    pub height: u32,
    /// Luma, or luma and both chroma planes of half the width and height, rounded up.
    pub planes: Vec<Vec<u8>>,
    /// Quantizer index, from 0 for the highest quality to 255.
    pub quantizer: u8,
}

/// A result and the cost of making it.
#[derive(Debug)]
pub struct SandboxOutput<T> {
    pub value: T,
    /// CPU time that the process has used since it was started. It counts against
    /// [`Limits::render_time`](crate::Limits::render_time).
    pub cpu_time: Duration,
}

/// The reason why an isolated process returned no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    #[error("the process could not be started: {reason}")]
    Unavailable { reason: String },
    #[error("the system cannot confine the process: {reason}")]
    Unconfined { reason: String },
    #[error("the process ran out of time")]
    TimedOut,
    #[error("the process ran out of memory")]
    OutOfMemory,
    #[error("{reason}")]
    Failed { reason: String },
}
