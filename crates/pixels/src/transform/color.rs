//! Conversion to sRGB: profiles, code points, and CMYK.
//!
//! Variants carry no profile, so their samples must be sRGB, which every viewer assumes for an image without a profile.
//! Samples are converted after scaling, which leaves fewer of them. The order matters only at hard edges between
//! saturated colors. There, scaling before the conversion is closer to the mean of the light (a test checks it), and
//! colors outside the sRGB gamut are clipped once instead of per sample. CMYK is scaled in the same way, as four
//! channels without alpha.
//!
//! A profile that is damaged, larger than [`PROFILE_BYTES_MAX`], or made for another number of channels is ignored, as
//! in browsers.

use std::sync::Arc;

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients, ParsingOptions,
    RenderingIntent, TransferCharacteristics, TransformExecutor, TransformOptions,
};

use crate::pixels::Pixels;

mod wide;

pub(crate) use wide::WideConversion;

/// Maximum size of an ICC profile. Profiles of printing presses have 0.5 to 3 MB.
pub(crate) const PROFILE_BYTES_MAX: usize = 4 << 20;

/// Upper bound, in bytes, on the memory for a profile of `bytes` and the conversion tables built from it.
pub(crate) fn profile_bytes(bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { 2 * bytes.min(PROFILE_BYTES_MAX as u64) + (2 << 20) }
}

type Transform = Arc<dyn TransformExecutor<u8> + Send + Sync>;

/// Conversion of decoded samples to sRGB.
pub(crate) enum Conversion {
    /// The samples are sRGB already.
    None,
    /// Gray by a lookup table, with or without alpha.
    Gray(Box<[u8; 256]>),
    /// RGB or RGBA by an ICC transform.
    Rgb { three: Transform, four: Transform },
    /// CMYK, where 255 is full ink, by an ICC transform or else by [`cmyk_to_rgb`].
    Cmyk(Option<Transform>),
}

impl Conversion {
    /// Conversion from the ICC profile of a gray or RGB image. With 2 or 4 channels the last one is alpha.
    pub(crate) fn from_icc(profile: Option<&[u8]>, channels: u8) -> Self {
        profile.and_then(parse_profile).map_or(Self::None, |profile| Self::from_profile(&profile, channels))
    }

    /// Conversion from the profile of a gray or RGB image. With 2 or 4 channels the last one is alpha.
    pub(crate) fn from_profile(profile: &ColorProfile, channels: u8) -> Self {
        match (profile.color_space, channels) {
            (DataColorSpace::Gray, 1 | 2) => gray(profile, Layout::Gray).map_or(Self::None, Self::Gray),
            (DataColorSpace::Rgb, 3 | 4) => rgb(profile).unwrap_or(Self::None),
            _ => Self::None,
        }
    }

    /// Conversion from the ICC profile of a monochrome AVIF.
    pub(crate) fn from_monochrome_icc(profile: &[u8]) -> Self {
        parse_profile(profile).map_or(Self::None, |profile| Self::from_monochrome_profile(&profile))
    }

    /// Conversion of gray samples. An RGB profile is applied to equal R, G and B.
    pub(crate) fn from_monochrome_profile(profile: &ColorProfile) -> Self {
        let layout = match profile.color_space {
            DataColorSpace::Gray => Layout::Gray,
            DataColorSpace::Rgb => Layout::Rgb,
            _ => return Self::None,
        };
        gray(profile, layout).map_or(Self::None, Self::Gray)
    }

    /// Conversion from color primaries (ITU-T H.273 table 2) with the transfer function of sRGB.
    pub(crate) fn from_primaries(primaries: u16) -> Self {
        profile_from_primaries(primaries).as_ref().and_then(rgb).unwrap_or(Self::None)
    }

    /// Conversion from the ICC profile of a CMYK image.
    pub(crate) fn from_cmyk_icc(profile: Option<&[u8]>) -> Self {
        let profile = profile.and_then(parse_profile).filter(|profile| profile.color_space == DataColorSpace::Cmyk);
        Self::Cmyk(profile.and_then(|profile| transform(&profile, Layout::Rgba, Layout::Rgb)))
    }

    /// True if the samples stay as they are.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// True if the last of two or four channels is alpha.
    pub(crate) fn has_alpha(&self) -> bool {
        !matches!(self, Self::Cmyk(_))
    }

