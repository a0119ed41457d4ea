//! Converts samples with another transfer function than that of sRGB: HDR (PQ and HLG), other gammas, and linear light. The
//! result is in sRGB or Display P3, which share their transfer function.
//!
//! HDR is tone-mapped to SDR. The reference white of 203 cd/m2 (ITU-R BT.2408) maps to sRGB white, and the peak is
//! assumed to be 1,000 cd/m2. Luminance up to 92 cd/m2 is preserved. Brighter values are compressed below white by the
//! curve of ITU-R BT.2390, section 5.4.1. The curve is applied to the largest of the three channels, so that hues are
//! preserved. Browsers use similar curves.

use crate::pixels::Sample;
use crate::transform::color::{Gamut, profile_from_primaries};
use crate::yuv_image::Cicp;

/// Number of entries of the lookup tables.
const STEPS: u16 = 4096;

/// Assumed peak luminance of HDR images, in cd/m2.
const PEAK: f32 = 1000.0;

/// Reference white of HDR images, in cd/m2 (ITU-R BT.2408).
const WHITE: f32 = 203.0;

/// A conversion to sRGB or Display P3.
pub(crate) struct TransferConversion {
    /// Linear light by sample value. 1 is white or, for HDR, the peak.
    light: Vec<f32>,
    /// HDR only: tone-mapping gain by the square root of the largest channel.
    gains: Option<Vec<f32>>,
    /// True if the samples encode scene light, to which the display applies its system gamma (HLG).
    is_scene: bool,
    /// Converts the primaries.
    matrix: [[f32; 3]; 3],
}

impl TransferConversion {
    /// True if the transfer function differs from that of sRGB.
    ///
    /// BT.709 and related transfer functions are treated as sRGB, as browsers do for AVIF, because such images were
    /// viewed on sRGB displays when they were created.
    pub(crate) fn is_needed(cicp: Cicp) -> bool {
        matches!(cicp.transfer, 4 | 5 | 7 | 8 | 9 | 10 | 16 | 17 | 18)
    }

    /// Conversion to the primaries of `gamut`, with the transfer function of sRGB.
    pub(crate) fn new(cicp: Cicp, gamut: Gamut) -> Self {
        let transfer = cicp.transfer;
        let light = (0..STEPS).map(|step| light(transfer, f32::from(step) / f32::from(STEPS - 1))).collect();
        let gains = || (0..STEPS).map(|step| gain((f32::from(step) / f32::from(STEPS - 1)).powi(2))).collect();
        Self {
            light,
            gains: matches!(transfer, 16 | 18).then(gains),
            is_scene: transfer == 18,
            matrix: matrix(cicp.primaries, gamut),
        }
    }

    /// Converts rows of red, green and blue, or one row of gray, with the precision of the sample `S`.
    pub(crate) fn apply<S: Sample>(&self, rows: &mut [Vec<f32>]) {
        if let [gray] = rows {
            for value in gray.iter_mut() {
                let [_, green, _] = self.display_light([look_up(&self.light, *value); 3]);
                *value = S::encoded(green);
            }
        }
        let [red, green, blue] = rows else { return };
        for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
            let light = self.display_light([*red, *green, *blue].map(|value| look_up(&self.light, value)));
            let row = |weights: [f32; 3]| {
                let sum = weights[0] * light[0] + weights[1] * light[1] + weights[2] * light[2];
                S::encoded(sum)
            };
            [*red, *green, *blue] = self.matrix.map(row);
        }
    }

    /// Applies the system gamma and tone mapping. The result is display light relative to white.
    fn display_light(&self, mut light: [f32; 3]) -> [f32; 3] {
        let Some(gains) = &self.gains else { return light };
        if self.is_scene {
            // The system gamma is 1.2 at a peak of 1,000 cd/m2 (ITU-R BT.2100, table 5).
            let luminance = 0.2627 * light[0] + 0.6780 * light[1] + 0.0593 * light[2];
            light = light.map(|light| light * luminance.powf(0.2));
        }
        let gain = look_up(gains, light[0].max(light[1]).max(light[2]).sqrt());
        light.map(|light| light * gain)
    }
}

/// The table entry nearest to `value`, which is clamped to 0..=1.
fn look_up(table: &[f32], value: f32) -> f32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 4,095")]
    let n = (value.clamp(0.0, 1.0) * f32::from(STEPS - 1) + 0.5) as usize;
    table.get(n).copied().unwrap_or(0.0)
}

/// The transfer function: linear light of a sample (ITU-T H.273, table 3).
fn light(transfer: u16, value: f32) -> f32 {
    match transfer {
        // BT.709, BT.601, and BT.2020 with 10 and 12 bits.
        1 | 6 | 11 | 12 | 14 | 15 if value < 4.5 * BT709_BETA => value / 4.5,
        1 | 6 | 11 | 12 | 14 | 15 => ((value + BT709_ALPHA - 1.0) / BT709_ALPHA).powf(1.0 / 0.45),
        4 => value.powf(2.2),
        5 => value.powf(2.8),
        7 if value < 0.0913 => value / 4.0,
        7 => ((value + 0.1115) / 1.1115).powf(1.0 / 0.45),
        9 if value > 0.0 => 10_f32.powf(2.0 * (value - 1.0)),
        10 if value > 0.0 => 10_f32.powf(2.5 * (value - 1.0)),
        13 if value <= 0.04045 => value / 12.92,
        13 => ((value + 0.055) / 1.055).powf(2.4),
        16 => (pq_light(value) / PEAK).min(1.0),
        17 => (52.37 / 48.0 * value.powf(2.6)).min(1.0),
        18 if value <= 0.5 => value * value / 3.0,
        18 => (((value - 0.559_910_7) / 0.178_832_77).exp() + 0.284_668_92) / 12.0,
        _ => value,
    }
}

