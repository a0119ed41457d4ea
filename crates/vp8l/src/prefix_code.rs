//! Canonical prefix codes (RFC 9649, section 3.7.2.1) as lookup tables of two levels.

use planes::Error;

use crate::bit_reader::BitReader;

/// Maximum length of a code word in bits.
pub(crate) const LENGTH_MAX: usize = 15;

/// The largest alphabet: green, lengths, and a color cache of 2,048 colors.
pub(crate) const ALPHABET_MAX: usize = 256 + 24 + 2048;

/// Number of bits that select an entry of the first level.
const ROOT_BITS: u32 = 8;

/// Maximum number of entries of codes for the alphabets of one group: green with a color cache of 2,048 colors, red, blue
/// and alpha, and distances. Computed with the program `enough` of zlib for this number of root bits.
pub(crate) const GROUP_ENTRIES_MAX: usize = 2704 + 3 * 630 + 410;

/// An entry contains a symbol and the number of its bits, or the position of a table of the second level and the sum of
/// the bits of both levels, which exceeds [`ROOT_BITS`].
pub(crate) type Entry = u16;

fn entry(value: usize, bits: u32) -> Entry {
    ((value << 4) | bits as usize) as Entry
}

/// A view of the tables of one code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PrefixCode<'a> {
    entries: &'a [Entry],
    /// Selects the bits of the first level.
    mask: usize,
}

impl<'a> PrefixCode<'a> {
    /// The code in `entries` whose first level is selected by `root_bits`.
    #[inline(always)]
    pub(crate) fn new(entries: &'a [Entry], root_bits: u8) -> Self {
        Self { entries, mask: (1 << root_bits) - 1 }
    }

    /// The only symbol, if the code has no other. It takes no bits.
    pub(crate) fn single(&self) -> Option<u16> {
        if self.mask == 0 { self.entries.first().map(|entry| entry >> 4) } else { None }
    }

    /// Reads a symbol. 15 bits must be loaded.
    #[inline(always)]
    pub(crate) fn read(&self, bits: &mut BitReader<'_>) -> u16 {
        let peeked = bits.peek() as usize;
        let mut entry = self.entries[peeked & self.mask];
        let mut length = u32::from(entry & 15);
        if length > ROOT_BITS {
            let index = (peeked >> ROOT_BITS) & ((1 << (length - ROOT_BITS)) - 1);
            entry = self.entries[usize::from(entry >> 4) + index];
            length = ROOT_BITS + u32::from(entry & 15);
        }
        bits.consume(length);
        entry >> 4
    }
}

/// Number of code words of each length.
type LengthCounts = [u16; LENGTH_MAX + 1];

/// # Errors
/// The lengths describe no complete prefix code. A single code word of any length is complete.
pub(crate) fn check(lengths: &[u8]) -> Result<LengthCounts, Error> {
    let mut counts = [0; LENGTH_MAX + 1];
    lengths.iter().for_each(|length| counts[usize::from(length & 15)] += 1);
    counts[0] = 0;
    let words: u32 = counts.iter().map(|count| u32::from(*count)).sum();
    let space: u32 = (1..).zip(&counts[1..]).map(|(length, count)| u32::from(*count) << (LENGTH_MAX - length)).sum();
    if words == 1 || space == 1 << LENGTH_MAX { Ok(counts) } else { Err(Error::Damaged("incomplete prefix code")) }
}

