//! Decodes one block of an AC refinement scan (ITU-T T.81, section G.1.2.3).

use planes::Error;

use crate::decode::bit_reader::BitReader;
use crate::decode::huffman::{END, HuffmanTable, INVALID, INVALID_CODE, OUT_OF_BLOCK};
use crate::decode::scan::{Scan, band_mask};

/// Length of an end-of-band run, including the current block (ITU-T T.81, section G.1.2.2).
#[inline(always)]
pub(super) fn end_of_band_run(bits: &mut BitReader<'_>, step: u32) -> Result<u32, Error> {
    if step == INVALID {
        return Err(INVALID_CODE);
    }
    let exponent = step - END;
    Ok((1 << exponent) + bits.read(exponent))
}

/// A block whose coefficients gain one bit of precision.
pub(super) struct BlockRefinement<'a, 'k> {
    pub(super) bits: BitReader<'a>,
    pub(super) coefficients: &'k mut [i16],
    /// Bit mask of the nonzero coefficients.
    pub(super) history: u64,
    /// The value of the new bit.
    pub(super) bit: i16,
}

impl BlockRefinement<'_, '_> {
    /// Decodes the block. `run` is the number of blocks left in the end-of-band run, including this block.
    #[inline(always)]
    pub(super) fn refine(&mut self, scan: &Scan, table: &HuffmanTable, run: &mut u32) -> Result<(), Error> {
        let mut rest = band_mask(scan.first, scan.last);
        while *run == 0 && rest != 0 {
            self.bits.refill();
            let (step, value) = table.next(&mut self.bits);
            if step >= END {
                *run = end_of_band_run(&mut self.bits, step)?;
                break;
            }
            // The run length counts only coefficients that are still zero. Find the coefficient after it.
            let mut zeros = rest & !self.history;
            for _ in 1..step {
                zeros &= zeros.wrapping_sub(1);
            }
            let new = zeros & zeros.wrapping_neg();
            let passed = if new == 0 { rest } else { rest & (new - 1) };
            self.correct(passed & self.history);
            rest &= !(passed | new);
            if value != 0 {
                if new == 0 {
                    return Err(OUT_OF_BLOCK);
                }
                self.history |= new;
                if let Some(coefficient) = self.coefficients.get_mut(new.trailing_zeros() as usize) {
                    *coefficient = if value > 0 { self.bit } else { -self.bit };
                }
            }
        }
        if *run > 0 {
            self.correct(rest & self.history);
            *run -= 1;
        }
        Ok(())
    }

    /// Reads a correction bit for each coefficient in the mask, in zigzag order. Bits of coefficients that are not
    /// stored are skipped.
    #[inline(always)]
    fn correct(&mut self, mut mask: u64) {
        while mask != 0 {
            let Some(coefficient) = self.coefficients.get_mut(mask.trailing_zeros() as usize) else { break };
            mask &= mask - 1;
            if self.bits.read_bit() {
                let is_negative = *coefficient < 0;
                *coefficient =
                    if is_negative { coefficient.wrapping_sub(self.bit) } else { coefficient.wrapping_add(self.bit) };
            }
        }
        if mask != 0 {
            self.bits.skip(mask.count_ones());
        }
    }
}
