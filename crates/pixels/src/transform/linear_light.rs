//! Scaling in linear light. sRGB samples are gamma-encoded, so their mean is darker than the mean of the light.

use std::num::NonZeroU32;
use std::sync::LazyLock;

use crate::pixels::{Pixels, Window};
use crate::transform::alpha::{premultiply, unpremultiply};
use crate::transform::convolve::{convolve, to_u8};

/// The transfer function of sRGB (IEC 61966-2-1) and its inverse as lookup tables. Light is scaled to 0 to 255.
static CURVE: LazyLock<Curve> = LazyLock::new(Curve::new);

struct Curve {
    light: [f32; 256],
    samples: Box<[u8]>,
}

/// Steps of the inverse table. The two darkest samples are five steps apart.
const STEPS: u16 = 1 << 14;

impl Curve {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
    fn new() -> Self {
        let light = std::array::from_fn(|sample| {
            let sample = f64::from(sample as u8) / 255.0;
            let light = if sample <= 0.04045 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) };
            (light * 255.0) as f32
        });
        let sample = |step: u16| {
            let light = (f64::from(step) + 0.5) / f64::from(STEPS);
            let sample = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
            (sample * 255.0).round() as u8
        };
        Self { light, samples: (0..STEPS).map(sample).collect() }
    }

    fn light(&self, sample: u8) -> f32 {
        self.light[usize::from(sample)]
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "out-of-range values are clipped")]
    fn sample(&self, light: f32) -> u8 {
        let step = (light * (f32::from(STEPS) / 255.0)) as usize;
        self.samples.get(step).copied().unwrap_or(u8::MAX)
    }
}

/// sRGB sample for linear light of 0 to 1.
pub(crate) fn sample(light: f32) -> u8 {
    CURVE.sample(light * 255.0)
}

/// Scales the window to `size` in linear light. With 2 or 4 channels the last one is alpha, and colors are
/// premultiplied.
pub(crate) fn resample(pixels: &Pixels, window: Window, size: (NonZeroU32, NonZeroU32)) -> Pixels {
    match pixels.channels {
        1 => opaque::<1>(pixels, window, size),
        2 => with_alpha::<2>(pixels, window, size),
        3 => opaque::<3>(pixels, window, size),
        _ => with_alpha::<4>(pixels, window, size),
    }
}

fn opaque<const CHANNELS: usize>(pixels: &Pixels, window: Window, size: (NonZeroU32, NonZeroU32)) -> Pixels {
    let curve = &*CURVE;
    let to_linear = |pixel: [u8; CHANNELS]| pixel.map(|sample| curve.light(sample));
    convolve(pixels, window, size, to_linear, |mean| mean.map(|light| curve.sample(light)))
}

fn with_alpha<const CHANNELS: usize>(pixels: &Pixels, window: Window, size: (NonZeroU32, NonZeroU32)) -> Pixels {
    let curve = &*CURVE;
    let is_alpha = |n: usize| n + 1 == CHANNELS;
    let to_linear = |pixel: [u8; CHANNELS]| {
        premultiply(std::array::from_fn(|n| if is_alpha(n) { f32::from(pixel[n]) } else { curve.light(pixel[n]) }))
    };
    let from_linear = |mean| {
        let pixel: [f32; CHANNELS] = unpremultiply(mean);
        std::array::from_fn(|n| if is_alpha(n) { to_u8(pixel[n]) } else { curve.sample(pixel[n]) })
    };
    convolve(pixels, window, size, to_linear, from_linear)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_survive_a_round_trip_through_linear_light() {
        let curve = Curve::new();
        for sample in 0..=u8::MAX {
            let light = curve.light(sample);
            assert_eq!(curve.sample(light), sample, "{light}");
        }
    }

    #[test]
    fn mean_of_black_and_white_is_half_the_light() {
        let data = (0..64 * 64).map(|n| if (n + n / 64) % 2 == 0 { 255 } else { 0 }).collect();
        let pixels = Pixels { width: 64, height: 64, channels: 1, data };
        let window = Window { x: 0.0, y: 0.0, width: 64.0, height: 64.0 };
        let size = NonZeroU32::new(16).unwrap();
        let made = resample(&pixels, window, (size, size));
        // 188 of 255 is half the light (IEC 61966-2-1); the mean of the samples would be 128.
        assert!(made.data[8 * 16 + 8].abs_diff(188) <= 1, "{}", made.data[8 * 16 + 8]);
    }
}
