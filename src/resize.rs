//! Pixels: read the header, decode, scale, orient, encode; and the threads that do it.
//!
//! A picture goes through the steps in the order of [`render`]. What it is, its first bytes say and never its name; how
//! large it is, its header says, and that is checked before anything is allocated. Bytes from outside meet memory-safe
//! Rust only. This module knows no network and no store.

use std::io;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config;
pub use crate::config::Incomplete;
use crate::metrics::{Pixels, Wait};
use crate::variant::{Encoding, Geometry};

mod header;
mod sniff;
mod probe;
mod frame;
mod deadline;
mod jpeg;
mod png;
mod gif;
mod riff;
mod animation;
mod decode;
mod ink;
mod colour;
mod attention;
mod scale;
mod encode;
mod planar;
mod webp;
mod gate;

#[cfg(test)]
mod tests;

pub use frame::output_size;
pub use header::{Codec, Header};
pub use probe::{Probe, probe};
pub use sniff::sniff;

use decode::{Decoded, Job};
use frame::Frame;
use gate::{Gate, GateError};
use planar::Planar;

/// The version of the pipeline, recorded with each variant. It changes when the same input gives other bytes.
pub const PIPELINE: &str = "3";

/// What is refused, most of it before it is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Width times height of an original.
    pub input_pixels: u64,
    /// Width times height of a variant.
    pub output_pixels: u64,
    /// Frames of an animation.
    pub frames: u32,
    /// Width times height times frames of an animation.
    pub animation_pixels: u64,
    /// Scans of a JPEG.
    pub scans: u32,
    /// Processor time that one variant may take.
    pub render_time: Duration,
    /// What becomes of files that are cut short.
    pub incomplete: Incomplete,
}

impl From<&config::Limits> for Limits {
    fn from(limits: &config::Limits) -> Self {
        Self {
            input_pixels: limits.input_pixels,
            output_pixels: limits.output_pixels,
            frames: limits.frames.get(),
            animation_pixels: limits.animation_pixels,
            scans: limits.scans.get(),
            render_time: limits.render_time,
            incomplete: limits.incomplete,
        }
    }
}

impl Default for Limits {
    /// Those of the default settings.
    fn default() -> Self {
        Self::from(&config::Limits::default())
    }
}

/// Why there is no variant. The messages of what lies in the original are fit for clients.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
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
    #[error("a codec panicked")]
    Panicked,
    #[error("too many pictures are waiting to be resized")]
    Overloaded,
    #[error("the resize threads have been stopped")]
    Stopped,
}

impl RenderError {
    /// The word for it among the metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::UnsupportedFormat { .. } | Self::NotAnImage => "format",
            Self::Damaged { .. } => "damaged",
            Self::TooManyPixels { .. } | Self::TooManyFrames { .. } | Self::OutputTooLarge { .. } => "too_large",
            Self::TooSlow { .. } => "too_slow",
            Self::Encode { .. } => "encode",
            Self::Panicked => "panic",
            Self::Overloaded | Self::Stopped => "overloaded",
        }
    }
}

/// Makes a variant's bytes. The same input gives the same bytes on every machine.
///
/// # Errors
/// See [`RenderError`]; those of the threads do not arise here.
pub fn render(
    original: &[u8],
    header: &Header,
    geometry: Geometry,
    encoding: Encoding,
    limits: &Limits,
) -> Result<Vec<u8>, RenderError> {
    let job = Job::new(limits);
    let frame = Frame::new(header.oriented_size(), geometry);
    encode::check_size(&frame, encoding, limits)?;
    if let Some(planar) = Planar::plan(original, header, &frame, geometry, encoding, limits) {
        return planar.render(original, &frame, header.orientation, &job);
    }
    let Decoded { pixels, conversion } = decode::decode(original, header, &job)?;
    let frame = scale::attend(frame, &pixels, &conversion, header.orientation, geometry)?;
    let scaled = scale::scale(pixels, &conversion, header.orientation, &frame)?;
    let upright = scale::orient(conversion.apply(scaled), header.orientation);
    encode::encode(upright, encoding)
}

/// The resize threads: what runs pixels, and nothing else.
#[derive(Debug)]
pub struct Resizer {
    gate: Gate,
    times: Pixels,
}

impl Resizer {
    /// Starts `threads` threads (0: one a core) at the lowest priority, with room for `queue_length` that wait.
    /// Waits and work are noted in `times`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(threads: usize, queue_length: NonZeroUsize, times: Pixels) -> io::Result<Self> {
        Ok(Self { gate: Gate::start(threads, queue_length)?, times })
    }

    /// [`render`], on one of the threads. `tickets` are what the job holds while it runs; they are dropped when it ends,
    /// or at once if nobody waits for it any more before it has begun.
    ///
    /// # Errors
    /// See [`RenderError`]; a codec that panics is one of them.
    pub async fn render<T: Send + 'static>(
        &self,
        original: Bytes,
        header: Header,
        geometry: Geometry,
        encoding: Encoding,
        limits: Limits,
        tickets: T,
    ) -> Result<Bytes, RenderError> {
        let (times, queued) = (self.times.clone(), Instant::now());
        let job = move || {
            let _tickets = tickets;
            let start = Instant::now();
            times.waited(Wait::Thread, start - queued);
            let bytes = render(&original, &header, geometry, encoding, &limits);
            times.worked("render", encoding.format().extension(), start.elapsed());
            // A box has no spare capacity: what memory weighs is what it uses.
            bytes.map(|bytes| Bytes::from(bytes.into_boxed_slice()))
        };
        let made = self.gate.run(job).await.unwrap_or_else(|error| {
            Err(match error {
                GateError::Full => RenderError::Overloaded,
                GateError::Closed => RenderError::Stopped,
                GateError::Panicked => RenderError::Panicked,
            })
        });
        if let Err(error) = &made {
            self.times.failed(error.reason());
        }
        made
    }

    /// Jobs that wait for a thread now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.gate.waiting()
    }

    /// Finishes what waits and ends the threads. What comes later is refused.
    pub fn shutdown(&self) {
        self.gate.close();
    }
}
