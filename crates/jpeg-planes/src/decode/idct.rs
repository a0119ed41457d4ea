//! The inverse DCT from dequantized coefficients to samples, with 8, 4, 2 or 1 output samples in each direction.
//!
//! The N-point inverse transform of the lowest N x N coefficients of a block gives the block at N/8 of its size,
//! low-pass filtered with the sharpest cutoff that a block transform allows. The arithmetic is `f32` without fused
//! multiply-add, so it gives the same result on every machine. At full scale it is within one level of the exact
//! result.

use crate::dct::{AAN_SCALE, LEVEL_SHIFT, Lanes, ZIGZAG, add, mul, sub, transpose};
use crate::options::Scale;

/// Scale factors of the four-point transform: `C(k) / 2` of the definition (ITU-T T.81, section A.3.3). The third one
/// includes the factor `1 / sqrt(2)` of its cosine.
const FOUR_POINT_SCALE: [f64; 4] = [0.353_553_390_593_273_8, 0.5, 0.353_553_390_593_273_8, 0.5];

/// Multiplies coefficients by their quantizer and the scale factors of an inverse transform, and places them in its
/// input block.
#[derive(Debug, Clone)]
pub(super) struct Dequantizer {
    /// Factor by zigzag index.
    factor: [f32; 64],
    /// Index in the block by zigzag index. Unused coefficients go to the last index, which the small transforms ignore.
    index: [u8; 64],
}

/// An inverse transform from a block of `SIZE` coefficients, a power of two, to `N` x `N` samples.
pub(super) trait InverseDct<const N: usize, const SIZE: usize> {
    const SCALE: Scale;

    fn samples(block: &[f32; SIZE]) -> [[u8; N]; N];
}

/// The inverse transforms of the four scales.
pub(super) struct Eighth;
pub(super) struct Quarter;
pub(super) struct Half;
pub(super) struct Full;

impl Dequantizer {
    /// Takes the quantizers in zigzag order.
    pub(super) fn new(quantizers: &[u16; 64], scale: Scale) -> Self {
        let mut dequantizer = Self { factor: [0.0; 64], index: [63; 64] };
        let points = scale.points();
        for (k, &quantizer) in quantizers.iter().enumerate() {
            let (row, column) = (usize::from(ZIGZAG[k] / 8), usize::from(ZIGZAG[k] % 8));
            if row >= points || column >= points {
                continue;
            }
            // Column-major, so that the second pass, over rows, leaves the samples in row-major order.
            let (index, factor) = match scale {
                Scale::Full => (column * 8 + row, AAN_SCALE[row] * AAN_SCALE[column] / 8.0),
                Scale::Half => (column * 4 + row, FOUR_POINT_SCALE[row] * FOUR_POINT_SCALE[column]),
                Scale::Quarter => (column * 2 + row, 0.125),
                Scale::Eighth => (0, 0.125),
            };
            dequantizer.index[k] = index as u8;
            dequantizer.factor[k] = (f64::from(quantizer) * factor) as f32;
        }
        dequantizer
    }

    /// Stores the dequantized value of the coefficient with zigzag index `k` (modulo 64) in the block.
    #[inline(always)]
    pub(super) fn store<const SIZE: usize>(&self, block: &mut [f32; SIZE], k: usize, value: f32) {
        let k = k & 63;
        block[usize::from(self.index[k]) & (SIZE - 1)] = value * self.factor[k];
    }
}

/// Adds the level shift, rounds and clamps. Adding 2^23 to a small positive number leaves its rounded value in the
/// lowest bits.
#[inline(always)]
fn sample(value: f32) -> u8 {
    let shifted = value + f32::from(LEVEL_SHIFT);
    let low = if shifted > 0.0 { shifted } else { 0.0 };
    let clamped = if low < 255.0 { low } else { 255.0 };
    (clamped + 8_388_608.0).to_bits() as u8
}

/// The eight-point inverse transform of all lanes: the flow graph of Arai, Agui and Nakajima in reverse.
#[inline(always)]
fn inverse_eight(c: [Lanes<8>; 8]) -> [Lanes<8>; 8] {
    const SQRT_2: f32 = std::f32::consts::SQRT_2;
    let (sum, difference) = (add(c[0], c[4]), sub(c[0], c[4]));
    let middle = add(c[2], c[6]);
    let tilt = sub(mul(sub(c[2], c[6]), SQRT_2), middle);
    let (e0, e3) = (add(sum, middle), sub(sum, middle));
    let (e1, e2) = (add(difference, tilt), sub(difference, tilt));

    let (z13, z10) = (add(c[5], c[3]), sub(c[5], c[3]));
    let (z11, z12) = (add(c[1], c[7]), sub(c[1], c[7]));
    let o7 = add(z11, z13);
    let rotated = mul(add(z10, z12), 1.847_759_1);
    let o6 = sub(sub(rotated, mul(z10, 2.613_126)), o7);
    let o5 = sub(mul(sub(z11, z13), SQRT_2), o6);
    let o4 = sub(sub(rotated, mul(z12, 1.082_392_2)), o5);
    [add(e0, o7), add(e1, o6), add(e2, o5), add(e3, o4), sub(e3, o4), sub(e2, o5), sub(e1, o6), sub(e0, o7)]
}

