//! From dequantised coefficients to samples: the inverse DCT at 8, 4, 2 or 1 points a side.
//!
//! The N-point inverse transform of a block's lowest N x N coefficients is the block at N/8 of its size, low-passed as
//! sharply as a transform can. All arithmetic is `f32` without fused steps, so the same on every machine; a whole-size
//! block is within one level of the exact result.

use crate::Scale;

/// Which coefficient, in zigzag order, lies in which column and row (ITU-T T.81, figure A.6): `row * 8 + column`.
pub(crate) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// What the eight-point transform of Arai, Agui and Nakajima (1988) leaves to be multiplied into the quantisers:
/// `cos(k * pi / 16) * sqrt(2)`, and 1 for k = 0.
const AAN: [f64; 8] = [
    1.0,
    1.387_039_845_322_148,
    1.306_562_964_876_377,
    1.175_875_602_419_359,
    1.0,
    0.785_694_958_387_102,
    0.541_196_100_146_197,
    0.275_899_379_282_943,
];

/// The same for four points: `C(k) / 2` of the definition, with `1 / sqrt(2)` of the second cosine in the third place.
const FOUR: [f64; 4] = [0.353_553_390_593_273_8, 0.5, 0.353_553_390_593_273_8, 0.5];

/// How a component's coefficients become the block of a [`Transform`]: where each goes and by what it is multiplied.
#[derive(Debug, Clone)]
pub(crate) struct Dequantizer {
    /// By zigzag index.
    factor: [f32; 64],
    /// By zigzag index; coefficients that are not used go to the last place, which the small transforms do not read.
    place: [u8; 64],
}

/// An inverse transform: from a block of `SIZE` places, a power of two, to `N` by `N` samples.
pub(crate) trait Transform<const N: usize, const SIZE: usize> {
    const SCALE: Scale;

    fn samples(block: &[f32; SIZE]) -> [[u8; N]; N];
}

/// The transforms of the four scales.
pub(crate) struct Eighth;
pub(crate) struct Quarter;
pub(crate) struct Half;
pub(crate) struct Whole;

impl Dequantizer {
    /// For quantisers in zigzag order.
    pub(crate) fn new(quantizers: &[u16; 64], scale: Scale) -> Self {
        let mut dequantizer = Self { factor: [0.0; 64], place: [63; 64] };
        let points = scale.points();
        for (k, &quantizer) in quantizers.iter().enumerate() {
            let (row, column) = (usize::from(ZIGZAG[k] / 8), usize::from(ZIGZAG[k] % 8));
            if row >= points || column >= points {
                continue;
            }
            // Columns first, so that the last pass, over rows, leaves samples in their order.
            let (place, factor) = match scale {
                Scale::Whole => (column * 8 + row, AAN[row] * AAN[column] / 8.0),
                Scale::Half => (column * 4 + row, FOUR[row] * FOUR[column]),
                Scale::Quarter => (column * 2 + row, 0.125),
                Scale::Eighth => (0, 0.125),
            };
            dequantizer.place[k] = place as u8;
            dequantizer.factor[k] = (f64::from(quantizer) * factor) as f32;
        }
        dequantizer
    }

    /// Puts the value of coefficient `k` (taken modulo 64) in its place.
    #[inline(always)]
    pub(crate) fn put<const SIZE: usize>(&self, block: &mut [f32; SIZE], k: usize, value: f32) {
        let k = k & 63;
        block[usize::from(self.place[k]) & (SIZE - 1)] = value * self.factor[k];
    }
}

/// Rounds and clamps to a sample. Adding 2^23 leaves a small positive number rounded in the lowest bits.
#[inline(always)]
fn sample(value: f32) -> u8 {
    let shifted = value + 128.0;
    let low = if shifted > 0.0 { shifted } else { 0.0 };
    let clamped = if low < 255.0 { low } else { 255.0 };
    (clamped + 8_388_608.0).to_bits() as u8
}

type Row<const N: usize> = [f32; N];

#[inline(always)]
fn add<const N: usize>(a: Row<N>, b: Row<N>) -> Row<N> {
    std::array::from_fn(|n| a[n] + b[n])
}

#[inline(always)]
fn sub<const N: usize>(a: Row<N>, b: Row<N>) -> Row<N> {
    std::array::from_fn(|n| a[n] - b[n])
}

#[inline(always)]
fn mul<const N: usize>(a: Row<N>, factor: f32) -> Row<N> {
    std::array::from_fn(|n| a[n] * factor)
}

#[inline(always)]
fn transpose<const N: usize>(rows: [Row<N>; N]) -> [Row<N>; N] {
    std::array::from_fn(|y| std::array::from_fn(|x| rows[x][y]))
}

