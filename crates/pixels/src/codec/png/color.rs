//! The color description of a PNG (third edition, sections 4.3 and 11.3.2).
//!
//! The first of these chunks that is valid applies, as in Chromium: cICP, iCCP, sRGB, then gAMA and cHRM. If only one of
//! the last two is present, the other is taken from sRGB. Each must precede the palette and the pixel data.

use moxcms::{Chromaticity, CicpColorPrimaries, ColorPrimaries, ColorProfile, ToneReprCurve, XyY};

use crate::codec::png::profile::decompress;
use crate::limits::ColorPolicy;
use crate::transform::color::{Conversion, DeepConversion, PROFILE_BYTES_MAX, parse_profile, profile_from_primaries};
use crate::yuv_image::Cicp;

/// The payloads of the chunks that describe colors.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ColorChunks<'a> {
    cicp: Option<&'a [u8]>,
    icc: Option<&'a [u8]>,
    is_srgb: bool,
    gamma: Option<&'a [u8]>,
    chromaticities: Option<&'a [u8]>,
}

/// The color space of the samples.
pub(crate) enum PngColor {
    Srgb,
    /// An ICC profile.
    Icc(Box<ColorProfile>),
    /// Primaries and a transfer function in the form of an RGB profile, which gray samples follow too.
    Measured(Box<ColorProfile>),
    /// Code points whose transfer function or range is not that of sRGB.
    CodePoints(Cicp),
}

impl<'a> ColorChunks<'a> {
    /// Remembers the chunk if it is the first one of its kind that describes colors.
    pub(crate) fn read(&mut self, name: &[u8; 4], data: &'a [u8]) {
        let slot = match name {
            b"cICP" => &mut self.cicp,
            b"iCCP" => &mut self.icc,
            b"gAMA" => &mut self.gamma,
            b"cHRM" => &mut self.chromaticities,
            b"sRGB" => {
                self.is_srgb = true;
                return;
            }
            _ => return,
        };
        slot.get_or_insert(data);
    }

    /// Upper bound, in bytes, on the size of a profile; 0 if there is none to convert from.
    pub(crate) fn profile_bytes(&self) -> u64 {
        match self {
            Self { icc: Some(_), .. } => PROFILE_BYTES_MAX as u64,
            Self { cicp: None, gamma: None, chromaticities: None, .. } => 0,
            _ => 1,
        }
    }

    /// True if there are code points, which may be those of HDR.
    pub(crate) fn has_code_points(&self) -> bool {
        self.cicp.is_some()
    }

    /// True if a conversion that needs more than 8 bits per sample may be applied row by row.
    pub(crate) fn may_convert_rows(&self, depth: u8) -> bool {
        self.cicp.is_some() || (depth > 8 && self.profile_bytes() > 0)
    }

    /// The color space of the samples.
    pub(crate) fn color(&self) -> PngColor {
        if let Some(cicp) = self.cicp.and_then(code_points) {
            if cicp.transfer != SRGB_TRANSFER || !cicp.full_range {
                return PngColor::CodePoints(cicp);
            }
            let profile = profile_from_primaries(cicp.primaries);
            return profile.map_or(PngColor::Srgb, |profile| PngColor::Measured(Box::new(profile)));
        }
        if let Some(profile) = self.icc.and_then(decompress).as_deref().and_then(parse_profile) {
            return PngColor::Icc(Box::new(profile));
        }
        let measured = if self.is_srgb { None } else { self.measured() };
        measured.map_or(PngColor::Srgb, |profile| PngColor::Measured(Box::new(profile)))
    }

    /// A profile with the primaries of cHRM and the transfer function of gAMA. `None` if neither is valid.
    fn measured(&self) -> Option<ColorProfile> {
        let (gamma, primaries) = (self.gamma.and_then(gamma), self.chromaticities.and_then(chromaticities));
        if gamma.is_none() && primaries.is_none() {
            return None;
        }
        let mut profile = ColorProfile::new_srgb();
        profile.cicp = None;
        if let Some((white, primaries)) = primaries {
            profile.update_rgb_colorimetry(white, primaries);
            let weights = profile.transform_matrix(&ColorProfile::new_srgb()).v;
            if !weights.as_flattened().iter().all(|weight| weight.is_finite()) {
                return None;
            }
        }
        if let Some(gamma) = gamma {
            let curve = Some(ToneReprCurve::Parametric(vec![1.0 / gamma]));
            (profile.red_trc, profile.green_trc, profile.blue_trc) = (curve.clone(), curve.clone(), curve);
        }
        Some(profile)
    }
}

