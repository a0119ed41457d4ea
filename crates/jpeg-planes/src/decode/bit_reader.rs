//! Reads the bits of entropy-coded data, most significant bit first, and removes stuffed bytes (ITU-T T.81, section
//! F.2.2.5).

use planes::Error;

use crate::decode::restart::{EntropyReader, after_restart_marker};
use crate::marker::find_marker;

/// A reservoir of up to 63 bits of the entropy-coded data.
///
/// The type is small and `Copy`, and the slow path of the refill takes it by value, so that the decoding loops keep it
/// in registers.
#[derive(Debug, Clone, Copy)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
    /// The next bits, left-aligned. The bits after the first `count` are zeros or belong to the byte at `position`.
    reservoir: u64,
    count: u32,
    /// Number of zero bits appended after the end of the data. Consuming them means that the data is truncated.
    padding: u32,
}

/// Minimum number of available bits after [`BitReader::refill`].
pub(super) const REFILLED: u32 = 56;

/// Maximum number of extra bytes after the last block of an interval: an eighth of its length, within these bounds.
const EXTRA_BYTES_MIN: usize = 32;
const EXTRA_BYTES_MAX: usize = 4096;

/// Data after the last block of a scan or of a restart interval.
const LEFT_OVER: Error = Error::Damaged("coded data after the last block");

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8], position: usize) -> Self {
        Self { data, position, reservoir: 0, count: 0, padding: 0 }
    }

    /// Makes at least [`REFILLED`] bits available. After the last byte they are zeros.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if let Some(bytes) = self.data.get(self.position..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_be_bytes(*bytes);
            // True if no byte is 0xFF, so that the word contains neither stuffing nor markers.
            if word & (!word).wrapping_sub(0x0101_0101_0101_0101) & 0x8080_8080_8080_8080 == 0 {
                self.reservoir |= word >> self.count;
                let bytes_read = (63 - self.count) >> 3;
                self.position += bytes_read as usize;
                self.count += bytes_read * 8;
                return;
            }
        }
        *self = self.refill_bytewise();
    }

    #[cold]
    #[inline(never)]
    fn refill_bytewise(mut self) -> Self {
        while self.count < REFILLED {
            let shift = 56 - self.count;
            match self.data.get(self.position..).unwrap_or_default() {
                [0xFF, 0, ..] => {
                    self.reservoir |= 0xFF << shift;
                    self.position += 2;
                }
                // A fill byte (ITU-T T.81, section B.1.1.2).
                [0xFF, 0xFF, ..] => {
                    self.position += 1;
                    continue;
                }
                [] | [0xFF, ..] => self.padding += 8,
                [byte, ..] => {
                    self.reservoir |= u64::from(*byte) << shift;
                    self.position += 1;
                }
            }
            self.count += 8;
        }
        self
    }

    /// Returns the next `n` bits, 1 to 32, without consuming them.
    #[inline(always)]
    pub(super) fn peek(&self, n: u32) -> usize {
        (self.reservoir >> (64 - n)) as usize
    }

    #[inline(always)]
    pub(super) fn consume(&mut self, n: u32) {
        self.reservoir <<= n;
        self.count -= n;
    }

    /// Consumes and returns `n` available bits, 0 to 16.
    #[inline(always)]
    pub(super) fn read(&mut self, n: u32) -> u32 {
        let value = ((self.reservoir >> 1) >> (63 - n)) as u32;
        self.consume(n);
        value
    }

    /// Consumes and returns one bit. Refills if necessary.
    #[inline(always)]
    pub(super) fn read_bit(&mut self) -> bool {
        if self.count == 0 {
            self.refill();
        }
        self.read(1) == 1
    }

    /// Discards any number of bits. Refills as necessary.
    #[inline(always)]
    pub(super) fn skip(&mut self, mut n: u32) {
        while n > 0 {
            self.refill();
            let some = n.min(REFILLED);
            self.consume(some);
            n -= some;
        }
    }

    /// True if more bits were consumed than the data contains.
    #[inline(always)]
    pub(super) fn has_overrun(&self) -> bool {
        self.padding > self.count
    }
}

