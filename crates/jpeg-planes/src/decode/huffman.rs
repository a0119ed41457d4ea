//! Huffman decoding by lookup tables (ITU-T T.81, annex C and sections F.2.2.1 to F.2.2.4).

use planes::Error;

use crate::decode::bit_reader::{BitReader, REFILLED};

mod skip;

/// Index bits of the table that decodes a code together with its value.
const FUSED_BITS: u32 = 10;

/// Index bits of the table that skips several codes at once.
const SKIP_BITS: u32 = 12;

/// Number of calls of [`HuffmanTable::next_short`] that one refill covers.
pub(super) const SHORT_CODES: u32 = REFILLED / FUSED_BITS;

/// Step value that ends the block (see [`HuffmanTable::next`]). In a progressive scan, the exponent of the end-of-band
/// run is added to it.
pub(super) const END: u32 = 128;
/// Step value of a bit pattern that is not a code.
pub(super) const INVALID: u32 = 255;

/// The kind of symbols in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableClass {
    /// Each symbol is the bit length of a DC difference.
    Dc,
    /// Each symbol is a run of zeros and the bit length of the coefficient that follows.
    Ac,
}

/// A Huffman table. One lookup decodes a short code together with the value bits that follow it.
#[derive(Debug, Clone)]
pub(super) struct HuffmanTable {
    class: TableClass,
    /// Indexed by the next [`FUSED_BITS`] bits. An entry contains, from the highest bit: value (16 bits), step (8),
    /// [`VALUE_PENDING`] (1), bits to consume (7). If the value bits lie beyond the index, the flag is set and the
    /// value field contains their number. An entry is 0 if the code is longer than the index.
    fused: Box<[u32; 1 << FUSED_BITS]>,
    /// Indexed by the next [`SKIP_BITS`] bits. See [`skip`] for the layout of an entry.
    skip: Option<Box<[u16; 1 << SKIP_BITS]>>,
    /// Exclusive upper bound of the codes of each length, left-aligned in 16 bits. 0 for unused lengths.
    limit: [u32; 17],
    /// Difference between a symbol's index in `symbols` and its code, by code length.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

/// Flag of a fused entry whose value bits lie beyond the index bits.
const VALUE_PENDING: u32 = 0x80;

impl HuffmanTable {
    /// Reads one table of a DHT segment: sixteen counts, then the symbols (ITU-T T.81, section B.2.4.2). Also returns
    /// the rest of the segment.
    pub(super) fn read(class: TableClass, segment: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (counts, rest) = segment.split_first_chunk::<16>().ok_or(Error::Damaged("Huffman table too short"))?;
        let total: usize = counts.iter().map(|&n| usize::from(n)).sum();
        if total > 256 || total > rest.len() {
            return Err(Error::Damaged("too many Huffman codes"));
        }
        let (symbols, rest) = rest.split_at(total);
        if class == TableClass::Dc && symbols.iter().any(|&size| size > 15) {
            return Err(Error::Damaged("invalid DC symbol in a Huffman table"));
        }
        Ok((Self::new(class, counts, symbols)?, rest))
    }

