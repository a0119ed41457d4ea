//! Scaling in light: samples are numbers on sRGB's curve, and the mean of two of them is darker than the mean of their
//! light.

use std::num::NonZeroU32;
use std::sync::LazyLock;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeOptions, Resizer};

use super::RenderError;
use super::scale::{LANCZOS, Pixels, Window};

/// sRGB's curve (IEC 61966-2-1): the light of each sample in 16 bits, and the sample of each 4,096th of the light.
static CURVE: LazyLock<Curve> = LazyLock::new(Curve::new);

struct Curve {
    light: [u16; 256],
    sample: Box<[u8]>,
}

/// Light is looked up by its highest bits; the darkest samples are as far apart as one such step.
const STEPS_LOG2: u32 = 14;

impl Curve {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65,535 and 0 to 255")]
    fn new() -> Self {
        let light = std::array::from_fn(|sample| {
            let sample = sample as u16;
            let sample = f64::from(sample) / 255.0;
            let light = if sample <= 0.04045 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) };
            (light * 65_535.0).round() as u16
        });
        let steps = 1_u32 << STEPS_LOG2;
        let sample = |step: u32| {
            let light = (f64::from(step) + 0.5) / f64::from(steps);
            let sample = if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
            (sample * 255.0).round() as u8
        };
        Self { light, sample: (0..steps).map(sample).collect() }
    }
}

/// A window of the picture at another size; of an even number of channels the last is alpha, and premultiplied across it.
pub(super) fn resample(
    pixels: &Pixels,
    window: Window,
    (width, height): (NonZeroU32, NonZeroU32),
) -> Result<Pixels, RenderError> {
    let failed = |error: &dyn ToString| RenderError::Encode { reason: error.to_string() };
    let channels = usize::from(pixels.channels);
    let (pixel_type, has_alpha) = match channels {
        1 => (PixelType::U16, false),
        2 => (PixelType::U16x2, true),
        3 => (PixelType::U16x3, false),
        _ => (PixelType::U16x4, true),
    };
    let curve = &*CURVE;
    let mut source = Image::new(pixels.width, pixels.height, pixel_type);
    let lights = source.buffer_mut().as_chunks_mut::<2>().0.iter_mut();
    for ((n, light), sample) in lights.enumerate().zip(&pixels.data) {
        let is_alpha = has_alpha && n % channels == channels - 1;
        *light = if is_alpha { [*sample; 2] } else { curve.light[usize::from(*sample)].to_ne_bytes() };
    }
    let mut target = Image::new(width.get(), height.get(), pixel_type);
    let options = ResizeOptions::new().resize_alg(LANCZOS).use_alpha(has_alpha).crop(
        window.x.max(0.0),
        window.y.max(0.0),
        window.width,
        window.height,
    );
    let view = ImageRef::new(pixels.width, pixels.height, source.buffer(), pixel_type);
    let view = view.map_err(|error| failed(&error))?;
    Resizer::new().resize(&view, &mut target, &options).map_err(|error| failed(&error))?;
    let samples = target.buffer().as_chunks::<2>().0.iter().enumerate().map(|(n, light)| {
        let light = u16::from_ne_bytes(*light);
        if has_alpha && n % channels == channels - 1 {
            return light.to_be_bytes()[0];
        }
        curve.sample[usize::from(light >> (16 - STEPS_LOG2))]
    });
    Ok(Pixels { width: width.get(), height: height.get(), channels: pixels.channels, data: samples.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_comes_back_from_light() {
        let curve = Curve::new();
        for sample in 0..=u8::MAX {
            let light = curve.light[usize::from(sample)];
            assert_eq!(curve.sample[usize::from(light >> (16 - STEPS_LOG2))], sample, "{light}");
        }
    }

    #[test]
    fn the_mean_of_black_and_white_is_half_the_light() {
        let data = (0..64 * 64).map(|n| if (n + n / 64) % 2 == 0 { 255 } else { 0 }).collect();
        let pixels = Pixels { width: 64, height: 64, channels: 1, data };
        let window = Window { x: 0.0, y: 0.0, width: 64.0, height: 64.0 };
        let size = NonZeroU32::new(16).unwrap();
        let made = resample(&pixels, window, (size, size)).unwrap();
        // 188 of 255 is half the light (IEC 61966-2-1); the mean of the numbers would be 128.
        assert!(made.data[8 * 16 + 8].abs_diff(188) <= 1, "{}", made.data[8 * 16 + 8]);
    }
}
