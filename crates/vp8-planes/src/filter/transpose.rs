//! Transposes squares of 8 x 8 samples, each row in a 64-bit word.

/// Eight rows of eight samples.
type Words = [u64; 8];

/// One step of the recursive transpose: in each pair of rows that are `DISTANCE` apart, swaps the two off-diagonal
/// squares of `DISTANCE` x `DISTANCE` samples.
#[inline(always)]
fn swap_off_diagonal<const DISTANCE: usize>(words: &mut Words, mask: u64) {
    let shift = 8 * DISTANCE as u32;
    for n in [0, 1, 2, 3] {
        // `a` is row number `n` of those rows in whose number the bit `DISTANCE` is clear.
        let a = (n & (DISTANCE - 1)) | (n & !(DISTANCE - 1)) << 1;
        let b = a + DISTANCE;
        let change = ((words[a] >> shift) ^ words[b]) & mask;
        words[b] ^= change;
        words[a] ^= change << shift;
    }
}

#[inline(always)]
fn transpose_words(mut words: Words) -> Words {
    swap_off_diagonal::<4>(&mut words, 0x0000_0000_FFFF_FFFF);
    swap_off_diagonal::<2>(&mut words, 0x0000_FFFF_0000_FFFF);
    swap_off_diagonal::<1>(&mut words, 0x00FF_00FF_00FF_00FF);
    words
}

#[inline(always)]
pub(super) fn transpose(rows: [[u8; 8]; 8]) -> [[u8; 8]; 8] {
    let mut words = [0; 8];
    for (word, row) in words.iter_mut().zip(rows) {
        *word = u64::from_le_bytes(row);
    }
    let mut columns = [[0; 8]; 8];
    for (column, word) in columns.iter_mut().zip(transpose_words(words)) {
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
        let columns = transpose(rows);
        for (x, column) in columns.iter().enumerate() {
            assert_eq!(*column, std::array::from_fn(|y| (8 * y + x) as u8));
        }
        assert_eq!(transpose(columns), rows);
    }
}
