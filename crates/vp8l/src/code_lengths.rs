//! The code lengths that describe a prefix code (RFC 9649, section 3.7.2.1).

use planes::Error;

use crate::bit_reader::BitReader;
use crate::prefix_code::{Entry, PrefixCode, build};

/// Number of symbols of the code in which code lengths are written.
const SYMBOLS: usize = 19;

/// The order in which the lengths of that code are stored.
const ORDER: [usize; SYMBOLS] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// The length that is repeated if no other precedes the repetition.
const DEFAULT_LENGTH: u8 = 8;

/// Reads the lengths of the code words of an alphabet. `tables` is a buffer that is reused.
///
/// # Errors
/// The description is damaged. Truncation is not checked.
pub(crate) fn read(bits: &mut BitReader<'_>, lengths: &mut [u8], tables: &mut Vec<Entry>) -> Result<(), Error> {
    lengths.fill(0);
    if bits.read(1) == 1 {
        return read_simple(bits, lengths);
    }
    let mut length_lengths = [0; SYMBOLS];
    let count = 4 + bits.read(4) as usize;
    for at in &ORDER[..count] {
        length_lengths[*at] = bits.read(3) as u8;
    }
    tables.clear();
    let root_bits = build(&length_lengths, tables)?;
    let code = PrefixCode::new(tables, root_bits);
    let mut symbols_max = lengths.len();
    if bits.read(1) == 1 {
        let count_bits = 2 + 2 * bits.read(3);
        symbols_max = 2 + bits.read(count_bits) as usize;
        if symbols_max > lengths.len() {
            return Err(Error::Damaged("too many code lengths"));
        }
    }
    read_coded(bits, lengths, &code, symbols_max)
}

/// Reads a code of one or two symbols.
fn read_simple(bits: &mut BitReader<'_>, lengths: &mut [u8]) -> Result<(), Error> {
    let has_two = bits.read(1) == 1;
    let first_bits = if bits.read(1) == 0 { 1 } else { 8 };
    let symbols = [Some(bits.read(first_bits)), has_two.then(|| bits.read(8))];
    for symbol in symbols.into_iter().flatten() {
        *lengths.get_mut(symbol as usize).ok_or(Error::Damaged("symbol beyond its alphabet"))? = 1;
    }
    Ok(())
}

fn read_coded(
    bits: &mut BitReader<'_>,
    lengths: &mut [u8],
    code: &PrefixCode<'_>,
    symbols_max: usize,
) -> Result<(), Error> {
    let mut last = DEFAULT_LENGTH;
    let mut at = 0;
    for _ in 0..symbols_max {
        if at >= lengths.len() {
            break;
        }
        bits.ensure(7 + 7);
        let symbol = code.read(bits);
        if symbol < 16 {
            lengths[at] = symbol as u8;
            if symbol != 0 {
                last = symbol as u8;
            }
            at += 1;
            continue;
        }
        let (length, count) = match symbol {
            16 => (last, 3 + bits.take(2)),
            17 => (0, 3 + bits.take(3)),
            _ => (0, 11 + bits.take(7)),
        };
        let end = at + count as usize;
        lengths.get_mut(at..end).ok_or(Error::Damaged("too many code lengths"))?.fill(length);
        at = end;
    }
    Ok(())
}
