//! Decodes WebP to pixels, and composes animations.

use std::time::Duration;

use crate::codec::animation::{AnimationFrames, Canvas, FrameRect, LoopCount, normalize_delay};
use crate::codec::webp::container::{Chunks, FrameChunk, canvas_size, has_alpha, icc_profile};
use crate::codec::webp::still;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::pixels::Pixels;
use crate::transform::channels::to_rgba;

/// Decodes the image, or the first frame of an animation. Also returns the ICC profile.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<(Pixels, Option<Vec<u8>>), Error> {
    let profile = icc_profile(original).map(<[u8]>::to_vec);
    let is_animated = Chunks::from_file(original).any(|chunk| chunk.name == b"ANMF");
    if !is_animated {
        let pixels = still::decode(&Chunks::from_file(original), has_alpha(original), context)?;
        return Ok((pixels, profile));
    }
    let mut frames = WebPFrames::open(original)?;
    match frames.next(context)? {
        Some(_) => Ok((frames.canvas.into_pixels(), profile)),
        None => Err(damaged("no frames")),
    }
}

/// The frames of an animation.
pub(crate) struct WebPFrames<'a> {
    chunks: Chunks<'a>,
    canvas: Canvas,
    /// The rectangle to clear before the next frame.
    clear: Option<FrameRect>,
    loop_count: LoopCount,
}

impl<'a> WebPFrames<'a> {
    pub(crate) fn open(original: &'a [u8]) -> Result<Self, Error> {
        let mut chunks = Chunks::from_file(original);
        let header = chunks.next().filter(|chunk| chunk.name == b"VP8X");
        let size = header.and_then(|chunk| canvas_size(chunk.data)).ok_or_else(|| damaged("truncated header"))?;
        let animation = Chunks::from_file(original).find(|chunk| chunk.name == b"ANIM");
        let loop_count = animation.and_then(|chunk| Some(u16::from_le_bytes(*chunk.data.get(4..)?.first_chunk()?)));
        let loop_count = loop_count.map_or(LoopCount::ONCE, |plays| LoopCount(plays.into()));
        Ok(Self { chunks, canvas: Canvas::clear(size.0, size.1), clear: None, loop_count })
    }

    /// Draws a frame on the canvas.
    fn draw(&mut self, frame: &FrameChunk<'_>, context: &RenderContext) -> Result<(), Error> {
        if let Some(rect) = self.clear.take() {
            self.canvas.clear_at(&rect);
        }
        let image = still::decode(&frame.chunks, false, context)?;
        if (image.width, image.height) != (frame.rect.width, frame.rect.height) {
            return Err(damaged("an image differs in size from its header"));
        }
        let image = to_rgba(image);
        let (pixels, _) = image.data.as_chunks::<4>();
        if frame.is_blended {
            self.canvas.blend(&frame.rect, pixels);
        } else {
            self.canvas.draw(&frame.rect, pixels, |pixel| Some(*pixel));
        }
        self.clear = frame.is_cleared.then_some(frame.rect);
        Ok(())
    }
}

impl AnimationFrames for WebPFrames<'_> {
    fn next(&mut self, context: &RenderContext) -> Result<Option<Duration>, Error> {
        let Some(chunk) = self.chunks.find(|chunk| chunk.name == b"ANMF") else { return Ok(None) };
        let frame = FrameChunk::read(chunk.data).ok_or_else(|| damaged("truncated frame header"))?;
        self.draw(&frame, context)?;
        Ok(Some(normalize_delay(frame.delay)))
    }

    fn canvas(&self) -> &Pixels {
        self.canvas.pixels()
    }

    fn loop_count(&self) -> LoopCount {
        self.loop_count
    }

    fn gif_bytes(&self) -> Option<usize> {
        None
    }
}
