//! The color spaces of variants: sRGB, and Display P3 for colors outside of sRGB. Both have the transfer function of
//! sRGB.

use std::sync::LazyLock;

use moxcms::{ColorProfile, Xyzd};

use crate::limits::ColorPolicy;
use crate::pixels::Pixels;

/// The color space of the pixels of a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gamut {
    Srgb,
    DisplayP3,
}

impl Gamut {
    /// The color space to which a decoder converts samples with these primaries (ITU-T H.273 table 2).
    pub(crate) fn for_primaries(primaries: u16, channels: u8, policy: ColorPolicy) -> Self {
        let is_wide = channels >= 3 && super::profile_from_primaries(primaries).is_some();
        if policy == ColorPolicy::Keep && is_wide { Self::DisplayP3 } else { Self::Srgb }
    }

    pub(crate) fn profile(self) -> ColorProfile {
        match self {
            Self::Srgb => ColorProfile::new_srgb(),
            Self::DisplayP3 => ColorProfile::new_display_p3(),
        }
    }

    /// The ICC profile that a file with such pixels contains; `None` for sRGB, which is the default.
    pub(crate) fn icc_profile(self) -> Option<&'static [u8]> {
        match self {
            Self::Srgb => None,
            Self::DisplayP3 => Some(&DISPLAY_P3),
        }
    }
}

/// An ICC profile of Display P3 with 492 bytes.
static DISPLAY_P3: LazyLock<Vec<u8>> = LazyLock::new(|| icc_profile("Display P3", &ColorProfile::new_display_p3()));

/// Encodes a profile of a display with the transfer function of sRGB (ICC.1:2022, version 4.4, sections 7, 8.3.4 and 10).
fn icc_profile(name: &str, profile: &ColorProfile) -> Vec<u8> {
    let fixed = |value: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "s15Fixed16Number, section 4.6")]
        let fixed = (value * 65_536.0).round() as i32;
        fixed.to_be_bytes()
    };
    let numbers = |kind: &[u8; 4], values: &[f64]| {
        let mut data = [&kind[..], &[0; 4]].concat();
        data.extend(values.iter().flat_map(|value| fixed(*value)));
        data
    };
    let xyz = |color: Xyzd| numbers(b"XYZ ", &[color.x, color.y, color.z]);
    let text = |text: &str| {
        let text: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let length = u32::try_from(text.len()).unwrap_or(0).to_be_bytes();
        [b"mluc\0\0\0\0\0\0\0\x01\0\0\0\x0CenUS", &length[..], &[0, 0, 0, 28], &text].concat()
    };
    // A parametric curve of type 3 (section 10.18).
    let mut curve = b"para\0\0\0\0\0\x03\0\0".to_vec();
    curve.extend([2.4, 1.0 / 1.055, 0.055 / 1.055, 1.0 / 12.92, 0.04045].map(fixed).as_flattened());
    let adaptation = profile.chromatic_adaptation.map_or(vec![], |matrix| numbers(b"sf32", matrix.v.as_flattened()));
    let tags: [(&[&[u8; 4]], Vec<u8>); 8] = [
        (&[b"desc"], text(name)),
        (&[b"cprt"], text("CC0")),
        (&[b"wtpt"], xyz(profile.white_point)),
        (&[b"chad"], adaptation),
        (&[b"rXYZ"], xyz(profile.red_colorant)),
        (&[b"gXYZ"], xyz(profile.green_colorant)),
        (&[b"bXYZ"], xyz(profile.blue_colorant)),
        (&[b"rTRC", b"gTRC", b"bTRC"], curve),
    ];
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let count: usize = tags.iter().map(|(names, _)| names.len()).sum();
    let (mut table, mut data) = (number(count).to_vec(), Vec::new());
    for (names, value) in tags {
        let at = HEADER_BYTES + 4 + 12 * count + data.len();
        for name in names {
            table.extend([**name, number(at), number(value.len())].as_flattened());
        }
        data.extend(&value);
        data.resize(data.len().next_multiple_of(4), 0);
    }
    let size = number(HEADER_BYTES + table.len() + data.len());
    let white = [0.9642, 1.0, 0.8249].map(fixed);
    // Created on 2024-01-01, because the same input gives the same bytes.
    let date = [2024_u16, 1, 1, 0, 0, 0].map(u16::to_be_bytes);
    let mut header = [&size[..], &[0; 4], &[4, 0x40, 0, 0], b"mntrRGB XYZ ", date.as_flattened(), b"acsp"].concat();
    header.resize(68, 0);
    header.extend(white.as_flattened());
    header.resize(HEADER_BYTES, 0);
    [header, table, data].concat()
}

/// Length of the header (section 7.2).
const HEADER_BYTES: usize = 128;

