//! Pictures that move: a canvas, what is laid on it frame by frame, and the whole of it made small.

use std::time::Duration;

use super::RenderError;
use super::decode::Job;
use super::scale::Pixels;

/// How often an animation is shown; zero is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Loops(pub(super) u16);

impl Loops {
    pub(super) const ONCE: Self = Self(1);
    pub(super) const FOR_EVER: Self = Self(0);
}

/// An animation's frames, one after the other, each as the whole canvas is then seen.
#[expect(dead_code, reason = "for variants that move, which are next")]
pub(super) trait Frames {
    /// Lays the next frame on the canvas and says how long it is shown; `None` behind the last.
    fn next(&mut self, job: &Job) -> Result<Option<Duration>, RenderError>;

    /// The canvas, in RGB or RGBA.
    fn canvas(&self) -> &Pixels;

    /// How often the animation is shown; known behind the first frame.
    fn loops(&self) -> Loops;
}

/// A part of a canvas, which may stand out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Place {
    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// RGBA pixels that are drawn on.
#[derive(Debug)]
pub(super) struct Canvas(Pixels);

impl Canvas {
    /// Nothing to be seen on it.
    pub(super) fn clear(width: u32, height: u32) -> Self {
        let data = vec![0; width as usize * height as usize * 4];
        Self(Pixels { width, height, channels: 4, data })
    }

    /// Puts the pixels that `colour` makes of `source`, row by row, where it makes one.
    pub(super) fn draw<T>(&mut self, place: &Place, source: &[T], colour: impl Fn(&T) -> Option<[u8; 4]>) {
        let rows = source.chunks_exact((place.width as usize).max(1));
        for (row, y) in rows.zip(place.y..self.0.height) {
            for (pixel, source) in self.row_mut(place, y).iter_mut().zip(row) {
                if let Some(colour) = colour(source) {
                    *pixel = colour;
                }
            }
        }
    }

    pub(super) fn clear_at(&mut self, place: &Place) {
        for y in place.y..self.0.height.min(place.y.saturating_add(place.height)) {
            self.row_mut(place, y).fill([0; 4]);
        }
    }

    /// The pixels of a place, as far as they lie on the canvas.
    pub(super) fn copy(&mut self, place: &Place) -> Vec<u8> {
        let mut pixels = Vec::new();
        for y in place.y..self.0.height.min(place.y.saturating_add(place.height)) {
            pixels.extend_from_slice(self.row_mut(place, y).as_flattened());
        }
        pixels
    }

    /// Puts back what [`copy`](Self::copy) gave.
    pub(super) fn restore(&mut self, place: &Place, pixels: &[u8]) {
        let mut rest = pixels;
        for y in place.y..self.0.height.min(place.y.saturating_add(place.height)) {
            let row = self.row_mut(place, y).as_flattened_mut();
            let Some((own, after)) = rest.split_at_checked(row.len()) else { return };
            row.copy_from_slice(own);
            rest = after;
        }
    }

    pub(super) fn pixels(&self) -> &Pixels {
        &self.0
    }

    pub(super) fn into_pixels(self) -> Pixels {
        self.0
    }

    /// The pixels of a place in row `y`, as far as they lie on the canvas.
    fn row_mut(&mut self, place: &Place, y: u32) -> &mut [[u8; 4]] {
        let width = self.0.width as usize;
        let (pixels, _) = self.0.data.as_chunks_mut::<4>();
        let row = pixels.get_mut(y as usize * width..).and_then(|rest| rest.get_mut(..width)).unwrap_or_default();
        let begin = (place.x as usize).min(width);
        let end = begin.saturating_add(place.width as usize).min(width);
        &mut row[begin..end]
    }
}
