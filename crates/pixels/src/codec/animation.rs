//! Frames of an animation, and the canvas on which they are composed.

use std::time::Duration;

use crate::context::RenderContext;
use crate::error::Error;
use crate::pixels::Pixels;

/// Replaces delays of up to 10 ms by 100 ms, as all browsers do.
pub(crate) fn normalize_delay(delay: Duration) -> Duration {
    if delay <= Duration::from_millis(10) { Duration::from_millis(100) } else { delay }
}

/// How many times an animation is played; 0 repeats it without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LoopCount(pub(crate) u16);

impl LoopCount {
    pub(crate) const ONCE: Self = Self(1);
    pub(crate) const INFINITE: Self = Self(0);
}

/// An animation's frames, one after the other, each as the whole canvas is then seen.
pub(crate) trait AnimationFrames {
    /// Lays the next frame on the canvas and says how long it is shown; `None` behind the last.
    fn next(&mut self, context: &RenderContext) -> Result<Option<Duration>, Error>;

    /// The canvas, in RGB or RGBA.
    fn canvas(&self) -> &Pixels;

    /// How often the animation is shown; known behind the first frame.
    fn loop_count(&self) -> LoopCount;
}

/// A part of a canvas, which may stand out of it.
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

/// RGBA pixels that are drawn on.
#[derive(Debug)]
pub(crate) struct Canvas(Pixels);

impl Canvas {
    /// Nothing to be seen on it.
    pub(crate) fn clear(width: u32, height: u32) -> Self {
        let data = vec![0; width as usize * height as usize * 4];
        Self(Pixels { width, height, channels: 4, data })
    }

    /// Puts the pixels that `color` makes of `source`, row by row, where it makes one.
    pub(crate) fn draw<T>(&mut self, place: &FrameRect, source: &[T], color: impl Fn(&T) -> Option<[u8; 4]>) {
        let rows = source.chunks_exact((place.width as usize).max(1));
        for (row, y) in rows.zip(place.y..self.0.height) {
            for (pixel, source) in self.row_mut(place, y).iter_mut().zip(row) {
                if let Some(color) = color(source) {
                    *pixel = color;
                }
            }
        }
    }

    /// Lays pixels over what is there.
    pub(crate) fn blend(&mut self, place: &FrameRect, source: &[[u8; 4]]) {
        let rows = source.chunks_exact((place.width as usize).max(1));
        for (row, y) in rows.zip(place.y..self.0.height) {
            for (below, above) in self.row_mut(place, y).iter_mut().zip(row) {
                *below = over(*above, *below);
            }
        }
    }

    pub(crate) fn clear_at(&mut self, place: &FrameRect) {
        for y in place.y..self.0.height.min(place.y.saturating_add(place.height)) {
            self.row_mut(place, y).fill([0; 4]);
        }
    }

    /// The pixels of a place, as far as they lie on the canvas.
    pub(crate) fn copy(&mut self, place: &FrameRect) -> Vec<u8> {
        let mut pixels = Vec::new();
        for y in place.y..self.0.height.min(place.y.saturating_add(place.height)) {
            pixels.extend_from_slice(self.row_mut(place, y).as_flattened());
        }
        pixels
    }

    /// Puts back what [`copy`](Self::copy) gave.
    pub(crate) fn restore(&mut self, place: &FrameRect, pixels: &[u8]) {
        let mut rest = pixels;
        for y in place.y..self.0.height.min(place.y.saturating_add(place.height)) {
            let row = self.row_mut(place, y).as_flattened_mut();
            let Some((own, after)) = rest.split_at_checked(row.len()) else { return };
            row.copy_from_slice(own);
            rest = after;
        }
    }

    pub(crate) fn pixels(&self) -> &Pixels {
        &self.0
    }

    pub(crate) fn into_pixels(self) -> Pixels {
        self.0
    }

    /// The pixels of a place in row `y`, as far as they lie on the canvas.
    fn row_mut(&mut self, place: &FrameRect, y: u32) -> &mut [[u8; 4]] {
        let width = self.0.width as usize;
        let (pixels, _) = self.0.data.as_chunks_mut::<4>();
        let row = pixels.get_mut(y as usize * width..).and_then(|rest| rest.get_mut(..width)).unwrap_or_default();
        let begin = (place.x as usize).min(width);
        let end = begin.saturating_add(place.width as usize).min(width);
        &mut row[begin..end]
    }
}

/// One color over another, alpha not premultiplied (RFC 9649 section 2.7.1.1).
fn over(above: [u8; 4], below: [u8; 4]) -> [u8; 4] {
    match (above[3], below[3]) {
        (255, _) | (_, 0) => return above,
        (0, _) => return below,
        _ => {}
    }
    let (own, through) = (255 * u32::from(above[3]), u32::from(below[3]) * u32::from(255 - above[3]));
    let whole = own + through;
    let mean = |n: usize| (u32::from(above[n]) * own + u32::from(below[n]) * through + whole / 2) / whole;
    let byte = |n: u32| u8::try_from(n).unwrap_or(u8::MAX);
    [byte(mean(0)), byte(mean(1)), byte(mean(2)), byte((whole + 127) / 255)]
}
