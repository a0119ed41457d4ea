//! From luma and chroma to red, green and blue (ITU-T H.273 section 8.3).

use crate::error::Error;
use crate::yuv_image::{ChromaSubsampling, Cicp};

/// What the numbers of a plane stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Levels {
    zero: f32,
    scale: f32,
}

impl Levels {
    pub(super) fn of(self, sample: f32) -> f32 {
        (sample - self.zero) * self.scale
    }
}

/// Levels of luma, of alpha, or of a color itself: 0 to 1.
pub(super) fn levels(full_range: bool, depth: u8) -> Levels {
    let one = f32::from(1_u16 << depth.saturating_sub(8).min(7));
    if full_range {
        return Levels { zero: 0.0, scale: 1.0 / (256.0 * one - 1.0) };
    }
    Levels { zero: 16.0 * one, scale: 1.0 / (219.0 * one) }
}

/// Levels of chroma: -0.5 to 0.5.
fn chroma_levels(full_range: bool, depth: u8) -> Levels {
    let one = f32::from(1_u16 << depth.saturating_sub(8).min(7));
    let steps = if full_range { 256.0 * one - 1.0 } else { 224.0 * one };
    Levels { zero: 128.0 * one, scale: 1.0 / steps }
}

#[derive(Debug)]
pub(super) struct Matrix {
    luma: Levels,
    chroma: Levels,
    /// How much of each plane is in each color.
    weights: [[f32; 3]; 3],
}

/// Whether planes by this matrix are those that [`super::super::planes`] knows. Luma alone is by any.
pub(super) fn is_bt601(matrix: u16, sampling: ChromaSubsampling) -> bool {
    match sampling {
        ChromaSubsampling::Cs400 => true,
        ChromaSubsampling::Cs420 | ChromaSubsampling::Cs422 | ChromaSubsampling::Cs444 => matches!(matrix, 2 | 5 | 6),
    }
}

impl Matrix {
    /// # Errors
    /// Matrices that are not known here, and colors themselves with fewer samples of two of them.
    pub(super) fn new(cicp: Cicp, depth: u8, sampling: ChromaSubsampling) -> Result<Self, Error> {
        let luma = levels(cicp.full_range, depth);
        if sampling == ChromaSubsampling::Cs400 {
            return Ok(Self { luma, chroma: luma, weights: [[1.0, 0.0, 0.0]; 3] });
        }
        let is_identity = cicp.matrix == 0;
        if is_identity && matches!(sampling, ChromaSubsampling::Cs420 | ChromaSubsampling::Cs422) {
            let reason = "its planes are colors themselves, but not all of one size (matrix coefficients 0)";
            return Err(Error::Damaged { reason: reason.to_owned() });
        }
        let chroma = if is_identity { luma } else { chroma_levels(cicp.full_range, depth) };
        Ok(Self { luma, chroma, weights: weights(cicp.matrix)? })
    }

    /// Makes rows of luma and two of chroma such of red, green and blue, 0 to 1 where they are colors that a screen has; one
    /// row stays gray.
    pub(super) fn apply(&self, rows: &mut [Vec<f32>]) {
        if let [gray] = rows {
            gray.iter_mut().for_each(|sample| *sample = self.luma.of(*sample));
        }
        let [first, second, third] = rows else { return };
        let [red, green, blue] = self.weights;
        for ((first, second), third) in first.iter_mut().zip(second).zip(third) {
            let (luma, cb, cr) = (self.luma.of(*first), self.chroma.of(*second), self.chroma.of(*third));
            *first = red[0] * luma + red[1] * cb + red[2] * cr;
            *second = green[0] * luma + green[1] * cb + green[2] * cr;
            *third = blue[0] * luma + blue[1] * cb + blue[2] * cr;
        }
    }
}

/// Red, green and blue of the planes, by H.273's number. Where nothing is said it is BT.601, as sRGB's sYCC is (IEC 61966-2-1
/// amendment 1) and as other readers have it.
fn weights(matrix: u16) -> Result<[[f32; 3]; 3], Error> {
    let unknown = |name: &str| {
        let reason = format!("its colors are coded as {name} (matrix coefficients {matrix}), which is not known here");
        Err(Error::Damaged { reason })
    };
    match matrix {
        // Green, blue and red.
        0 => Ok([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        1 => Ok(differences(0.2126, 0.0722)),
        2 | 5 | 6 => Ok(differences(0.299, 0.114)),
        4 => Ok(differences(0.30, 0.11)),
        7 => Ok(differences(0.212, 0.087)),
        // Luma, and differences to green and to orange.
        8 => Ok([[1.0, -1.0, 1.0], [1.0, 1.0, 0.0], [1.0, -1.0, -1.0]]),
        9 => Ok(differences(0.2627, 0.0593)),
        10 => unknown("BT.2020 of constant luminance"),
        11 => unknown("Y'D'zD'x"),
        12 => unknown("luma derived from primaries"),
        13 => unknown("constant luminance derived from primaries"),
        14 => unknown("ICtCp"),
        15 => unknown("IPT-C2"),
        16 | 17 => unknown("reversible YCgCo"),
        _ => unknown("nothing that has a name"),
    }
}

/// The inverse of luma that has so much of red and of blue in it, and the differences of blue and of red to it.
fn differences(red: f32, blue: f32) -> [[f32; 3]; 3] {
    let green = 1.0 - red - blue;
    let (of_blue, of_red) = (2.0 * (1.0 - blue), 2.0 * (1.0 - red));
    [[1.0, 0.0, of_red], [1.0, -of_blue * blue / green, -of_red * red / green], [1.0, of_blue, 0.0]]
}
