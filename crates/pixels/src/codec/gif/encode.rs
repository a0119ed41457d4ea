//! Encodes GIF with up to 256 colors per frame. Each frame contains only the changed rectangle.

use std::borrow::Cow;
use std::time::Duration;

use gif::{DisposalMethod, Encoder, EncodingError, Frame, Repeat};

use crate::codec::animation::{FrameRect, LoopCount};
use crate::codec::palette::{IndexedImage, indexed};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::pixels::Pixels;

/// Encodes frames into a file.
pub(crate) struct GifEncoder {
    encoder: Encoder<Vec<u8>>,
    width: u16,
    height: u16,
    /// The canvas on which the pending frame is drawn.
    base: Vec<[u8; 4]>,
    /// The last frame. Its disposal method depends on the next one.
    pending: Option<(Vec<[u8; 4]>, Duration)>,
    deadline: Deadline,
}

impl GifEncoder {
    pub(crate) fn new((width, height): (u32, u32), loop_count: LoopCount, deadline: Deadline) -> Result<Self, Error> {
        let side = |side: u32| u16::try_from(side).map_err(|error| failed(&error));
        let (width, height) = (side(width)?, side(height)?);
        let mut encoder = Encoder::new(Vec::new(), width, height, &[]).map_err(|error| failed(&error))?;
        let repeat = match loop_count.0 {
            0 => Some(Repeat::Infinite),
            1 => None,
            times => Some(Repeat::Finite(times - 1)),
        };
        if let Some(repeat) = repeat {
            encoder.set_repeat(repeat).map_err(|error| failed(&error))?;
        }
        let base = vec![[0; 4]; usize::from(width) * usize::from(height)];
        Ok(Self { encoder, width, height, base, pending: None, deadline })
    }

    /// Adds a frame of RGBA pixels with its duration.
    pub(crate) fn add(&mut self, pixels: &Pixels, delay: Duration) -> Result<(), Error> {
        // GIF pixels are either opaque or transparent.
        let next: Vec<[u8; 4]> = pixels
            .data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&[r, g, b, alpha]| if alpha < 128 { [0; 4] } else { [r, g, b, 255] })
            .collect();
        if next.len() != self.base.len() {
            return Err(failed(&"a frame differs in size from the canvas"));
        }
        if let Some((frame, delay)) = self.pending.take() {
            // Pixels can become transparent only if the whole frame is disposed.
            let vanishes = frame.iter().zip(&next).any(|(frame, next)| frame[3] > next[3]);
            self.write(&frame, delay, vanishes)?;
            self.base = if vanishes { vec![[0; 4]; frame.len()] } else { frame };
        }
        self.pending = Some((next, delay));
        Ok(())
    }

    /// Returns the file.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Error> {
        if let Some((frame, delay)) = self.pending.take() {
            self.write(&frame, delay, false)?;
        }
        self.encoder.into_inner().map_err(|error| failed(&error))
    }

    fn write(&mut self, frame: &[[u8; 4]], delay: Duration, vanishes: bool) -> Result<(), Error> {
        let width = usize::from(self.width);
        let rect = if vanishes { self.full_rect() } else { changed_rect(&self.base, frame, width) };
        let (x, columns) = (rect.x as usize, rect.width as usize);
        let rows = (rect.y..rect.y + rect.height).map(|y| y as usize * width + x);
        // Unchanged pixels are transparent.
        let pixels: Vec<[u8; 4]> = rows
            .flat_map(|at| {
                (at..at + columns).map(|at| if !vanishes && frame[at] == self.base[at] { [0; 4] } else { frame[at] })
            })
            .collect();
        let IndexedImage { palette, indices } = indexed_with_transparency(&pixels, self.deadline)?;
        let transparent = palette.iter().position(|color| color[3] == 0).and_then(|n| u8::try_from(n).ok());
        let side = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let frame = Frame {
            delay: u16::try_from((delay.as_millis() + 5) / 10).unwrap_or(u16::MAX),
            dispose: if vanishes { DisposalMethod::Background } else { DisposalMethod::Keep },
            transparent,
            left: side(rect.x),
            top: side(rect.y),
            width: side(rect.width),
            height: side(rect.height),
            palette: Some(palette.iter().flat_map(|color| [color[0], color[1], color[2]]).collect()),
            buffer: Cow::Owned(indices),
            ..Frame::default()
        };
        self.encoder.write_frame(&frame).map_err(|error: EncodingError| failed(&error))
    }

    fn full_rect(&self) -> FrameRect {
        FrameRect { x: 0, y: 0, width: self.width.into(), height: self.height.into() }
    }
}

/// Reduces pixels to 256 colors, one of which is transparent if any pixel is.
fn indexed_with_transparency(pixels: &[[u8; 4]], deadline: Deadline) -> Result<IndexedImage, Error> {
    let opaque: Vec<[u8; 4]> = pixels.iter().copied().filter(|pixel| pixel[3] != 0).collect();
    if opaque.len() == pixels.len() {
        return indexed(pixels, 256, deadline);
    }
    let IndexedImage { mut palette, indices } = indexed(&opaque, 255, deadline)?;
    let clear = u8::try_from(palette.len()).unwrap_or(u8::MAX);
    palette.push([0; 4]);
    let mut indices = indices.into_iter();
    let all = pixels.iter().map(|pixel| if pixel[3] == 0 { clear } else { indices.next().unwrap_or(clear) });
    Ok(IndexedImage { indices: all.collect(), palette })
}

/// The smallest rectangle that contains all changes, or a single pixel if nothing changed.
fn changed_rect(base: &[[u8; 4]], frame: &[[u8; 4]], width: usize) -> FrameRect {
    let differs = |at: &usize| base[*at] != frame[*at];
    let all = || (0..frame.len()).filter(differs);
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (Some(first), Some(last)) = (all().next(), all().next_back()) else {
        return FrameRect { x: 0, y: 0, width: 1, height: 1 };
    };
    let left = all().map(|at| at % width).min().unwrap_or(0);
    let right = all().map(|at| at % width).max().unwrap_or(0);
    let (top, bottom) = (first / width, last / width);
    FrameRect { x: number(left), y: number(top), width: number(right - left + 1), height: number(bottom - top + 1) }
}

fn failed(error: &dyn ToString) -> Error {
    Error::Encode { reason: error.to_string() }
}
