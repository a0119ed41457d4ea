//! GIF: frames of palettes, laid on a canvas one after the other (GIF89a, CompuServe 1990).

pub(crate) mod encode;

use std::io::Cursor;
use std::num::NonZeroU64;
use std::time::Duration;

use gif::{DecodeOptions, Decoder, DisposalMethod, MemoryLimit, Repeat};
use image::metadata::Orientation;

use crate::codec::animation::{AnimationFrames, Canvas, FrameRect, LoopCount, normalize_delay};
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::pixels::Pixels;

/// What the decoder may allocate for one extension or table; a frame's indices are ours.
const BLOCK_BYTES_MAX: NonZeroU64 = NonZeroU64::new(1 << 20).unwrap();

/// What the blocks say; no pixel is decoded.
pub(crate) fn read_info(original: &[u8]) -> Result<ImageInfo, Error> {
    let mut decoder = open(original, true)?;
    let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    let mut frames = 0;
    // What is cut short or damaged behind its first frame has as many as can be told.
    while let Ok(Some(_)) = decoder.next_frame_info() {
        frames += 1;
    }
    // Canvas, and a frame's indices.
    Ok(ImageInfo { width, height, orientation: Orientation::NoTransforms, pixel_bytes: 4, codec_bytes: 1, frames })
}

/// The first frame.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<Pixels, Error> {
    let mut frames = GifFrames::open(original, context)?;
    match frames.next(context)? {
        Some(_) => Ok(frames.canvas.into_pixels()),
        None => Err(damaged("it has no frame")),
    }
}

/// The frames, as they are seen.
pub(crate) struct GifFrames<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    canvas: Canvas,
    /// What of the canvas is to be undone before the next frame.
    undo: Undo,
    indices: Vec<u8>,
    loop_count: LoopCount,
    pixels_max: u64,
    seen: u32,
}

enum Undo {
    Nothing,
    Clear(FrameRect),
    Restore(FrameRect, Vec<u8>),
}

/// Pixels of a frame that is larger than its canvas, of which alone the ticket for memory knows.
const BEYOND_CANVAS_MAX: u64 = 1 << 20;

impl<'a> GifFrames<'a> {
    pub(crate) fn open(original: &'a [u8], context: &RenderContext) -> Result<Self, Error> {
        let decoder = open(original, false)?;
        let canvas = Canvas::clear(u32::from(decoder.width()), u32::from(decoder.height()));
        let pixels_max = context.pixels_max;
        Ok(Self {
            decoder,
            canvas,
            undo: Undo::Nothing,
            indices: Vec::new(),
            loop_count: LoopCount::ONCE,
            pixels_max,
            seen: 0,
        })
    }

    /// Lays the frame on the canvas whose header has just been read.
    fn draw(&mut self, context: &RenderContext) -> Result<Duration, Error> {
        let frame = self.decoder.current_frame_info().ok_or_else(|| damaged("it has no frame"))?;
        let place = FrameRect {
            x: frame.left.into(),
            y: frame.top.into(),
            width: frame.width.into(),
            height: frame.height.into(),
        };
        let (delay, transparent, dispose) = (frame.delay, frame.transparent, frame.dispose);
        if place.pixels() > self.pixels_max {
            let (width, height) = (place.width, place.height);
            return Err(Error::TooManyPixels { width, height, pixels_max: self.pixels_max });
        }
        // Some programs write frames that reach a little beyond their canvas.
        let Pixels { width, height, .. } = self.canvas.pixels();
        if place.pixels() > (u64::from(*width) * u64::from(*height)).max(BEYOND_CANVAS_MAX) {
            return Err(damaged("a frame reaches far beyond its canvas"));
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
        context.deadline.check()?;
        if let Err(error) = read
            && !(self.seen == 0 && context.keeps_incomplete())
        {
            return Err(damaged(error.to_string()));
        }
        let palette = self.decoder.palette().map_err(|error| damaged(error.to_string()))?.to_vec();
        let (colors, _) = palette.as_chunks::<3>();
        self.canvas.draw(&place, &self.indices, |&index| {
            let color = if Some(index) == transparent { None } else { colors.get(usize::from(index)) };
            color.map(|&[red, green, blue]| [red, green, blue, 255])
        });
        let delay = Duration::from_millis(10 * u64::from(delay));
        Ok(normalize_delay(delay))
    }
}

impl AnimationFrames for GifFrames<'_> {
    fn next(&mut self, context: &RenderContext) -> Result<Option<Duration>, Error> {
        match self.decoder.next_frame_info() {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(None),
            // The frames so far are what browsers show.
            Err(_) if self.seen > 0 && context.keeps_incomplete() => return Ok(None),
            Err(error) => return Err(damaged(error.to_string())),
        }
        let shown = match self.draw(context) {
            Err(Error::Damaged { .. }) if self.seen > 0 && context.keeps_incomplete() => return Ok(None),
            drawn => drawn?,
        };
        self.seen += 1;
        // It may stand behind the first frame's header only.
        self.loop_count = match self.decoder.repeat() {
            Repeat::Infinite => LoopCount::INFINITE,
            Repeat::Finite(again) => LoopCount(again.saturating_add(1)),
        };
        Ok(Some(shown))
    }

    fn canvas(&self) -> &Pixels {
        self.canvas.pixels()
    }

    fn loop_count(&self) -> LoopCount {
        self.loop_count
    }
}

fn open(original: &[u8], skip: bool) -> Result<Decoder<Cursor<&[u8]>>, Error> {
    let mut options = DecodeOptions::new();
    options.set_memory_limit(MemoryLimit::Bytes(BLOCK_BYTES_MAX));
    options.skip_frame_decoding(skip);
    options.read_info(Cursor::new(original)).map_err(|error| damaged(error.to_string()))
}
