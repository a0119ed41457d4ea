//! Decodes animated PNG (PNG, third edition, sections 11.3.2 and 13.5).
//!
//! A frame is stored like an image, so it is decoded as one: its data are put into a separate file, with the header
//! chunks of the animation and the size of the frame. Its colors are converted to sRGB before it is drawn.

use std::time::Duration;

use crate::codec::animation::{AnimationFrames, Canvas, FrameRect, LoopCount, normalize_delay};
use crate::codec::decoded::DecodedPixels;
use crate::codec::png;
use crate::codec::png::animation::frame_chunks::{Dispose, Frame, FrameChunks};
use crate::codec::png::chunks::PngHeader;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::limits::{ColorPolicy, EncodeOptions};
use crate::pixels::Pixels;
use crate::transform::channels::to_rgba;

pub(crate) mod encode;
mod frame_chunks;

/// Number of frames: 1 for a still image. If chunks are missing or out of order, only the frames before that count.
pub(super) fn frame_count(original: &[u8]) -> u32 {
    let Some(chunks) = FrameChunks::new(original) else { return 1 };
    let frames_max = chunks.frames_max;
    u32::try_from(chunks.take(frames_max as usize).count()).unwrap_or(u32::MAX).max(1)
}

/// The frames of an animated PNG.
pub(crate) struct PngFrames<'a> {
    chunks: FrameChunks<'a>,
    canvas: Canvas,
    disposal: Disposal,
    /// Number of frames.
    frames: u32,
    /// Number of frames drawn so far.
    drawn: u32,
}

/// The change to the canvas before the next frame is drawn.
enum Disposal {
    None,
    Clear(FrameRect),
    Restore(FrameRect, Vec<u8>),
}

impl<'a> PngFrames<'a> {
    /// Opens a file with `frames` frames.
    pub(crate) fn open(original: &'a [u8], frames: u32) -> Result<Self, Error> {
        let PngHeader { width, height, .. } = PngHeader::read(original)?;
        let chunks = FrameChunks::new(original).ok_or_else(|| damaged("no animation"))?;
        Ok(Self { chunks, canvas: Canvas::clear(width, height), disposal: Disposal::None, frames, drawn: 0 })
    }

    fn draw(&mut self, frame: &Frame<'_>, context: &RenderContext) -> Result<(), Error> {
        let rect = frame.rect;
        let Pixels { width, height, .. } = self.canvas.pixels();
        let is_within =
            |at: u32, length: u32, side: u32| length > 0 && at.checked_add(length).is_some_and(|end| end <= side);
        if !is_within(rect.x, rect.width, *width) || !is_within(rect.y, rect.height, *height) {
            return Err(damaged("a frame extends beyond its canvas"));
        }
        if !frame.is_whole && !context.keeps_incomplete() {
            return Err(damaged("the checksum of a frame is wrong"));
        }
        let context =
            RenderContext { encode: EncodeOptions { color: ColorPolicy::Srgb, ..context.encode }, ..*context };
        let DecodedPixels { pixels, conversion } = png::decode(&self.chunks.file(frame), &context)?;
        let pixels = to_rgba(conversion.apply_srgb(pixels));
        match std::mem::replace(&mut self.disposal, Disposal::None) {
            Disposal::None => {}
            Disposal::Clear(rect) => self.canvas.clear_at(&rect),
            Disposal::Restore(rect, saved) => self.canvas.restore(&rect, &saved),
        }
        self.disposal = match frame.dispose {
            // The last frame is not disposed, so nothing is copied.
            _ if self.drawn + 1 >= self.frames => Disposal::None,
            Dispose::None => Disposal::None,
            // Before the first frame the canvas is clear.
            Dispose::Previous if self.drawn == 0 => Disposal::Clear(rect),
            Dispose::Background => Disposal::Clear(rect),
            Dispose::Previous => Disposal::Restore(rect, self.canvas.copy(&rect)),
        };
        let (pixels, _) = pixels.data.as_chunks::<4>();
        if frame.is_blended {
            self.canvas.blend(&rect, pixels);
        } else {
            self.canvas.draw(&rect, pixels, |pixel| Some(*pixel));
        }
        Ok(())
    }
}

impl AnimationFrames for PngFrames<'_> {
    fn next(&mut self, context: &RenderContext) -> Result<Option<Duration>, Error> {
        if self.drawn == self.frames {
            return Ok(None);
        }
        let Some(frame) = self.chunks.next() else { return Ok(None) };
        let is_first = self.drawn == 0;
        // The readable part of a damaged animation is its first frame, or the frames before the damage.
        match self.draw(&frame, &if is_first { *context } else { context.refusing_incomplete() }) {
            Err(Error::Damaged { .. }) if !is_first && context.keeps_incomplete() => return Ok(None),
            drawn => drawn?,
        }
        self.drawn += 1;
        Ok(Some(normalize_delay(frame.delay)))
    }

    fn canvas(&self) -> &Pixels {
        self.canvas.pixels()
    }

    fn loop_count(&self) -> LoopCount {
        LoopCount(self.chunks.plays)
    }

    fn gif_bytes(&self) -> Option<usize> {
        None
    }
}
