//! Huffman codes (ITU-T T.81, annex C and sections F.2.2.3 to F.2.2.4) as look-up tables.

use crate::decode::bit_reader::{Bits, REFILLED};
use crate::error::Error;

/// Bits that index the table of whole values, and the one that only says how far to go.
const FUSED_BITS: u32 = 10;
const SKIP_BITS: u32 = 12;

/// How many codes of [`Table::next_short`] can be taken after a refill.
pub(crate) const SHORT_CODES: u32 = REFILLED / FUSED_BITS;

/// A code of AC coefficients has come to its end of block: [`END`] plus the exponent of an end-of-band run.
pub(crate) const END: u32 = 128;
/// No code begins like this.
pub(crate) const INVALID: u32 = 255;

/// What a table codes: how its symbols are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Symbols are the size of a difference.
    Dc,
    /// Symbols are a run of zeros and the size of the coefficient behind them.
    Ac,
}

/// One table: a code's bits, and where they leave off the value's bits too, give the run and the value in one look-up.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    class: Class,
    /// Value (16 bits), step (8), flag for a value that is yet to be read (1; then its size is in its place), bits (7).
    fused: Box<[u32; 1 << FUSED_BITS]>,
    /// By the next bits, all the whole symbols among them: step (7 bits; 64 is an end of block), bits (5).
    skip: Option<Box<[u16; 1 << SKIP_BITS]>>,
    /// The codes of each length, left-aligned in 16 bits, are below this; 0 where there are none.
    limit: [u32; 17],
    /// What to add to a code of each length for its place in `symbols`.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

const UNREAD: u32 = 0x80;
/// A step that no block has room for: the slow way then decides.
const SKIP_NONE: u16 = 63 << 5;

impl Table {
    /// Reads one table of a DHT segment: sixteen counts, then the symbols (section B.2.4.2). Returns what follows too.
    pub(crate) fn read(class: Class, segment: &[u8]) -> Result<(Self, &[u8]), Error> {
        let (counts, rest) = segment.split_first_chunk::<16>().ok_or(Error::Damaged("a short Huffman table"))?;
        let total: usize = counts.iter().map(|&n| usize::from(n)).sum();
        if total > 256 || total > rest.len() {
            return Err(Error::Damaged("a Huffman table with too many codes"));
        }
        let (symbols, rest) = rest.split_at(total);
        if class == Class::Dc && symbols.iter().any(|&size| size > 15) {
            return Err(Error::Damaged("a Huffman table with impossible sizes"));
        }
        Ok((Self::new(class, counts, symbols)?, rest))
    }

