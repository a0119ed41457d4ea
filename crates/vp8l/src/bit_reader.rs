//! Reads bits, the least significant first (RFC 9649, section 3.3). Zeros follow the end of the data.

use planes::Error;

/// A reader of bits.
#[derive(Debug, Clone)]
pub(crate) struct BitReader<'a> {
    data: &'a [u8],
    /// Position of the next byte to load. It may be beyond the end of the data.
    next: usize,
    /// The loaded bits. Bits from `count` on are those of the next bytes, or zero.
    bits: u64,
    /// Number of loaded bits that are not consumed.
    count: u32,
}

impl<'a> BitReader<'a> {
    /// A reader that starts at bit number `position`.
    pub(crate) fn new(data: &'a [u8], position: u64) -> Self {
        let next = usize::try_from(position / 8).unwrap_or(usize::MAX).min(data.len());
        let mut reader = Self { data, next, bits: 0, count: 0 };
        reader.read((position % 8) as u32);
        reader
    }

    /// Number of the next bit.
    pub(crate) fn position(&self) -> u64 {
        8 * self.next as u64 - u64::from(self.count)
    }

    /// # Errors
    /// [`Error::Truncated`] if bits beyond the end were consumed.
    pub(crate) fn check_truncated(&self) -> Result<(), Error> {
        if self.position() > 8 * self.data.len() as u64 { Err(Error::Truncated) } else { Ok(()) }
    }

    /// Loads at least 56 bits.
    #[inline(always)]
    pub(crate) fn fill(&mut self) {
        let rest = self.data.get(self.next..).and_then(<[u8]>::first_chunk::<8>);
        let word = rest.map_or_else(|| self.last_word(), |bytes| u64::from_le_bytes(*bytes));
        self.bits |= word << self.count;
        self.next += ((63 - self.count) / 8) as usize;
        self.count |= 56;
    }

    /// The last bytes, which are fewer than eight, followed by zeros.
    #[cold]
    fn last_word(&self) -> u64 {
        let mut word = [0; 8];
        let rest = self.data.get(self.next..).unwrap_or_default();
        word.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(word)
    }

    /// Loads bits unless at least `count` are loaded. `count` is at most 56.
    #[inline(always)]
    pub(crate) fn ensure(&mut self, count: u32) {
        if self.count < count {
            self.fill();
        }
    }

    /// The loaded bits.
    #[inline(always)]
    pub(crate) fn peek(&self) -> u32 {
        self.bits as u32
    }

    /// Consumes loaded bits.
    #[inline(always)]
    pub(crate) fn consume(&mut self, count: u32) {
        debug_assert!(count <= self.count);
        self.bits >>= count;
        self.count = self.count.wrapping_sub(count) & 63;
    }

    /// Consumes a number of up to 24 loaded bits.
    #[inline(always)]
    pub(crate) fn take(&mut self, count: u32) -> u32 {
        let value = self.peek() & ((1 << count) - 1);
        self.consume(count);
        value
    }

    /// Reads a number of up to 24 bits.
    pub(crate) fn read(&mut self, count: u32) -> u32 {
        self.ensure(count);
        self.take(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_from_the_least_significant_on() {
        let data = [0x9C, 0x41, 0xE1, 1, 2, 3, 4, 5, 6, 7, 0x80];
        let mut reader = BitReader::new(&data, 0);
        assert_eq!([3, 2, 6, 10, 3].map(|n| reader.read(n)), [4, 3, 12, 40, 7]);
        assert_eq!(reader.position(), 24);
        assert_eq!((0..7).map(|_| reader.read(8)).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((reader.read(8), reader.check_truncated()), (0x80, Ok(())));
        assert_eq!((reader.read(1), reader.check_truncated()), (0, Err(Error::Truncated)));
        assert_eq!(BitReader::new(&data, 5).read(6), 12);
    }
}
