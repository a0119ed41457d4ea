//! Decodes WebP to pixels with image-webp, and composes animations.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::time::Duration;

use image_webp::{DecodingError, WebPDecoder};

use crate::codec::animation::{AnimationFrames, Canvas, FrameRect, LoopCount, normalize_delay};
use crate::codec::webp::container::{Chunks, FrameChunk, canvas_size, icc_profile};
use crate::context::RenderContext;
use crate::deadline::Deadline;
use crate::error::{Error, damaged};
use crate::pixels::Pixels;
use crate::transform::channels::to_rgba;

/// Decodes the image, or the first frame of an animation. Also returns the ICC profile.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<(Pixels, Option<Vec<u8>>), Error> {
    let profile = icc_profile(original).map(<[u8]>::to_vec);
    let is_animated = Chunks::from_file(original).any(|chunk| chunk.name == b"ANMF");
    if !is_animated {
        return Ok((decode_file(original, context)?, profile));
    }
    let mut frames = WebPFrames::open(original)?;
    match frames.next(context)? {
        Some(_) => Ok((frames.canvas.into_pixels(), profile)),
        None => Err(damaged("no frames")),
    }
}

/// Decodes a file with a single image.
fn decode_file(file: &[u8], context: &RenderContext) -> Result<Pixels, Error> {
    let bytes = DeadlineReader { bytes: Cursor::new(file), deadline: context.deadline };
    let mut decoder = WebPDecoder::new(bytes).map_err(|error| failed(&error, context))?;
    let (width, height) = decoder.dimensions();
    let mut data = vec![0; decoder.output_buffer_size().unwrap_or_default()];
    decoder.read_image(&mut data).map_err(|error| failed(&error, context))?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    Ok(Pixels { width, height, channels, data })
}

/// The frames of an animation. Each is decoded as a separate file and composed here, because the animation decoder of
/// image-webp does not dispose some frames and clears wrong rectangles for others.
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
        let loop_count = loop_count.map_or(LoopCount::ONCE, LoopCount);
        Ok(Self { chunks, canvas: Canvas::clear(size.0, size.1), clear: None, loop_count })
    }

    /// Draws a frame on the canvas.
    fn draw(&mut self, frame: &FrameChunk<'_>, context: &RenderContext) -> Result<(), Error> {
        if let Some(rect) = self.clear.take() {
            self.canvas.clear_at(&rect);
        }
        let image = decode_file(&frame.to_file(), context)?;
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
}

fn failed(error: &DecodingError, context: &RenderContext) -> Error {
    if context.deadline.is_ahead() { damaged(error.to_string()) } else { context.deadline.error() }
}

/// A reader that fails after the deadline. It returns small chunks, so that the deadline is checked often.
struct DeadlineReader<'a> {
    bytes: Cursor<&'a [u8]>,
    deadline: Deadline,
}

const CHUNK_BYTES: usize = 4096;

impl BufRead for DeadlineReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !self.deadline.is_ahead() {
            return Err(io::Error::other("the deadline has passed"));
        }
        let rest = self.bytes.fill_buf()?;
        Ok(&rest[..rest.len().min(CHUNK_BYTES)])
    }

    fn consume(&mut self, bytes: usize) {
        self.bytes.consume(bytes);
    }
}

impl Read for DeadlineReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl Seek for DeadlineReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}
