//! Rows of samples to columns and back, eight by eight in words of 64 bits.

/// Eight samples each.
type Words = [u64; 8];

/// Exchanges, of each two words that are `APART`, the parts off the diagonal: of blocks of `APART` samples the upper right one and the
/// lower left one.
#[inline(always)]
fn exchange<const APART: usize>(words: &mut Words, mask: u64) {
    let shift = 8 * APART as u32;
    for n in [0, 1, 2, 3] {
        // The numbers below eight that have no bit of `APART`.
        let a = (n & (APART - 1)) | (n & !(APART - 1)) << 1;
        let b = a + APART;
        let change = ((words[a] >> shift) ^ words[b]) & mask;
        words[b] ^= change;
        words[a] ^= change << shift;
    }
}

#[inline(always)]
fn turned(mut words: Words) -> Words {
    exchange::<4>(&mut words, 0x0000_0000_FFFF_FFFF);
    exchange::<2>(&mut words, 0x0000_FFFF_0000_FFFF);
    exchange::<1>(&mut words, 0x00FF_00FF_00FF_00FF);
    words
}

/// Columns of rows of eight, or rows of columns.
#[inline(always)]
pub(crate) fn square(rows: [[u8; 8]; 8]) -> [[u8; 8]; 8] {
    let mut words = [0; 8];
    for (word, row) in words.iter_mut().zip(rows) {
        *word = u64::from_le_bytes(row);
    }
    let mut columns = [[0; 8]; 8];
    for (column, word) in columns.iter_mut().zip(turned(words)) {
        *column = word.to_le_bytes();
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        let rows: [[u8; 8]; 8] = std::array::from_fn(|y| std::array::from_fn(|x| (8 * y + x) as u8));
        let columns = square(rows);
        for (x, column) in columns.iter().enumerate() {
            assert_eq!(*column, std::array::from_fn(|y| (8 * y + x) as u8));
        }
        assert_eq!(square(columns), rows);
    }
}
