//! Huffman decoding by lookup tables (ITU-T T.81, annex C and sections F.2.2.1 to F.2.2.4).

use planes::Error;

use crate::decode::bit_reader::{BitReader, REFILLED};

/// Index bits of the table that decodes a code together with its value.
const FUSED_BITS: u32 = 10;

/// Index bits of the table that skips several codes at once.
const SKIP_BITS: u32 = 12;

/// Number of calls of [`HuffmanTable::next_short`] that one refill covers.
pub(super) const SHORT_CODES: u32 = REFILLED / FUSED_BITS;

/// Step that ends the block. A progressive scan adds the exponent of the end-of-band run.
pub(super) const END: u32 = 128;
/// Step of a bit pattern that is not a code.
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
    /// Indexed by the next [`FUSED_BITS`] bits. From the top: value (16 bits), step (8), [`VALUE_PENDING`] (1), bits to
    /// consume (7). A pending value is still to be read, and its bit length takes its place. 0 if the code is longer.
    fused: Box<[u32; 1 << FUSED_BITS]>,
    /// Indexed by the next [`SKIP_BITS`] bits. From the top: total step of all symbols that are complete within these bits (11
    /// bits; [`SKIP_END`] is added at an end of block), bits to consume (5).
    skip: Option<Box<[u16; 1 << SKIP_BITS]>>,
    /// Exclusive upper bound of the codes of each length, left-aligned in 16 bits. 0 for unused lengths.
    limit: [u32; 17],
    /// Difference between a symbol's index in `symbols` and its code, by code length.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

/// Flag of a fused entry whose value bits lie beyond the index bits.
const VALUE_PENDING: u32 = 0x80;

/// Added to the step of a skip entry that contains an end of block.
const SKIP_END: u32 = 64;

/// Skip entry without a complete symbol. Its step exceeds every block, which selects the slow path.
const SKIP_NONE: u16 = 63 << 5;

impl HuffmanTable {
    /// Reads one table of a DHT segment: sixteen counts, then the symbols (ITU-T T.81, section B.2.4.2). Also returns the rest of
    /// the segment.
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

    /// Builds the table that makes [`Self::skip_block`] fast.
    pub(super) fn prepare_skipping(&mut self) {
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

    /// Length and symbol of the code at the start of 16 bits. The length is 0 if no code matches.
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

    /// Skips the rest of a block after coefficient `k` (0 to 62).
    ///
    /// # Errors
    /// The data contains an invalid code or a run past the end of the block.
    #[inline(always)]
    pub(super) fn skip_block(&self, bits: &mut BitReader<'_>, mut k: u32) -> Result<(), Error> {
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

/// A coefficient index past the end of its block.
pub(super) const OUT_OF_BLOCK: Error = Error::Damaged("coefficient outside of its block");

/// A bit pattern that matches no code.
pub(super) const INVALID_CODE: Error = Error::Damaged("invalid Huffman code");

/// A scan that refers to an undefined Huffman table.
pub(super) const MISSING_TABLE: Error = Error::Damaged("missing Huffman table");

/// Distance to the coefficient that a symbol codes, or [`END`] and above.
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

/// The skip entry for an index: all symbols that are complete within it. The value bits of the last one may extend beyond it.
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

    #[test]
    fn invalid_tables_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(HuffmanTable::new(TableClass::Ac, &counts, &[1, 2, 3]).is_err());
        assert!(HuffmanTable::read(TableClass::Ac, &[255; 16]).is_err());
        assert!(HuffmanTable::read(TableClass::Dc, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16]).is_err());
    }
}
