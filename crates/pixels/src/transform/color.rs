//! Conversion to the colors of variants: profiles, code points, and CMYK.
//!
//! Variants are in sRGB, which every viewer assumes for an image without a profile, or in Display P3 if they have colors
//! outside of sRGB and [`ColorPolicy::Keep`] is set. Samples are converted after scaling, which leaves fewer of them. The
//! order matters only at hard edges between saturated colors. There, scaling before the conversion is closer to the mean
//! of the light (a test checks it), and colors outside the gamut are clipped once instead of per sample. CMYK is scaled in
//! the same way, as four channels without alpha.
//!
//! A profile is judged by the colors that it gives, not by its name. A profile that is damaged, larger than
//! [`PROFILE_BYTES_MAX`], or made for another number of channels is ignored, as in browsers.

use std::sync::Arc;

use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorProfile, DataColorSpace, Layout, MatrixCoefficients, ParsingOptions,
    RenderingIntent, TransferCharacteristics, TransformExecutor, TransformOptions,
};

use crate::limits::ColorPolicy;
use crate::pixels::Pixels;

mod deep;
mod gamut;
mod wide;

pub(crate) use deep::DeepConversion;
pub(crate) use gamut::Gamut;
pub(crate) use wide::WideConversion;

/// Maximum size of an ICC profile. Profiles of printing presses have 0.5 to 3 MB.
pub const PROFILE_BYTES_MAX: usize = 4 << 20;

/// Upper bound, in bytes, on the memory for a profile of `bytes` and the conversion tables built from it.
pub(crate) fn profile_bytes(bytes: u64) -> u64 {
    if bytes == 0 { 0 } else { 2 * bytes.min(PROFILE_BYTES_MAX as u64) + (2 << 20) }
}

type Transform = Arc<dyn TransformExecutor<u8> + Send + Sync>;

/// Conversion of decoded samples.
pub(crate) struct Conversion {
    to_srgb: ToSrgb,
    to_display_p3: ToDisplayP3,
}

enum ToSrgb {
    /// The samples are sRGB already.
    Unchanged,
    /// The decoder converted the samples to sRGB.
    Converted,
    /// Gray by a lookup table, with or without alpha.
    Gray(Box<[u8; 256]>),
    /// RGB or RGBA by an ICC transform.
    Rgb(Transform),
    /// CMYK, where 255 is full ink, by an ICC transform or else by [`cmyk_to_rgb`].
    Cmyk(Option<Transform>),
}

enum ToDisplayP3 {
    /// Variants are in sRGB.
    Never,
    /// The samples are Display P3 already.
    Unchanged,
    /// RGB or RGBA by an ICC transform.
    Rgb(Transform),
}

impl Conversion {
    /// Conversion of samples that are in sRGB.
    pub(crate) const NONE: Self = Self { to_srgb: ToSrgb::Unchanged, to_display_p3: ToDisplayP3::Never };

    /// Conversion from the ICC profile of a gray or RGB image. With 2 or 4 channels the last one is alpha.
    pub(crate) fn from_icc(profile: Option<&[u8]>, channels: u8, policy: ColorPolicy) -> Self {
        let profile = profile.and_then(parse_profile);
        profile.map_or(Self::NONE, |profile| Self::from_profile(&profile, channels, policy))
    }

    /// Conversion from the profile of a gray or RGB image. With 2 or 4 channels the last one is alpha.
    pub(crate) fn from_profile(profile: &ColorProfile, channels: u8, policy: ColorPolicy) -> Self {
        match (profile.color_space, channels) {
            (DataColorSpace::Gray, 1 | 2) => Self::from_gray(profile, Layout::Gray),
            (DataColorSpace::Rgb, 3 | 4) => Self::from_rgb(profile, channels, policy).unwrap_or(Self::NONE),
            _ => Self::NONE,
        }
    }

