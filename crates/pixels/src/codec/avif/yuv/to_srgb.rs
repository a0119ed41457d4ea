//! Samples whose curve is not sRGB's, by way of the light they stand for: HDR, gammas, linear light.
//!
//! HDR is shown as on a screen without it. Its white for text and paper is 203 cd/m2 (ITU-R BT.2408), which is what white is
//! here, and its brightest is taken for 1,000 cd/m2. Light up to 92 cd/m2 is kept, and what is brighter is brought below white
//! by the curve of ITU-R BT.2390 section 5.4.1, by the brightest of the three colors, so that hues stay. Browsers do
//! likewise, by other curves.

use moxcms::ColorProfile;

use crate::transform::color::profile_from_primaries;
use crate::transform::linear_light::sample;
use crate::yuv_image::Cicp;

/// Steps of the tables.
const STEPS: u16 = 4096;

/// cd/m2.
const PEAK: f32 = 1000.0;
const WHITE: f32 = 203.0;

/// How samples become sRGB's.
pub(super) struct ToSrgb {
    /// The light of each step of a sample, 1 being white or, of HDR, the peak.
    light: Vec<f32>,
    /// Of HDR, by what light is multiplied whose brightest color is a square of so many steps.
    gains: Option<Vec<f32>>,
    /// Whether light is that of a scene, which a screen shows with more contrast (HLG).
    is_scene: bool,
    /// From primaries to sRGB's.
    matrix: [[f32; 3]; 3],
}

impl ToSrgb {
    /// Whether samples by this transfer have another curve than sRGB's.
    ///
    /// Those of BT.709 and its kin count as sRGB's, as in browsers: pictures that say so were made on screens that were sRGB's.
    pub(super) fn is_needed(cicp: Cicp) -> bool {
        matches!(cicp.transfer, 4 | 5 | 7 | 8 | 9 | 10 | 16 | 17 | 18)
    }

    pub(super) fn of(cicp: Cicp) -> Option<Self> {
        let transfer = cicp.transfer;
        if !Self::is_needed(cicp) {
            return None;
        }
        let light = (0..STEPS).map(|step| light(transfer, f32::from(step) / f32::from(STEPS - 1))).collect();
        let gains = || (0..STEPS).map(|step| gain((f32::from(step) / f32::from(STEPS - 1)).powi(2))).collect();
        Some(Self {
            light,
            gains: matches!(transfer, 16 | 18).then(gains),
            is_scene: transfer == 18,
            matrix: matrix(cicp.primaries),
        })
    }

    /// Makes rows of red, green and blue, or one of gray, such of sRGB.
    pub(super) fn apply(&self, rows: &mut [Vec<f32>]) {
        if let [gray] = rows {
            for value in gray.iter_mut() {
                let [_, green, _] = self.shown([step(&self.light, *value); 3]);
                *value = f32::from(sample(green)) / 255.0;
            }
        }
        let [red, green, blue] = rows else { return };
        for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
            let light = self.shown([*red, *green, *blue].map(|value| step(&self.light, value)));
            let row = |weights: [f32; 3]| {
                let sum = weights[0] * light[0] + weights[1] * light[1] + weights[2] * light[2];
                f32::from(sample(sum)) / 255.0
            };
            [*red, *green, *blue] = self.matrix.map(row);
        }
    }

    /// The light of a screen whose white is 1.
    fn shown(&self, mut light: [f32; 3]) -> [f32; 3] {
        let Some(gains) = &self.gains else { return light };
        if self.is_scene {
            // ITU-R BT.2100 table 5: the system's gamma is 1.2 where the peak is 1,000 cd/m2.
            let luminance = 0.2627 * light[0] + 0.6780 * light[1] + 0.0593 * light[2];
            light = light.map(|light| light * luminance.powf(0.2));
        }
        let gain = step(gains, light[0].max(light[1]).max(light[2]).sqrt());
        light.map(|light| light * gain)
    }
}

/// The step of a table that is nearest to `value` of 1.
fn step(table: &[f32], value: f32) -> f32 {
    // What lies beyond either end is that end.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 4,095")]
    let n = (value.clamp(0.0, 1.0) * f32::from(STEPS - 1) + 0.5) as usize;
    table.get(n).copied().unwrap_or(0.0)
}

/// The light of a sample (ITU-T H.273 table 3).
fn light(transfer: u16, value: f32) -> f32 {
    match transfer {
        4 => value.powf(2.2),
        5 => value.powf(2.8),
        7 if value < 0.0913 => value / 4.0,
        7 => ((value + 0.1115) / 1.1115).powf(1.0 / 0.45),
        9 if value > 0.0 => 10_f32.powf(2.0 * (value - 1.0)),
        10 if value > 0.0 => 10_f32.powf(2.5 * (value - 1.0)),
        16 => (pq_light(value) / PEAK).min(1.0),
        17 => (52.37 / 48.0 * value.powf(2.6)).min(1.0),
        18 if value <= 0.5 => value * value / 3.0,
        18 => (((value - 0.559_910_7) / 0.178_832_77).exp() + 0.284_668_92) / 12.0,
        _ => value,
    }
}

