//! Decodes GIF (GIF89a, CompuServe 1990).

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

/// Memory limit of the decoder for an extension or a table. The frame buffer is not included, because this module
/// allocates it.
const BLOCK_BYTES_MAX: NonZeroU64 = NonZeroU64::new(1 << 20).unwrap();

/// Reads the block structure without decoding pixels.
pub(crate) fn read_info(original: &[u8]) -> Result<ImageInfo, Error> {
    let mut decoder = open(original, true)?;
    let (width, height) = (u32::from(decoder.width()), u32::from(decoder.height()));
    let mut frames = 0;
    // If the file is truncated or damaged after the first frame, only the frames before that count.
    while let Ok(Some(_)) = decoder.next_frame_info() {
        frames += 1;
    }
    // Memory for the canvas, and for the indices of a frame.
    Ok(ImageInfo { width, height, orientation: Orientation::NoTransforms, pixel_bytes: 4, codec_bytes: 1, frames })
}

/// Decodes the first frame.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<Pixels, Error> {
    let mut frames = GifFrames::open(original, context)?;
    match frames.next(context)? {
        Some(_) => Ok(frames.canvas.into_pixels()),
        None => Err(damaged("no frames")),
    }
}

/// The frames of a GIF.
pub(crate) struct GifFrames<'a> {
    decoder: Decoder<Cursor<&'a [u8]>>,
    canvas: Canvas,
    /// The disposal of the current frame, applied before the next one is drawn.
    disposal: Disposal,
    indices: Vec<u8>,
    loop_count: LoopCount,
    pixels_max: u64,
    /// Number of frames drawn so far.
    drawn: u32,
}

/// The changes that the disposal method of a frame makes to the canvas.
enum Disposal {
    None,
    Clear(FrameRect),
    Restore(FrameRect, Vec<u8>),
}

/// Maximum number of pixels of a frame that is larger than its canvas. The memory permit covers only the canvas.
const BEYOND_CANVAS_MAX: u64 = 1 << 20;

impl<'a> GifFrames<'a> {
    pub(crate) fn open(original: &'a [u8], context: &RenderContext) -> Result<Self, Error> {
        let decoder = open(original, false)?;
        let canvas = Canvas::clear(u32::from(decoder.width()), u32::from(decoder.height()));
        let pixels_max = context.pixels_max;
        Ok(Self {
            decoder,
            canvas,
            disposal: Disposal::None,
            indices: Vec::new(),
            loop_count: LoopCount::ONCE,
            pixels_max,
            drawn: 0,
        })
    }

    /// Draws the frame whose header was just read.
    fn draw(&mut self, context: &RenderContext) -> Result<Duration, Error> {
        let frame = self.decoder.current_frame_info().ok_or_else(|| damaged("no frames"))?;
        let rect = FrameRect {
            x: frame.left.into(),
            y: frame.top.into(),
            width: frame.width.into(),
            height: frame.height.into(),
        };
        let (delay, transparent, dispose) = (frame.delay, frame.transparent, frame.dispose);
        if rect.pixels() > self.pixels_max {
            let (width, height) = (rect.width, rect.height);
            return Err(Error::TooManyPixels { width, height, pixels_max: self.pixels_max });
        }
        // Some encoders write frames that extend slightly beyond their canvas.
        let Pixels { width, height, .. } = self.canvas.pixels();
        if rect.pixels() > (u64::from(*width) * u64::from(*height)).max(BEYOND_CANVAS_MAX) {
            return Err(damaged("a frame extends far beyond its canvas"));
        }
        match std::mem::replace(&mut self.disposal, Disposal::None) {
            Disposal::None => {}
            Disposal::Clear(rect) => self.canvas.clear_at(&rect),
            Disposal::Restore(rect, pixels) => self.canvas.restore(&rect, &pixels),
        }
        self.disposal = match dispose {
            DisposalMethod::Any | DisposalMethod::Keep => Disposal::None,
            DisposalMethod::Background => Disposal::Clear(rect),
            DisposalMethod::Previous => Disposal::Restore(rect, self.canvas.copy(&rect)),
        };
        self.indices.clear();
        self.indices.resize(self.decoder.buffer_size(), transparent.unwrap_or(0));
        let read = self.decoder.read_into_buffer(&mut self.indices);
        context.deadline.check()?;
        if let Err(error) = read
            && !(self.drawn == 0 && context.keeps_incomplete())
        {
            return Err(damaged(error.to_string()));
        }
        let palette = self.decoder.palette().map_err(|error| damaged(error.to_string()))?.to_vec();
        let (colors, _) = palette.as_chunks::<3>();
        self.canvas.draw(&rect, &self.indices, |&index| {
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
            // Browsers show the frames before the damage.
            Err(_) if self.drawn > 0 && context.keeps_incomplete() => return Ok(None),
            Err(error) => return Err(damaged(error.to_string())),
        }
        let delay = match self.draw(context) {
            Err(Error::Damaged { .. }) if self.drawn > 0 && context.keeps_incomplete() => return Ok(None),
            delay => delay?,
        };
        self.drawn += 1;
        // The loop extension may follow the header of the first frame.
        self.loop_count = match self.decoder.repeat() {
            Repeat::Infinite => LoopCount::INFINITE,
            Repeat::Finite(repeats) => LoopCount(repeats.saturating_add(1)),
        };
        Ok(Some(delay))
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
