//! GIF as it is written: 256 colors a frame, and of each frame only what has changed.

use std::borrow::Cow;
use std::time::Duration;

use gif::{DisposalMethod, Encoder, EncodingError, Frame, Repeat};

use crate::codec::animation::{FrameRect, LoopCount};
use crate::codec::palette::{IndexedImage, indexed};
use crate::error::Error;
use crate::pixels::Pixels;

/// Frames on their way into a file.
pub(crate) struct GifEncoder {
    encoder: Encoder<Vec<u8>>,
    width: u16,
    height: u16,
    /// What is seen when the waiting frame is drawn.
    base: Vec<[u8; 4]>,
    /// The last frame: how it is taken away again depends on the next.
    waiting: Option<(Vec<[u8; 4]>, Duration)>,
}

impl GifEncoder {
    pub(crate) fn new((width, height): (u32, u32), loop_count: LoopCount) -> Result<Self, Error> {
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
        Ok(Self { encoder, width, height, base, waiting: None })
    }

    /// Adds RGBA pixels that are shown so long.
    pub(crate) fn add(&mut self, pixels: &Pixels, shown: Duration) -> Result<(), Error> {
        // A pixel of a GIF can be seen or not, and nothing between.
        let next: Vec<[u8; 4]> = pixels
            .data
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&[r, g, b, alpha]| if alpha < 128 { [0; 4] } else { [r, g, b, 255] })
            .collect();
        if next.len() != self.base.len() {
            return Err(failed(&"a frame of another size"));
        }
        if let Some((frame, shown)) = self.waiting.take() {
            // What is to vanish can only do so with all of the frame.
            let vanishes = frame.iter().zip(&next).any(|(frame, next)| frame[3] > next[3]);
            self.write(&frame, shown, vanishes)?;
            self.base = if vanishes { vec![[0; 4]; frame.len()] } else { frame };
        }
        self.waiting = Some((next, shown));
        Ok(())
    }

    /// The file.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Error> {
        if let Some((frame, shown)) = self.waiting.take() {
            self.write(&frame, shown, false)?;
        }
        self.encoder.into_inner().map_err(|error| failed(&error))
    }

    fn write(&mut self, frame: &[[u8; 4]], shown: Duration, vanishes: bool) -> Result<(), Error> {
        let width = usize::from(self.width);
        let place = if vanishes { self.whole() } else { changed(&self.base, frame, width) };
        let (x, across) = (place.x as usize, place.width as usize);
        let rows = (place.y..place.y + place.height).map(|y| y as usize * width + x);
        // What stays as it was need not be drawn again.
        let pixels: Vec<[u8; 4]> = rows
            .flat_map(|at| {
                (at..at + across).map(|at| if !vanishes && frame[at] == self.base[at] { [0; 4] } else { frame[at] })
            })
            .collect();
        let IndexedImage { palette, indices } = with_one_clear(&pixels);
        let transparent = palette.iter().position(|color| color[3] == 0).and_then(|n| u8::try_from(n).ok());
        let side = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let frame = Frame {
            delay: u16::try_from((shown.as_millis() + 5) / 10).unwrap_or(u16::MAX),
            dispose: if vanishes { DisposalMethod::Background } else { DisposalMethod::Keep },
            transparent,
            left: side(place.x),
            top: side(place.y),
            width: side(place.width),
            height: side(place.height),
            palette: Some(palette.iter().flat_map(|color| [color[0], color[1], color[2]]).collect()),
            buffer: Cow::Owned(indices),
            ..Frame::default()
        };
        self.encoder.write_frame(&frame).map_err(|error: EncodingError| failed(&error))
    }

    fn whole(&self) -> FrameRect {
        FrameRect { x: 0, y: 0, width: self.width.into(), height: self.height.into() }
    }
}

/// In 256 colors, one of them clear if any pixel is.
fn with_one_clear(pixels: &[[u8; 4]]) -> IndexedImage {
    let seen: Vec<[u8; 4]> = pixels.iter().copied().filter(|pixel| pixel[3] != 0).collect();
    if seen.len() == pixels.len() {
        return indexed(pixels, 256);
    }
    let IndexedImage { mut palette, indices } = indexed(&seen, 255);
    let clear = u8::try_from(palette.len()).unwrap_or(u8::MAX);
    palette.push([0; 4]);
    let mut indices = indices.into_iter();
    let all = pixels.iter().map(|pixel| if pixel[3] == 0 { clear } else { indices.next().unwrap_or(clear) });
    IndexedImage { indices: all.collect(), palette }
}

/// The smallest place that holds all changes; one pixel where there are none.
fn changed(base: &[[u8; 4]], frame: &[[u8; 4]], width: usize) -> FrameRect {
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
