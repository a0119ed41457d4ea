//! Skips the unused coefficients of a block, several codes at a time.
//!
//! An entry of the skip table covers all symbols that are complete within its index. It contains, from the highest bit,
//! the total step of these symbols (11 bits) and the number of bits to consume (5).

use planes::Error;

use super::{END, HuffmanTable, INVALID, OUT_OF_BLOCK, SKIP_BITS, TableClass, step};
use crate::decode::bit_reader::BitReader;

/// Added to the step of a skip entry that contains an end of block.
const SKIP_END: u32 = 64;

/// Skip entry without a complete symbol. Its step leads past the end of every block, which selects the slow path.
const SKIP_NONE: u16 = 63 << 5;

impl HuffmanTable {
    /// Builds the table that makes [`Self::skip_block`] fast.
    pub(in crate::decode) fn prepare_skipping(&mut self) {
        if self.skip.is_some() || self.class == TableClass::Dc {
            return;
        }
        let codes: Vec<(u32, u8)> = (0..1 << SKIP_BITS).map(|bits| self.find_code(bits << (16 - SKIP_BITS))).collect();
        let mut skip = Box::new([SKIP_NONE; 1 << SKIP_BITS]);
        for (bits, entry) in skip.iter_mut().enumerate() {
            *entry = skip_entry(&codes, bits);
        }
        self.skip = Some(skip);
    }

    /// Skips the rest of a block after coefficient `k` (0 to 62).
    ///
    /// # Errors
    /// The data contains an invalid code or a run past the end of the block.
    #[inline(always)]
    pub(in crate::decode) fn skip_block(&self, bits: &mut BitReader<'_>, mut k: u32) -> Result<(), Error> {
        let Some(skip) = &self.skip else { return self.skip_slowly(bits, k) };
        loop {
            bits.refill();
            // Two steps consume at most 2 * (12 + 15) bits, fewer than `REFILLED`.
            for _ in 0..2 {
                let entry = u32::from(skip[bits.peek(SKIP_BITS)]);
                let after = k + (entry >> 5);
                if after < 63 {
                    bits.consume(entry & 31);
                    k = after;
                    continue;
                }
                if entry & (SKIP_END << 5) != 0 && after < SKIP_END + 63 {
                    bits.consume(entry & 31);
                    return Ok(());
                }
                // The block ends within these symbols, or the code is longer than the index.
                bits.refill();
                let (step, _) = self.next(bits);
                k += step;
                if k >= 63 {
                    return if k == 63 || (END..INVALID).contains(&step) { Ok(()) } else { Err(OUT_OF_BLOCK) };
                }
                break;
            }
        }
    }

    fn skip_slowly(&self, bits: &mut BitReader<'_>, mut k: u32) -> Result<(), Error> {
        while k < 63 {
            bits.refill();
            let (step, _) = self.next(bits);
            if (END..INVALID).contains(&step) {
                return Ok(());
            }
            k += step;
        }
        if k == 63 { Ok(()) } else { Err(OUT_OF_BLOCK) }
    }
}

/// Returns the skip entry for an index. It covers all symbols that are complete within the index. The value bits of the
/// last symbol may extend beyond it.
fn skip_entry(codes: &[(u32, u8)], bits: usize) -> u16 {
    let (mut used, mut steps) = (0_u32, 0_u32);
    while used < SKIP_BITS {
        let (length, symbol) = codes[(bits << used) & ((1 << SKIP_BITS) - 1)];
        // A longer code would include zeros that were shifted in.
        if length == 0 || length > SKIP_BITS - used {
            break;
        }
        let step = step(TableClass::Ac, symbol);
        if step >= END {
            return (((steps + SKIP_END) << 5) | (used + length)) as u16;
        }
        if steps + step > 62 {
            break;
        }
        steps += step;
        used += length + u32::from(symbol & 15);
    }
    if used == 0 { SKIP_NONE } else { ((steps << 5) | used) as u16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes 0 (size 1), 10 (end of block), 110 (run 1, size 2), 1110 (ZRL) and one of 13 bits.
    fn table() -> HuffmanTable {
        let mut counts = [0; 16];
        counts[..4].copy_from_slice(&[1, 1, 1, 1]);
        counts[12] = 1;
        HuffmanTable::new(TableClass::Ac, &counts, &[0x01, 0x00, 0x12, 0xF0, 0x2A]).unwrap()
    }

    #[test]
    fn skipping_consumes_the_same_bits_with_and_without_the_skip_table() {
        let mut fast = table();
        fast.prepare_skipping();
        let slow = table();
        let mut seed = 7_u32;
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..64)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((seed >> 24) as u8) & ((seed >> 16) as u8 | 0x55)
                })
                .collect();
            for k in [0, 4, 24, 60, 62] {
                let (mut a, mut b) = (BitReader::new(&bytes, 0), BitReader::new(&bytes, 0));
                assert_eq!(fast.skip_block(&mut a, k), slow.skip_block(&mut b, k));
                a.refill();
                b.refill();
                assert_eq!(a.peek(32), b.peek(32), "{k}");
            }
        }
    }
}
