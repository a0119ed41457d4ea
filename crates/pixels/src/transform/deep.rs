//! Scaling of 16-bit pixels, in floating point.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::LazyLock;

use crate::pixels::{Pixels, Sample as _, Window};
use crate::transform::convolve::{Rows, convolve};
use crate::transform::linear_light::{encoded, light};

/// Scales the window to `size`, in linear light if `linear_light` is set. With 2 or 4 channels the last one is alpha, and
/// colors are premultiplied.
pub(crate) fn resample(
    pixels: &Pixels<u16>,
    window: Window,
    size: (NonZeroU32, NonZeroU32),
    linear_light: bool,
) -> Pixels<u16> {
    let light = linear_light.then(|| LIGHT.as_slice());
    match pixels.channels {
        1 => convolve(&mut Deep::<1> { pixels, light }, window, size),
        2 => convolve(&mut Deep::<2> { pixels, light }, window, size),
        3 => convolve(&mut Deep::<3> { pixels, light }, window, size),
        _ => convolve(&mut Deep::<4> { pixels, light }, window, size),
    }
}

/// Linear light of each sample.
static LIGHT: LazyLock<Vec<f32>> =
    LazyLock::new(|| (0..=u16::MAX).map(|sample| light(f32::from(sample) / WHITE)).collect());

const WHITE: f32 = 65_535.0;

struct Deep<'a, const CHANNELS: usize> {
    pixels: &'a Pixels<u16>,
    /// The light of each sample, if light is averaged.
    light: Option<&'a [f32]>,
}

impl<const CHANNELS: usize> Deep<'_, CHANNELS> {
    const HAS_ALPHA: bool = CHANNELS.is_multiple_of(2);

    fn sample(&self, mean: f32) -> u16 {
        u16::from_unit(if self.light.is_some() { encoded(mean) } else { mean })
    }
}

impl<const CHANNELS: usize> Rows for Deep<'_, CHANNELS> {
    type Sample = u16;

    fn size(&self) -> (u32, u32) {
        (self.pixels.width, self.pixels.height)
    }

    fn channels(&self) -> usize {
        CHANNELS
    }

    /// Writes values of 0 to 1. Colors are multiplied by alpha.
    #[inline(always)]
    fn load(&mut self, y: usize, columns: Range<usize>, values: &mut [f32]) {
        let pixels = self.pixels.row::<CHANNELS>(y, columns);
        for (channel, values) in values.chunks_exact_mut(pixels.len().max(1)).enumerate() {
            let is_alpha = Self::HAS_ALPHA && channel + 1 == CHANNELS;
            for (value, pixel) in values.iter_mut().zip(pixels) {
                let sample = pixel[channel];
                let color = match self.light {
                    Some(light) if !is_alpha => light.get(usize::from(sample)).copied().unwrap_or(1.0),
                    _ => f32::from(sample) / WHITE,
                };
                let has_opacity = Self::HAS_ALPHA && !is_alpha;
                *value = if has_opacity { color * f32::from(pixel[CHANNELS - 1]) / WHITE } else { color };
            }
        }
    }

    /// Transparent pixels become black.
    #[inline(always)]
    fn store(&self, means: &[f32], row: &mut [u16]) {
        let pixels = row.as_chunks_mut::<CHANNELS>().0;
        let width = pixels.len();
        for (x, pixel) in pixels.iter_mut().enumerate() {
            let alpha = if Self::HAS_ALPHA { means[(CHANNELS - 1) * width + x] } else { 1.0 };
            let visible = if alpha < 0.5 / WHITE { 0.0 } else { 1.0 / alpha };
            *pixel = std::array::from_fn(|n| match Self::HAS_ALPHA && n + 1 == CHANNELS {
                true => u16::from_unit(alpha),
                false => self.sample(means[n * width + x] * visible),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(channels: u8, data: Vec<u16>, linear_light: bool) -> Vec<u16> {
        let width = u32::try_from(data.len()).unwrap() / u32::from(channels);
        let window = Window { x: 0.0, y: 0.0, width: width.into(), height: 1.0 };
        let size = (NonZeroU32::new(width / 4).unwrap(), NonZeroU32::MIN);
        resample(&Pixels { width, height: 1, channels, data }, window, size, linear_light).data
    }

    #[test]
    fn flat_samples_keep_16_bits() {
        for sample in [0, 1, 257, 12_345, 40_001, 65_534, u16::MAX] {
            for channels in 1..=4 {
                let data = (0..channels).map(|_| sample).collect::<Vec<_>>().repeat(64);
                for made in scaled(channels, data.clone(), false).into_iter().chain(scaled(channels, data, true)) {
                    assert!(made.abs_diff(sample) <= 1, "{channels} {sample} {made}");
                }
            }
        }
    }

    #[test]
    fn transparent_colors_do_not_bleed_and_light_is_averaged() {
        let transparent = [[u16::MAX, 0, 0, 0], [0, 30_000, 0, u16::MAX]].concat().repeat(32);
        for pixel in scaled(4, transparent, false).as_chunks::<4>().0 {
            assert!(pixel[0] == 0 && pixel[1].abs_diff(30_000) <= 1, "{pixel:?}");
        }
        // Half the light is 0.7354 in sRGB (IEC 61966-2-1).
        let made = scaled(1, [0, u16::MAX].repeat(64), true)[8];
        assert!(made.abs_diff(48_195) < 600, "{made}");
    }
}