impl ColorChunks<'_> {
    /// True if the samples are sRGB and need no conversion.
    pub(crate) fn is_srgb(&self) -> bool {
        let color = self.color();
        !matches!(color, PngColor::CodePoints(_)) && color.conversion(4, ColorPolicy::Srgb).is_none()
    }
}

impl PngColor {
    /// Conversion of samples of 16 bits, whose color is not [`PngColor::CodePoints`].
    pub(crate) fn deep_conversion(self, channels: u8, policy: ColorPolicy) -> DeepConversion {
        let eight = self.conversion(channels, policy);
        let profile = match self {
            Self::Srgb | Self::CodePoints(_) => None,
            Self::Icc(profile) | Self::Measured(profile) => Some(*profile),
        };
        DeepConversion::new(eight, profile)
    }

    /// Conversion of samples of 8 bits. [`PngColor::CodePoints`] are converted by row, not by it.
    pub(crate) fn conversion(&self, channels: u8, policy: ColorPolicy) -> Conversion {
        match self {
            Self::Srgb | Self::CodePoints(_) => Conversion::NONE,
            Self::Icc(profile) => Conversion::from_profile(profile, channels, policy),
            Self::Measured(profile) if channels < 3 => Conversion::from_monochrome_profile(profile),
            Self::Measured(profile) => Conversion::from_profile(profile, channels, policy),
        }
    }
}

/// Transfer characteristics of sRGB (ITU-T H.273, table 3).
const SRGB_TRANSFER: u16 = 13;

/// The code points of cICP (section 11.3.2.6). `None` if they are invalid or unspecified.
fn code_points(data: &[u8]) -> Option<Cicp> {
    let &[primaries, transfer, matrix, full_range] = data else { return None };
    let is_unknown = matches!(
        CicpColorPrimaries::try_from(primaries),
        Err(_) | Ok(CicpColorPrimaries::Reserved | CicpColorPrimaries::Unspecified)
    );
    if is_unknown || !matches!(transfer, 1 | 4..=18) || matrix != 0 || full_range > 1 {
        return None;
    }
    Some(Cicp { primaries: primaries.into(), transfer: transfer.into(), matrix: 0, full_range: full_range == 1 })
}

/// Divisor of the numbers in gAMA and cHRM (sections 11.3.2.1 and 11.3.2.2).
const UNIT: f32 = 100_000.0;

/// The numbers that libpng accepts as a gamma. Others would make the image black or white.
const GAMMAS: std::ops::RangeInclusive<u32> = 16..=625_000_000;

fn gamma(data: &[u8]) -> Option<f32> {
    let gamma = u32::from_be_bytes(data.try_into().ok()?);
    #[expect(clippy::cast_precision_loss, reason = "a gamma of five digits")]
    GAMMAS.contains(&gamma).then_some(gamma as f32 / UNIT)
}

/// The white point and the primaries. `None` if they are not chromaticities.
fn chromaticities(data: &[u8]) -> Option<(XyY, ColorPrimaries)> {
    let (numbers, []) = data.as_chunks::<4>() else { return None };
    let numbers: [f32; 8] = numbers.iter().map(|number| number_of(*number)).collect::<Vec<_>>().try_into().ok()?;
    let [white, red, green, blue] = [0, 2, 4, 6].map(|n| Chromaticity { x: numbers[n], y: numbers[n + 1] });
    let is_valid = |color: &Chromaticity| color.y > 0.0 && color.x + color.y <= 1.000_1;
    // Twice the area of the triangle of the primaries, which is 0.22 for sRGB.
    let area = (green.x - red.x) * (blue.y - red.y) - (green.y - red.y) * (blue.x - red.x);
    let are_valid = [white, red, green, blue].iter().all(is_valid) && area.abs() > 0.001;
    are_valid.then(|| (white.to_xyyb(), ColorPrimaries { red, green, blue }))
}

#[expect(clippy::cast_precision_loss, reason = "a chromaticity of five digits")]
fn number_of(bytes: [u8; 4]) -> f32 {
    u32::from_be_bytes(bytes) as f32 / UNIT
}
