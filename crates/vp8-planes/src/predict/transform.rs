//! The inverse transforms (RFC 6386 section 14), without loss in 32 bits for whatever a frame may say.

/// The DCs of a macroblock's luma of the block that they are coded in (section 14.3).
pub(crate) fn dcs(block: &[i32; 16]) -> [i32; 16] {
    let mut columns = [0; 16];
    for x in 0..4 {
        let [a, b, c, d] = butterfly([block[x], block[4 + x], block[8 + x], block[12 + x]]);
        (columns[x], columns[4 + x], columns[8 + x], columns[12 + x]) = (a, b, c, d);
    }
    let mut dcs = [0; 16];
    for (row, dcs) in columns.as_chunks::<4>().0.iter().zip(dcs.as_chunks_mut::<4>().0) {
        *dcs = butterfly(*row).map(|sum| (sum + 3) >> 3);
    }
    dcs
}

fn butterfly([i0, i1, i2, i3]: [i32; 4]) -> [i32; 4] {
    let (a, b, c, d) = (i0 + i3, i1 + i2, i1 - i2, i0 - i3);
    [a + b, c + d, a - b, d - c]
}

/// sqrt(2) sin(pi / 8) and sqrt(2) cos(pi / 8) - 1 in parts of 2^16 (section 14.4).
const SINE: i32 = 35_468;
const COSINE: i32 = 20_091;

/// From which size on a coefficient makes a block [`WIDE`]: twice through the transform, smaller ones stay below what can be
/// multiplied in 32 bits.
pub(crate) const WIDE_FROM: i32 = 8192;

/// Marks a count of coefficients of which one is so large as no encoder makes them.
pub(crate) const WIDE: u8 = 0x80;

/// The residue of a block (section 14.4), whose first `count` coefficients in their order may be other than 0.
#[inline(always)]
pub(crate) fn residue(block: &[i32; 16], count: u8) -> [i32; 16] {
    match count {
        1 => [(block[0] + 4) >> 3; 16],
        ..WIDE => whole(block, |number, part| number.wrapping_mul(part) >> 16),
        WIDE.. => wide(block),
    }
}

#[cold]
#[inline(never)]
fn wide(block: &[i32; 16]) -> [i32; 16] {
    whole(block, |number, part| ((i64::from(number) * i64::from(part)) >> 16) as i32)
}

#[inline(always)]
fn whole(block: &[i32; 16], product: impl Fn(i32, i32) -> i32) -> [i32; 16] {
    let mut columns = [0; 16];
    for x in 0..4 {
        let [a, b, c, d] = inverse([block[x], block[4 + x], block[8 + x], block[12 + x]], &product);
        (columns[x], columns[4 + x], columns[8 + x], columns[12 + x]) = (a, b, c, d);
    }
    let mut residue = [0; 16];
    for y in [0, 4, 8, 12] {
        let [a, b, c, d] = inverse([columns[y] + 4, columns[y + 1], columns[y + 2], columns[y + 3]], &product);
        (residue[y], residue[y + 1], residue[y + 2], residue[y + 3]) = (a >> 3, b >> 3, c >> 3, d >> 3);
    }
    residue
}

#[inline(always)]
fn inverse([i0, i1, i2, i3]: [i32; 4], product: impl Fn(i32, i32) -> i32) -> [i32; 4] {
    let (a, b) = (i0 + i2, i0 - i2);
    let c = product(i1, SINE) - (i3 + product(i3, COSINE));
    let d = (i1 + product(i1, COSINE)) + product(i3, SINE);
    [a + d, b + c, b - c, a - d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_blocks_come_out_as_wide_ones() {
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            // Each as large as it may be, or nothing.
            let block = [(); 16].map(|()| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((seed >> 16) % 3).cast_signed() * (WIDE_FROM - 1) - (WIDE_FROM - 1)
            });
            assert_eq!(residue(&block, 16), wide(&block));
        }
    }

    #[test]
    fn a_dc_alone_is_one_level() {
        for dc in -3000..3000 {
            let mut block = [0; 16];
            block[0] = dc;
            assert_eq!(residue(&block, 1), residue(&block, 16));
            assert_eq!(dcs(&block), [(dc + 3) >> 3; 16]);
        }
    }
}