impl EntropyReader for BitReader<'_> {
    /// Checks that the data from `start` to the next marker has been read to its end.
    ///
    /// Encoders fill the last byte with ones (ITU-T T.81, section F.1.2.3). Some fill it with zeros or write more
    /// bytes, which libjpeg reports as "extraneous bytes before marker". In damaged data, a decoder reaches the last
    /// block too early, and the data that is left over starts in the middle of a code.
    ///
    /// # Errors
    /// More bits were read than the data contains, or so much is left over that blocks must have been lost.
    #[cold]
    #[inline(never)]
    fn check_end(self, start: usize) -> Result<(), Error> {
        if self.has_overrun() {
            return Err(Error::Truncated);
        }
        let marker = find_marker(self.data, self.position);
        let mut rest = self.data.get(self.position..marker.unwrap_or(self.data.len())).unwrap_or_default();
        // Fill bytes, or the first byte of a marker that was cut off.
        while let [most @ .., 0xFF] = rest {
            rest = most;
        }
        let bits_left = self.count - self.padding;
        let left_over = bits_left as usize / 8 + rest.len();
        if left_over == 0 {
            return Ok(());
        }
        if marker.is_none() {
            return Err(Error::Truncated);
        }
        let fill_bits = bits_left % 8;
        let is_filled_with_ones = (!self.reservoir).leading_zeros() >= fill_bits;
        let is_zero = self.reservoir.leading_zeros() >= bits_left && rest.iter().all(|&byte| byte == 0);
        let max = (self.position.saturating_sub(start) / 8).clamp(EXTRA_BYTES_MIN, EXTRA_BYTES_MAX);
        if (is_filled_with_ones || is_zero) && left_over <= max { Ok(()) } else { Err(LEFT_OVER) }
    }

    fn restart(&mut self, expected: u8) -> Result<(), Error> {
        // `position` is never past the marker, because `refill` stops there.
        *self = Self::new(self.data, after_restart_marker(self.data, self.position, expected)?);
        Ok(())
    }

    fn position(&self) -> usize {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(data: &[u8], count: usize) -> Vec<u32> {
        let mut reader = BitReader::new(data, 0);
        (0..count)
            .map(|_| {
                reader.refill();
                reader.read(8)
            })
            .collect()
    }

    #[test]
    fn stuffed_bytes_are_removed_at_every_alignment() {
        for at in 0..24 {
            let plain: Vec<u8> = (0..24).map(|n| if n == at { 0xFF } else { n }).collect();
            let stuffed: Vec<u8> =
                plain.iter().flat_map(|&b| if b == 0xFF { vec![0xFF, 0] } else { vec![b] }).collect();
            let expected: Vec<u32> = plain.iter().map(|&b| u32::from(b)).collect();
            assert_eq!(read_bytes(&stuffed, 24), expected, "{at}");
        }
    }

    #[test]
    fn consuming_the_zero_padding_is_an_overrun() {
        let mut reader = BitReader::new(&[0xAB, 0xFF, 0xD9, 0x12], 0);
        reader.refill();
        assert_eq!((reader.read(8), reader.has_overrun()), (0xAB, false));
        assert_eq!((reader.read(1), reader.has_overrun()), (0, true));
    }

    #[test]
    fn fill_bytes_are_skipped() {
        assert_eq!(read_bytes(&[1, 0xFF, 0xFF, 0xFF, 0, 2, 0xFF, 0xFF, 0xD9], 4), [1, 0xFF, 2, 0]);
    }

    #[test]
    fn only_fill_bits_and_few_extra_bytes_may_be_left_over() {
        let end = |data: &[u8], bits: u32| {
            let data = [&[7; 100], data].concat();
            let mut reader = BitReader::new(&data, 0);
            reader.skip(800 + bits);
            reader.check_end(0)
        };
        for (rest, bits, expected) in [
            (&b"\xFF\xD9"[..], 0, Ok(())),
            (b"\x5F\xFF\xD9", 3, Ok(())),
            (b"\xAF\xFF\xFF\xFF\xD9", 5, Ok(())),
            (b"", 0, Ok(())),
            (b"\xFF", 0, Ok(())),
            (b"\x5F", 3, Ok(())),
            // Extra bytes after a byte filled with ones, and zeros.
            (b"\x5Fjunk\xFF\xD9", 3, Ok(())),
            (b"\x50\0\0\0\xFF\xD9", 4, Ok(())),
            // Data starts in the middle of a byte.
            (b"\x5Djunk\xFF\xD9", 3, Err(LEFT_OVER)),
            (b"\x50junk\xFF\xD9", 4, Err(LEFT_OVER)),
            (b"\x5Fmuch more junk than any sane encoder appends\xFF\xD9", 3, Err(LEFT_OVER)),
            // Without a marker, the file may have been cut at any point.
            (b"\x5F\0\0", 3, Err(Error::Truncated)),
            (b"\xFF\xD9", 1, Err(Error::Truncated)),
        ] {
            assert_eq!(end(rest, bits), expected, "{} after {bits} bits", rest.escape_ascii());
        }
    }

    #[test]
    fn restart_accepts_only_the_expected_marker() {
        let data = [1, 2, 3, 0xFF, 0xD3, 7];
        let mut reader = BitReader::new(&data, 0);
        reader.refill();
        assert_eq!(reader.read(8), 1);
        let mut copy = reader;
        assert!(copy.restart(4).is_err());
        reader.restart(3).unwrap();
        reader.refill();
        assert_eq!(reader.read(8), 7);
    }
}
