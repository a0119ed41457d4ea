//! Conversion of 16-bit pixels to sRGB or Display P3 with 16 bits.

use moxcms::{ColorProfile, DataColorSpace, Layout};

use super::{Conversion, Gamut, options};
use crate::pixels::Pixels;

/// Conversion of decoded samples of 16 bits.
pub(crate) struct DeepConversion {
    /// The same conversion for samples of 8 bits. It determines the color space of a variant.
    eight: Conversion,
    /// The colors of the samples; `None` if they stay as they are.
    profile: Option<Box<ColorProfile>>,
}

impl DeepConversion {
    /// Conversion from a profile, with the conversion from the same profile for samples of 8 bits.
    pub(crate) fn new(eight: Conversion, profile: Option<ColorProfile>) -> Self {
        Self { eight, profile: profile.map(Box::new) }
    }

    pub(crate) fn eight_bits(&self) -> &Conversion {
        &self.eight
    }

    /// Converts the samples to Display P3 if they have colors outside of sRGB, else to sRGB. Gray stays gray.
    pub(crate) fn apply(&self, pixels: Pixels<u16>) -> (Pixels<u16>, Gamut) {
        let (_, gamut) = self.eight.apply(pixels.to_eight_bits());
        match self.profile.as_deref() {
            Some(profile) if !self.eight.keeps(gamut) => (transformed(profile, pixels, gamut), gamut),
            _ => (pixels, gamut),
        }
    }
}

/// Pixels that are converted at once.
const PIXELS: usize = 4096;

/// Returns the pixels unchanged if there is no conversion from the profile.
fn transformed(profile: &ColorProfile, mut pixels: Pixels<u16>, gamut: Gamut) -> Pixels<u16> {
    let channels = usize::from(pixels.channels);
    let layout = match (channels, profile.color_space) {
        (1 | 2, DataColorSpace::Gray) => Layout::Gray,
        (4, _) => Layout::Rgba,
        _ => Layout::Rgb,
    };
    let to = if layout == Layout::Gray { Layout::Rgb } else { layout };
    let Ok(transform) = profile.create_transform_16bit(layout, &gamut.profile(), to, options()) else { return pixels };
    let (mut colors, mut converted) = (Vec::new(), Vec::new());
    for pixels in pixels.data.chunks_mut(PIXELS * channels) {
        colors.clear();
        for pixel in pixels.chunks_exact(channels) {
            match channels {
                // An RGB profile is applied to equal red, green and blue.
                1 | 2 => colors.extend(std::iter::repeat_n(pixel[0], layout.channels())),
                _ => colors.extend(pixel),
            }
        }
        converted.clear();
        converted.resize(colors.len() / layout.channels() * to.channels(), 0);
        // The transform fails only if the lengths differ, which they never do.
        if transform.transform(&colors, &mut converted).is_err() {
            break;
        }
        for (pixel, color) in pixels.chunks_exact_mut(channels).zip(converted.chunks_exact(to.channels())) {
            match channels {
                1 | 2 => pixel[0] = color[1],
                // Alpha stays as it is.
                _ => pixel[..3].copy_from_slice(&color[..3]),
            }
        }
    }
    pixels
}
