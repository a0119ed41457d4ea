//! The inverse transforms (RFC 6386, section 14). No input overflows.

/// The inverse Walsh-Hadamard transform, from the Y2 block to the DC coefficients of the luma blocks (RFC 6386, section
/// 14.3).
pub(crate) fn inverse_wht(block: &[i32; 16]) -> [i32; 16] {
    let mut columns = [0; 16];
    for x in 0..4 {
        let [a, b, c, d] = butterfly([block[x], block[4 + x], block[8 + x], block[12 + x]]);
        (columns[x], columns[4 + x], columns[8 + x], columns[12 + x]) = (a, b, c, d);
    }
    let mut output = [0; 16];
    for (row, output) in columns.as_chunks::<4>().0.iter().zip(output.as_chunks_mut::<4>().0) {
        *output = butterfly(*row).map(|sum| (sum + 3) >> 3);
    }
    output
}

fn butterfly([i0, i1, i2, i3]: [i32; 4]) -> [i32; 4] {
    let (a, b, c, d) = (i0 + i3, i1 + i2, i1 - i2, i0 - i3);
    [a + b, c + d, a - b, d - c]
}

/// `sqrt(2) * sin(pi / 8)` and `sqrt(2) * cos(pi / 8) - 1`, times 2^16 (RFC 6386, section 14.4).
const SINE: i32 = 35_468;
const COSINE: i32 = 20_091;

/// Magnitude from which a coefficient makes a block [`WIDE`]. Below it, no product in the two passes of the transform
/// exceeds 32 bits.
pub(crate) const WIDE_FROM: i32 = 8192;

/// Flag in a coefficient count: the block needs 64-bit products. Encoders do not produce such blocks.
pub(crate) const WIDE: u8 = 0x80;

/// The inverse DCT (RFC 6386, section 14.4). Only the first `count` coefficients in zigzag order may be nonzero.
#[inline(always)]
pub(crate) fn inverse_dct(block: &[i32; 16], count: u8) -> [i32; 16] {
    match count {
        1 => [(block[0] + 4) >> 3; 16],
        ..WIDE => both_passes(block, |value, factor| value.wrapping_mul(factor) >> 16),
        WIDE.. => inverse_dct_wide(block),
    }
}

#[cold]
#[inline(never)]
fn inverse_dct_wide(block: &[i32; 16]) -> [i32; 16] {
    both_passes(block, |value, factor| ((i64::from(value) * i64::from(factor)) >> 16) as i32)
}

#[inline(always)]
fn both_passes(block: &[i32; 16], product: impl Fn(i32, i32) -> i32) -> [i32; 16] {
    let mut columns = [0; 16];
    for x in 0..4 {
        let [a, b, c, d] = one_pass([block[x], block[4 + x], block[8 + x], block[12 + x]], &product);
        (columns[x], columns[4 + x], columns[8 + x], columns[12 + x]) = (a, b, c, d);
    }
    let mut output = [0; 16];
    for y in [0, 4, 8, 12] {
        let [a, b, c, d] = one_pass([columns[y] + 4, columns[y + 1], columns[y + 2], columns[y + 3]], &product);
        (output[y], output[y + 1], output[y + 2], output[y + 3]) = (a >> 3, b >> 3, c >> 3, d >> 3);
    }
    output
}

#[inline(always)]
fn one_pass([i0, i1, i2, i3]: [i32; 4], product: impl Fn(i32, i32) -> i32) -> [i32; 4] {
    let (a, b) = (i0 + i2, i0 - i2);
    let c = product(i1, SINE) - (i3 + product(i3, COSINE));
    let d = (i1 + product(i1, COSINE)) + product(i3, SINE);
    [a + d, b + c, b - c, a - d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_below_the_wide_threshold_do_not_overflow() {
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            // The largest magnitudes below the threshold, or zero.
            let block = [(); 16].map(|()| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((seed >> 16) % 3).cast_signed() * (WIDE_FROM - 1) - (WIDE_FROM - 1)
            });
            assert_eq!(inverse_dct(&block, 16), inverse_dct_wide(&block));
        }
    }

    #[test]
    fn a_dc_coefficient_alone_gives_a_flat_block() {
        for dc in -3000..3000 {
            let mut block = [0; 16];
            block[0] = dc;
            assert_eq!(inverse_dct(&block, 1), inverse_dct(&block, 16));
            assert_eq!(inverse_wht(&block), [(dc + 3) >> 3; 16]);
        }
    }
}