/// Linear Display P3 to linear sRGB, and back. Computed from the primaries (SMPTE EG 432-1 and ITU-R BT.709) in double
/// precision.
const TO_SRGB: [[f32; 3]; 3] =
    [[1.224_940_2, -0.224_940_2, 0.0], [-0.042_056_955, 1.042_057, 0.0], [-0.019_637_555, -0.078_636_05, 1.098_273_6]];
const FROM_SRGB: [[f32; 3]; 3] =
    [[0.822_462, 0.177_538_03, 0.0], [0.033_194_2, 0.966_805_8, 0.0], [0.017_082_632, 0.072_397_44, 0.910_519_96]];

fn apply(matrix: &[[f32; 3]; 3], light: [f32; 3]) -> [f32; 3] {
    matrix.map(|row| row[0] * light[0] + row[1] * light[1] + row[2] * light[2])
}

/// Linear light of the samples (IEC 61966-2-1).
static LIGHT: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|sample| {
        let sample = f32::from(u8::try_from(sample).unwrap_or(u8::MAX)) / 255.0;
        if sample <= 0.04045 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) }
    })
});

/// True if a pixel of the image in Display P3 is outside of sRGB and visible: converting it to sRGB and back would change
/// a sample by more than one level. A smaller change is an effect of rounding.
pub(crate) fn exceeds_srgb(pixels: &Pixels) -> bool {
    let is_outside = |pixel: &[u8]| {
        let &[red, green, blue, ref alpha @ ..] = pixel else { return false };
        let light = [red, green, blue].map(|sample| LIGHT[usize::from(sample)]);
        let srgb = apply(&TO_SRGB, light);
        let is_inside = srgb.iter().all(|light| (0.0..=1.0).contains(light));
        if is_inside || alpha == [0] {
            return false;
        }
        let back = apply(&FROM_SRGB, srgb.map(|light| light.clamp(0.0, 1.0)));
        [red, green, blue].iter().zip(back).any(|(sample, light)| {
            let back = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
            (255.0 * back - f32::from(*sample)).abs() > 1.0
        })
    };
    pixels.data.chunks_exact(usize::from(pixels.channels)).any(is_outside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::color::parse_profile;

    #[test]
    fn profile_of_display_p3_has_less_than_500_bytes_and_its_primaries_and_curve() {
        let bytes = Gamut::DisplayP3.icc_profile().unwrap();
        assert_eq!(bytes.len(), 492);
        let (made, expected) = (parse_profile(bytes).unwrap(), ColorProfile::new_display_p3());
        let weights = made.transform_matrix(&expected).v;
        for (row, weights) in weights.iter().enumerate() {
            for (column, weight) in weights.iter().enumerate() {
                assert!((weight - if row == column { 1.0 } else { 0.0 }).abs() < 1e-4, "{row} {column} {weight}");
            }
        }
        let [curve, _] = [&made, &expected].map(|profile| profile.red_trc.clone().unwrap());
        let curve = curve.make_linear_evaluator().unwrap();
        for sample in 0..=u8::MAX {
            let light = curve.evaluate_value(f32::from(sample) / 255.0);
            assert!((light - LIGHT[usize::from(sample)]).abs() < 1e-4, "{sample}");
        }
    }

    #[test]
    fn matrices_are_those_of_the_primaries() {
        let [srgb, p3] = [Gamut::Srgb, Gamut::DisplayP3].map(Gamut::profile);
        for (made, expected) in [(TO_SRGB, p3.transform_matrix(&srgb)), (FROM_SRGB, srgb.transform_matrix(&p3))] {
            let off = made.as_flattened().iter().zip(expected.v.as_flattened());
            assert!(off.clone().all(|(made, expected)| (f64::from(*made) - expected).abs() < 5e-4), "{expected:?}");
        }
    }

    #[test]
    fn only_visible_colors_outside_of_srgb_exceed_it() {
        let exceeds =
            |channels, data: &[u8]| exceeds_srgb(&Pixels { width: 1, height: 1, channels, data: data.to_vec() });
        // Red, green, blue and yellow of sRGB in Display P3.
        let edges = [[234, 51, 35], [117, 251, 76], [0, 0, 245], [255, 255, 84], [0, 0, 0], [255, 255, 255]];
        for color in edges {
            assert!(!exceeds(3, &color), "{color:?}");
        }
        for color in [[255, 0, 0], [0, 255, 0], [0, 0, 255], [240, 45, 30], [234, 46, 35]] {
            assert!(exceeds(3, &color), "{color:?}");
        }
        assert!(exceeds(4, &[255, 0, 0, 1]));
        assert!(!exceeds(4, &[255, 0, 0, 0]));
    }
}