/// The four-point inverse transform of all lanes, by its definition.
#[inline(always)]
fn inverse_four(c: [Lanes<4>; 4]) -> [Lanes<4>; 4] {
    // cos(pi / 8) and cos(3 * pi / 8).
    const NEAR: f32 = 0.923_879_5;
    const FAR: f32 = 0.382_683_43;
    let (sum, difference) = (add(c[0], c[2]), sub(c[0], c[2]));
    let outer = add(mul(c[1], NEAR), mul(c[3], FAR));
    let inner = sub(mul(c[1], FAR), mul(c[3], NEAR));
    [add(sum, outer), add(difference, inner), sub(difference, inner), sub(sum, outer)]
}

impl InverseDct<8, 64> for Full {
    const SCALE: Scale = Scale::Full;

    #[inline(always)]
    fn samples(block: &[f32; 64]) -> [[u8; 8]; 8] {
        let columns: [Lanes<8>; 8] = std::array::from_fn(|x| std::array::from_fn(|y| block[x * 8 + y]));
        inverse_eight(transpose(inverse_eight(columns))).map(|row| row.map(sample))
    }
}

impl InverseDct<4, 32> for Half {
    const SCALE: Scale = Scale::Half;

    #[inline(always)]
    fn samples(block: &[f32; 32]) -> [[u8; 4]; 4] {
        let columns: [Lanes<4>; 4] = std::array::from_fn(|x| std::array::from_fn(|y| block[x * 4 + y]));
        inverse_four(transpose(inverse_four(columns))).map(|row| row.map(sample))
    }
}

impl InverseDct<2, 8> for Quarter {
    const SCALE: Scale = Scale::Quarter;

    /// The two-point transform is a sum and a difference.
    #[inline(always)]
    fn samples(block: &[f32; 8]) -> [[u8; 2]; 2] {
        let [dc, vertical, horizontal, diagonal, ..] = *block;
        let (left, right) = (dc + horizontal, dc - horizontal);
        let (left_slope, right_slope) = (vertical + diagonal, vertical - diagonal);
        [
            [sample(left + left_slope), sample(right + right_slope)],
            [sample(left - left_slope), sample(right - right_slope)],
        ]
    }
}

impl InverseDct<1, 2> for Eighth {
    const SCALE: Scale = Scale::Eighth;

    /// The DC coefficient is the mean of the block.
    #[inline(always)]
    fn samples(block: &[f32; 2]) -> [[u8; 1]; 1] {
        [[sample(block[0])]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition (ITU-T T.81, section A.3.3) for `points` output samples, in double precision.
    fn reference(coefficients: &[i32; 64], points: usize) -> Vec<f64> {
        let c = |k: usize| if k == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
        let cos =
            |n: usize, k: usize| ((2 * n + 1) as f64 * k as f64 * std::f64::consts::PI / (2 * points) as f64).cos();
        let mut samples = Vec::new();
        for y in 0..points {
            for x in 0..points {
                let mut sum = 0.0;
                for v in 0..points {
                    for u in 0..points {
                        sum += c(u) * c(v) / 4.0 * f64::from(coefficients[v * 8 + u]) * cos(x, u) * cos(y, v);
                    }
                }
                samples.push((sum + 128.0).clamp(0.0, 255.0));
            }
        }
        samples
    }

    fn check<T: InverseDct<N, SIZE>, const N: usize, const SIZE: usize>(
        quantizers: &[u16; 64],
        values: &[i32; 64],
        natural: &[i32; 64],
    ) {
        let dequantizer = Dequantizer::new(quantizers, T::SCALE);
        let mut block = [0.0; SIZE];
        for (k, &value) in values.iter().enumerate() {
            dequantizer.store(&mut block, k, value as f32);
        }
        for (actual, exact) in T::samples(&block).as_flattened().iter().zip(reference(natural, N)) {
            assert!((f64::from(*actual) - exact).abs() < 0.51, "{:?}: {actual} instead of {exact}", T::SCALE);
        }
    }

    #[test]
    fn every_scale_matches_the_definition_within_rounding() {
        let mut seed = 3_u32;
        let mut random = |range: i32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as i32 % (2 * range + 1) - range
        };
        let quantizers: [u16; 64] = std::array::from_fn(|k| 1 + (k as u16 % 5));
        for round in 0..500 {
            let mut natural = [0; 64];
            let mut values = [0; 64];
            for k in 0..64 {
                values[k] = if k == 0 || round % 3 == 0 || random(3) == 0 { random(60) } else { 0 };
                natural[usize::from(ZIGZAG[k])] = values[k] * i32::from(quantizers[k]);
            }
            check::<Full, 8, 64>(&quantizers, &values, &natural);
            check::<Half, 4, 32>(&quantizers, &values, &natural);
            check::<Quarter, 2, 8>(&quantizers, &values, &natural);
            check::<Eighth, 1, 2>(&quantizers, &values, &natural);
        }
    }
}
