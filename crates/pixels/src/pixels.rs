//! Decoded pixels, and a rectangle of them.

use std::ops::Range;

use crate::codec::planes::level;
use crate::transform::color::rounded;
use crate::transform::linear_light;

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

    /// The sample with this number, at most that of [`WHITE`](Self::WHITE).
    fn from_number(number: u32) -> Self;

    /// The nearest sample to a value of 0 to 1, which is clamped.
    fn from_unit(value: f32) -> Self;

    /// The value of 0 to 1 in sRGB of linear light of 0 to 1, with at least the precision of the sample.
    fn encoded(light: f32) -> f32;
}

impl Sample for u8 {
    const WHITE: Self = Self::MAX;

    fn to_u8(self) -> u8 {
        self
    }

    fn from_number(number: u32) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }

    #[inline(always)]
    fn from_unit(value: f32) -> Self {
        level(255.0 * value)
    }

    #[inline(always)]
    fn encoded(light: f32) -> f32 {
        f32::from(linear_light::sample(light)) / 255.0
    }
}

impl Sample for u16 {
    const WHITE: Self = Self::MAX;

    fn to_u8(self) -> u8 {
        rounded(self)
    }

    fn from_number(number: u32) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65,535")]
    fn from_unit(value: f32) -> Self {
        (value.clamp(0.0, 1.0) * 65_535.0 + 0.5) as Self
    }

    #[inline(always)]
    fn encoded(light: f32) -> f32 {
        linear_light::encoded(light)
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

impl Pixels<u16> {
    /// The nearest samples of 8 bits.
    pub(crate) fn to_eight_bits(&self) -> Pixels {
        let data = self.data.iter().map(|sample| sample.to_u8()).collect();
        Pixels { width: self.width, height: self.height, channels: self.channels, data }
    }
}

impl<S> Pixels<S> {
    /// Some columns of row `y`, which has `CHANNELS` channels.
    pub(crate) fn row<const CHANNELS: usize>(&self, y: usize, columns: Range<usize>) -> &[[S; CHANNELS]] {
        let (pixels, _) = self.data.as_chunks::<CHANNELS>();
        let begin = y * self.width as usize;
        pixels.get(begin + columns.start..begin + columns.end).unwrap_or_default()
    }
}
