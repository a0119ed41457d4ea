//! The coefficients of [`Effort::Small`](super::Effort::Small): perceptual quantizers and rate-distortion optimized
//! quantization.
//!
//! The constants were fitted to photographs, so that files have the fewest bytes at equal ssimulacra2, and so that a quality
//! has about the same score with both efforts.

use planes::PlaneRef;

use super::coefficients::Coefficients;
use super::entropy_encode::HuffmanCode;
use super::fdct::forward_dct;
use super::scans::Scan;
use super::sink::Counter;
use super::symbols::{COLUMN_MAJOR_ZIGZAG, factors, quantize};
use super::trellis::{AcBits, quantize_ac};
use crate::dct::{Lanes, ZIGZAG};

/// Sixteen times the quantizers of luma and chroma at quality 50, row by row.
#[rustfmt::skip]
const QUANTIZERS: [[u16; 64]; 2] = [
    [
        158, 257, 335, 413, 491, 570, 648, 727, 257, 333, 396, 464, 536, 611, 686, 763,
        335, 396, 460, 524, 592, 662, 734, 808, 413, 464, 524, 587, 652, 719, 788, 859,
        491, 536, 592, 652, 714, 779, 846, 915, 570, 611, 662, 719, 779, 842, 907, 973,
        648, 686, 734, 788, 846, 907, 970, 1034, 727, 763, 808, 859, 915, 973, 1034, 1098,
    ],
    [
        167, 298, 372, 436, 495, 550, 602, 652, 298, 297, 357, 419, 478, 534, 587, 637,
        372, 357, 383, 429, 480, 531, 581, 630, 436, 419, 429, 458, 497, 541, 586, 632,
        495, 478, 480, 497, 526, 562, 601, 642, 550, 534, 531, 541, 562, 590, 623, 659,
        602, 587, 581, 586, 601, 623, 650, 681, 652, 637, 630, 632, 642, 659, 681, 708,
    ],
];

/// Factors in percent on the quantizers by quality, in addition to those of libjpeg. Linear between two qualities.
const STRENGTH: [(u32, u32); 8] = [(1, 107), (10, 107), (30, 88), (50, 89), (60, 96), (80, 103), (93, 120), (100, 140)];

/// The cost of a bit of luma and chroma, in squared quantizers, in a block with a variance of 100.
const BIT_COSTS: [f32; 2] = [0.0564, 0.0664];
/// Added to the variance of a block, so that flat blocks keep their soft gradients.
const BASE_VARIANCE: f32 = 31.2;
/// Largest factor on the cost of a bit in a busy block.
const MASKING_MAX: f32 = 4.0;

/// Quantizers of luma and chroma for a quality of 1 to 100, row by row.
pub(super) fn quantizers(quality: u8) -> [[u8; 64]; 2] {
    let quality = u32::from(quality);
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    let strength = strength(quality);
    let scale = |n: u16| ((u32::from(n) * percent * strength + 80_000) / 160_000).clamp(1, 255) as u8;
    QUANTIZERS.map(|table| table.map(scale))
}

fn strength(quality: u32) -> u32 {
    for pair in STRENGTH.windows(2) {
        if let &[(low, from), (high, to)] = pair
            && quality <= high
        {
            let (above, below) = (quality.saturating_sub(low), high - quality.max(low));
            return (from * below + to * above) / (high - low);
        }
    }
    100
}

/// Quantizes the planes. `luma_blocks` is the number of luma blocks per minimum coded unit in each direction. `None` if
/// `should_continue` returned false.
pub(super) fn coefficients(
    planes: &[PlaneRef<'_>],
    luma_blocks: usize,
    quantizers: &[[u8; 64]; 2],
    should_continue: &dyn Fn() -> bool,
) -> Option<Coefficients> {
    // The rounded coefficients tell approximately how long the codes will be.
    let mut coefficients = Coefficients::rounded(planes, luma_blocks, quantizers, should_continue)?;
    let mut counter = Counter::new();
    Scan::Sequential.code(&coefficients, should_continue, &mut counter)?;
    let kinds: [Kind; 2] = std::array::from_fn(|n| Kind {
        factors: factors(&quantizers[n]),
        squares: ZIGZAG.map(|index| f32::from(quantizers[n][usize::from(index)]).powi(2)),
        bits: AcBits::new(&HuffmanCode::optimal(&counter.frequencies[2 * n + 1])),
        bit_cost: BIT_COSTS[n],
    });
    coefficients.fill(planes, should_continue, |n, samples| kinds[n.min(1)].quantize(samples))?;
    Some(coefficients)
}

/// The quantization of luma or of chroma.
struct Kind {
    factors: [Lanes<8>; 8],
    /// Squares of the quantizers in zigzag order.
    squares: [f32; 64],
    bits: AcBits,
    bit_cost: f32,
}

impl Kind {
    fn quantize(&self, samples: [Lanes<8>; 8]) -> [i16; 64] {
        let transformed = forward_dct(samples);
        let scaled = COLUMN_MAJOR_ZIGZAG.map(|index| {
            let (x, y) = (usize::from(index / 8 % 8), usize::from(index % 8));
            transformed[x][y] * self.factors[x][y]
        });
        let energies: [f32; 64] = std::array::from_fn(|k| scaled[k] * scaled[k] * self.squares[k]);
        let variance = energies[1..].iter().sum::<f32>() / 64.0;
        let mut block = [0; 64];
        block[0] = quantize(transformed, &self.factors)[0];
        quantize_ac(&scaled, &self.bits, self.bit_cost * masking(variance), &mut block);
        block
    }
}

/// The factor on the cost of a bit: errors in busy blocks are less visible. Grows with the 3/8 power of the variance. Only
/// roots are used, because other powers differ between machines.
fn masking(variance: f32) -> f32 {
    let root = ((variance + BASE_VARIANCE) / (100.0 + BASE_VARIANCE)).sqrt().sqrt();
    (root * root.sqrt()).min(MASKING_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantizers_shrink_with_the_quality() {
        let sum = |quality| quantizers(quality).as_flattened().iter().map(|&n| u32::from(n)).sum::<u32>();
        assert!((1..100).all(|quality| sum(quality) >= sum(quality + 1)));
        assert_eq!(quantizers(100), [[1; 64]; 2]);
    }
}
