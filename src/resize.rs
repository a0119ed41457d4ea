//! Pixels: read the header, decode, scale, orient, encode; and the threads that do it.
//!
//! A picture goes through the steps in the order of [`render`]. What it is, its first bytes say and never its name; how
//! large it is, its header says, and that is checked before anything is allocated. Bytes from outside meet memory-safe
//! Rust only. This module knows no network and no store.

use std::io;
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::time::{Duration, Instant};

use bytes::Bytes;
use image::metadata::Orientation;

use crate::config;
pub use crate::config::Incomplete;
use crate::observability::metrics::{self, WaitKind};
use crate::observability::traces;
use crate::variant::{Encoding, Geometry, Region};

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
mod palette;
#[cfg(feature = "avif")]
mod avif;
#[cfg_attr(not(any(test, fuzzing, feature = "avif-originals")), expect(dead_code, reason = "nothing decodes AV1"))]
mod coded;
#[cfg_attr(not(any(test, fuzzing, feature = "avif-originals")), expect(dead_code, reason = "nothing decodes AV1"))]
mod heif;
#[cfg_attr(not(any(test, fuzzing, feature = "avif-originals")), expect(dead_code, reason = "nothing decodes AV1"))]
mod tiles;
#[cfg_attr(not(any(test, fuzzing, feature = "avif-originals")), expect(dead_code, reason = "nothing decodes AV1"))]
mod yuv;
#[cfg(feature = "avif-originals")]
pub mod decoder;
#[cfg(feature = "avif-originals")]
mod apart;
mod decode;
mod source;
mod ink;
mod colour;
mod attention;
mod scale;
mod convolve;
mod alpha;
mod light;
mod encode;
mod planes;
mod planar;
mod webp;
mod gate;

#[cfg(test)]
mod tests;

pub use frame::output_size;
pub use header::{Codec, Header};
#[cfg(fuzzing)]
pub use heif::check::avif as check_avif;
pub use probe::{Probe, probe};
pub use sniff::sniff;

use decode::Job;
use frame::Frame;
use gate::{Gate, GateError};
use scale::{Pixels, Window};
use source::Source;

/// The version of the pipeline, recorded with each variant. It changes when the same input gives other bytes.
pub const PIPELINE: &str = "9";

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
    /// Whether AVIF originals are decoded, where that is built in.
    pub avif_originals: bool,
    /// What the URL leaves open.
    pub finish: Finish,
}

/// How variants are made where the URL leaves it open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Finish {
    /// Whether JPEGs come in scans from coarse to fine.
    pub jpeg_progressive: bool,
    /// The most colours of a PNG; `None` is all there are.
    pub png_colours: Option<NonZeroU16>,
    /// Whether pictures are scaled in light rather than in numbers.
    pub linear_light: bool,
}

/// Scans of a JPEG original. Progressive JPEGs of common encoders have about ten; a hostile file can have thousands.
const JPEG_SCANS_MAX: u32 = 64;

impl From<&config::Config> for Limits {
    fn from(config: &config::Config) -> Self {
        let (limits, formats) = (&config.limits, &config.formats);
        Self {
            finish: Finish {
                jpeg_progressive: formats.jpeg_progressive,
                png_colours: NonZeroU16::new(formats.png_colors),
                linear_light: formats.linear_light,
            },
            avif_originals: formats.avif_originals,
            input_pixels: limits.input_pixels,
            output_pixels: limits.output_pixels,
            frames: limits.frames.get(),
            animation_pixels: limits.animation_pixels,
            scans: JPEG_SCANS_MAX,
            render_time: limits.render_time,
            incomplete: limits.incomplete,
        }
    }
}

impl Default for Limits {
    /// Those of the default settings.
    fn default() -> Self {
        Self::from(&config::Config::default())
    }
}

/// Why there is no variant. The messages of what lies in the original are fit for clients.
#[derive(Debug, Clone, thiserror::Error)]
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
    #[error("no process could be started to decode the original: {reason}")]
    NoDecoder { reason: String },
    #[error(
        "the original is {format}, which this machine does not decode, since it does not confine what does; upload JPEG, PNG, WebP or GIF"
    )]
    Unconfined { format: &'static str, reason: String },
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
            Self::UnsupportedFormat { .. } | Self::NotAnImage | Self::Unconfined { .. } => "format",
            Self::Damaged { .. } => "damaged",
            Self::TooManyPixels { .. } | Self::TooManyFrames { .. } | Self::OutputTooLarge { .. } => "too_large",
            Self::TooSlow { .. } => "too_slow",
            Self::Encode { .. } => "encode",
            Self::Panicked => "panic",
            Self::Overloaded | Self::Stopped | Self::NoDecoder { .. } => "overloaded",
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
    let mut result = Err(RenderError::Stopped);
    render_each(original, header, &[(geometry, encoding)], limits, |_, made| result = made);
    result
}

/// Makes several variants of one original, which is decoded once: `done` is told each one's place and bytes as soon as
/// they are made. They are the bytes that [`render`] makes of it alone.
pub fn render_each(
    original: &[u8],
    header: &Header,
    variants: &[(Geometry, Encoding)],
    limits: &Limits,
    done: impl FnMut(usize, Result<Vec<u8>, RenderError>),
) {
    render_noting(original, header, variants, limits, |_, _, _| {}, done);
}

