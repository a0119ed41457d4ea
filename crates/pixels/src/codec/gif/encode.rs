//! Encodes GIF with up to 256 colors per frame. Each frame contains only the changed rectangle.

mod frame_colors;

use std::borrow::Cow;
use std::time::Duration;

use gif::{DisposalMethod, Encoder, Frame, Repeat};

use self::frame_colors::{FrameColors, IndexedFrame, QUALITIES, SharedPalette};
use crate::codec::animation::{FrameRect, LoopCount};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::pixels::Pixels;

/// Maximum difference of a sample from that of the frame before, at which a pixel is not drawn again. Scaling makes small
/// differences, which are invisible.
const UNCHANGED_MAX: u8 = 2;

/// Encodes frames into a file.
pub(crate) struct GifEncoder {
    /// `None` until the first frame is written.
    encoder: Option<Encoder<Vec<u8>>>,
    /// The palette of the first frame, which is the color table for all frames.
    shared: SharedPalette,
    width: u16,
    height: u16,
    loop_count: LoopCount,
    /// The canvas on which the pending frame is drawn.
    base: Vec<[u8; 4]>,
    /// The last frame. Its disposal method depends on the next one.
    pending: Option<PendingFrame>,
    /// Index in [`QUALITIES`] of the last frame.
    quality: usize,
    deadline: Deadline,
}

struct PendingFrame {
    pixels: Vec<[u8; 4]>,
    delay: Duration,
    bytes_max: Option<usize>,
}

impl GifEncoder {
    pub(crate) fn new((width, height): (u32, u32), loop_count: LoopCount, deadline: Deadline) -> Result<Self, Error> {
        let side = |side: u32| u16::try_from(side).map_err(|error| failed(&error));
        let (width, height) = (side(width)?, side(height)?);
        let base = vec![[0; 4]; usize::from(width) * usize::from(height)];
        let (shared, quality) = (SharedPalette::default(), 0);
        Ok(Self { encoder: None, shared, width, height, loop_count, base, pending: None, quality, deadline })
    }

    /// Adds a frame of RGBA pixels with its duration. With `bytes_max`, fewer colors are used if the file would have more
    /// bytes up to this frame. It may still have more with the fewest colors.
    ///
    /// # Errors
    /// The frame has another size than the file, or the deadline passed.
    pub(crate) fn add(&mut self, pixels: &Pixels, delay: Duration, bytes_max: Option<usize>) -> Result<(), Error> {
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
        if let Some(frame) = self.pending.take() {
            // Pixels can become transparent only if the whole frame is disposed.
            let vanishes = frame.pixels.iter().zip(&next).any(|(frame, next)| frame[3] > next[3]);
            self.write(&frame, vanishes)?;
            if vanishes {
                self.base.fill([0; 4]);
            }
        }
        self.pending = Some(PendingFrame { pixels: next, delay, bytes_max });
        Ok(())
    }