    /// Conversion from the ICC profile of a monochrome AVIF.
    pub(crate) fn from_monochrome_icc(profile: &[u8]) -> Self {
        parse_profile(profile).map_or(Self::NONE, |profile| Self::from_monochrome_profile(&profile))
    }

    /// Conversion of gray samples. An RGB profile is applied to equal R, G and B.
    pub(crate) fn from_monochrome_profile(profile: &ColorProfile) -> Self {
        match profile.color_space {
            DataColorSpace::Gray => Self::from_gray(profile, Layout::Gray),
            DataColorSpace::Rgb => Self::from_gray(profile, Layout::Rgb),
            _ => Self::NONE,
        }
    }

    /// Conversion from color primaries (ITU-T H.273 table 2) with the transfer function of sRGB.
    pub(crate) fn from_primaries(primaries: u16, channels: u8, policy: ColorPolicy) -> Self {
        let profile = profile_from_primaries(primaries);
        profile.map_or(Self::NONE, |profile| Self::from_profile(&profile, channels, policy))
    }

    /// Conversion of gray or RGB samples that the decoder converted to `gamut`.
    pub(crate) fn from_gamut(gamut: Gamut, channels: u8) -> Self {
        match gamut {
            Gamut::Srgb => Self { to_srgb: ToSrgb::Converted, ..Self::NONE },
            Gamut::DisplayP3 => Self::from_profile(&gamut.profile(), channels, ColorPolicy::Keep),
        }
    }

    /// Conversion from the ICC profile of a CMYK image, to sRGB.
    pub(crate) fn from_cmyk_icc(profile: Option<&[u8]>) -> Self {
        let profile = profile.and_then(parse_profile).filter(|profile| profile.color_space == DataColorSpace::Cmyk);
        let transform = profile.and_then(|profile| transform(&profile, Layout::Rgba, Gamut::Srgb, Layout::Rgb));
        Self { to_srgb: ToSrgb::Cmyk(transform), ..Self::NONE }
    }

    fn from_gray(profile: &ColorProfile, layout: Layout) -> Self {
        gray(profile, layout).map_or(Self::NONE, |table| Self { to_srgb: ToSrgb::Gray(table), ..Self::NONE })
    }

    /// `None` if the profile is equivalent to sRGB. Many files carry some variant of the sRGB profile, and converting
    /// them would only cost time.
    fn from_rgb(profile: &ColorProfile, channels: u8, policy: ColorPolicy) -> Option<Self> {
        let rgb = |gamut| transform(profile, Layout::Rgb, gamut, Layout::Rgb);
        let with_channels = |three: Transform, gamut| match channels {
            4 => transform(profile, Layout::Rgba, gamut, Layout::Rgba),
            _ => Some(three),
        };
        let to_srgb = rgb(Gamut::Srgb)?;
        if Sampled::new(&to_srgb)?.is_unchanged() {
            return None;
        }
        let to_srgb = ToSrgb::Rgb(with_channels(to_srgb, Gamut::Srgb)?);
        let to_display_p3 = if policy == ColorPolicy::Keep { rgb(Gamut::DisplayP3) } else { None };
        let to_display_p3 = to_display_p3.and_then(|to_display_p3| match Sampled::new(&to_display_p3)? {
            sampled if sampled.is_unchanged() => Some(ToDisplayP3::Unchanged),
            sampled if sampled.exceeds_srgb() => with_channels(to_display_p3, Gamut::DisplayP3).map(ToDisplayP3::Rgb),
            _ => None,
        });
        Some(Self { to_srgb, to_display_p3: to_display_p3.unwrap_or(ToDisplayP3::Never) })
    }