    /// Converts the samples to sRGB. Gray stays gray.
    pub(crate) fn apply(&self, mut pixels: Pixels) -> Pixels {
        match self {
            Self::None => pixels,
            Self::Gray(table) => {
                for pixel in pixels.data.chunks_exact_mut(usize::from(pixels.channels)) {
                    pixel[0] = table[usize::from(pixel[0])];
                }
                pixels
            }
            Self::Rgb { three, four } => {
                let transform = if pixels.channels == 4 { four } else { three };
                let mut data = vec![0; pixels.data.len()];
                // The transform fails only if the lengths differ, which they never do.
                match transform.transform(&pixels.data, &mut data) {
                    Ok(()) => Pixels { data, ..pixels },
                    Err(_) => pixels,
                }
            }
            Self::Cmyk(transform) => {
                let mut data = vec![0; pixels.data.len() / 4 * 3];
                let converted = transform.as_ref().is_some_and(|by| by.transform(&pixels.data, &mut data).is_ok());
                if !converted {
                    for (ink, rgb) in pixels.data.chunks_exact(4).zip(data.chunks_exact_mut(3)) {
                        rgb.copy_from_slice(&cmyk_to_rgb([ink[0], ink[1], ink[2], ink[3]]));
                    }
                }
                Pixels { data, channels: 3, ..pixels }
            }
        }
    }
}

/// CMYK without a profile, as browsers show it: each ink absorbs its complement, and black darkens all three channels.
fn cmyk_to_rgb([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let channel = |ink: u8| {
        let product = u16::from(255 - ink) * u16::from(255 - black);
        u8::try_from((product + 127) / 255).unwrap_or(u8::MAX)
    };
    [channel(cyan), channel(magenta), channel(yellow)]
}

/// Parses an ICC profile. `None` if it is damaged or larger than [`PROFILE_BYTES_MAX`].
pub(crate) fn parse_profile(profile: &[u8]) -> Option<ColorProfile> {
    let options = ParsingOptions { max_profile_size: PROFILE_BYTES_MAX, ..ParsingOptions::default() };
    ColorProfile::new_from_slice_with_options(profile, options).ok()
}

fn transform(from: &ColorProfile, layout: Layout, to: Layout) -> Option<Transform> {
    from.create_transform_8bit(layout, &ColorProfile::new_srgb(), to, options()).ok()
}

/// Perceptual is the intent that profile makers tune for photographs. Display profiles have only one intent.
fn options() -> TransformOptions {
    TransformOptions { rendering_intent: RenderingIntent::Perceptual, ..TransformOptions::default() }
}

/// Rounds a 16-bit sample to 8 bits.
pub(crate) fn rounded(sample: u16) -> u8 {
    u8::try_from((u32::from(sample) * 255 + 32_767) / 65_535).unwrap_or(u8::MAX)
}

/// A profile with these primaries and the transfer function of sRGB; `None` for the primaries of sRGB and for
/// unspecified ones.
pub(crate) fn profile_from_primaries(primaries: u16) -> Option<ColorProfile> {
    let primaries = CicpColorPrimaries::try_from(u8::try_from(primaries).ok()?).ok()?;
    if matches!(primaries, CicpColorPrimaries::Bt709 | CicpColorPrimaries::Unspecified | CicpColorPrimaries::Reserved) {
        return None;
    }
    Some(ColorProfile::new_from_cicp(CicpProfile {
        color_primaries: primaries,
        transfer_characteristics: TransferCharacteristics::Srgb,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range: true,
    }))
}

/// Lookup table from gray to sRGB; `None` if the conversion changes nothing.
fn gray(profile: &ColorProfile, layout: Layout) -> Option<Box<[u8; 256]>> {
    let transform = transform(profile, layout, Layout::Rgb)?;
    let grays: Vec<u8> = (0..=u8::MAX).collect();
    let mut colors = vec![0; 3 * grays.len()];
    let samples = grays.iter().flat_map(|gray| std::iter::repeat_n(*gray, layout.channels())).collect::<Vec<_>>();
    transform.transform(&samples, &mut colors).ok()?;
    let mut table = Box::new([0; 256]);
    for (to, color) in table.iter_mut().zip(colors.chunks_exact(3)) {
        *to = color[1];
    }
    let changes = table.iter().zip(&grays).any(|(to, from)| to.abs_diff(*from) > 1);
    changes.then_some(table)
}

/// `None` if the profile is equivalent to sRGB: it changes no sample by more than one level of 255. Many files carry
/// some variant of the sRGB profile, and converting them would only cost time.
fn rgb(profile: &ColorProfile) -> Option<Conversion> {
    let three = transform(profile, Layout::Rgb, Layout::Rgb)?;
    const STEPS: [u8; 6] = [0, 51, 102, 153, 204, 255];
    let samples: Vec<u8> = (0..216).flat_map(|n: usize| [STEPS[n % 6], STEPS[n / 6 % 6], STEPS[n / 36]]).collect();
    let mut converted = vec![0; samples.len()];
    three.transform(&samples, &mut converted).ok()?;
    if samples.iter().zip(&converted).all(|(from, to)| from.abs_diff(*to) <= 1) {
        return None;
    }
    let four = transform(profile, Layout::Rgba, Layout::Rgba)?;
    Some(Conversion::Rgb { three, four })
}
