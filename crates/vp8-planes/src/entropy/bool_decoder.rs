//! The boolean entropy decoder (RFC 6386 section 7), which reads seven bytes at a time.

use crate::error::Error;

/// Bits of one partition, each decoded by the probability that it is 0.
///
/// It is small and goes by value into the loops that read coefficients, so that it stays in registers there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bools<'a> {
    rest: &'a [u8],
    /// What has been read of the stream less what the decoded bits stand for: below `range << bits`.
    value: u64,
    /// 128 to 255.
    range: u32,
    /// Bits of `value` below the eight that are compared with `range`; negative when more have to be read.
    bits: i32,
    end: End,
}

/// What is behind the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Ahead,
    /// One byte of zeros has been read, which whole files may need: encoders end a partition when all its bits are decided.
    Reached,
    /// More has been asked for than there is.
    Passed,
}

impl<'a> Bools<'a> {
    pub(crate) fn new(partition: &'a [u8]) -> Self {
        Self { rest: partition, value: 0, range: 255, bits: -8, end: End::Ahead }
    }

    /// # Errors
    /// More bits have been read than there are.
    #[inline]
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.end == End::Passed { Err(Error::Truncated) } else { Ok(()) }
    }

    #[inline(always)]
    fn fill(&mut self) {
        if let Some(bytes) = self.rest.first_chunk::<8>() {
            self.rest = &self.rest[7..];
            self.value = self.value << 56 | u64::from_be_bytes(*bytes) >> 8;
            self.bits += 56;
        } else {
            *self = self.filled_at_end();
        }
    }

    #[cold]
    #[inline(never)]
    fn filled_at_end(mut self) -> Self {
        match (self.rest.is_empty(), self.end) {
            (false, _) => {
                for byte in self.rest {
                    self.value = self.value << 8 | u64::from(*byte);
                    self.bits += 8;
                }
                self.rest = &[];
            }
            (true, End::Ahead) => {
                self.value <<= 8;
                self.bits += 8;
                self.end = End::Reached;
            }
            (true, _) => {
                self.value <<= 56;
                self.bits += 56;
                self.end = End::Passed;
            }
        }
        self
    }

    /// A bit that is 0 with a probability of `probability / 256`.
    #[inline(always)]
    pub(crate) fn bit(&mut self, probability: u8) -> bool {
        if self.bits < 0 {
            self.fill();
        }
        // 1 + (range - 1) * probability / 256, in fewer steps one after the other.
        let probability = u32::from(probability);
        let split = (self.range * probability + (256 - probability)) >> 8;
        let bit = (self.value >> self.bits) as u32 >= split;
        if bit {
            self.range -= split;
            self.value -= u64::from(split) << self.bits;
        } else {
            self.range = split;
        }
        // The leading zeros but 24, which it has at least.
        let shift = self.range.leading_zeros() ^ 24;
        self.range <<= shift;
        self.bits -= shift as i32;
        bit
    }

    /// A sign, which both ways is as likely: `value` or `-value`. Not for a partition's first bit: whichever it is, it takes
    /// exactly one bit of the stream, since the range is at most 254 by then.
    #[inline(always)]
    pub(crate) fn signed(&mut self, value: i32) -> i32 {
        if self.bits < 0 {
            self.fill();
        }
        let split = (self.range + 1) >> 1;
        let large = u64::from(split) << self.bits;
        let is_negative = self.value >= large;
        let mask = u64::from(is_negative).wrapping_neg();
        self.value -= large & mask;
        let lower = self.range - split;
        self.range = if is_negative { lower } else { split } << 1;
        self.bits -= 1;
        let mask = mask as i32;
        (value ^ mask) - mask
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.bit(128)
    }

    /// An unsigned number of `bits` bits, the highest first.
    pub(crate) fn literal(&mut self, bits: u32) -> u8 {
        (0..bits).fold(0, |number, _| number << 1 | u8::from(self.flag()))
    }

    /// A flag and, if it is set, a number of `bits` bits and its sign; else 0.
    pub(crate) fn optional(&mut self, bits: u32) -> i32 {
        if !self.flag() {
            return 0;
        }
        let number = i32::from(self.literal(bits));
        if self.flag() { -number } else { number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_even_odds_are_those_of_the_bytes() {
        // At the first bit the range is 255 and not 256, so the bytes are a little less than the bits.
        let mut bools = Bools::new(&[0x9D, 0x01, 0x2A, 0x55, 0, 0, 0, 0, 0, 0]);
        assert!(bools.flag());
        assert!((0..60).all(|_| bools.literal(8) < 255 && bools.check().is_ok() || bools.check().is_err()));
    }

    #[test]
    fn one_byte_of_zeros_may_be_read_behind_the_end() {
        let mut bools = Bools::new(&[0; 3]);
        // Zeros that are as likely as ones take a bit each, but for the first, which the range of 255 gives away. The last one
        // needs a bit that is followed by seven of the byte behind the end.
        let read = (0..).take_while(|_| !bools.flag() && bools.check().is_ok()).count();
        assert_eq!(read, 1 + 3 * 8 + 1);
        assert_eq!(bools.check(), Err(Error::Truncated));
    }

    #[test]
    fn a_sign_is_a_bit_of_even_odds() {
        let bytes: Vec<u8> = (0..64_u32).map(|n| ((n * n * 37) >> 3) as u8).collect();
        let (mut signs, mut flags) = (Bools::new(&bytes), Bools::new(&bytes));
        for n in 0..500 {
            let odds = (n * 31 % 255) as u8 + 1;
            assert_eq!(signs.bit(odds), flags.bit(odds));
            assert_eq!(signs.signed(n), if flags.flag() { -n } else { n });
        }
    }
}