/// [`render_each`], which says of each stage what of, by extension, and how long it took.
fn render_noting(
    original: &[u8],
    header: &Header,
    variants: &[(Geometry, Encoding)],
    limits: &Limits,
    mut note: impl FnMut(&'static str, &'static str, Duration),
    mut done: impl FnMut(usize, Result<Vec<u8>, RenderError>),
) {
    let checked = |(geometry, encoding): &(Geometry, Encoding)| {
        let frame = Frame::new(header.oriented_size(), *geometry);
        encode::check_size(&frame, *encoding, limits).map(|()| frame)
    };
    let (mut places, mut wanted) = (Vec::new(), Vec::new());
    for (place, variant) in variants.iter().enumerate() {
        match checked(variant) {
            Ok(frame) if animation::applies(header, variant.1) => {
                let job = Job::new(limits);
                done(place, animation::render(original, header, (frame, variant.0), variant.1, (limits, &job)));
            }
            Ok(frame) => {
                places.push((place, frame));
                wanted.push(*variant);
            }
            Err(error) => done(place, Err(error)),
        }
    }
    if wanted.is_empty() {
        return;
    }
    let job = Job::new(limits);
    // What is cut short is decoded for each alone: how much of it there is may depend on what is looked for.
    let job = if wanted.len() > 1 { job.refusing_incomplete() } else { job };
    let start = Instant::now();
    match Source::decode(original, header, &wanted, &job) {
        Ok(source) => {
            note("decode", header.codec.extension(), start.elapsed());
            for ((place, frame), (geometry, encoding)) in places.into_iter().zip(wanted) {
                let (start, format) = (Instant::now(), encoding.format().extension());
                let scaled = source.scale(frame, header.orientation, geometry, encoding, &job);
                note("scale", format, start.elapsed());
                let start = Instant::now();
                let made = scaled.and_then(|scaled| scaled.encode(header.orientation, encoding, &job));
                note("encode", format, start.elapsed());
                done(place, made);
            }
        }
        // It may be damaged only where the largest of them needs it. What is decoded apart is always decoded whole.
        Err(_) if wanted.len() > 1 && header.apart_bytes == 0 => {
            for ((place, _), (geometry, encoding)) in places.into_iter().zip(wanted) {
                done(place, render(original, header, geometry, encoding, limits));
            }
        }
        Err(error) => places.into_iter().for_each(|(place, _)| done(place, Err(error.clone()))),
    }
}

/// The frame with its crop where the picture is looked at, if the region is `smart`; else as it is. `reduce` makes a few pixels
/// of a window, in sRGB and in the stored orientation.
fn attend(
    frame: Frame,
    orientation: Orientation,
    geometry: Geometry,
    reduce: impl FnOnce(Window, (NonZeroU32, NonZeroU32)) -> Result<Pixels, RenderError>,
) -> Result<Frame, RenderError> {
    if !matches!(geometry, Geometry::Crop { region: Region::Smart, .. }) {
        return Ok(frame);
    }
    let (whole, size) = frame.reduced(orientation, attention::SIDE);
    let upright = scale::orient(reduce(whole, size)?, orientation);
    Ok(frame.attending(|across, down| attention::begin(&upright, across, down)))
}

/// The resize threads: what runs pixels, and nothing else.
#[derive(Debug)]
pub struct Resizer {
    gate: Gate,
    times: metrics::ResizeMetrics,
}

impl Resizer {
    /// Starts `threads` threads (0: one a core) at the lowest priority, with room for `queue_length` that wait.
    /// Waits and work are noted in `times`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(threads: usize, queue_length: NonZeroUsize, times: metrics::ResizeMetrics) -> io::Result<Self> {
        Ok(Self { gate: Gate::start(threads, queue_length)?, times })
    }

    /// [`render_each`], on one of the threads. What is wanted is asked of `take` when the thread is free, and only if
    /// somebody waits for the job still. `tickets` are what the job holds while it runs; they are dropped when it ends.
    ///
    /// # Errors
    /// The job was not run, or a codec panicked: then `done` has not been told of all that was taken.
    pub async fn render_each<T: Send + 'static>(
        &self,
        original: Bytes,
        header: Header,
        limits: Limits,
        take: impl FnOnce() -> Vec<(Geometry, Encoding)> + Send + 'static,
        mut done: impl FnMut(usize, Result<Bytes, RenderError>) + Send + 'static,
        tickets: T,
    ) -> Result<(), RenderError> {
        let (times, queued, here) = (self.times.clone(), Instant::now(), traces::SpanHandle::current());
        let job = move || {
            let _tickets = tickets;
            let mut start = Instant::now();
            times.record_wait(WaitKind::Thread, start - queued);
            let variants = take();
            let note = |stage, format, time| {
                times.record_stage(stage, format, time);
                here.record_completed(stage, format, time);
            };
            render_noting(&original, &header, &variants, &limits, note, |n, made| {
                // The first one's time has the decoding in it.
                times.record_stage("render", variants[n].1.format().extension(), start.elapsed());
                start = Instant::now();
                if let Err(error) = &made {
                    times.record_failure(error.reason());
                }
                // A box has no spare capacity: what memory weighs is what it uses.
                done(n, made.map(|bytes| Bytes::from(bytes.into_boxed_slice())));
            });
        };
        self.gate.run(job).await.map_err(|error| {
            let error = match error {
                GateError::Full => RenderError::Overloaded,
                GateError::Closed => RenderError::Stopped,
                GateError::Panicked => RenderError::Panicked,
            };
            self.times.record_failure(error.reason());
            error
        })
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
