//! Converts decoded rows to samples of 8 bits. Rows with more than 8 bits, and rows in HDR, are converted to the colors of
//! variants before they are rounded, because dark samples of 8 bits would show bands afterwards.

use crate::codec::planes::level;
use crate::codec::png::color::PngColor;
use crate::limits::ColorPolicy;
use crate::transform::color::{Conversion, Gamut, WideConversion, rounded};
use crate::transform::transfer::TransferConversion;

/// The conversion of a row of 8-bit samples, or of big-endian 16-bit samples.
pub(crate) struct RowConversion {
    is_wide: bool,
    channels: usize,
    steps: Steps,
}

enum Steps {
    /// Samples are only rounded.
    Round,
    /// 16-bit samples are converted.
    Wide(WideConversion),
    /// Samples are converted in floating point.
    Light { transfer: TransferConversion, zero: f32, one: f32, rows: Vec<Vec<f32>> },
}

impl RowConversion {
    /// Conversion for rows of `width` pixels. Also returns the conversion that remains for the 8-bit samples.
    pub(crate) fn new(
        color: &PngColor,
        width: usize,
        channels: u8,
        is_wide: bool,
        policy: ColorPolicy,
    ) -> (Self, Conversion) {
        let conversion = color.conversion(channels, policy);
        let mut gamut = conversion.gamut();
        let steps = match color {
            PngColor::Srgb => Steps::Round,
            PngColor::Icc(profile) | PngColor::Measured(profile) => {
                let is_converted = is_wide && !conversion.is_none();
                let wide = if is_converted { WideConversion::new(profile, channels, gamut) } else { None };
                wide.map_or(Steps::Round, Steps::Wide)
            }
            PngColor::CodePoints(cicp) => {
                gamut = Gamut::for_primaries(cicp.primaries, channels, policy);
                // Narrow ranges (ITU-T H.273, section 8.3).
                let (zero, one) = if cicp.full_range { (0.0, 255.0) } else { (16.0, 235.0) };
                let scale = match (is_wide, cicp.full_range) {
                    (false, _) => 1.0,
                    (true, false) => 256.0,
                    (true, true) => 257.0,
                };
                let rows = vec![vec![0.0; width]; if channels < 3 { 1 } else { 3 }];
                Steps::Light {
                    transfer: TransferConversion::new(*cicp, gamut),
                    zero: zero * scale,
                    one: one * scale,
                    rows,
                }
            }
        };
        let is_converted = !matches!(steps, Steps::Round);
        let conversion = if is_converted { Conversion::from_gamut(gamut, channels) } else { conversion };
        (Self { is_wide, channels: channels.into(), steps }, conversion)
    }

    /// True if the samples stay as they are.
    pub(crate) fn is_none(&self) -> bool {
        !self.is_wide && matches!(self.steps, Steps::Round)
    }

    /// Converts the row in place, and returns the part of it that contains the samples of 8 bits.
    pub(crate) fn apply<'a>(&mut self, row: &'a mut [u8]) -> &'a [u8] {
        let Self { is_wide, channels, steps } = self;
        match steps {
            Steps::Round if *is_wide => to_eight_bits(row),
            Steps::Round => row,
            Steps::Wide(conversion) => conversion.apply(row),
            Steps::Light { transfer, zero, one, rows } => {
                let sample = |row: &[u8], n: usize| match *is_wide {
                    true => f32::from(u16::from_be_bytes([row[2 * n], row[2 * n + 1]])),
                    false => f32::from(row[n]),
                };
                let pixels = row.len() / if *is_wide { 2 } else { 1 } / *channels;
                for (channel, values) in rows.iter_mut().enumerate() {
                    for (x, value) in values.iter_mut().take(pixels).enumerate() {
                        *value = ((sample(row, x * *channels + channel) - *zero) / (*one - *zero)).clamp(0.0, 1.0);
                    }
                }
                transfer.apply::<u8>(rows);
                let row = if *is_wide { to_eight_bits(row) } else { row };
                for (channel, values) in rows.iter().enumerate() {
                    for (x, value) in values.iter().take(pixels).enumerate() {
                        row[x * *channels + channel] = level(255.0 * value);
                    }
                }
                row
            }
        }
    }
}

/// Rounds 16-bit samples to 8 bits in place, and returns the first half of the row, which contains them.
fn to_eight_bits(row: &mut [u8]) -> &mut [u8] {
    let samples = row.len() / 2;
    for n in 0..samples {
        row[n] = rounded(u16::from_be_bytes([row[2 * n], row[2 * n + 1]]));
    }
    &mut row[..samples]
}
