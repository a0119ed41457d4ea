//! Scaling in linear light. sRGB samples are gamma-encoded, so their mean is darker than the mean of the light.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::LazyLock;

use crate::pixels::{Pixels, Window};
use crate::transform::alpha;
use crate::transform::convolve::{Rows, convolve};

/// The transfer function of sRGB (IEC 61966-2-1) and its inverse as lookup tables. Light is scaled to 0 to 255.
static CURVE: LazyLock<Curve> = LazyLock::new(Curve::new);

struct Curve {
    light: [f32; 256],
    samples: [u8; STEPS],
}

/// Steps of the inverse table. The two darkest samples are five steps apart.
const STEPS: usize = 1 << 14;

impl Curve {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
    fn new() -> Self {
        let light = std::array::from_fn(|sample| {
            let sample = f64::from(sample as u8) / 255.0;
            let light = if sample <= 0.04045 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) };
            (light * 255.0) as f32
        });
        let samples = std::array::from_fn(|step| {
            let light = step as f64 / (STEPS - 1) as f64;
            let sample = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
            (sample * 255.0).round() as u8
        });
        Self { light, samples }
    }

    /// The sample for light of 0 to 255. Light outside of this range is clipped.
    #[inline(always)]
    fn sample(&self, light: f32) -> u8 {
        // A number near 1.5 * 2^23 has no fraction bits, so its low bits are the integer (IEEE 754 binary32).
        const ROUNDED: f32 = 12_582_912.0;
        let step = light.clamp(0.0, 255.0) * ((STEPS - 1) as f32 / 255.0) + ROUNDED;
        self.samples[step.to_bits() as usize % STEPS]
    }
}

/// sRGB sample for linear light of 0 to 1.
pub(crate) fn sample(light: f32) -> u8 {
    CURVE.sample(light * 255.0)
}

/// Light of 0 to 1 (IEC 61966-2-1) of a sample of 0 to 1.
pub(crate) fn light(sample: f32) -> f32 {
    if sample <= 0.04045 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) }
}

/// sRGB sample of 0 to 1 for linear light of 0 to 1. The error is less than 1e-6.
pub(crate) fn encoded(light: f32) -> f32 {
    // The entries are spaced by the square root of light, because the curve is almost straight then.
    let at = light.clamp(0.0, 1.0).sqrt() * ROOTS as f32;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the number of entries")]
    let n = (at as usize).min(ROOTS - 1);
    let (low, high) = (ENCODED[n], ENCODED[n + 1]);
    low + (high - low) * (at - n as f32)
}

/// Entries of the table of [`encoded`].
const ROOTS: usize = 1 << 12;

static ENCODED: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let sample = |n: usize| {
        let light = (n as f64 / ROOTS as f64).powi(2);
        if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
    };
    (0..=ROOTS).map(|n| sample(n) as f32).collect()
});

/// Scales the window to `size` in linear light. With 2 or 4 channels the last one is alpha, and colors are
/// premultiplied.
pub(crate) fn resample(pixels: &Pixels, window: Window, size: (NonZeroU32, NonZeroU32)) -> Pixels {
    match pixels.channels {
        1 => convolve(&mut Opaque::<1> { pixels }, window, size),
        3 => convolve(&mut Opaque::<3> { pixels }, window, size),
        _ => {
            let curve = &*CURVE;
            let light = |sample| curve.light[usize::from(sample)];
            alpha::resample(pixels, window, size, light, |light| curve.sample(light))
        }
    }
}

/// Scales rows of 8-bit samples in sRGB to `size`.
struct Opaque<'a, const CHANNELS: usize> {
    pixels: &'a Pixels,
}

impl<const CHANNELS: usize> Rows for Opaque<'_, CHANNELS> {
    type Sample = u8;

    fn size(&self) -> (u32, u32) {
        (self.pixels.width, self.pixels.height)
    }

    fn channels(&self) -> usize {
        CHANNELS
    }

    #[inline(always)]
    fn load(&mut self, y: usize, columns: Range<usize>, values: &mut [f32]) {
        let (pixels, curve) = (self.pixels.row::<CHANNELS>(y, columns), &CURVE.light);
        for (channel, values) in values.chunks_exact_mut(pixels.len().max(1)).enumerate() {
            for (value, pixel) in values.iter_mut().zip(pixels) {
                *value = curve[usize::from(pixel[channel])];
            }
        }
    }

    #[inline(always)]
    fn store(&self, means: &[f32], row: &mut [u8]) {
        store(means, row.as_chunks_mut::<CHANNELS>().0);
    }
}

/// Writes linear light of 0 to 1 for each sample.
pub(crate) fn load(samples: &[u8], light: &mut [f32]) {
    let curve = &CURVE.light;
    for (light, sample) in light.iter_mut().zip(samples) {
        *light = curve[usize::from(*sample)];
    }
}

/// Converts linear light, which comes one channel after the other, to a row of pixels.
pub(crate) fn store<const CHANNELS: usize>(light: &[f32], row: &mut [[u8; CHANNELS]]) {
    let curve = &*CURVE;
    for (channel, light) in light.chunks_exact(row.len().max(1)).enumerate() {
        for (pixel, light) in row.iter_mut().zip(light) {
            pixel[channel] = curve.sample(*light);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_survive_a_round_trip_through_linear_light() {
        let curve = Curve::new();
        for sample in 0..=u8::MAX {
            let light = curve.light[usize::from(sample)];
            assert_eq!(curve.sample(light), sample, "{light}");
        }
    }

    #[test]
    fn the_table_of_samples_is_the_inverse_of_light() {
        for n in 0..=u16::MAX {
            let sample = f32::from(n) / 65_535.0;
            assert!((encoded(light(sample)) - sample).abs() < 4e-6, "{n}");
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