/// Tone-mapping gain for linear light relative to the peak. The product is display light relative to white (ITU-R
/// BT.2390, section 5.4.1).
fn gain(light: f32) -> f32 {
    let peak = pq(PEAK);
    let (value, white) = (pq(light * PEAK) / peak, pq(WHITE) / peak);
    let knee = 1.5 * white - 0.5;
    if value <= knee {
        return PEAK / WHITE;
    }
    let t = (value - knee) / (1.0 - knee);
    let (square, cube) = (t * t, t * t * t);
    let bent = (2.0 * cube - 3.0 * square + 1.0) * knee
        + (cube - 2.0 * square + t) * (1.0 - knee)
        + (3.0 * square - 2.0 * cube) * white;
    pq_light(bent * peak) / WHITE / light
}

/// Constants of the transfer function of BT.709 (ITU-T H.273, table 3).
const BT709_ALPHA: f32 = 1.099_296_8;
const BT709_BETA: f32 = 0.018_053_97;

/// Constants of the PQ transfer function (SMPTE ST 2084).
const M1: f32 = 0.159_301_76;
const M2: f32 = 78.84375;
const C1: f32 = 0.835_937_5;
const C2: f32 = 18.851_563;
const C3: f32 = 18.6875;

/// The PQ transfer function: luminance of a sample in cd/m2.
fn pq_light(value: f32) -> f32 {
    let root = value.max(0.0).powf(1.0 / M2);
    10_000.0 * ((root - C1).max(0.0) / (C2 - C3 * root)).powf(1.0 / M1)
}

/// The inverse PQ transfer function: sample of a luminance in cd/m2.
fn pq(light: f32) -> f32 {
    let root = (light / 10_000.0).powf(M1);
    ((C1 + C2 * root) / (1.0 + C3 * root)).powf(M2)
}

#[expect(clippy::cast_possible_truncation, reason = "weights between -2 and 2")]
fn matrix(primaries: u16, gamut: Gamut) -> [[f32; 3]; 3] {
    let profile = profile_from_primaries(primaries).unwrap_or_else(|| Gamut::Srgb.profile());
    profile.transform_matrix(&gamut.profile()).v.map(|row| row.map(|weight| weight as f32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yuv_image::Cicp;

    fn convert(transfer: u16, primaries: u16, color: [f32; 3]) -> [u8; 3] {
        let conversion =
            TransferConversion::new(Cicp { primaries, transfer, matrix: 9, full_range: true }, Gamut::Srgb);
        let mut rows = color.map(|value| vec![value]);
        conversion.apply::<u8>(&mut rows);
        rows.map(|row| (row[0] * 255.0).round() as u8)
    }

    #[test]
    fn tone_mapping_preserves_dim_light_and_compresses_bright_light() {
        // Luminance in cd/m2, and its sRGB value by IEC 61966-2-1 where it is preserved. 20.3 is a tenth of white.
        for (nits, sample) in [(0.0, 0), (20.3, 89), (81.2, 170), (1000.0, 255), (10_000.0, 255)] {
            let made = convert(16, 9, [pq(nits); 3]);
            assert!(made.iter().all(|made| made.abs_diff(sample) <= 1), "{nits}: {made:?}");
        }
        let mut last = 0;
        for step in 0..=200_u8 {
            let [made, ..] = convert(16, 9, [f32::from(step) / 200.0; 3]);
            assert!(made >= last, "{step}");
            last = made;
        }
        let [white, ..] = convert(16, 9, [pq(WHITE); 3]);
        assert!((225..=240).contains(&white), "{white}");
    }

    #[test]
    fn hlg_and_pq_give_the_same_display_light() {
        // ITU-R BT.2408, table 1: 75 % HLG and 58 % PQ are both 203 cd/m2. 38 % is 26 cd/m2 with both.
        let ([hlg, ..], [pq, ..]) = (convert(18, 9, [0.75; 3]), convert(16, 9, [pq(203.0); 3]));
        assert!(hlg.abs_diff(pq) <= 1, "{hlg} {pq}");
        let ([hlg, ..], [pq, ..]) = (convert(18, 9, [0.38; 3]), convert(16, 9, [0.38; 3]));
        assert!(hlg.abs_diff(pq) <= 2, "{hlg} {pq}");
    }

    #[test]
    fn gammas_and_linear_light_are_converted() {
        // Half the linear light is 188 in sRGB (IEC 61966-2-1).
        assert_eq!(convert(8, 1, [0.5; 3]), [188; 3]);
        let half = 0.5_f32.powf(1.0 / 2.2);
        assert_eq!(convert(4, 1, [half; 3]), [188; 3]);
        assert_eq!(convert(17, 1, [1.0; 3]), [255; 3]);
        // A tenth of the light is 0.2921 in BT.709 and 89 in sRGB.
        assert_eq!(convert(1, 1, [0.2921; 3]), [89; 3]);
        for transfer in [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 17] {
            assert_eq!(convert(transfer, 1, [0.0; 3]), [0; 3], "{transfer}");
            assert_eq!(convert(transfer, 1, [1.0; 3]), [255; 3], "{transfer}");
        }
    }

    #[test]
    fn colors_outside_of_srgb_are_clamped_and_grays_stay_gray() {
        assert_eq!(convert(8, 9, [0.0, 1.0, 0.0]), [0, 255, 0]);
        let [red, green, blue] = convert(8, 9, [0.3; 3]);
        assert!(red.abs_diff(green) <= 1 && blue.abs_diff(green) <= 1, "{red} {green} {blue}");
    }
}