/// Eight points, over all lanes at once: the flow graph of Arai, Agui and Nakajima, backwards.
#[inline(always)]
fn eight(c: [Row<8>; 8]) -> [Row<8>; 8] {
    const SQRT_2: f32 = std::f32::consts::SQRT_2;
    let (sum, difference) = (add(c[0], c[4]), sub(c[0], c[4]));
    let middle = add(c[2], c[6]);
    let tilt = sub(mul(sub(c[2], c[6]), SQRT_2), middle);
    let (e0, e3) = (add(sum, middle), sub(sum, middle));
    let (e1, e2) = (add(difference, tilt), sub(difference, tilt));

    let (z13, z10) = (add(c[5], c[3]), sub(c[5], c[3]));
    let (z11, z12) = (add(c[1], c[7]), sub(c[1], c[7]));
    let o7 = add(z11, z13);
    let turn = mul(add(z10, z12), 1.847_759_1);
    let o6 = sub(sub(turn, mul(z10, 2.613_126)), o7);
    let o5 = sub(mul(sub(z11, z13), SQRT_2), o6);
    let o4 = sub(sub(turn, mul(z12, 1.082_392_2)), o5);
    [add(e0, o7), add(e1, o6), add(e2, o5), add(e3, o4), sub(e3, o4), sub(e2, o5), sub(e1, o6), sub(e0, o7)]
}

#[inline(always)]
fn four(c: [Row<4>; 4]) -> [Row<4>; 4] {
    // cos(pi / 8) and cos(3 * pi / 8).
    const NEAR: f32 = 0.923_879_5;
    const FAR: f32 = 0.382_683_43;
    let (sum, difference) = (add(c[0], c[2]), sub(c[0], c[2]));
    let outer = add(mul(c[1], NEAR), mul(c[3], FAR));
    let inner = sub(mul(c[1], FAR), mul(c[3], NEAR));
    [add(sum, outer), add(difference, inner), sub(difference, inner), sub(sum, outer)]
}

impl Transform<8, 64> for Whole {
    const SCALE: Scale = Scale::Whole;

    #[inline(always)]
    fn samples(block: &[f32; 64]) -> [[u8; 8]; 8] {
        let columns: [Row<8>; 8] = std::array::from_fn(|x| std::array::from_fn(|y| block[x * 8 + y]));
        eight(transpose(eight(columns))).map(|row| row.map(sample))
    }
}

impl Transform<4, 32> for Half {
    const SCALE: Scale = Scale::Half;

    #[inline(always)]
    fn samples(block: &[f32; 32]) -> [[u8; 4]; 4] {
        let columns: [Row<4>; 4] = std::array::from_fn(|x| std::array::from_fn(|y| block[x * 4 + y]));
        four(transpose(four(columns))).map(|row| row.map(sample))
    }
}

impl Transform<2, 8> for Quarter {
    const SCALE: Scale = Scale::Quarter;

    /// Sums and differences are the two-point transform.
    #[inline(always)]
    fn samples(block: &[f32; 8]) -> [[u8; 2]; 2] {
        let [dc, down, across, both, ..] = *block;
        let (left, right) = (dc + across, dc - across);
        let (left_tilt, right_tilt) = (down + both, down - both);
        [[sample(left + left_tilt), sample(right + right_tilt)], [sample(left - left_tilt), sample(right - right_tilt)]]
    }
}

impl Transform<1, 2> for Eighth {
    const SCALE: Scale = Scale::Eighth;

    /// The mean.
    #[inline(always)]
    fn samples(block: &[f32; 2]) -> [[u8; 1]; 1] {
        [[sample(block[0])]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition (section A.3.3) at `points` points, in double precision.
    fn defined(coefficients: &[i32; 64], points: usize) -> Vec<f64> {
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

    fn check<T: Transform<N, SIZE>, const N: usize, const SIZE: usize>(
        quantizers: &[u16; 64],
        values: &[i32; 64],
        natural: &[i32; 64],
    ) {
        let dequantizer = Dequantizer::new(quantizers, T::SCALE);
        let mut block = [0.0; SIZE];
        for (k, &value) in values.iter().enumerate() {
            dequantizer.put(&mut block, k, value as f32);
        }
        for (made, exact) in T::samples(&block).as_flattened().iter().zip(defined(natural, N)) {
            assert!((f64::from(*made) - exact).abs() < 0.51, "{:?}: {made} for {exact}", T::SCALE);
        }
    }

    #[test]
    fn every_scale_is_its_definition_within_rounding() {
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
            check::<Whole, 8, 64>(&quantizers, &values, &natural);
            check::<Half, 4, 32>(&quantizers, &values, &natural);
            check::<Quarter, 2, 8>(&quantizers, &values, &natural);
            check::<Eighth, 1, 2>(&quantizers, &values, &natural);
        }
    }
}