/// What light of so much of the peak is multiplied by to be what a screen shows, 1 being its white.
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

/// The constants of SMPTE ST 2084.
const M1: f32 = 0.159_301_76;
const M2: f32 = 78.84375;
const C1: f32 = 0.835_937_5;
const C2: f32 = 18.851_563;
const C3: f32 = 18.6875;

/// A sample's light in cd/m2.
fn pq_light(value: f32) -> f32 {
    let root = value.max(0.0).powf(1.0 / M2);
    10_000.0 * ((root - C1).max(0.0) / (C2 - C3 * root)).powf(1.0 / M1)
}

/// The sample of so many cd/m2.
fn pq(light: f32) -> f32 {
    let root = (light / 10_000.0).powf(M1);
    ((C1 + C2 * root) / (1.0 + C3 * root)).powf(M2)
}

#[expect(clippy::cast_possible_truncation, reason = "weights between -2 and 2")]
fn matrix(primaries: u16) -> [[f32; 3]; 3] {
    match profile_from_primaries(primaries) {
        Some(profile) => {
            profile.transform_matrix(&ColorProfile::new_srgb()).v.map(|row| row.map(|weight| weight as f32))
        }
        None => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yuv_image::Cicp;

    fn shown(transfer: u16, primaries: u16, color: [f32; 3]) -> [u8; 3] {
        let to_srgb = ToSrgb::of(Cicp { primaries, transfer, matrix: 9, full_range: true }).unwrap();
        let mut rows = color.map(|value| vec![value]);
        to_srgb.apply(&mut rows);
        rows.map(|row| (row[0] * 255.0).round() as u8)
    }

    #[test]
    fn light_of_hdr_is_kept_when_dim_and_bent_below_white_when_bright() {
        // In cd/m2, and sRGB of it by IEC 61966-2-1 where it is kept: 20.3 is a tenth of white.
        for (nits, sample) in [(0.0, 0), (20.3, 89), (81.2, 170), (1000.0, 255), (10_000.0, 255)] {
            let made = shown(16, 9, [pq(nits); 3]);
            assert!(made.iter().all(|made| made.abs_diff(sample) <= 1), "{nits}: {made:?}");
        }
        let mut last = 0;
        for step in 0..=200_u8 {
            let [made, ..] = shown(16, 9, [f32::from(step) / 200.0; 3]);
            assert!(made >= last, "{step}");
            last = made;
        }
        let [white, ..] = shown(16, 9, [pq(WHITE); 3]);
        assert!((225..=240).contains(&white), "{white}");
    }

    #[test]
    fn hlg_has_the_light_that_pq_has_for_the_same_screen() {
        // ITU-R BT.2408 table 1: 75 % of HLG is 58 % of PQ, both 203 cd/m2; 38 % of both is 26 cd/m2.
        let ([hlg, ..], [pq, ..]) = (shown(18, 9, [0.75; 3]), shown(16, 9, [pq(203.0); 3]));
        assert!(hlg.abs_diff(pq) <= 1, "{hlg} {pq}");
        let ([hlg, ..], [pq, ..]) = (shown(18, 9, [0.38; 3]), shown(16, 9, [0.38; 3]));
        assert!(hlg.abs_diff(pq) <= 2, "{hlg} {pq}");
    }

    #[test]
    fn gammas_and_linear_light_become_srgb() {
        // sRGB of half the light is 188 (IEC 61966-2-1).
        assert_eq!(shown(8, 1, [0.5; 3]), [188; 3]);
        let half = 0.5_f32.powf(1.0 / 2.2);
        assert_eq!(shown(4, 1, [half; 3]), [188; 3]);
        assert_eq!(shown(17, 1, [1.0; 3]), [255; 3]);
        for transfer in [4, 5, 7, 8, 9, 10, 17] {
            assert_eq!(shown(transfer, 1, [0.0; 3]), [0; 3], "{transfer}");
            assert_eq!(shown(transfer, 1, [1.0; 3]), [255; 3], "{transfer}");
        }
    }

    #[test]
    fn colors_beyond_srgb_are_cut_off_and_grays_stay_gray() {
        assert_eq!(shown(8, 9, [0.0, 1.0, 0.0]), [0, 255, 0]);
        let [red, green, blue] = shown(8, 9, [0.3; 3]);
        assert!(red.abs_diff(green) <= 1 && blue.abs_diff(green) <= 1, "{red} {green} {blue}");
    }
}
