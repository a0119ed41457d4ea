//! Scaling with premultiplied alpha, so that the colors of transparent pixels do not bleed into visible ones. The
//! arithmetic is in floating point, because 8 bits would lose the colors of nearly transparent pixels.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::pixels::{Pixels, Window};
use crate::transform::convolve::{Rows, convolve, to_u8};

/// Scales the window of an image in gray and alpha or in RGBA to `size`. `light` gives the value of a color sample that
/// is averaged, from 0 to 255, and `sample` is its inverse.
pub(crate) fn resample(
    pixels: &Pixels,
    window: Window,
    size: (NonZeroU32, NonZeroU32),
    light: impl Fn(u8) -> f32,
    sample: impl Fn(f32) -> u8,
) -> Pixels {
    match pixels.channels {
        2 => convolve(&mut Premultiplied::<2, _, _> { pixels, light, sample }, window, size),
        _ => convolve(&mut Premultiplied::<4, _, _> { pixels, light, sample }, window, size),
    }
}

/// Rows of colors that are multiplied by alpha, and alpha times 255.
struct Premultiplied<'a, const CHANNELS: usize, L, S> {
    pixels: &'a Pixels,
    light: L,
    sample: S,
}

impl<const CHANNELS: usize, L: Fn(u8) -> f32, S: Fn(f32) -> u8> Rows for Premultiplied<'_, CHANNELS, L, S> {
    type Sample = u8;

    fn size(&self) -> (u32, u32) {
        (self.pixels.width, self.pixels.height)
    }

    fn channels(&self) -> usize {
        CHANNELS
    }

    #[inline(always)]
    fn load(&mut self, y: usize, columns: Range<usize>, values: &mut [f32]) {
        let pixels = self.pixels.row::<CHANNELS>(y, columns);
        for (channel, values) in values.chunks_exact_mut(pixels.len().max(1)).enumerate() {
            let is_alpha = channel + 1 == CHANNELS;
            for (value, pixel) in values.iter_mut().zip(pixels) {
                // Bytes of one number are extracted from many pixels at once.
                let mut bytes = [0; 4];
                bytes[..CHANNELS].copy_from_slice(pixel);
                let number = u32::from_le_bytes(bytes);
                let byte = |n: usize| (number >> (8 * n)).to_le_bytes()[0];
                let color = if is_alpha { 255.0 } else { (self.light)(byte(channel)) };
                *value = color * f32::from(byte(CHANNELS - 1));
            }
        }
    }

    /// Transparent pixels become black.
    #[inline(always)]
    fn store(&self, means: &[f32], row: &mut [u8]) {
        let pixels = row.as_chunks_mut::<CHANNELS>().0;
        let width = pixels.len();
        for (x, pixel) in pixels.iter_mut().enumerate() {
            let alpha = means[(CHANNELS - 1) * width + x] / 255.0;
            let visible = if alpha < 0.5 { 0.0 } else { 1.0 / alpha };
            *pixel = std::array::from_fn(|n| {
                if n + 1 == CHANNELS { to_u8(alpha) } else { (self.sample)(means[n * width + x] * visible) }
            });
        }
    }
}