    /// True if the samples are those of the original and stay as they are.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self.to_srgb, ToSrgb::Unchanged)
    }

    /// True if samples stay as they are in a variant with this color space.
    fn keeps(&self, gamut: Gamut) -> bool {
        match gamut {
            Gamut::Srgb => matches!(self.to_srgb, ToSrgb::Unchanged | ToSrgb::Converted),
            Gamut::DisplayP3 => self.is_display_p3(),
        }
    }

    /// True if the samples are inks.
    pub(crate) fn is_cmyk(&self) -> bool {
        matches!(self.to_srgb, ToSrgb::Cmyk(_))
    }

    /// True if the samples are in Display P3.
    pub(crate) fn is_display_p3(&self) -> bool {
        matches!(self.to_display_p3, ToDisplayP3::Unchanged)
    }

    /// The smallest color space of variants that contains all colors of the samples.
    pub(crate) fn gamut(&self) -> Gamut {
        if matches!(self.to_display_p3, ToDisplayP3::Never) { Gamut::Srgb } else { Gamut::DisplayP3 }
    }

    /// Converts the samples to Display P3 if they have colors outside of sRGB, else to sRGB. Gray stays gray.
    pub(crate) fn apply(&self, pixels: Pixels) -> (Pixels, Gamut) {
        let in_p3 = match &self.to_display_p3 {
            ToDisplayP3::Never => return (self.apply_srgb(pixels), Gamut::Srgb),
            ToDisplayP3::Unchanged if gamut::exceeds_srgb(&pixels) => return (pixels, Gamut::DisplayP3),
            ToDisplayP3::Unchanged => return (self.apply_srgb(pixels), Gamut::Srgb),
            ToDisplayP3::Rgb(transform) => transformed(transform, pixels.clone()),
        };
        if gamut::exceeds_srgb(&in_p3) { (in_p3, Gamut::DisplayP3) } else { (self.apply_srgb(pixels), Gamut::Srgb) }
    }

    /// Converts the samples to sRGB. Gray stays gray.
    pub(crate) fn apply_srgb(&self, mut pixels: Pixels) -> Pixels {
        match &self.to_srgb {
            ToSrgb::Unchanged | ToSrgb::Converted => pixels,
            ToSrgb::Gray(table) => {
                for pixel in pixels.data.chunks_exact_mut(usize::from(pixels.channels)) {
                    pixel[0] = table[usize::from(pixel[0])];
                }
                pixels
            }
            ToSrgb::Rgb(transform) => transformed(transform, pixels),
            ToSrgb::Cmyk(transform) => {
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

fn transformed(transform: &Transform, pixels: Pixels) -> Pixels {
    let mut data = vec![0; pixels.data.len()];
    // The transform fails only if the lengths differ, which they never do.
    match transform.transform(&pixels.data, &mut data) {
        Ok(()) => Pixels { data, ..pixels },
        Err(_) => pixels,
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

fn transform(from: &ColorProfile, layout: Layout, gamut: Gamut, to: Layout) -> Option<Transform> {
    from.create_transform_8bit(layout, &gamut.profile(), to, options()).ok()
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
    let transform = transform(profile, layout, Gamut::Srgb, Layout::Rgb)?;
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

/// The colors of a grid of samples, converted.
struct Sampled {
    samples: Vec<u8>,
    colors: Pixels,
}

impl Sampled {
    fn new(transform: &Transform) -> Option<Self> {
        const STEPS: [u8; 6] = [0, 51, 102, 153, 204, 255];
        let samples: Vec<u8> = (0..216).flat_map(|n: usize| [STEPS[n % 6], STEPS[n / 6 % 6], STEPS[n / 36]]).collect();
        let mut data = vec![0; samples.len()];
        transform.transform(&samples, &mut data).ok()?;
        Some(Self { samples, colors: Pixels { width: 216, height: 1, channels: 3, data } })
    }

    /// True if the conversion changes no sample by more than one level of 255.
    fn is_unchanged(&self) -> bool {
        self.samples.iter().zip(&self.colors.data).all(|(from, to)| from.abs_diff(*to) <= 1)
    }

    fn exceeds_srgb(&self) -> bool {
        gamut::exceeds_srgb(&self.colors)
    }
}
