//! Conversion from luma and chroma to red, green and blue (ITU-T H.273, section 8.3).

use crate::error::Error;
use crate::yuv_image::{ChromaSubsampling, Cicp};

/// The affine mapping from the samples of a plane to their nominal values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    zero: f32,
    scale: f32,
}

impl Levels {
    /// Converts a sample to its nominal value.
    pub(super) fn apply(self, sample: f32) -> f32 {
        (sample - self.zero) * self.scale
    }
}

/// The mapping of luma, alpha or RGB samples to 0..=1.
pub(super) fn levels(full_range: bool, depth: u8) -> Levels {
    let one = f32::from(1_u16 << depth.saturating_sub(8).min(7));
    if full_range {
        return Levels { zero: 0.0, scale: 1.0 / (256.0 * one - 1.0) };
    }
    Levels { zero: 16.0 * one, scale: 1.0 / (219.0 * one) }
}

/// The mapping of chroma samples to -0.5..=0.5.
fn chroma_levels(full_range: bool, depth: u8) -> Levels {
    let one = f32::from(1_u16 << depth.saturating_sub(8).min(7));
    let steps = if full_range { 256.0 * one - 1.0 } else { 224.0 * one };
    Levels { zero: 128.0 * one, scale: 1.0 / steps }
}

#[derive(Debug)]
pub(super) struct Matrix {
    luma: Levels,
    chroma: Levels,
    /// Weights of the planes (columns) in red, green and blue (rows).
    weights: [[f32; 3]; 3],
}

/// True if [`ColorPlanes`](crate::codec::planes::ColorPlanes) can represent planes with this matrix. Luma alone has no
/// matrix.
pub(super) fn is_bt601(matrix: u16, sampling: ChromaSubsampling) -> bool {
    match sampling {
        ChromaSubsampling::Cs400 => true,
        ChromaSubsampling::Cs420 | ChromaSubsampling::Cs422 | ChromaSubsampling::Cs444 => matches!(matrix, 2 | 5 | 6),
    }
}

impl Matrix {
    /// # Errors
    /// The matrix is unsupported, or is the identity (RGB) with subsampled planes.
    pub(super) fn new(cicp: Cicp, depth: u8, sampling: ChromaSubsampling) -> Result<Self, Error> {
        let luma = levels(cicp.full_range, depth);
        if sampling == ChromaSubsampling::Cs400 {
            return Ok(Self { luma, chroma: luma, weights: [[1.0, 0.0, 0.0]; 3] });
        }
        let is_identity = cicp.matrix == 0;
        if is_identity && matches!(sampling, ChromaSubsampling::Cs420 | ChromaSubsampling::Cs422) {
            let reason = "RGB planes with chroma subsampling (matrix coefficients 0)";
            return Err(Error::Damaged { reason: reason.to_owned() });
        }
        let chroma = if is_identity { luma } else { chroma_levels(cicp.full_range, depth) };
        Ok(Self { luma, chroma, weights: weights(cicp.matrix)? })
    }

    /// Converts rows of luma and chroma to red, green and blue. Values outside of 0..=1 are out of gamut. A single row
    /// is gray.
    pub(super) fn apply(&self, rows: &mut [Vec<f32>]) {
        if let [gray] = rows {
            gray.iter_mut().for_each(|sample| *sample = self.luma.apply(*sample));
        }
        let [first, second, third] = rows else { return };
        let [red, green, blue] = self.weights;
        for ((first, second), third) in first.iter_mut().zip(second).zip(third) {
            let (luma, cb, cr) = (self.luma.apply(*first), self.chroma.apply(*second), self.chroma.apply(*third));
            *first = red[0] * luma + red[1] * cb + red[2] * cr;
            *second = green[0] * luma + green[1] * cb + green[2] * cr;
            *third = blue[0] * luma + blue[1] * cb + blue[2] * cr;
        }
    }
}

/// The weights of a matrix by its code point in ITU-T H.273. An unspecified matrix is BT.601, as in sYCC (IEC
/// 61966-2-1, amendment 1) and in other decoders.
fn weights(matrix: u16) -> Result<[[f32; 3]; 3], Error> {
    let unknown = |name: &str| {
        let reason = format!("unsupported color matrix: {name} (matrix coefficients {matrix})");
        Err(Error::Damaged { reason })
    };
    match matrix {
        // Identity: the planes are green, blue and red.
        0 => Ok([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        1 => Ok(from_luma_coefficients(0.2126, 0.0722)),
        2 | 5 | 6 => Ok(from_luma_coefficients(0.299, 0.114)),
        4 => Ok(from_luma_coefficients(0.30, 0.11)),
        7 => Ok(from_luma_coefficients(0.212, 0.087)),
        // YCgCo.
        8 => Ok([[1.0, -1.0, 1.0], [1.0, 1.0, 0.0], [1.0, -1.0, -1.0]]),
        9 => Ok(from_luma_coefficients(0.2627, 0.0593)),
        10 => unknown("BT.2020 with constant luminance"),
        11 => unknown("Y'D'zD'x"),
        12 => unknown("luma derived from primaries"),
        13 => unknown("constant luminance derived from primaries"),
        14 => unknown("ICtCp"),
        15 => unknown("IPT-C2"),
        16 | 17 => unknown("reversible YCgCo"),
        _ => unknown("undefined"),
    }
}

/// The inverse of the matrix with the luma coefficients `red` and `blue` (ITU-T H.273, section 8.3).
fn from_luma_coefficients(red: f32, blue: f32) -> [[f32; 3]; 3] {
    let green = 1.0 - red - blue;
    let (blue_weight, red_weight) = (2.0 * (1.0 - blue), 2.0 * (1.0 - red));
    [[1.0, 0.0, red_weight], [1.0, -blue_weight * blue / green, -red_weight * red / green], [1.0, blue_weight, 0.0]]
}