    fn new(class: TableClass, counts: &[u8; 16], symbols: &[u8]) -> Result<Self, Error> {
        let mut table = Self {
            class,
            fused: Box::new([0; 1 << FUSED_BITS]),
            skip: None,
            limit: [0; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (length, &count) in (1..=16_u32).zip(counts) {
            let count = u32::from(count);
            if code + count > 1 << length {
                return Err(Error::Damaged("oversubscribed Huffman code"));
            }
            table.offset[length as usize] = index as i32 - code as i32;
            for &symbol in &symbols[index..index + count as usize] {
                if length <= FUSED_BITS {
                    table.fill_fused(code, length, symbol);
                }
                code += 1;
            }
            index += count as usize;
            table.limit[length as usize] = if count == 0 { 0 } else { code << (16 - length) };
            code <<= 1;
        }
        Ok(table)
    }

    /// Fills all fused entries whose index starts with `code`.
    fn fill_fused(&mut self, code: u32, length: u32, symbol: u8) {
        let size = u32::from(symbol & 15);
        let step = step(self.class, symbol);
        let spare = FUSED_BITS - length;
        let first = code << spare;
        for suffix in 0..1_u32 << spare {
            let entry = if size <= spare {
                let value = extend(suffix >> (spare - size), size) as u32;
                (value << 16) | (step << 8) | (length + size)
            } else {
                (size << 16) | (step << 8) | VALUE_PENDING | length
            };
            if let Some(slot) = self.fused.get_mut((first + suffix) as usize) {
                *slot = entry;
            }
        }
    }

    /// Returns the length and the symbol of the code with which the 16 bits begin. The length is 0 if no code matches.
    fn find_code(&self, bits: u32) -> (u32, u8) {
        for length in 1..=16_u32 {
            if bits < self.limit[length as usize] {
                let index = (bits >> (16 - length)) as i32 + self.offset[length as usize];
                let symbol = usize::try_from(index).ok().and_then(|index| self.symbols.get(index));
                return symbol.map_or((0, 0), |&symbol| (length, symbol));
            }
        }
        (0, 0)
    }

    /// Decodes the next step and value. Consumes at most 31 bits, which the caller must have made available.
    ///
    /// The step is the distance to the coefficient of the value, or at least [`END`], or [`INVALID`].
    #[inline(always)]
    pub(super) fn next(&self, bits: &mut BitReader<'_>) -> (u32, i32) {
        let entry = self.fused[bits.peek(FUSED_BITS)];
        let length = entry & 0xFF;
        if length.wrapping_sub(1) < VALUE_PENDING - 1 {
            bits.consume(length);
            return ((entry >> 8) & 0xFF, entry as i32 >> 16);
        }
        self.next_in_two_steps(bits, entry)
    }

    /// Like [`Self::next`] if code and value fit in [`FUSED_BITS`] bits. Otherwise consumes nothing.
    #[inline(always)]
    pub(super) fn next_short(&self, bits: &mut BitReader<'_>) -> Option<(u32, i32)> {
        let entry = self.fused[bits.peek(FUSED_BITS)];
        let length = entry & 0xFF;
        if length.wrapping_sub(1) >= VALUE_PENDING - 1 {
            return None;
        }
        bits.consume(length);
        Some(((entry >> 8) & 0xFF, entry as i32 >> 16))
    }

    #[inline(always)]
    fn next_in_two_steps(&self, bits: &mut BitReader<'_>, entry: u32) -> (u32, i32) {
        let (length, size, step) = if entry != 0 {
            (entry & 0x7F, entry >> 16, (entry >> 8) & 0xFF)
        } else {
            let (length, symbol) = self.long_code(bits.peek(16) as u32);
            (length, u32::from(symbol & 15), if length == 0 { INVALID } else { step(self.class, symbol) })
        };
        bits.consume(length);
        let value = bits.read(size);
        (step, extend(value, size))
    }

    #[cold]
    #[inline(never)]
    fn long_code(&self, bits: u32) -> (u32, u8) {
        self.find_code(bits)
    }
}

/// A coefficient index past the end of its block.
pub(super) const OUT_OF_BLOCK: Error = Error::Damaged("coefficient outside of its block");

/// A bit pattern that matches no code.
pub(super) const INVALID_CODE: Error = Error::Damaged("invalid Huffman code");

/// A scan that refers to an undefined Huffman table.
pub(super) const MISSING_TABLE: Error = Error::Damaged("missing Huffman table");

/// Returns the distance to the coefficient that a symbol codes, or a step value of at least [`END`].
fn step(class: TableClass, symbol: u8) -> u32 {
    let (run, size) = (u32::from(symbol >> 4), symbol & 15);
    match (class, run, size) {
        (TableClass::Dc, ..) => 1,
        // ZRL: sixteen zeros without a value.
        (TableClass::Ac, 15, 0) => 16,
        (TableClass::Ac, _, 0) => END + run,
        (TableClass::Ac, ..) => run + 1,
    }
}

/// Sign-extends a value of `size` bits (EXTEND in ITU-T T.81, section F.2.2.1).
#[inline(always)]
pub(super) fn extend(value: u32, size: u32) -> i32 {
    // A leading 0 bit marks a negative value, offset by `2^size - 1`.
    let negative = (value >> size.saturating_sub(1)) & 1 == 0;
    let value = value as i32;
    if negative { value - (1 << size) + 1 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extend_matches_table_f1() {
        let table = [(0, 0, 0), (0, 1, -1), (1, 1, 1), (0, 2, -3), (1, 2, -2), (2, 2, 2), (3, 2, 3), (0, 11, -2047)];
        for (bits, size, expected) in table {
            assert_eq!(extend(bits, size), expected, "{bits:b} of {size}");
        }
    }

    #[test]
    fn invalid_tables_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(HuffmanTable::new(TableClass::Ac, &counts, &[1, 2, 3]).is_err());
        assert!(HuffmanTable::read(TableClass::Ac, &[255; 16]).is_err());
        assert!(HuffmanTable::read(TableClass::Dc, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16]).is_err());
    }
}
