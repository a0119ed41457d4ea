//! Decoded pixels, and a rectangle of them.

use std::ops::Range;

/// Decoded samples of 8 or 16 bits in row order without padding.
///
/// The number of `channels` gives the layout: 1 is gray, 2 gray and alpha, 3 RGB, 4 RGBA (or CMYK before the color
/// conversion). Alpha is not premultiplied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels<S = u8> {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: u8,
    pub(crate) data: Vec<S>,
}

/// A sample of 8 or 16 bits.
pub(crate) trait Sample: Copy + Default + Into<u32> + Into<f32> {
    /// The largest sample: white, or opaque.
    const WHITE: Self;

    /// The nearest sample of 8 bits.
    fn to_u8(self) -> u8;
}

impl Sample for u8 {
    const WHITE: Self = Self::MAX;

    fn to_u8(self) -> u8 {
        self
    }
}

impl Sample for u16 {
    const WHITE: Self = Self::MAX;

    fn to_u8(self) -> u8 {
        u8::try_from((u32::from(self) * 255 + 32_767) / 65_535).unwrap_or(u8::MAX)
    }
}

/// A rectangle in pixels. Its edges may lie between two pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl<S> Pixels<S> {
    /// Some columns of row `y`, which has `CHANNELS` channels.
    pub(crate) fn row<const CHANNELS: usize>(&self, y: usize, columns: Range<usize>) -> &[[S; CHANNELS]] {
        let (pixels, _) = self.data.as_chunks::<CHANNELS>();
        let begin = y * self.width as usize;
        pixels.get(begin + columns.start..begin + columns.end).unwrap_or_default()
    }
}
