//! Frames of an animation, and the canvas on which they are composed.

use std::time::Duration;

use crate::context::RenderContext;
use crate::error::Error;
use crate::pixels::Pixels;

/// Replaces delays of up to 10 ms by 100 ms, as all browsers do.
pub(crate) fn normalize_delay(delay: Duration) -> Duration {
    if delay <= Duration::from_millis(10) { Duration::from_millis(100) } else { delay }
}

/// Number of times an animation plays. 0 is infinite. A format that cannot store a number plays its largest one.
///
/// A GIF without the extension plays once, and the extension states the number of repetitions, which is one less; WebP
/// (`ANIM`) and APNG (`num_plays`) state the number of plays. 0 is infinite in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoopCount(pub(crate) u32);

impl LoopCount {
    pub(crate) const ONCE: Self = Self(1);
    pub(crate) const INFINITE: Self = Self(0);

    /// The field of `ANIM` in a WebP.
    pub(crate) fn to_webp(self) -> u16 {
        u16::try_from(self.0).unwrap_or(u16::MAX)
    }

    /// The field of the extension of a GIF. `None` if the file needs no extension.
    pub(crate) fn to_gif(self) -> Option<u16> {
        match self.0 {
            0 => Some(0),
            1 => None,
            plays => Some(u16::try_from(plays - 1).unwrap_or(u16::MAX)),
        }
    }
}

/// Decodes the frames of an animation onto a canvas.
pub(crate) trait AnimationFrames {
    /// Draws the next frame on the canvas and returns its duration. `None` after the last frame.
    fn next(&mut self, context: &RenderContext) -> Result<Option<Duration>, Error>;

    /// The canvas, in RGB or RGBA.
    fn canvas(&self) -> &Pixels;

    /// The loop count. Known after the first frame.
    fn loop_count(&self) -> LoopCount;

    /// Bytes of the file without metadata up to the last drawn frame, if the file is a GIF.
    fn gif_bytes(&self) -> Option<usize>;
}

/// A rectangle on the canvas. It may extend beyond the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameRect {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl FrameRect {
    pub(crate) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// The RGBA pixels on which frames are drawn.
#[derive(Debug)]
pub(crate) struct Canvas(Pixels);

impl Canvas {
    /// A transparent canvas.
    pub(crate) fn clear(width: u32, height: u32) -> Self {
        let data = vec![0; width as usize * height as usize * 4];
        Self(Pixels { width, height, channels: 4, data })
    }

    /// Replaces pixels by the colors that `color` returns for `source`, in row-major order. Pixels for which it returns
    /// `None` are kept.
    pub(crate) fn draw<T>(&mut self, rect: &FrameRect, source: &[T], color: impl Fn(&T) -> Option<[u8; 4]>) {
        let rows = source.chunks_exact((rect.width as usize).max(1));
        for (row, y) in rows.zip(rect.y..self.0.height) {
            for (pixel, source) in self.row_mut(rect, y).iter_mut().zip(row) {
                if let Some(color) = color(source) {
                    *pixel = color;
                }
            }
        }
    }

    /// Alpha-blends pixels over the canvas.
    pub(crate) fn blend(&mut self, rect: &FrameRect, source: &[[u8; 4]]) {
        let rows = source.chunks_exact((rect.width as usize).max(1));
        for (row, y) in rows.zip(rect.y..self.0.height) {
            for (below, above) in self.row_mut(rect, y).iter_mut().zip(row) {
                *below = over(*above, *below);
            }
        }
    }

    pub(crate) fn clear_at(&mut self, rect: &FrameRect) {
        for y in rect.y..self.0.height.min(rect.y.saturating_add(rect.height)) {
            self.row_mut(rect, y).fill([0; 4]);
        }
    }

    /// Copies the part of a rectangle that lies on the canvas.
    pub(crate) fn copy(&mut self, rect: &FrameRect) -> Vec<u8> {
        let rows = rect.y..self.0.height.min(rect.y.saturating_add(rect.height));
        let columns = self.row_mut(rect, rect.y).len();
        let mut pixels = Vec::with_capacity(4 * columns * rows.len());
        for y in rows {
            pixels.extend_from_slice(self.row_mut(rect, y).as_flattened());
        }
        pixels
    }

    /// Restores pixels that [`copy`](Self::copy) returned.
    pub(crate) fn restore(&mut self, rect: &FrameRect, pixels: &[u8]) {
        let mut rest = pixels;
        for y in rect.y..self.0.height.min(rect.y.saturating_add(rect.height)) {
            let row = self.row_mut(rect, y).as_flattened_mut();
            let Some((saved, after)) = rest.split_at_checked(row.len()) else { return };
            row.copy_from_slice(saved);
            rest = after;
        }
    }

    pub(crate) fn pixels(&self) -> &Pixels {
        &self.0
    }

    pub(crate) fn into_pixels(self) -> Pixels {
        self.0
    }

    /// The part of row `y` of a rectangle that lies on the canvas.
    fn row_mut(&mut self, rect: &FrameRect, y: u32) -> &mut [[u8; 4]] {
        let width = self.0.width as usize;
        let (pixels, _) = self.0.data.as_chunks_mut::<4>();
        let row = pixels.get_mut(y as usize * width..).and_then(|rest| rest.get_mut(..width)).unwrap_or_default();
        let begin = (rect.x as usize).min(width);
        let end = begin.saturating_add(rect.width as usize).min(width);
        &mut row[begin..end]
    }
}

/// Alpha-blends one color over another, both with straight alpha (RFC 9649, section 2.7.1.1).
fn over(above: [u8; 4], below: [u8; 4]) -> [u8; 4] {
    match (above[3], below[3]) {
        (255, _) | (_, 0) => return above,
        (0, _) => return below,
        _ => {}
    }
    let (above_weight, below_weight) = (255 * u32::from(above[3]), u32::from(below[3]) * u32::from(255 - above[3]));
    let sum = above_weight + below_weight;
    let mean = |n: usize| (u32::from(above[n]) * above_weight + u32::from(below[n]) * below_weight + sum / 2) / sum;
    let byte = |n: u32| u8::try_from(n).unwrap_or(u8::MAX);
    [byte(mean(0)), byte(mean(1)), byte(mean(2)), byte((sum + 127) / 255)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loop_counts_are_converted_and_never_wrap() {
        let table = [
            (0, 0, Some(0)),
            (1, 1, None),
            (2, 2, Some(1)),
            (65_535, 65_535, Some(65_534)),
            (65_536, 65_535, Some(65_535)),
            (u32::MAX, 65_535, Some(65_535)),
        ];
        for (plays, webp, gif) in table {
            assert_eq!((LoopCount(plays).to_webp(), LoopCount(plays).to_gif()), (webp, gif), "{plays}");
        }
    }
}
