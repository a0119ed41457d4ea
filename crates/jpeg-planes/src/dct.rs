//! The parts that the forward and the inverse discrete cosine transform share: coefficient order, scale factors and
//! vectors of lanes.

/// Position `row * 8 + column` of each coefficient by its zigzag index (ITU-T T.81, figure A.6).
pub(crate) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Value that is subtracted from samples before the forward transform and added after the inverse one (ITU-T T.81,
/// section A.3.1).
pub(crate) const LEVEL_SHIFT: u8 = 128;

/// Scale factors, by row or column, of the eight-point transform of Arai, Agui and Nakajima ("A fast DCT-SQ scheme for
/// images", 1988): `cos(k * pi / 16) * sqrt(2)`, and 1 for k = 0. The quantization absorbs them.
pub(crate) const AAN_SCALE: [f64; 8] = [
    1.0,
    1.387_039_845_322_148,
    1.306_562_964_876_377,
    1.175_875_602_419_359,
    1.0,
    0.785_694_958_387_102,
    0.541_196_100_146_197,
    0.275_899_379_282_943,
];

/// `N` values on which a transform operates in parallel.
pub(crate) type Lanes<const N: usize> = [f32; N];

#[inline(always)]
pub(crate) fn add<const N: usize>(a: Lanes<N>, b: Lanes<N>) -> Lanes<N> {
    std::array::from_fn(|n| a[n] + b[n])
}

#[inline(always)]
pub(crate) fn sub<const N: usize>(a: Lanes<N>, b: Lanes<N>) -> Lanes<N> {
    std::array::from_fn(|n| a[n] - b[n])
}

#[inline(always)]
pub(crate) fn mul<const N: usize>(a: Lanes<N>, factor: f32) -> Lanes<N> {
    std::array::from_fn(|n| a[n] * factor)
}

#[inline(always)]
pub(crate) fn transpose<const N: usize>(rows: [Lanes<N>; N]) -> [Lanes<N>; N] {
    std::array::from_fn(|y| std::array::from_fn(|x| rows[x][y]))
}
