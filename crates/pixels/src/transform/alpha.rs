//! Alpha multiplied into the other channels while a picture is scaled, so that what cannot be seen does not bleed into what
//! can; and taken out of them again. In floating point: in eight bits the colors of what is nearly clear are lost.

use std::num::NonZeroU32;

use crate::pixels::{Pixels, Window};
use crate::transform::convolve::{byte, convolve};

/// The window at `size`, of gray and alpha or of RGBA.
pub(crate) fn resample(pixels: &Pixels, window: Window, size: (NonZeroU32, NonZeroU32)) -> Pixels {
    match pixels.channels {
        2 => of::<2>(pixels, window, size),
        _ => of::<4>(pixels, window, size),
    }
}

fn of<const CHANNELS: usize>(pixels: &Pixels, window: Window, size: (NonZeroU32, NonZeroU32)) -> Pixels {
    let lift = |pixel: [u8; CHANNELS]| multiply(pixel.map(f32::from));
    convolve(pixels, window, size, lift, |mean| divide(mean).map(byte))
}

/// Colors of 0 to 255 times the alpha behind them, and that times 255.
pub(crate) fn multiply<const CHANNELS: usize>(pixel: [f32; CHANNELS]) -> [f32; CHANNELS] {
    let alpha = pixel[CHANNELS - 1];
    std::array::from_fn(|n| if n + 1 == CHANNELS { 255.0 * alpha } else { pixel[n] * alpha })
}

/// What [`multiply`] was given. Where nothing can be seen there is no color.
pub(crate) fn divide<const CHANNELS: usize>(mean: [f32; CHANNELS]) -> [f32; CHANNELS] {
    let alpha = mean[CHANNELS - 1] / 255.0;
    let visible = if alpha < 0.5 { 0.0 } else { 1.0 / alpha };
    std::array::from_fn(|n| if n + 1 == CHANNELS { alpha } else { mean[n] * visible })
}