    fn new(class: Class, counts: &[u8; 16], symbols: &[u8]) -> Result<Self, Error> {
        let mut table = Self {
            class,
            fused: Box::new([0; 1 << FUSED_BITS]),
            skip: None,
            limit: [0; 17],
            offset: [0; 17],
            symbols: symbols.to_vec(),
        };
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, &count) in (1..=16_u32).zip(counts) {
            let count = u32::from(count);
            if code + count > 1 << length {
                return Err(Error::Damaged("a Huffman table with more codes than bits allow"));
            }
            table.offset[length as usize] = place as i32 - code as i32;
            for &symbol in &symbols[place..place + count as usize] {
                if length <= FUSED_BITS {
                    table.fuse(code, length, symbol);
                }
                code += 1;
            }
            place += count as usize;
            table.limit[length as usize] = if count == 0 { 0 } else { code << (16 - length) };
            code <<= 1;
        }
        Ok(table)
    }

    /// Fills the entries that begin with `code`.
    fn fuse(&mut self, code: u32, length: u32, symbol: u8) {
        let size = u32::from(symbol & 15);
        let step = step(self.class, symbol);
        let spare = FUSED_BITS - length;
        let first = code << spare;
        for below in 0..1_u32 << spare {
            let entry = if size <= spare {
                let value = extend(below >> (spare - size), size) as u32;
                (value << 16) | (step << 8) | (length + size)
            } else {
                (size << 16) | (step << 8) | UNREAD | length
            };
            if let Some(place) = self.fused.get_mut((first + below) as usize) {
                *place = entry;
            }
        }
    }

    /// Makes the table with which [`Self::skip_block`] goes fast.
    pub(crate) fn prepare_to_skip(&mut self) {
        if self.skip.is_some() || self.class == Class::Dc {
            return;
        }
        let short: Vec<(u32, u8)> = (0..1 << SKIP_BITS).map(|bits| self.code(bits << (16 - SKIP_BITS))).collect();
        let mut skip = Box::new([SKIP_NONE; 1 << SKIP_BITS]);
        for (bits, entry) in skip.iter_mut().enumerate() {
            *entry = skip_entry(&short, bits);
        }
        self.skip = Some(skip);
    }

    /// The length and the symbol of the code at the top of 16 bits; the length is 0 if there is none.
    fn code(&self, bits: u32) -> (u32, u8) {
        for length in 1..=16_u32 {
            if bits < self.limit[length as usize] {
                let place = (bits >> (16 - length)) as i32 + self.offset[length as usize];
                let symbol = usize::try_from(place).ok().and_then(|place| self.symbols.get(place));
                return symbol.map_or((0, 0), |&symbol| (length, symbol));
            }
        }
        (0, 0)
    }

    /// The next step and value. Takes at most 31 bits, which the caller has made available.
    ///
    /// The step is how many coefficients on the value lies, or [`END`] and above, or [`INVALID`].
    #[inline(always)]
    pub(crate) fn next(&self, bits: &mut Bits<'_>) -> (u32, i32) {
        let entry = self.fused[bits.peek(FUSED_BITS)];
        let length = entry & 0xFF;
        if length.wrapping_sub(1) < UNREAD - 1 {
            bits.consume(length);
            return ((entry >> 8) & 0xFF, entry as i32 >> 16);
        }
        self.next_in_two_steps(bits, entry)
    }

    /// [`Self::next`] if code and value together are short; else nothing is taken.
    #[inline(always)]
    pub(crate) fn next_short(&self, bits: &mut Bits<'_>) -> Option<(u32, i32)> {
        let entry = self.fused[bits.peek(FUSED_BITS)];
        let length = entry & 0xFF;
        if length.wrapping_sub(1) >= UNREAD - 1 {
            return None;
        }
        bits.consume(length);
        Some(((entry >> 8) & 0xFF, entry as i32 >> 16))
    }

    #[inline(always)]
    fn next_in_two_steps(&self, bits: &mut Bits<'_>, entry: u32) -> (u32, i32) {
        let (length, size, step) = if entry != 0 {
            (entry & 0x7F, entry >> 16, (entry >> 8) & 0xFF)
        } else {
            let (length, symbol) = self.long_code(bits.peek(16) as u32);
            (length, u32::from(symbol & 15), if length == 0 { INVALID } else { step(self.class, symbol) })
        };
        bits.consume(length);
        let value = bits.take(size);
        (step, extend(value, size))
    }

    #[cold]
    #[inline(never)]
    fn long_code(&self, bits: u32) -> (u32, u8) {
        self.code(bits)
    }

    /// Goes over the rest of a block, whose coefficient `k` (0 to 62) was the last one read, without making its values.
    ///
    /// # Errors
    /// A code that is none, or a run past the block's end.
    #[inline(always)]
    pub(crate) fn skip_block(&self, bits: &mut Bits<'_>, mut k: u32) -> Result<(), Error> {
        let Some(skip) = &self.skip else { return self.skip_slowly(bits, k) };
        loop {
            bits.refill();
            // Two steps take at most 2 * (12 + 15) bits, which is less than have been made available.
            for _ in 0..2 {
                let entry = u32::from(skip[bits.peek(SKIP_BITS)]);
                let after = k + (entry >> 5);
                if after < 63 {
                    bits.consume(entry & 31);
                    k = after;
                    continue;
                }
                if entry & (64 << 5) != 0 && after < 64 + 63 {
                    bits.consume(entry & 31);
                    return Ok(());
                }
                // Either the block ends within these symbols or their code is long.
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

    fn skip_slowly(&self, bits: &mut Bits<'_>, mut k: u32) -> Result<(), Error> {
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

pub(crate) const OUT_OF_BLOCK: Error = Error::Damaged("a coefficient outside of its block");

fn step(class: Class, symbol: u8) -> u32 {
    let (run, size) = (u32::from(symbol >> 4), symbol & 15);
    match (class, run, size) {
        (Class::Dc, ..) => 1,
        // Sixteen zeros, and no value.
        (Class::Ac, 15, 0) => 16,
        (Class::Ac, _, 0) => END + run,
        (Class::Ac, ..) => run + 1,
    }
}

/// The symbols that lie whole in the first bits, with the last one's value, which may reach beyond.
fn skip_entry(short: &[(u32, u8)], bits: usize) -> u16 {
    let (mut used, mut steps) = (0_u32, 0_u32);
    while used < SKIP_BITS {
        let (length, symbol) = short[(bits << used) & ((1 << SKIP_BITS) - 1)];
        // The zeros that were shifted in are not the stream's.
        if length == 0 || length > SKIP_BITS - used {
            break;
        }
        let step = step(Class::Ac, symbol);
        if step >= END {
            return (((steps + 64) << 5) | (used + length)) as u16;
        }
        if steps + step > 62 {
            break;
        }
        steps += step;
        used += length + u32::from(symbol & 15);
    }
    if used == 0 { SKIP_NONE } else { ((steps << 5) | used) as u16 }
}

/// A value of `size` bits with its sign (table F.1; section F.2.2.1, EXTEND).
#[inline(always)]
pub(crate) fn extend(value: u32, size: u32) -> i32 {
    // The first bit says the sign; without it the value is that much less than the smallest positive one.
    let negative = (value >> size.saturating_sub(1)) & 1 == 0;
    let value = value as i32;
    if negative { value - (1 << size) + 1 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_signs_of_table_f1() {
        let table = [(0, 0, 0), (0, 1, -1), (1, 1, 1), (0, 2, -3), (1, 2, -2), (2, 2, 2), (3, 2, 3), (0, 11, -2047)];
        for (bits, size, expected) in table {
            assert_eq!(extend(bits, size), expected, "{bits:b} of {size}");
        }
    }

    /// A: 0, EOB: 10, run 1 size 2: 110, ZRL: 1110, and one of 13 bits.
    fn table() -> Table {
        let mut counts = [0; 16];
        counts[..4].copy_from_slice(&[1, 1, 1, 1]);
        counts[12] = 1;
        Table::new(Class::Ac, &counts, &[0x01, 0x00, 0x12, 0xF0, 0x2A]).unwrap()
    }

    #[test]
    fn skipping_ends_where_reading_ends() {
        let mut fast = table();
        fast.prepare_to_skip();
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
                let (mut a, mut b) = (Bits::new(&bytes, 0), Bits::new(&bytes, 0));
                assert_eq!(fast.skip_block(&mut a, k), slow.skip_block(&mut b, k));
                a.refill();
                b.refill();
                assert_eq!(a.peek(32), b.peek(32), "{k}");
            }
        }
    }

    #[test]
    fn tables_that_cannot_be_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Table::new(Class::Ac, &counts, &[1, 2, 3]).is_err());
        assert!(Table::read(Class::Ac, &[255; 16]).is_err());
        assert!(Table::read(Class::Dc, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16]).is_err());
    }
}
