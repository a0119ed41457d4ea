//! Scaling with premultiplied alpha, so that the colors of transparent pixels do not bleed into visible ones. The
//! arithmetic is in floating point, because 8 bits would lose the colors of nearly transparent pixels.

use std::num::NonZeroU32;

use crate::pixels::{Pixels, Window};
use crate::transform::convolve::{convolve, to_u8};

/// Scales the window of an image in gray and alpha or in RGBA to `size`.
pub(crate) fn resample(pixels: &Pixels, window: Window, size: (NonZeroU32, NonZeroU32)) -> Pixels {
    match pixels.channels {
        2 => resample_channels::<2>(pixels, window, size),
        _ => resample_channels::<4>(pixels, window, size),
    }
}

fn resample_channels<const CHANNELS: usize>(pixels: &Pixels, window: Window, size: (NonZeroU32, NonZeroU32)) -> Pixels {
    let to_linear = |pixel: [u8; CHANNELS]| premultiply(pixel.map(f32::from));
    convolve(pixels, window, size, to_linear, |mean| unpremultiply(mean).map(to_u8))
}

/// Multiplies the colors by the alpha of 0 to 255, and scales alpha by 255 to match.
pub(crate) fn premultiply<const CHANNELS: usize>(pixel: [f32; CHANNELS]) -> [f32; CHANNELS] {
    let alpha = pixel[CHANNELS - 1];
    std::array::from_fn(|n| if n + 1 == CHANNELS { 255.0 * alpha } else { pixel[n] * alpha })
}

/// Reverts [`premultiply`]. Transparent pixels become black.
pub(crate) fn unpremultiply<const CHANNELS: usize>(mean: [f32; CHANNELS]) -> [f32; CHANNELS] {
    let alpha = mean[CHANNELS - 1] / 255.0;
    let visible = if alpha < 0.5 { 0.0 } else { 1.0 / alpha };
    std::array::from_fn(|n| if n + 1 == CHANNELS { alpha } else { mean[n] * visible })
}