    /// Returns the file.
    ///
    /// # Errors
    /// There is no frame, or the deadline passed.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Error> {
        if let Some(frame) = self.pending.take() {
            self.write(&frame, false)?;
        }
        let encoder = self.encoder.ok_or_else(|| failed(&"no frames"))?;
        encoder.into_inner().map_err(|error| failed(&error))
    }

    fn write(&mut self, frame: &PendingFrame, vanishes: bool) -> Result<(), Error> {
        // Without a transparent pixel in the first frame, some viewers fill unpainted parts of the canvas with a color.
        let is_unpainted = self.encoder.is_none() && frame.pixels.iter().any(|pixel| pixel[3] == 0);
        let is_full = vanishes || is_unpainted;
        let rect = if is_full { self.full_rect() } else { self.changed_rect(&frame.pixels) };
        let width = usize::from(self.width);
        let (x, columns) = (rect.x as usize, rect.width as usize);
        let rows = (rect.y..rect.y + rect.height).map(|y| y as usize * width + x);
        let mut pixels = Vec::with_capacity(columns * rect.height as usize);
        for at in rows.flat_map(|at| at..at + columns) {
            // Unchanged pixels are transparent. The others become the canvas of the next frame.
            if vanishes || differs(self.base[at], frame.pixels[at]) {
                self.base[at] = frame.pixels[at];
                pixels.push(frame.pixels[at]);
            } else {
                pixels.push([0; 4]);
            }
        }
        let dispose = if vanishes { DisposalMethod::Background } else { DisposalMethod::Keep };
        let mut colors = FrameColors::new(&pixels);
        // Each frame may be one step better than the one before.
        self.quality = self.quality.saturating_sub(1);
        let encoded = loop {
            let indexed = colors.index(&mut self.shared, &QUALITIES[self.quality], self.deadline)?;
            let encoded = compressed(indexed, &rect, frame.delay, dispose);
            let fits = frame.bytes_max.is_none_or(|bytes_max| self.written() + encoded_bytes(&encoded) <= bytes_max);
            if fits || self.quality + 1 == QUALITIES.len() {
                break encoded;
            }
            self.quality += 1;
        };
        self.append(encoded)
    }

    /// Writes a frame. The palette of the first one becomes the color table for all frames.
    fn append(&mut self, mut frame: Frame<'static>) -> Result<(), Error> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => {
                let palette = frame.palette.take().unwrap_or_default();
                let mut encoder =
                    Encoder::new(Vec::new(), self.width, self.height, &palette).map_err(|error| failed(&error))?;
                if let Some(repeats) = self.loop_count.to_gif() {
                    let repeat = if repeats == 0 { Repeat::Infinite } else { Repeat::Finite(repeats) };
                    encoder.set_repeat(repeat).map_err(|error| failed(&error))?;
                }
                self.shared = SharedPalette::new(&palette, frame.transparent);
                none.insert(encoder)
            }
        };
        encoder.write_lzw_pre_encoded_frame(&frame).map_err(|error| failed(&error))
    }

    /// Number of bytes of the file so far, without color tables that are not written yet.
    fn written(&self) -> usize {
        /// Signature, logical screen and loop count.
        const HEADER_BYTES: usize = 13 + 19;
        self.encoder.as_ref().map_or(HEADER_BYTES, |encoder| encoder.get_ref().len())
    }

    fn full_rect(&self) -> FrameRect {
        FrameRect { x: 0, y: 0, width: self.width.into(), height: self.height.into() }
    }

    /// The smallest rectangle that contains all changes, or a single pixel if nothing changed.
    fn changed_rect(&self, frame: &[[u8; 4]]) -> FrameRect {
        let width = usize::from(self.width);
        let changes = |at: &usize| differs(self.base[*at], frame[*at]);
        let all = || (0..frame.len()).filter(changes);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (Some(first), Some(last)) = (all().next(), all().next_back()) else {
            return FrameRect { x: 0, y: 0, width: 1, height: 1 };
        };
        let left = all().map(|at| at % width).min().unwrap_or(0);
        let right = all().map(|at| at % width).max().unwrap_or(0);
        let (top, bottom) = (first / width, last / width);
        let (columns, rows) = (number(right - left + 1), number(bottom - top + 1));
        FrameRect { x: number(left), y: number(top), width: columns, height: rows }
    }
}

/// True if a pixel has to be drawn again.
fn differs(shown: [u8; 4], next: [u8; 4]) -> bool {
    shown.into_iter().zip(next).any(|(shown, next)| shown.abs_diff(next) > UNCHANGED_MAX)
}

/// The frame with compressed pixels, whose first byte is the minimum code size.
fn compressed(indexed: IndexedFrame, rect: &FrameRect, delay: Duration, dispose: DisposalMethod) -> Frame<'static> {
    let side = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    let mut frame = Frame {
        delay: u16::try_from((delay.as_millis() + 5) / 10).unwrap_or(u16::MAX),
        dispose,
        transparent: indexed.transparent,
        left: side(rect.x),
        top: side(rect.y),
        width: side(rect.width),
        height: side(rect.height),
        palette: indexed.palette,
        buffer: Cow::Owned(indexed.indices),
        ..Frame::default()
    };
    frame.make_lzw_pre_encoded();
    frame
}

/// Bytes of a frame in the file, with the trailer (GIF89a, sections 20 to 23).
fn encoded_bytes(frame: &Frame<'_>) -> usize {
    const CONTROL: usize = 8;
    const DESCRIPTOR: usize = 10;
    let table = frame.palette.as_ref().map_or(0, |palette| 3 * (palette.len() / 3).max(2).next_power_of_two());
    let data = frame.buffer.len() + frame.buffer.len().div_ceil(255) + 1;
    CONTROL + DESCRIPTOR + table + data + 1
}

fn failed(error: &dyn ToString) -> Error {
    Error::Encode { reason: error.to_string() }
}
