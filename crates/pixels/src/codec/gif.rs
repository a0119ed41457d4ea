//! GIF: frames of palettes, laid on a canvas one after the other (GIF89a, CompuServe 1990).

pub(crate) mod encode;

use std::io::Cursor;
use std::num::NonZeroU64;
use std::time::Duration;

use gif::{DecodeOptions, Decoder, DecodingError, DisposalMethod, MemoryLimit, Repeat};
use image::metadata::Orientation;

use crate::codec::animation::{Canvas, Frames, Loops, Place};
use crate::context::Job;
use crate::error::RenderError;
use crate::info::Facts;
use crate::pixels::Pixels;

/// What the decoder may allocate for one extension or table; a frame's indices are ours.
const BLOCK_BYTES_MAX: NonZeroU64 = NonZeroU64::new(1 << 20).unwrap();

/// Delays of up to 10 ms are shown as 100 ms: browsers, all of them, take them for a mistake.
pub(crate) fn unhurried(delay: Duration) -> Duration {
    if delay <= Duration::from_millis(10) { Duration::from_millis(100) } else { delay }
}

/// What the blocks say; no pixel is decoded.
pub(crate) fn facts(original: &[u8]) -> Result<Facts, RenderError> {
    let mut decoder = open(original, true)?;
    let size = (u32::from(decoder.width()), u32::from(decoder.height()));
    let mut frames = 0;
    // What is cut short or damaged behind its first frame has as many as can be told.
    while let Ok(Some(_)) = decoder.next_frame_info() {
        frames += 1;
    }
    // Canvas, and a frame's indices.
    Ok(Facts { size, orientation: Orientation::NoTransforms, pixel_bytes: 4, codec_bytes: 1, frames })
}

/// The first frame.
pub(crate) fn decode(original: &[u8], job: &Job) -> Result<Pixels, RenderError> {
    let mut frames = Gif::open(original, job)?;
    match frames.next(job)? {
        Some(_) => Ok(frames.canvas.into_pixels()),
        None => Err(RenderError::Damaged { reason: "it has no frame".to_owned() }),
    }
}

/// The frames, as they are seen.
pub(crate) struct Gif<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    canvas: Canvas,
    /// What of the canvas is to be undone before the next frame.
    undo: Undo,
    indices: Vec<u8>,
    loops: Loops,
    pixels_max: u64,
    seen: u32,
}

enum Undo {
    Nothing,
    Clear(Place),
    Restore(Place, Vec<u8>),
}

/// Pixels of a frame that is larger than its canvas, of which alone the ticket for memory knows.
const BEYOND_CANVAS_MAX: u64 = 1 << 20;

impl<'a> Gif<'a> {
    pub(crate) fn open(original: &'a [u8], job: &Job) -> Result<Self, RenderError> {
        let decoder = open(original, false)?;
        let canvas = Canvas::clear(u32::from(decoder.width()), u32::from(decoder.height()));
        let pixels_max = job.pixels_max;
        Ok(Self { decoder, canvas, undo: Undo::Nothing, indices: Vec::new(), loops: Loops::ONCE, pixels_max, seen: 0 })
    }

    /// Lays the frame on the canvas whose header has just been read.
    fn draw(&mut self, job: &Job) -> Result<Duration, RenderError> {
        let frame = self.decoder.current_frame_info().ok_or_else(no_frame)?;
        let place =
            Place { x: frame.left.into(), y: frame.top.into(), width: frame.width.into(), height: frame.height.into() };
        let (delay, transparent, dispose) = (frame.delay, frame.transparent, frame.dispose);
        if place.pixels() > self.pixels_max {
            let (width, height) = (place.width, place.height);
            return Err(RenderError::TooManyPixels { width, height, pixels_max: self.pixels_max });
        }
        // Some programs write frames that reach a little beyond their canvas.
        let Pixels { width, height, .. } = self.canvas.pixels();
        if place.pixels() > (u64::from(*width) * u64::from(*height)).max(BEYOND_CANVAS_MAX) {
            return Err(RenderError::Damaged { reason: "a frame reaches far beyond its canvas".to_owned() });
        }
        match std::mem::replace(&mut self.undo, Undo::Nothing) {
            Undo::Nothing => {}
            Undo::Clear(place) => self.canvas.clear_at(&place),
            Undo::Restore(place, pixels) => self.canvas.restore(&place, &pixels),
        }
        self.undo = match dispose {
            DisposalMethod::Any | DisposalMethod::Keep => Undo::Nothing,
            DisposalMethod::Background => Undo::Clear(place),
            DisposalMethod::Previous => Undo::Restore(place, self.canvas.copy(&place)),
        };
        self.indices.clear();
        self.indices.resize(self.decoder.buffer_size(), transparent.unwrap_or(0));
        let read = self.decoder.read_into_buffer(&mut self.indices);
        job.deadline.check()?;
        if let Err(error) = read
            && !(self.seen == 0 && job.keeps_incomplete())
        {
            return Err(damaged(&error));
        }
        let palette = self.decoder.palette().map_err(|error| damaged(&error))?.to_vec();
        let (colours, _) = palette.as_chunks::<3>();
        self.canvas.draw(&place, &self.indices, |&index| {
            let colour = if Some(index) == transparent { None } else { colours.get(usize::from(index)) };
            colour.map(|&[red, green, blue]| [red, green, blue, 255])
        });
        let delay = Duration::from_millis(10 * u64::from(delay));
        Ok(unhurried(delay))
    }
}

impl Frames for Gif<'_> {
    fn next(&mut self, job: &Job) -> Result<Option<Duration>, RenderError> {
        match self.decoder.next_frame_info() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            // The frames so far are what browsers show.
            Err(_) if self.seen > 0 && job.keeps_incomplete() => return Ok(None),
            Err(error) => return Err(damaged(&error)),
        }
        let shown = match self.draw(job) {
            Err(RenderError::Damaged { .. }) if self.seen > 0 && job.keeps_incomplete() => return Ok(None),
            drawn => drawn?,
        };
        self.seen += 1;
        // It may stand behind the first frame's header only.
        self.loops = match self.decoder.repeat() {
            Repeat::Infinite => Loops::FOR_EVER,
            Repeat::Finite(again) => Loops(again.saturating_add(1)),
        };
        Ok(Some(shown))
    }

    fn canvas(&self) -> &Pixels {
        self.canvas.pixels()
    }

    fn loops(&self) -> Loops {
        self.loops
    }
}

fn open(original: &[u8], skip: bool) -> Result<Decoder<Cursor<&[u8]>>, RenderError> {
    let mut options = DecodeOptions::new();
    options.set_memory_limit(MemoryLimit::Bytes(BLOCK_BYTES_MAX));
    options.skip_frame_decoding(skip);
    options.read_info(Cursor::new(original)).map_err(|error| damaged(&error))
}

fn no_frame() -> RenderError {
    RenderError::Damaged { reason: "it has no frame".to_owned() }
}

fn damaged(error: &DecodingError) -> RenderError {
    RenderError::Damaged { reason: error.to_string() }
}
