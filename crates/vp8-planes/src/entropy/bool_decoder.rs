//! The boolean entropy decoder (RFC 6386, section 7). It reads seven bytes at a time.

use planes::Error;

/// Decodes the bits of one partition. Each bit has a probability of being 0.
///
/// The type is small and `Copy`, so that the loops that read coefficients keep it in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BoolDecoder<'a> {
    rest: &'a [u8],
    /// The part of the stream that was read, minus the decoded intervals. It is less than `range << bits`.
    value: u64,
    /// Size of the current interval, 128 to 255.
    range: u32,
    /// Number of bits of `value` below the eight that are compared with `range`. Negative if more have to be read.
    bits: i32,
    end: StreamEnd,
}

/// The position of the decoder relative to the end of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StreamEnd {
    NotReached,
    /// One zero byte was appended. Complete partitions may need it, because encoders stop as soon as all bits are
    /// determined.
    Reached,
    /// More than one zero byte was appended, so the partition is truncated.
    Passed,
}

impl<'a> BoolDecoder<'a> {
    pub(crate) fn new(partition: &'a [u8]) -> Self {
        Self { rest: partition, value: 0, range: 255, bits: -8, end: StreamEnd::NotReached }
    }

    /// Returns [`Error::Truncated`] if more bits were read than the partition contains.
    #[inline]
    pub(crate) fn check_truncated(&self) -> Result<(), Error> {
        if self.end == StreamEnd::Passed { Err(Error::Truncated) } else { Ok(()) }
    }

    #[inline(always)]
    fn fill(&mut self) {
        if let Some(bytes) = self.rest.first_chunk::<8>() {
            self.rest = &self.rest[7..];
            self.value = self.value << 56 | u64::from_be_bytes(*bytes) >> 8;
            self.bits += 56;
        } else {
            *self = self.fill_at_end();
        }
    }

    #[cold]
    #[inline(never)]
    fn fill_at_end(mut self) -> Self {
        match (self.rest.is_empty(), self.end) {
            (false, _) => {
                for byte in self.rest {
                    self.value = self.value << 8 | u64::from(*byte);
                    self.bits += 8;
                }
                self.rest = &[];
            }
            (true, StreamEnd::NotReached) => {
                self.value <<= 8;
                self.bits += 8;
                self.end = StreamEnd::Reached;
            }
            (true, _) => {
                self.value <<= 56;
                self.bits += 56;
                self.end = StreamEnd::Passed;
            }
        }
        self
    }

    /// Reads a bit that is 0 with a probability of `probability / 256`.
    #[inline(always)]
    pub(crate) fn read_bool(&mut self, probability: u8) -> bool {
        if self.bits < 0 {
            self.fill();
        }
        // Equals `1 + (((range - 1) * probability) >> 8)`, with a shorter dependency chain.
        let probability = u32::from(probability);
        let split = (self.range * probability + (256 - probability)) >> 8;
        let bit = (self.value >> self.bits) as u32 >= split;
        if bit {
            self.range -= split;
            self.value -= u64::from(split) << self.bits;
        } else {
            self.range = split;
        }
        // Normalize to 128..=255. The range has at least 24 leading zeros, so the XOR subtracts 24.
        let shift = self.range.leading_zeros() ^ 24;
        self.range <<= shift;
        self.bits -= shift as i32;
        bit
    }

    /// Reads a sign bit of probability 1/2 and returns `value` or `-value`.
    ///
    /// Must not be called for the first bit of a partition. After the first bit the range is at most 254, so that both
    /// outcomes shift the range by exactly one bit.
    #[inline(always)]
    pub(crate) fn read_sign(&mut self, value: i32) -> i32 {
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

    /// Reads a bit of probability 1/2.
    pub(crate) fn read_flag(&mut self) -> bool {
        self.read_bool(128)
    }

    /// Reads an unsigned number of `bits` bits, most significant bit first.
    pub(crate) fn read_literal(&mut self, bits: u32) -> u8 {
        (0..bits).fold(0, |number, _| number << 1 | u8::from(self.read_flag()))
    }

    /// Reads a flag and, if it is set, a number of `bits` bits and its sign. Returns 0 if the flag is clear.
    pub(crate) fn read_optional(&mut self, bits: u32) -> i32 {
        if !self.read_flag() {
            return 0;
        }
        let number = i32::from(self.read_literal(bits));
        if self.read_flag() { -number } else { number }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_of_probability_one_half_follow_the_bytes() {
        // The range starts at 255 instead of 256, so the decoded bytes are slightly smaller than those of the stream.
        let mut decoder = BoolDecoder::new(&[0x9D, 0x01, 0x2A, 0x55, 0, 0, 0, 0, 0, 0]);
        assert!(decoder.read_flag());
        assert!((0..60).all(|_| {
            decoder.read_literal(8) < 255 && decoder.check_truncated().is_ok() || decoder.check_truncated().is_err()
        }));
    }

    #[test]
    fn one_zero_byte_may_be_read_after_the_end() {
        let mut decoder = BoolDecoder::new(&[0; 3]);
        // Each 0 bit of probability 1/2 consumes one bit, except for the first, because the range starts at 255. The
        // last one needs a bit that is followed by seven bits of the byte after the end.
        let read = (0..).take_while(|_| !decoder.read_flag() && decoder.check_truncated().is_ok()).count();
        assert_eq!(read, 1 + 3 * 8 + 1);
        assert_eq!(decoder.check_truncated(), Err(Error::Truncated));
    }

    #[test]
    fn a_sign_is_a_bit_of_probability_one_half() {
        let bytes: Vec<u8> = (0..64_u32).map(|n| ((n * n * 37) >> 3) as u8).collect();
        let (mut signs, mut flags) = (BoolDecoder::new(&bytes), BoolDecoder::new(&bytes));
        for n in 0..500 {
            let probability = (n * 31 % 255) as u8 + 1;
            assert_eq!(signs.read_bool(probability), flags.read_bool(probability));
            assert_eq!(signs.read_sign(n), if flags.read_flag() { -n } else { n });
        }
    }
}