/// Appends the tables of the code with these lengths to `entries`. Returns the number of bits that select an entry of the
/// first level.
///
/// # Errors
/// The lengths describe no complete prefix code.
pub(crate) fn build(lengths: &[u8], entries: &mut Vec<Entry>) -> Result<u8, Error> {
    let mut counts = check(lengths)?;
    if counts.iter().sum::<u16>() == 1 {
        let symbol = lengths.iter().position(|length| *length != 0).unwrap_or(0);
        entries.push(entry(symbol, 0));
        return Ok(0);
    }
    let length_max = counts.iter().rposition(|count| *count > 0).unwrap_or(0) as u32;
    let root_bits = length_max.min(ROOT_BITS);
    let base = entries.len();
    entries.resize(base + (1 << root_bits), 0);
    let symbols = sorted(lengths, &counts);
    let mut symbols = symbols.iter();
    // Code words are assigned in ascending order (RFC 1951, section 3.2.2).
    let mut word = 0_u32;
    for length in 1..=length_max {
        for &symbol in symbols.by_ref().take(usize::from(counts[length as usize])) {
            // The bits in the order in which they are read.
            let bits = (word.reverse_bits() >> (32 - length)) as usize;
            word += 1;
            if length <= root_bits {
                let root = entries[base..].iter_mut().skip(bits).step_by(1 << length);
                root.for_each(|to| *to = entry(symbol.into(), length));
                continue;
            }
            let root = base + (bits & ((1 << root_bits) - 1));
            if entries[root] == 0 {
                // The first code word with this prefix.
                let second_bits = second_level_bits(&counts, length, root_bits);
                entries[root] = entry(entries.len() - base, root_bits + second_bits);
                entries.resize(entries.len() + (1 << second_bits), 0);
            }
            let start = base + usize::from(entries[root] >> 4);
            let end = start + (1 << (u32::from(entries[root] & 15) - root_bits));
            let rest = length - root_bits;
            let second = entries[start..end].iter_mut().skip(bits >> root_bits).step_by(1 << rest);
            second.for_each(|to| *to = entry(symbol.into(), rest));
            counts[length as usize] -= 1;
        }
        word <<= 1;
    }
    Ok(root_bits as u8)
}

/// The symbols that have a code word, in the order of their code words.
fn sorted(lengths: &[u8], counts: &LengthCounts) -> [u16; ALPHABET_MAX] {
    let mut at = [0_usize; LENGTH_MAX + 2];
    for length in 1..=LENGTH_MAX {
        at[length + 1] = at[length] + usize::from(counts[length]);
    }
    let mut symbols = [0; ALPHABET_MAX];
    for (symbol, length) in (0..).zip(lengths).filter(|(_, length)| **length != 0) {
        let at = &mut at[usize::from(*length)];
        symbols[*at] = symbol;
        *at += 1;
    }
    symbols
}

/// Number of bits that select an entry of a table of the second level, whose first code word has this length. `counts` are
/// the code words that have no table yet.
fn second_level_bits(counts: &LengthCounts, length: u32, root_bits: u32) -> u32 {
    let mut bits = length - root_bits;
    let mut free = 1_i32 << bits;
    for count in &counts[length as usize..LENGTH_MAX] {
        free -= i32::from(*count);
        if free <= 0 {
            break;
        }
        (bits, free) = (bits + 1, free << 1);
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads each code word of the code with these lengths.
    fn read_all(lengths: &[u8]) {
        let mut entries = vec![7; 3];
        let root_bits = build(lengths, &mut entries).unwrap();
        assert!(entries.len() - 3 <= 2704);
        let code = PrefixCode::new(&entries[3..], root_bits);
        let mut word = 0_u32;
        for length in 1..=LENGTH_MAX as u8 {
            for (symbol, _) in lengths.iter().enumerate().filter(|(_, other)| **other == length) {
                let data = (word.reverse_bits() >> (32 - u32::from(length))).to_le_bytes();
                let mut bits = BitReader::new(&data, 0);
                bits.fill();
                assert_eq!((usize::from(code.read(&mut bits)), bits.position()), (symbol, length.into()));
                word += 1;
            }
            word <<= 1;
        }
    }

    #[test]
    fn code_words_are_read_as_their_symbols() {
        read_all(&[1, 1]);
        read_all(&[2, 0, 1, 2]);
        read_all(&[8; 256]);
        read_all(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 15]);
        // 2,328 symbols: one short code word and long ones.
        let mut lengths = [vec![1], vec![12; 2048]].concat();
        read_all(&lengths);
        lengths.splice(1..2, [13, 14, 15, 15]);
        read_all(&lengths);
    }

    #[test]
    fn incomplete_and_oversubscribed_codes_are_refused() {
        for lengths in [&[][..], &[0, 0], &[1, 2], &[1, 1, 1], &[2; 5], &[15; 2]] {
            assert!(build(lengths, &mut Vec::new()).is_err(), "{lengths:?}");
        }
        let mut entries = Vec::new();
        assert_eq!(build(&[0, 0, 5], &mut entries), Ok(0));
        assert_eq!(PrefixCode::new(&entries, 0).single(), Some(2));
    }
}
